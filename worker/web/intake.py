"""The web process's side of ingest: feeds remembered for a moment, counts flushed, rings rung."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Sequence
from typing import NamedTuple

from domain.inbox import Kind, lane_of
from domain.intake import FeedView, StoredEvent, Submission
from domain.ports import InfrastructureError
from worker import telemetry
from worker.adapters.db.engine import translated
from worker.adapters.db.ingest import GroupCommitter, Stored, count_receipts
from worker.adapters.db.setup import feed_view
from worker.bootstrap import Container
from worker.web.keys import Keys

#: Feeds remembered at most, unknown ones included: a scan must not fill the memory.
REMEMBERED = 10_000
FLUSH_SECONDS = 1.0


class _Known(NamedTuple):
    """A feed as it was read, in monotonic seconds; until when that is good enough."""

    view: FeedView | None
    read_at: float
    until: float


class Intake:
    """Everything that a hook request passes through after its body was read."""

    def __init__(self, parts: Container) -> None:
        self._parts = parts
        self.keys = Keys(parts.key_ring, report=parts.report)
        self._feeds: OrderedDict[str, _Known] = OrderedDict()
        self._reading_anew = asyncio.Lock()
        self._counts: Counter[tuple[str, str]] = Counter()
        self._lock = threading.Lock()
        self._answers: deque[tuple[asyncio.Future[Stored], Stored | BaseException]] = deque()
        self._is_answering = False
        self._stop = threading.Event()
        self._committer = GroupCommitter(
            parts.database, parts.vault, committed=self._ring, report=parts.report
        )
        # Made here: two threads that make it at once would each count into their own.
        self._minutes = parts.minutes
        self._flusher = threading.Thread(target=self._flush_often, name="counts", daemon=True)

    def start(self) -> None:
        """Begin to commit and to count."""
        self._committer.start()
        self._flusher.start()

    def stop(self) -> None:
        """Commit what was taken in, then let go."""
        self._committer.stop()
        self._stop.set()
        self._flusher.join(timeout=5)
        self.keys.stop()
        self._parts.ringer.stop()

    def feed(self, feed: str) -> FeedView | None:
        """A feed by id, at most a moment old; raises InfrastructureError. Blocks."""
        now = time.monotonic()
        with self._lock:
            known = self._feeds.get(feed)
        return known.view if known is not None and known.until > now else self._read(feed)

    def _read(self, feed: str) -> FeedView | None:
        now = time.monotonic()
        with translated(), self._parts.database.read() as connection:
            view = feed_view(connection, self._parts.vault, feed)
        keep = self._parts.settings.feed_cache_seconds if view is not None else 0.5
        with self._lock:
            self._feeds[feed] = _Known(view, read_at=now, until=now + keep)
            self._feeds.move_to_end(feed)
            while len(self._feeds) > REMEMBERED:
                self._feeds.popitem(last=False)
        return view

    async def anew(self, feed: str, since: float) -> FeedView | None:
        """A feed as it was at that monotonic time or later; raises InfrastructureError.

        One is read at a time, and all who wait meanwhile share it: forgeries cost no more.
        """
        async with self._reading_anew:
            known = self._feeds.get(feed)
            if known is not None and known.read_at >= since:
                return known.view
            return await asyncio.to_thread(self._read, feed)

    def remembered(self, feed: str) -> FeedView | None:
        """A feed that needs no look at the database, or None."""
        known = self._feeds.get(feed)
        return known.view if known is not None and known.until > time.monotonic() else None

    async def store(self, submission: Submission) -> Stored:
        """Wait until the delivery is durable; raises InfrastructureError."""
        loop = asyncio.get_running_loop()
        waiting: asyncio.Future[Stored] = loop.create_future()

        def done(result: Stored | BaseException) -> None:
            self._answers.append((waiting, result))
            if not self._is_answering:
                self._is_answering = True
                loop.call_soon_threadsafe(self._answer_all)

        self._committer.submit(submission, done)
        return await waiting

    def _answer_all(self) -> None:
        """Once for a whole group: waking the loop costs more than an answer does."""
        # Cleared before the first is taken: whoever adds one later wakes the loop again.
        self._is_answering = False
        while self._answers:
            waiting, result = self._answers.popleft()
            if waiting.done():
                continue
            if isinstance(result, BaseException):
                waiting.set_exception(result)
            else:
                waiting.set_result(result)

    def count(self, feed: str, source: str, result: str, times: int = 1) -> None:
        """Count a result for the feed's minute and for the process's metrics."""
        telemetry.received(source, result).inc(times)
        with self._lock:
            self._counts[feed, result] += times

    def _ring(self, events: Sequence[StoredEvent]) -> None:
        by_kind: dict[tuple[Kind, str], list[int]] = defaultdict(list)
        for event in events:
            if not event.is_held:
                by_kind[event.kind, event.connection].append(event.id)
        for (kind, connection), ids in by_kind.items():
            lane = lane_of(kind).value
            self._parts.ringer.ring(kind, lane, connection=connection, event_ids=ids)

    def _flush_often(self) -> None:
        while not self._stop.wait(FLUSH_SECONDS):
            self._flush()
        self._flush()

    def _flush(self) -> None:
        with self._lock:
            counts, self._counts = self._counts, Counter()
        try:
            count_receipts(self._parts.database, counts)
        except InfrastructureError:
            with self._lock:
                self._counts.update(counts)
        try:
            self._minutes.flush()
        except InfrastructureError:
            return
        except Exception:
            # A chart is no reason to stop counting what came in.
            self._parts.log.exception("minutes_not_counted")

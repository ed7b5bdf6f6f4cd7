"""Store deliveries and events: one writer thread commits for all requests that wait (D9)."""

from __future__ import annotations

import queue
import threading
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any

from sqlalchemy import Connection, bindparam, select, text
from sqlalchemy.exc import SQLAlchemyError

from domain.inbox import Outcome, Reason, State, lane_of
from domain.intake import NewEvent, StoredEvent, Submission, unsplit
from domain.ports import InfrastructureError
from domain.values import believable
from worker.adapters.db import bulk, rows
from worker.adapters.db.engine import Database, KeptConnection, sent_ahead, translated
from worker.adapters.db.subscription_state import heed
from worker.adapters.db.uow import database_now
from worker.adapters.vault import Vault

GROUP = 500
#: `last_heard_at` of a feed is written at most this often.
HEARD_SECONDS = 2.0


@dataclass(slots=True)
class Stored:
    """What a committed submission came to. is_closed: its feed was retired, nothing is stored."""

    is_closed: bool = False
    events: list[StoredEvent] = field(default_factory=list)
    duplicates: int = 0
    conflicts: int = 0


Done = Callable[[Stored | BaseException], None]


class GroupCommitter:
    """Many requests, one transaction. `submit` never blocks; `done` is called from the thread."""

    def __init__(
        self,
        database: Database,
        vault: Vault,
        *,
        committed: Callable[[Sequence[StoredEvent]], None],
        report: Callable[[str, dict[str, object]], None],
    ) -> None:
        self._kept = KeptConnection(database)
        self._vault = vault
        self._committed = committed
        self._report = report
        self._waiting: queue.SimpleQueue[tuple[Submission, Done] | None] = queue.SimpleQueue()
        self._heard: dict[str, datetime] = {}
        self._thread = threading.Thread(target=self._run, name="group-commit", daemon=True)

    def start(self) -> None:
        """Begin to commit."""
        self._thread.start()

    def stop(self) -> None:
        """Commit what was submitted, then end."""
        self._waiting.put(None)
        self._thread.join(timeout=10)
        self._kept.close()

    def submit(self, submission: Submission, done: Done) -> None:
        """Store this with the next group."""
        self._waiting.put((submission, done))

    def _run(self) -> None:
        while (first := self._waiting.get()) is not None:
            group = [first]
            stopped = False
            while len(group) < GROUP:
                try:
                    more = self._waiting.get_nowait()
                except queue.Empty:
                    break
                if more is None:
                    stopped = True
                    break
                group.append(more)
            self._commit(group)
            if stopped:
                return

    def _commit(self, group: Sequence[tuple[Submission, Done]]) -> None:
        """One transaction; if a row breaks it, bisect so that only the guilty one pays (D9)."""
        try:
            stored = self._store([submission for submission, _ in group])
        except InfrastructureError as error:
            for _, done in group:
                done(error)
        except SQLAlchemyError as error:
            self._report("group_broke", {"size": len(group), "error": type(error).__name__})
            self._narrow(group, error)
        except BaseException as error:  # noqa: BLE001 - no request may be left without an answer
            for _, done in group:
                done(error)
        else:
            self._committed([event for one in stored for event in one.events])
            for (_, done), one in zip(group, stored, strict=True):
                done(one)

    def _narrow(self, group: Sequence[tuple[Submission, Done]], error: Exception) -> None:
        if len(group) > 1:
            middle = len(group) // 2
            self._commit(group[:middle])
            self._commit(group[middle:])
            return
        submission, done = group[0]
        plain = replace(submission, headers=b"{}", events=(unsplit(None, submission.body),))
        if submission.events == plain.events:
            done(error)
        else:
            self._commit([(plain, done)])

    def _store(self, group: Sequence[Submission]) -> list[Stored]:
        """One transaction, tried once more where its connection turns out to be gone.

        Also where it went at the commit: what was stored then is found by its event ids. A
        statement that took too long is not said again: the provider waits.
        """
        try:
            with translated(), self._kept.begin() as connection:
                return self._stored_by(connection, group)
        except InfrastructureError as error:
            if error.is_slow:
                raise
            with translated(), self._kept.begin() as connection:
                return self._stored_by(connection, group)

    def _stored_by(self, connection: Connection, group: Sequence[Submission]) -> list[Stored]:
        storing = _Storing(connection, self._vault, group)
        stored = storing.run()
        with sent_ahead(connection):
            storing.insert_deliveries()
            self._note_heard(connection, storing.now, group)
            heed(connection, group, storing.now)
        connection.commit()
        return stored

    def _note_heard(
        self, connection: Connection, now: datetime, group: Sequence[Submission]
    ) -> None:
        due = []
        for feed in sorted({submission.feed.id for submission in group}):
            last = self._heard.get(feed)
            if last is None or (now - last).total_seconds() >= HEARD_SECONDS:
                self._heard[feed] = now
                due.append({"id": feed, "last_heard_at": now})
        bulk.update(connection, rows.feeds, due)


#: What the process remembers of a feed may be two seconds old; whoever retires or pauses it means
#: the next request. One question with the time and the numbers, so that it costs no wait.
_STATES = (
    "SELECT f.id || ' ' || f.state || ' ' || c.state FROM feeds f "
    "JOIN connections c ON c.id = f.connection_id WHERE f.id"
)
_MOMENT_AND_NUMBERS = text(
    "SELECT clock_timestamp(), nextval('deliveries_id_seq'), "
    f"ARRAY({_STATES} = ANY(CAST(:feeds AS text[]))) FROM generate_series(1, :n)"
)


class _Storing:
    """One group inside its transaction."""

    def __init__(self, connection: Connection, vault: Vault, group: Sequence[Submission]) -> None:
        self._connection = connection
        self._vault = vault
        self._group = group
        self.now, self._numbers, states = self._moment_and_numbers()
        self._states = {feed: states_ for feed, *states_ in (line.split() for line in states)}
        self._stored = [Stored(is_closed=self._is_closed(s.feed.id)) for s in group]
        self._wanted: dict[tuple[str, bytes], tuple[int, int]] = {}

    def run(self) -> list[Stored]:
        """Insert what is new, count what is known, keep what contradicts."""
        self._dedupe_group()
        keys = sorted(self._wanted)
        new = [self._row(self._wanted[key]) for key in keys]
        inserted = self._insert_events(new)
        self._tell_known([key for key in keys if key not in inserted])
        for key, event_id in inserted.items():
            index, ordinal = self._wanted[key]
            submission = self._group[index]
            kind = submission.events[ordinal].kind
            self._stored[index].events.append(
                StoredEvent(
                    event_id, submission.feed.connection, kind, self._is_held(submission.feed.id)
                )
            )
        return self._stored

    def _dedupe_group(self) -> None:
        """The same event twice in one group: the second is a duplicate, or a conflict."""
        self._contradicting: list[tuple[int, int]] = []
        for index, submission in enumerate(self._group):
            events = () if self._stored[index].is_closed else submission.events
            for ordinal, event in enumerate(events):
                key = (submission.feed.connection, event.digest)
                first = self._wanted.setdefault(key, (index, ordinal))
                if first == (index, ordinal):
                    continue
                if _is_same(self._event(first).content, event.content):
                    self._stored[index].duplicates += 1
                else:
                    self._contradicting.append((index, ordinal))

    def _event(self, place: tuple[int, int]) -> NewEvent:
        return self._group[place[0]].events[place[1]]

    def _is_closed(self, feed: str) -> bool:
        return "retired" in self._states.get(feed, ["retired"])

    def _is_held(self, feed: str) -> bool:
        return self._states[feed] != ["active", "active"]

    def _held_by(self, feed: str) -> Reason:
        is_observing = "observing" in self._states[feed]
        return Reason.OBSERVING if is_observing else Reason.PAUSED

    def _moment_and_numbers(self) -> tuple[datetime, list[int], list[str]]:
        """The database's time, an id for each delivery, and the states of feeds as they are now."""
        count = len(self._group)
        feeds = sorted({submission.feed.id for submission in self._group})
        if self._connection.dialect.name == "postgresql":
            found = self._connection.execute(_MOMENT_AND_NUMBERS, {"n": count, "feeds": feeds})
            lines = found.all()
            return lines[0][0].astimezone(UTC), [row[1] for row in lines], lines[0][2]
        named = text(f"{_STATES} IN :feeds").bindparams(bindparam("feeds", expanding=True))
        states = list(self._connection.execute(named, {"feeds": feeds}).scalars())
        top = self._connection.execute(text("SELECT coalesce(max(id), 0) FROM deliveries"))
        first = int(top.scalar_one()) + 1
        return database_now(self._connection), list(range(first, first + count)), states

    def _row(self, place: tuple[int, int]) -> dict[str, Any]:
        submission, event = self._group[place[0]], self._event(place)
        occurred_at, is_clamped = believable(event.occurred_at, self.now)
        is_held = self._is_held(submission.feed.id)
        return {
            "account_id": submission.feed.account,
            "connection_id": submission.feed.connection,
            "feed_id": submission.feed.id,
            "delivery_id": self._numbers[place[0]],
            "ordinal": place[1],
            "digest": event.digest,
            "content_digest": event.content,
            "external_id": event.external_id,
            "type": event.type,
            "subject": event.subject,
            "kind": event.kind.value,
            "lane": (submission.lane or lane_of(event.kind)).value,
            "occurred_at": occurred_at,
            "received_at": self.now,
            "is_clamped": is_clamped,
            "state": (State.HELD if is_held else State.PENDING).value,
            "reason": self._held_by(submission.feed.id).value if is_held else None,
            "due_at": None if is_held else self.now,
            "attempts": 0,
            "crashes": 0,
        }

    def _insert_events(self, new: list[dict[str, Any]]) -> dict[tuple[str, bytes], int]:
        """Ids of the rows that are really new, by connection and digest."""
        if not new:
            return {}
        return bulk.insert_new(
            self._connection, rows.events, new, unique=("connection_id", "digest")
        )

    def _tell_known(self, keys: Sequence[tuple[str, bytes]]) -> None:
        """Of events stored earlier: the same bytes are a duplicate, others a conflict."""
        if keys:
            events = rows.events
            found = self._connection.execute(
                select(events.c.connection_id, events.c.digest, events.c.content_digest).where(
                    bulk.among(events.c.digest, [key[1] for key in keys], self._connection)
                )
            )
            known = {(row.connection_id, row.digest): row.content_digest for row in found}
            for key in keys:
                place = self._wanted[key]
                if key in known and _is_same(known[key], self._event(place).content):
                    self._stored[place[0]].duplicates += 1
                else:
                    self._contradicting.append(place)
        self._keep_conflicts()

    def _keep_conflicts(self) -> None:
        """Same id, other bytes: kept beside the first as a dead letter, never dropped (D12)."""
        new = []
        for place in sorted(set(self._contradicting)):
            event = self._event(place)
            row = self._row(place)
            row["digest"] = sha256(b"conflict" + event.digest + event.content).digest()
            new.append(
                {
                    **row,
                    "state": State.DEAD.value,
                    "due_at": None,
                    "ended_at": self.now,
                    "outcome": Outcome.DEAD.value,
                    "reason": Reason.CONFLICT.value,
                }
            )
        new.sort(key=lambda row: (row["connection_id"], row["digest"]))
        if not new:
            return
        inserted = bulk.insert_new(
            self._connection, rows.events, new, unique=("connection_id", "digest")
        )
        letters = []
        for row in new:
            event_id = inserted.get((row["connection_id"], row["digest"]))
            if event_id is not None:
                letters.append(self._conflict_letter(row, event_id))
        bulk.insert(self._connection, rows.dead_letters, letters)
        for index, _ in set(self._contradicting):
            self._stored[index].conflicts += 1

    def _conflict_letter(self, row: dict[str, Any], event_id: int) -> dict[str, Any]:
        why = f"event id {row['external_id']} was used before with other content"
        return {
            "event_id": event_id,
            "account_id": row["account_id"],
            "connection_id": row["connection_id"],
            "state": "open",
            "reason": Reason.CONFLICT.value,
            "fingerprint": f"conflict:{row['type']}",
            "first_error": why,
            "last_error": why,
            "first_at": self.now,
            "last_at": self.now,
            "attempts": 1,
            "note": "",
        }

    def insert_deliveries(self) -> None:
        """A delivery is kept for what is new in it, or when it holds no event at all."""
        kept = [
            {
                "id": number,
                "feed_id": submission.feed.id,
                "received_at": self.now,
                "credential_id": submission.credential,
                "headers": self._vault.seal(submission.headers),
                "body": self._vault.seal(submission.body),
                "body_digest": submission.body_digest,
                "is_cut": submission.is_cut,
            }
            for number, submission, stored in zip(
                self._numbers, self._group, self._stored, strict=True
            )
            if not stored.is_closed and (stored.events or stored.conflicts or not submission.events)
        ]
        bulk.insert(self._connection, rows.deliveries, kept)


def _is_same(one: bytes, other: bytes) -> bool:
    """Whether two tell the same event; what a log told has no content to be held against (D12)."""
    return one == other or not one or not other


def store_inside(connection: Connection, vault: Vault, group: Sequence[Submission]) -> list[Stored]:
    """Store what did not come by HTTP, in a transaction that is its caller's."""
    storing = _Storing(connection, vault, group)
    stored = storing.run()
    storing.insert_deliveries()
    return stored


def count_receipts(database: Database, counts: Counter[tuple[str, str]]) -> None:
    """Add to the minute's counts per feed and result; refused requests get no row each."""
    if not counts:
        return
    with translated(), database.begin() as connection:
        now = database_now(connection)
        minute = now.replace(second=0, microsecond=0)
        new = [
            {"feed_id": feed, "result": result, "minute": minute, "count": count}
            for (feed, result), count in sorted(counts.items())
        ]
        add = (
            "ON CONFLICT (feed_id, result, minute) "
            "DO UPDATE SET count = receipts.count + excluded.count"
        )
        bulk.insert(connection, rows.receipts, new, conflict=add)
        connection.commit()

"""What live traffic notices of a replay, and how well a replay keeps its rate."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from sqlalchemy import func, select

from domain.errors import RefusedError
from domain.inbox import Kind, Lane
from domain.replays import ReplayState, Selection
from worker.adapters.db import rows
from worker.adapters.db.filling import vacuumed
from worker.adapters.db.replay_rows import replays
from worker.adapters.db.scratch import scratch_database
from worker.adapters.db.setup import setting_up
from worker.bootstrap import Container
from worker.cli.bench.committed import latencies, watch
from worker.cli.bench.scratch import (
    CREATED,
    connect,
    rosterd_on,
    scratch_broker,
    signed,
    store,
    submissions,
)
from worker.cli.processes import BULK_NICENESS
from worker.cli.running import bring_up
from worker.cli.sender import Hook, Sent, send
from worker.settings import load_settings

#: Between two live events: they must find the workers at work, not each other.
PAUSE_SECONDS = 0.05
#: A replay that takes longer than this has come to a halt.
PATIENCE_SECONDS = 1_800
HOST = "partner.example"
WARM_UP = 40
WAYS = ("slow", "full")
#: Until whoever started it ends.
COMPUTES = f"""
import os
parent = os.getppid()
os.nice({BULK_NICENESS})
while os.getppid() == parent:
    sum(range(10_000))
"""


@dataclass(frozen=True, slots=True)
class Beside:
    """Live latencies in milliseconds, without a replay and beside one; events a second of each.

    neighbour: beside a process of a replay's priority that has nothing to do with rosterd.
    """

    alone: list[float]
    neighbour: list[float]
    paced: list[float]
    full: list[float]
    kept: float
    full_rate: float


def beside_replays(
    server: str | None, broker_url: str | None, folder: Path, *, events: int, rate: str, live: int
) -> Beside:
    """Two sets of dead letters are replayed under live traffic over HTTP, by `rosterd up`.

    rate: of the first, `500/s`; the second goes as fast as it can. live: requests without one.
    """
    with ExitStack() as stack:
        url = stack.enter_context(scratch_database(server, folder))
        broker = stack.enter_context(scratch_broker(broker_url, folder))
        parts = stack.enter_context(rosterd_on(url, folder, broker))
        quiet = connect(parts, "quiet")
        watch(parts.database, (quiet, CREATED))
        for way in WAYS:
            _bury(parts, way, events)
        vacuumed(parts.database)
        settings = load_settings(data_dir=folder, database_url=url, broker_url=broker)
        running = bring_up(settings)
        stack.callback(running.stop)
        speaker = _Speaker(parts, quiet, f"{running.url}/hooks/{quiet.url}")
        # The first events of each process are slow; both measurements begin behind them.
        speaker.speak(lambda told: told < WARM_UP)
        alone = speaker.speak(lambda told: told < live)
        with _neighbour():
            neighbour = speaker.speak(lambda told: told < live)
        paced, kept = _beside(parts, speaker, "slow", rate)
        full, full_rate = _beside(parts, speaker, "full", None)
        return Beside(alone, neighbour, paced, full, kept, full_rate)


@contextmanager
def _neighbour() -> Iterator[None]:
    """Somebody else's process that keeps one processor busy: what a machine loses by any work."""
    process = subprocess.Popen([sys.executable, "-c", COMPUTES])  # noqa: S603 - ourselves
    try:
        yield
    finally:
        process.kill()
        process.wait()


class _Speaker:
    """One identity provider that goes on telling of people."""

    def __init__(self, parts: Container, hook: Hook, url: str) -> None:
        self._parts, self._hook, self._url = parts, hook, url
        self._told = 0

    def speak(self, goes_on: Callable[[int], bool]) -> list[float]:
        """Tell of somebody every so often; milliseconds from receipt to commit of each."""
        began, count = datetime.now(UTC), 0
        while goes_on(count):
            request = signed(self._hook, self._told)
            headers = {"content-type": "application/json", **request.headers}
            if send(Sent(self._url, headers, request.body)) != 200:  # noqa: PLR2004
                raise RefusedError("a live event was not taken")
            self._told, count = self._told + 1, count + 1
            time.sleep(PAUSE_SECONDS)
        return latencies(self._parts.database, self._hook, CREATED, began, count)


def _bury(parts: Container, account: str, events: int) -> None:
    """An account of whose people nobody was let in, and whose domain is allowed since."""
    hook = connect(parts, account)
    for first in range(0, events, 1_000):
        numbers = range(first, min(first + 1_000, events))
        store(parts, submissions(parts, hook, numbers, host=HOST))
        lane, budget = Lane.STANDARD.value, timedelta(minutes=10)
        parts.drain.run(lane=lane, kind=Kind.USERS_CREATE, budget=budget)
    with setting_up(parts.database, parts.vault, actor="bench") as use:
        use.allow_domain(use.account(account)["id"], HOST)


def _beside(
    parts: Container, speaker: _Speaker, account: str, rate: str | None
) -> tuple[list[float], float]:
    """Live latencies while an account's letters are replayed, and how many were a second."""
    with setting_up(parts.database, parts.vault, actor="bench") as use:
        selection = Selection(account=use.account(account)["id"])
    started = parts.replay.start(selection, actor="bench", reason="bench", rate=rate)
    deadline = time.monotonic() + PATIENCE_SECONDS

    def goes_on(_told: int) -> bool:
        if time.monotonic() > deadline:
            raise RefusedError("the replay has come to a halt")
        # The state alone: progress is counted over all items, and those who are live would notice.
        with parts.database.read() as sql:
            asked = select(replays.c.state).where(replays.c.id == started.id)
            return bool(sql.scalar(asked) == ReplayState.RUNNING.value)

    latencies = speaker.speak(goes_on)
    attempts, events = rows.attempts, rows.events
    of_replay = (events.c.replay_id == started.id) & (attempts.c.outcome == "applied")
    with parts.database.read() as sql:
        count, first, last = sql.execute(
            select(func.count(), func.min(attempts.c.at), func.max(attempts.c.at))
            .join(events, events.c.id == attempts.c.event_id)
            .where(of_replay)
        ).one()
    if count != len(started.ids):
        raise RefusedError(f"of {len(started.ids)} events {count} were applied")
    return latencies, (count - 1) / max((last - first).total_seconds(), 1e-6)

"""A flood of suspensions against the breaker, and what everything else notices of it (C6)."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import func, select

from domain.errors import RefusedError
from worker.adapters.db import rows
from worker.adapters.db.engine import Database
from worker.adapters.db.filling import forget_mails
from worker.adapters.db.holding import SQLHolds
from worker.adapters.db.scratch import scratch_database
from worker.adapters.db.setup import setting_up
from worker.bootstrap import Container
from worker.cli.bench.committed import latencies, watch
from worker.cli.bench.drain import drained
from worker.cli.bench.report import Series, percentile
from worker.cli.bench.scratch import (
    CREATED,
    SUSPENDED,
    connect,
    rosterd_on,
    scratch_broker,
    signed,
    store,
    submissions,
)
from worker.cli.running import bring_up
from worker.cli.sender import Hook, Sent, send
from worker.settings import load_settings

#: Between two events of the quiet ones: they must find the workers at work, not each other.
PAUSE_SECONDS = 0.1
PATIENCE_SECONDS = 180.0
OUT = ("suspended", "invited_suspended")
#: Subjects beyond those of the flood, so that a create is a create.
NEWCOMERS = 1_000_000
ALONE, BESIDE = "alone", "beside the flood"


@dataclass(slots=True)
class Flood:
    """What was measured. Milliseconds from receipt to commit, quiet ones alone and beside it."""

    let_through: int = 0
    held: int = 0
    seconds_to_hold: float = 0.0
    explanation: str = ""
    out_after_approval: int = 0
    seconds_to_release: float = 0.0
    creates: dict[str, list[float]] = field(default_factory=dict)
    others: dict[str, list[float]] = field(default_factory=dict)

    def told(self) -> list[str]:
        """For people."""
        return [
            (
                f"let through {self.let_through:,}, held {self.held:,}, "
                f"all decided after {self.seconds_to_hold:.1f} s: {self.explanation}"
            ),
            f"approved: {self.out_after_approval:,} are out {self.seconds_to_release:.1f} s later",
        ]


def beside(flood: Flood, free: Flood) -> Iterator[list[Series]]:
    """What quiet events notice: of the flood with a breaker, without one, and of nothing."""
    for what, mine, others in (
        ("create", flood.creates, free.creates),
        ("suspension elsewhere", flood.others, free.others),
    ):
        for share in (0.5, 0.99):
            times = {
                "beside the flood": mine[BESIDE],
                "the same, no breaker": others[BESIDE],
                "alone": mine[ALONE],
            }
            yield [
                Series(f"{what} p{share * 100:.0f}, {when}", "ms", [percentile(found, share)])
                for when, found in times.items()
            ]


def flooded(
    server: str | None,
    broker_url: str | None,
    folder: Path,
    *,
    people: int,
    leave: int,
    count: int,
    has_breaker: bool = True,
) -> Flood:
    """`leave` of `people` are suspended at once, through HTTP processes of `rosterd up`."""
    with ExitStack() as stack:
        url = stack.enter_context(scratch_database(server, folder))
        broker = stack.enter_context(scratch_broker(broker_url, folder))
        parts = stack.enter_context(rosterd_on(url, folder, broker))
        loud, other = connect(parts, "loud"), connect(parts, "other")
        store(parts, submissions(parts, loud, range(people)))
        # So many that its own suspensions stay below its own limit.
        store(parts, submissions(parts, other, range(30 * count)))
        drained(parts)
        # Twenty thousand invitations would be written to files meanwhile.
        forget_mails(parts.database)
        watch(parts.database, (loud, CREATED), (other, SUSPENDED))
        if not has_breaker:
            with setting_up(parts.database, parts.vault, actor="bench") as use:
                off = {"breaker_min": str(people), "breaker_percent": "100"}
                use.change_settings(use.connection("loud"), off, reason="the comparison")
        settings = load_settings(data_dir=folder, database_url=url, broker_url=broker)
        running = bring_up(settings)
        stack.callback(running.stop)
        return _measured(parts, running.url, loud, other, leave=leave, count=count)


def _measured(
    parts: Container, url: str, loud: Hook, other: Hook, *, leave: int, count: int
) -> Flood:
    found = Flood()
    _quiet(parts, url, loud, other, found, ALONE, range(count))
    began = time.monotonic()
    storing = threading.Thread(
        target=store, args=(parts, submissions(parts, loud, range(leave), SUSPENDED))
    )
    storing.start()
    _quiet(parts, url, loud, other, found, BESIDE, range(count, 2 * count))
    storing.join()
    _await(lambda: _open(parts.database, loud) == 0)
    found.seconds_to_hold = time.monotonic() - began
    found.let_through = _out(parts.database, loud)
    if found.let_through == leave:
        return found
    (hold,), _ = SQLHolds(parts.database).page(None, connection=None, is_open=True)
    found.held, found.explanation = hold["events"], hold["explanation"]
    began = time.monotonic()
    SQLHolds(parts.database).approve(hold["id"], actor="bench", reason="a measurement")
    _await(lambda: _open(parts.database, loud) == 0)
    found.seconds_to_release = time.monotonic() - began
    found.out_after_approval = _out(parts.database, loud)
    return found


def _quiet(
    parts: Container, url: str, loud: Hook, other: Hook, found: Flood, when: str, numbers: range
) -> None:
    """One create of the loud connection and one suspension of the other, again and again."""
    began = datetime.now(UTC)
    for number in numbers:
        _post(url, loud, NEWCOMERS + number, CREATED)
        _post(url, other, number, SUSPENDED)
        time.sleep(PAUSE_SECONDS)
    pairs = ((loud, CREATED, found.creates), (other, SUSPENDED, found.others))
    for hook, type_, figures in pairs:
        figures[when] = latencies(parts.database, hook, type_, began, len(numbers))


def _post(url: str, hook: Hook, number: int, type_: str) -> None:
    request = signed(hook, number, type_)
    headers = {"content-type": "application/json", **request.headers}
    if send(Sent(f"{url}/hooks/{hook.url}", headers, request.body)) != 200:  # noqa: PLR2004
        raise RefusedError("an event was not taken")


def _open(database: Database, hook: Hook) -> int:
    events = rows.events
    due = events.c.feed_id == hook.url, events.c.due_at.is_not(None)
    with database.read() as connection:
        counted = select(func.count()).select_from(events).where(*due)
        return int(connection.execute(counted).scalar_one())


def _out(database: Database, hook: Hook) -> int:
    people, feeds = rows.people, rows.feeds
    owner = select(feeds.c.connection_id).where(feeds.c.id == hook.url).scalar_subquery()
    with database.read() as connection:
        counted = (
            select(func.count())
            .select_from(people)
            .where(people.c.connection_id == owner, people.c.state.in_(OUT))
        )
        return int(connection.execute(counted).scalar_one())


def _await(done: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not done() and time.monotonic() < deadline:
        time.sleep(0.05)

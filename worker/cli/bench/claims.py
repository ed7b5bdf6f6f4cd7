"""What a full house costs: claims beside ended events, drains beside many people."""

from __future__ import annotations

import statistics
import time
from pathlib import Path

from domain.inbox import Kind
from worker.adapters.db.filling import fill_ended, fill_people
from worker.adapters.db.scratch import scratch_database
from worker.bootstrap import Container
from worker.cli.bench.drain import drained
from worker.cli.bench.scratch import connect, rosterd_on, store, submissions

CLAIMS = 50
DUE = 600


def claim_times(server: str | None, folder: Path, ended: int) -> tuple[float, float]:
    """Milliseconds of a claim of 500: beside `ended` events that ended, and in an empty table."""
    with scratch_database(server, folder) as url, rosterd_on(url, folder) as parts:
        hook = connect(parts)
        store(parts, submissions(parts, hook, range(DUE)))
        empty = _claim_time(parts)
        fill_ended(parts.database, connection_of(parts), ended)
        return _claim_time(parts), empty


def among_people(
    server: str | None, folder: Path, *, few: int, many: int, events: int
) -> list[float]:
    """Events applied a second in a directory of `many`, and in one of `few` people."""
    found = []
    for people in (many, few):
        with scratch_database(server, folder) as url, rosterd_on(url, folder) as parts:
            hook = connect(parts)
            fill_people(parts.database, connection_of(parts), people)
            store(parts, submissions(parts, hook, range(events)))
            found.append(events / drained(parts))
    return found


def connection_of(parts: Container) -> str:
    """Id of the one connection that there is."""
    with parts.database.read() as connection:
        return str(connection.exec_driver_sql("SELECT id FROM connections").scalar_one())


def _claim_time(parts: Container) -> float:
    """The median; each is rolled back, so that the next finds the same."""
    found = []
    for _ in range(CLAIMS):
        with parts.works() as work:
            began = time.perf_counter()
            work.claim(lane="standard", kind=Kind.USERS_CREATE, limit=500, troubled=False)
            found.append((time.perf_counter() - began) * 1000)
    return statistics.median(found)

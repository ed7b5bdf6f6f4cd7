"""Resident memory of a worker's pool children over many events: flat, or not."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

from sqlalchemy import select

from domain.errors import RefusedError
from worker.adapters.db import rows
from worker.adapters.db.scratch import scratch_database
from worker.bootstrap import Container
from worker.cli.bench.scratch import connect, rosterd_on, scratch_broker, store, submissions
from worker.cli.running import bring_up
from worker.settings import load_settings

STEP = 10_000
#: Each is described again by every tenth step: what is kept of a person grows with what is said of
#: them (D3), and is not what is measured.
PEOPLE = 100_000
#: Longer than a worker needs for a step, by far.
PATIENCE_SECONDS = 300
_PAGE_MIB = 4096 / 2**20


def resident(
    server: str | None, broker_url: str | None, folder: Path, events: int
) -> Iterator[float]:
    """MiB of the largest pool child of `rosterd up`, after each ten thousand events applied.

    A hundred thousand people are invited, then given another name, again and again.
    """
    with (
        scratch_database(server, folder) as url,
        scratch_broker(broker_url, folder) as broker,
        rosterd_on(url, folder, broker) as parts,
    ):
        hook = connect(parts)
        settings = load_settings(
            data_dir=folder, database_url=url, broker_url=broker, sweep_seconds=0.5
        )
        running = bring_up(settings)
        workers = [pid for pid in _children(running.process.pid) if _name(pid) == "rosterd-worker"]
        try:
            for first in range(0, events, STEP):
                those = range(first % PEOPLE, first % PEOPLE + STEP)
                named = submissions(parts, hook, those, given_name=f"Ana {first}")
                store(parts, named)
                _await_empty(parts)
                yield max(_mib(child) for worker in workers for child in _children(worker))
        finally:
            running.stop()


def _await_empty(parts: Container) -> None:
    """Nothing is rung: the workers' sweep finds what is due."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    due = select(rows.events.c.id).where(rows.events.c.due_at.is_not(None)).limit(1)
    while time.monotonic() < deadline:
        with parts.database.read() as connection:
            if connection.execute(due).first() is None:
                return
        time.sleep(0.2)
    raise RefusedError("the workers did not apply the events of a step in time")


def _children(pid: int) -> list[int]:
    listed = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii")
    return [int(child) for child in listed.split()]


def _name(pid: int) -> str:
    return Path(f"/proc/{pid}/comm").read_text(encoding="utf-8").strip()


def _mib(pid: int) -> float:
    return int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1]) * _PAGE_MIB

"""Resident memory of a draining process over many events: flat, or not."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from pathlib import Path

from worker.adapters.db.scratch import scratch_database
from worker.cli.bench.drain import drained
from worker.cli.bench.scratch import connect, rosterd_on, store, submissions

STEP = 10_000
_PAGE_MIB = 4096 / 2**20


def resident(server: str | None, folder: Path, events: int) -> Iterator[float]:
    """MiB after each ten thousand events that this process has stored and drained."""
    with scratch_database(server, folder) as url, rosterd_on(url, folder) as parts:
        hook = connect(parts)
        for first in range(0, events, STEP):
            store(parts, submissions(parts, hook, range(first, first + STEP)))
            drained(parts)
            gc.collect()
            yield _resident_mib()


def _resident_mib() -> float:
    return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * _PAGE_MIB

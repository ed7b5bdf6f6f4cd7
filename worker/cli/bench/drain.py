"""How many events a second are applied: by one process, by several, by size of batch."""

from __future__ import annotations

import subprocess
import sys
import time
from datetime import timedelta
from pathlib import Path

from domain.inbox import Kind
from worker.adapters.collector import collect_rarely
from worker.adapters.db.scratch import scratch_database
from worker.bootstrap import Container
from worker.cli.bench.scratch import connect, rosterd_on, store, submissions


def applied(
    server: str | None, folder: Path, events: int, *, batch: int | None = None, processes: int = 1
) -> float:
    """Events a second; every one invites somebody, writes audit, outcome and mail."""
    with scratch_database(server, folder) as url, rosterd_on(url, folder) as parts:
        store(parts, submissions(parts, connect(parts), range(events)))
        if processes == 1:
            return events / drained(parts, batch)
        parts.database.dispose()
        return events / _drained_by(processes, url, folder)


def drained(parts: Container, batch: int | None = None) -> float:
    """Seconds until nothing is due."""
    if batch is not None:
        settings = parts.settings.model_copy(update={"batch_size": batch})
        parts = Container(settings)
    collect_rarely()
    lane, kind = "standard", Kind.USERS_CREATE
    began = time.perf_counter()
    parts.drain.run(lane=lane, kind=kind, budget=timedelta(hours=1))
    return time.perf_counter() - began


def _drained_by(processes: int, url: str, folder: Path) -> float:
    """Seconds between the first start and the last end of work, by the processes' own clocks."""
    command = [sys.executable, "-m", "worker.cli.bench.one_of_several", url, str(folder)]
    running = [
        subprocess.Popen(  # noqa: S603 - our own arguments
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for _ in range(processes)
    ]
    for process in running:
        assert process.stdout is not None
        process.stdout.readline()
    told = []
    for process in running:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    for process in running:
        text, _ = process.communicate()
        told.append([float(word) for word in text.split()])
    return max(end for _, end in told) - min(begin for begin, _ in told)

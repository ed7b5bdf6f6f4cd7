"""One draining process beside others: says it is ready, waits for the word, tells its times."""

from __future__ import annotations

import sys
import time
from pathlib import Path

from worker.adapters.db import rows
from worker.bootstrap import Container
from worker.cli.bench.drain import drained
from worker.settings import load_settings


def main(url: str, folder: str) -> None:
    """Drain what is due in this database."""
    parts = Container(
        load_settings(data_dir=Path(folder), database_url=url, broker_url="memory://")
    )
    with parts.database.read() as connection:
        connection.execute(rows.events.select().limit(1))
    print("ready", flush=True)
    sys.stdin.readline()
    began = time.time()
    drained(parts)
    print(began, time.time(), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])

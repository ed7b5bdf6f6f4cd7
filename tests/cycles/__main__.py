"""`python -m tests.cycles [--people 1000] [--database-url URL] [entra] [okta]`: outcome tables."""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from tests.cycles.run import PROVIDERS, table
from tests.harness import Rosterd
from worker.adapters.db.engine import Database
from worker.adapters.db.migrate import migrate


def main() -> None:
    """Play them one after the other; exits 1 where anything is not as the provider has it."""
    options = argparse.ArgumentParser(prog="python -m tests.cycles")
    options.add_argument("--people", type=int, default=1_000)
    options.add_argument("--database-url", help="an empty database; default: SQLite, a file each")
    options.add_argument("providers", nargs="*", choices=[[], *PROVIDERS], default=[])
    asked = options.parse_args()
    failed = False
    for name in asked.providers or PROVIDERS:
        with tempfile.TemporaryDirectory() as folder:
            url = asked.database_url or f"sqlite:///{folder}/cycles.sqlite"
            failed |= _play(name, url, Path(folder), asked.people)
    sys.exit(failed)


def _play(name: str, url: str, folder: Path, people: int) -> bool:
    database = Database(url)
    migrate(database)
    database.dispose()
    rosterd = Rosterd(url, folder, log_level="error")
    with rosterd.serving():
        phases = PROVIDERS[name](rosterd, people)
    rosterd.close()
    sys.stdout.write(f"\n{name}, {people} people\n{table(phases)}\n")
    return any(one.faults for one in phases)


if __name__ == "__main__":
    main()

"""Where the whole suite keeps its files: in memory, where that is offered.

SQLite waits for the disk at each commit, and the suite commits some hundred thousand times.
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

MEMORY = Path("/dev/shm")
#: Of what a test leaves only what failed is kept; the servers that tests start are the most of it.
WANTED_BYTES = 3 * 2**30


def in_memory() -> Path | None:
    """A new folder; None where there is no such place, or not enough of it."""
    if not MEMORY.is_dir() or shutil.disk_usage(MEMORY).free < WANTED_BYTES:
        return None
    try:
        return Path(tempfile.mkdtemp(prefix="rosterd-tests-", dir=MEMORY))
    except OSError:
        return None


def given_back(folder: Path) -> None:
    """Remove it, unless a test that failed left files in it: then say so."""
    if kept := _left_by_tests(folder):
        print(f"\nrosterd: what {len(kept)} failed tests left is in {folder}: remove it")  # noqa: T201
        return
    shutil.rmtree(folder, ignore_errors=True)


def _left_by_tests(folder: Path) -> list[Path]:
    """Their folders, by the names that pytest gives them; it removes those of tests that passed.

    Of a test that skips itself an empty one stays.
    """
    return [one for one in folder.glob("t/**/test_*0") if one.is_dir() and any(one.iterdir())]

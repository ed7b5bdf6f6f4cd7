"""What a batch leaves behind is given back: garbage to Python, free pages to the system."""

from __future__ import annotations

import gc
import platform
import subprocess
import sys
import weakref

import pytest

from worker.adapters.collector import tidy

#: 64 MiB in pieces that the heap is made of, and one beyond them that keeps its end in use.
GROWS = """
from pathlib import Path
from worker.adapters.collector import tidy

def mib():
    return int(Path("/proc/self/statm").read_text().split()[1]) // 256

batch = [bytes(2000) for _ in range(33_000)]
last = bytes(2000)
full = mib()
del batch
dropped = mib()
tidy()
print(full - dropped, dropped - mib())
"""


class Knot:
    """Holds itself."""

    def __init__(self) -> None:
        self.me = self


def test_what_holds_only_itself_is_dropped() -> None:
    gc.disable()
    try:
        knot = Knot()
        seen = weakref.ref(knot)
        del knot
        assert seen() is not None
        tidy()
        assert seen() is None
    finally:
        gc.enable()


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="others have no such heap")
def test_free_pages_below_what_is_in_use_are_given_back() -> None:
    done = subprocess.run([sys.executable, "-c", GROWS], capture_output=True, text=True, check=True)
    by_itself, by_tidying = map(int, done.stdout.split())
    assert by_itself < 10
    assert by_tidying > 50

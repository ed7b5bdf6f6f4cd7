"""Python's garbage collector, as processes that live long and work in batches want it."""

from __future__ import annotations

import gc

from worker.adapters.allocator import give_back


def look_rarely() -> None:
    """Garbage is looked for after 50,000 new objects.

    A batch makes objects by the ten thousand and keeps them to its end, and loading a program
    makes them by the hundred thousand and keeps them for good: with Python's own thresholds a
    tenth of both is the collector finding nothing. What outlives a look is looked at again after
    two million events: processes that live so long see to it themselves (`tidy`).
    """
    gc.set_threshold(50_000, 20, 5)


def collect_rarely() -> None:
    """The same, and never in what is loaded by now."""
    gc.collect()
    gc.freeze()
    look_rarely()


def tidy() -> None:
    """Drop all garbage, and give the system what it held; some milliseconds."""
    gc.collect()
    give_back()

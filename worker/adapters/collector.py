"""Python's garbage collector, as processes that live long and work in batches want it."""

from __future__ import annotations

import gc


def look_rarely() -> None:
    """Garbage is looked for after 50,000 new objects.

    A batch makes objects by the ten thousand and keeps them to its end, and loading a program
    makes them by the hundred thousand and keeps them for good: with Python's own thresholds a
    tenth of both is the collector finding nothing. What outlived two looks is looked at after
    some 150,000 events.
    """
    gc.set_threshold(50_000, 20, 5)


def collect_rarely() -> None:
    """The same, and never in what is loaded by now."""
    gc.collect()
    gc.freeze()
    look_rarely()

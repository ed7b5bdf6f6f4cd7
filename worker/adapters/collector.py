"""Python's garbage collector, as processes that live long and work in batches want it."""

from __future__ import annotations

import gc


def collect_rarely() -> None:
    """Garbage is looked for after 50,000 new objects, and never in what was imported.

    A batch makes objects by the ten thousand and keeps them to its end: with Python's own
    thresholds a tenth of a drain is the collector finding nothing. What outlived two looks is
    looked at after some 150,000 events.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 5)

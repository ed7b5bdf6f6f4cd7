"""The teller: in every pool child, tells the state of things where the worker's parent serves it.

The parent answers Prometheus and opens no database connection; without the teller a worker would
tell its counters only, and no state at all while no web process runs.
"""

from __future__ import annotations

import random
import threading

from worker.adapters.state_file import STATE_SECONDS, StateFile
from worker.bootstrap import Container


class Teller:
    """A thread that tells until the process ends; of a worker's children one at a time does."""

    def __init__(self, parts: Container, file: StateFile) -> None:
        self._parts = parts
        self._file = file
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="teller", daemon=True)

    def start(self) -> None:
        """Begin to tell, at once."""
        self._thread.start()

    def stop(self) -> None:
        """End with the process."""
        self._stop.set()

    def tell(self) -> None:
        """Write the state, unless a sibling has just done so."""
        if self._file.age() >= STATE_SECONDS / 2:
            self._file.write(self._parts.state_gauges())

    def _run(self) -> None:
        while True:
            try:
                self.tell()
            except Exception:
                self._parts.log.exception("teller_failed")
            if self._stop.wait(STATE_SECONDS * random.uniform(0.8, 1.0)):  # noqa: S311 - jitter
                return

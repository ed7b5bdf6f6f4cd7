"""The teller: in every pool child, tells the state of things where the worker's parent serves it.

The parent answers Prometheus and opens no database connection; without the teller a worker would
tell its counters only, and no state at all while no web process runs.
"""

from __future__ import annotations

import random
import threading

from worker.adapters.state_file import StateFile
from worker.bootstrap import Container

#: Told with every second sweep, and at least this often, in seconds: Prometheus looks every 15.
SWEEPS, LONGEST_SECONDS = 2, 10.0


class Teller:
    """A thread that tells until the process ends; of a worker's children one at a time does."""

    def __init__(self, parts: Container, file: StateFile) -> None:
        self._parts = parts
        self._file = file
        self._interval = min(SWEEPS * parts.settings.sweep_seconds, LONGEST_SECONDS)
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
        if self._file.age() >= self._interval / 2:
            self._file.write(self._parts.state_gauges(), interval=self._interval)

    def _run(self) -> None:
        while True:
            try:
                self.tell()
            except Exception:
                self._parts.log.exception("teller_failed")
            if self._stop.wait(self._interval * random.uniform(0.8, 1.0)):  # noqa: S311 - jitter
                return

"""The conductor: in every pool child of the bulk lane, goes on with replays under way (G8).

One worker at a time is at a replay; where that one is gone its lease ends, and another goes on. It
needs no broker: what it releases is rung, and the sweep rings again.
"""

from __future__ import annotations

import threading

from domain.ports import InfrastructureError
from worker.bootstrap import Container

#: Between two steps while there is a replay, and between two looks while there is none.
STEP_SECONDS, IDLE_SECONDS = 0.25, 1.0


class Conductor:
    """A thread that steps until the process ends."""

    def __init__(self, parts: Container) -> None:
        self._parts = parts
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="conductor", daemon=True)

    def start(self) -> None:
        """Begin to look."""
        self._thread.start()

    def stop(self) -> None:
        """End with the process."""
        self._stop.set()

    def _run(self) -> None:
        wait = IDLE_SECONDS
        while not self._stop.wait(wait):
            try:
                wait = STEP_SECONDS if self._parts.replays.conduct.run() else IDLE_SECONDS
            except InfrastructureError as error:
                self._parts.log.warning("conductor_postponed", why=str(error))
            except Exception:
                self._parts.log.exception("conductor_failed")

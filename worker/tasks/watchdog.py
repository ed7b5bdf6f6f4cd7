"""The watchdog: judges a worker by what moves, not by whether it answers (F08).

A consumer can hold its connection, answer pings and take nothing. What it would take first then
stays due. The watchdog applies it by itself; where that works the consumer is at fault and its
process is ended, so that whatever supervises it starts a new one.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import timedelta

from domain.inbox import Kind
from worker.bootstrap import Container

#: So long the watchdog drains by itself before it looks again whether anything moved.
BUDGET = timedelta(seconds=5)


class Watchdog:
    """Watches the head of each lane. consumer: id of the process that takes rings."""

    def __init__(
        self,
        parts: Container,
        lanes: Sequence[str],
        *,
        consumer: int,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._parts = parts
        self._lanes = lanes
        self._clock = clock
        self._consumer = consumer
        #: lane -> the event at its head, and since when it is there
        self._heads: dict[str, tuple[int, float]] = {}
        self._ended = 0

    def look(self) -> None:
        """Compare with the last look; act on a head that has not moved for too long."""
        now = self._clock()
        heads = self._parts.sweep.sweeper.heads(self._lanes)
        self._heads = {
            lane: self._heads[lane] if self._heads.get(lane, (0,))[0] == event else (event, now)
            for lane, event in heads.items()
        }
        for lane, (event, since) in list(self._heads.items()):
            if now - since >= self._parts.settings.stall_seconds:
                self._relieve(lane, event, now - since)

    def _relieve(self, lane: str, event: int, seconds: float) -> None:
        del self._heads[lane]
        fields = {"lane": lane, "event_id": event, "seconds": round(seconds)}
        for kind in Kind:
            self._parts.drain.run(lane=lane, kind=kind, budget=BUDGET)
        if self._parts.sweep.sweeper.heads([lane]).get(lane) == event:
            # Nor can it be taken here: somebody holds its row. A restart would not help.
            self._parts.report("event_stuck", fields)
            return
        self._parts.report("worker_stalled", fields)
        # Asked once, then forced: one that is stopped or hangs does not hear SIGTERM.
        with suppress(ProcessLookupError):
            os.kill(self._consumer, signal.SIGKILL if self._ended else signal.SIGTERM)
        self._ended += 1

"""The keeper: in every pool child, heals what lost rings and lost brokers leave behind (G6).

It needs no broker and no queued job: it sweeps under an advisory lock, and where the broker
does not take rings it drains by itself.
"""

from __future__ import annotations

import os
import random
import threading
from contextlib import suppress
from datetime import timedelta

from domain.inbox import Kind, Lane
from domain.ports import InfrastructureError
from worker.adapters.collector import tidy
from worker.bootstrap import Container
from worker.tasks.process import courier, hydrator, lanes, post
from worker.tasks.watchdog import Watchdog

BUDGET = timedelta(seconds=2)


class Keeper:
    """A thread that beats every sweep interval until the process ends.

    consumer: id of the process that takes rings, which is this one's parent in a pool. Once that
    was killed, this one gets no work and no word to end, and would keep house for ever.
    """

    def __init__(self, parts: Container, *, consumer: int) -> None:
        self._parts = parts
        self._lanes = lanes()
        self._consumer = consumer
        # Made here: two threads that make it at once would each count into their own.
        self._minutes = parts.minutes
        self._stop = threading.Event()
        self._watchdog = Watchdog(parts, self._lanes, consumer=consumer)
        self._thread = threading.Thread(target=self._run, name="keeper", daemon=True)

    def start(self) -> None:
        """Begin to keep house."""
        self._thread.start()

    def stop(self) -> None:
        """End with the process; what it did in its last seconds is told."""
        self._stop.set()
        with suppress(InfrastructureError):
            self._minutes.flush()

    def _run(self) -> None:
        interval = self._parts.settings.sweep_seconds
        while not self._stop.wait(interval * random.uniform(0.8, 1.2)):  # noqa: S311 - jitter
            if self._consumer not in (os.getpid(), os.getppid()):
                self._parts.log.warning("consumer_gone", consumer=self._consumer)
                # What it may be in the middle of is done again, as after any crash (D6).
                os._exit(1)
            try:
                self._beat()
            except InfrastructureError as error:
                self._parts.log.warning("keeper_postponed", why=str(error))
            except Exception:
                self._parts.log.exception("keeper_failed")

    def _beat(self) -> None:
        self._parts.sweep.beat(lanes=self._lanes)
        self._parts.sweep.run()
        self._minutes.flush()
        if not self._parts.is_broker_answering():
            self._drain_alone()
        self._watchdog.look()
        tidy()

    def _drain_alone(self) -> None:
        """Without a broker the tables are polled: urgent first, in every worker (D10)."""
        for lane in Lane:
            if lane.value not in self._lanes and lane is not Lane.URGENT:
                continue
            for kind in Kind:
                self._parts.drain.run(lane=lane.value, kind=kind, budget=BUDGET)
        if Lane.BULK.value in self._lanes:
            self._parts.answer_later.run(budget=BUDGET)
        post().wake()
        courier().wake()
        hydrator().wake()

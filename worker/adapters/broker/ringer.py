"""Rings that never hold anybody up: published after commit, best effort, coalesced (D11)."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

from celery import Celery
from kombu import Connection

from domain.inbox import Kind

#: After a ring those of one process are gathered this long; the last one always goes out (D11).
COALESCE_SECONDS = 0.02
#: A ring names at most so many events; it carries no authority.
NAMED_EVENTS = 20
#: Longer than this no broker is waited for, neither to connect nor to confirm (F09).
ANSWER_SECONDS = 2.0

Told = Callable[[str], None]


class CeleryRinger:
    """Publishes rings from a thread of its own: after commit, best effort, coalesced (D11)."""

    def __init__(self, app: Celery, *, sweep_seconds: float, told: Told) -> None:
        self._app = app
        self._expires = sweep_seconds
        self._told = told
        self._lock = threading.Lock()
        self._pending: dict[tuple[str, str], dict[str, Any]] = {}
        self._stirred = threading.Event()
        self._stopping = threading.Event()
        # Both belong to the thread: nobody else publishes here.
        self._connection: Connection | None = None
        self._producer: Any = None
        self._thread = threading.Thread(target=self._run, name="ringer", daemon=True)
        self._thread.start()

    def ring(self, kind: Kind, lane: str, *, connection: str, event_ids: Sequence[int]) -> None:
        """Ask for a drain; returns at once."""
        with self._lock:
            args = self._pending.setdefault(
                (kind.value, lane), {"connection": connection, "count": 0, "event_ids": []}
            )
            args["count"] += len(event_ids)
            room = NAMED_EVENTS - len(args["event_ids"])
            args["event_ids"] += list(event_ids)[: max(room, 0)]
        self._stirred.set()

    def ring_task(self, name: str, lane: str) -> None:
        """Ask for a task that takes no arguments."""
        with self._lock:
            self._pending.setdefault((name, lane), {})
        self._stirred.set()

    def stop(self) -> None:
        """Send what is pending, then end."""
        self._stopping.set()
        self._stirred.set()
        self._thread.join(timeout=10)

    def _run(self) -> None:
        """The first ring after a silence goes out at once: nobody else's is to be waited for."""
        rung = -math.inf
        while True:
            self._stirred.wait()
            left = rung + COALESCE_SECONDS - time.monotonic()
            if left > 0:
                self._stopping.wait(left)
            # Cleared before the take: a ring that comes now wakes the next turn.
            self._stirred.clear()
            with self._lock:
                pending, self._pending = self._pending, {}
            rung = time.monotonic()
            self._send_all(pending)
            if self._stopping.is_set() and not self._pending:
                self._disconnect()
                return

    def _send_all(self, pending: dict[tuple[str, str], dict[str, Any]]) -> None:
        """One failure is enough for all: the broker is away, and the sweep rings again."""
        is_answering = True
        for (name, lane), args in pending.items():
            is_answering = is_answering and self._send(name, lane, args)
            self._told("sent" if is_answering else "failed")

    def _send(self, name: str, lane: str, args: dict[str, Any]) -> bool:
        """Publish; False where the broker does not take it. The row is the queue (G6).

        A connection that was idle may have died unseen: one more try on a fresh one.
        """
        for _ in range(2 if self._connection is not None else 1):
            try:
                self._publish(name, lane, args)
            except Exception:  # noqa: BLE001 - whatever it was, the sweep rings again
                self._disconnect()
            else:
                return True
        return False

    def _publish(self, name: str, lane: str, args: dict[str, Any]) -> None:
        if self._connection is None:
            self._connection = self._app.connection_for_write(connect_timeout=ANSWER_SECONDS)
            self._producer = self._app.amqp.Producer(self._connection, auto_declare=False)
        self._app.send_task(
            name,
            kwargs=args,
            queue=lane,
            expires=self._expires,
            retry=False,
            ignore_result=True,
            producer=self._producer,
            confirm_timeout=ANSWER_SECONDS,
        )

    def _disconnect(self) -> None:
        """Let go of a connection without a word to a broker that may not answer."""
        gone, self._connection, self._producer = self._connection, None, None
        if gone is not None:
            with suppress(Exception):
                gone.collect(socket_timeout=0.1)

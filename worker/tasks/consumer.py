"""A consumer that never throws a message away: what nobody understands becomes a dead letter."""

from __future__ import annotations

import json
from typing import Any

import structlog
from celery.worker.consumer import Consumer as CeleryConsumer

from worker.adapters.broker.topology import DEAD_QUEUE, declare_dead_queue

#: Nothing here is ever scheduled in a broker, so 28 queues for delays need not be declared (F12).
UNUSED_STEP = "celery.worker.consumer.delayed_delivery:DelayedDelivery"


class Consumer(CeleryConsumer):  # type: ignore[misc]
    """Sets aside unknown tasks and unreadable messages, which Celery would discard."""

    class Blueprint(CeleryConsumer.Blueprint):  # type: ignore[misc]
        """Celery's steps but one."""

        default_steps = [  # noqa: RUF012 - Celery's own form
            step for step in CeleryConsumer.Blueprint.default_steps if step != UNUSED_STEP
        ]

    def connect(self) -> Any:
        """Also after a broker came back without its queues."""
        connection = super().connect()
        declare_dead_queue(self.app, connection)
        return connection

    def on_unknown_task(self, _body: Any, message: Any, exc: Exception) -> None:
        """A task name that this version does not have."""
        self._set_aside(message, f"unknown task {exc}")

    def on_unknown_message(self, _body: Any, message: Any) -> None:
        """A message that is no task."""
        self._set_aside(message, "not a task message")

    def on_invalid_task(self, _body: Any, message: Any, exc: Exception) -> None:
        """A task message whose shape is wrong."""
        self._set_aside(message, f"invalid task message: {exc}")

    def on_decode_error(self, message: Any, exc: Exception) -> None:
        """A message in a content type that is not taken, or broken in it."""
        self._set_aside(message, f"cannot be decoded: {type(exc).__name__}")

    def _set_aside(self, message: Any, why: str) -> None:
        """Put a copy with the reason into the dead queue, then let go of the message."""
        raw = bytes(message.body) if isinstance(message.body, memoryview) else message.body
        text = raw.decode("utf-8", "replace") if isinstance(raw, bytes) else str(raw)
        headers = {str(k): str(v) for k, v in (message.headers or {}).items()}
        with self.app.producer_or_acquire() as producer:
            producer.publish(
                json.dumps({"why": why, "raw": text, "headers": headers}),
                exchange="",
                routing_key=DEAD_QUEUE,
                content_type="application/json",
                content_encoding="utf-8",
                retry=False,
            )
        message.ack()
        structlog.get_logger("rosterd").warning("message_set_aside", why=why)

"""A consumer that never throws a message away: what nobody understands becomes a dead letter."""

from __future__ import annotations

import json
from typing import Any

from celery.worker.consumer import Consumer as CeleryConsumer

from worker.adapters.redis_transport import DEAD_QUEUE


class Consumer(CeleryConsumer):  # type: ignore[misc]
    """Sets aside unknown tasks and unreadable messages before Celery discards them."""

    def on_unknown_task(self, body: Any, message: Any, exc: Exception) -> None:
        """A task name that this version does not have."""
        self._set_aside(message, f"unknown task {exc}")
        super().on_unknown_task(body, message, exc)

    def on_unknown_message(self, body: Any, message: Any) -> None:
        """A message that is no task."""
        self._set_aside(message, "not a task message")
        super().on_unknown_message(body, message)

    def on_invalid_task(self, body: Any, message: Any, exc: Exception) -> None:
        """A task message whose shape is wrong."""
        self._set_aside(message, f"invalid task message: {exc}")
        super().on_invalid_task(body, message, exc)

    def on_decode_error(self, message: Any, exc: Exception) -> None:
        """A message in a content type that is not taken, or broken in it."""
        self._set_aside(message, f"cannot be decoded: {type(exc).__name__}")
        super().on_decode_error(message, exc)

    def _set_aside(self, message: Any, why: str) -> None:
        raw = message.body
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

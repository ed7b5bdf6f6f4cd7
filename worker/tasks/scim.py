"""SCIM requests whose senders did not wait: answered in the bulk lane."""

from __future__ import annotations

from datetime import timedelta

from celery import Celery

from worker.tasks.base import Ring, help_urgent, register
from worker.tasks.process import container

#: Then others of the lane have their turn.
SLICE = timedelta(seconds=1)


def register_all(app: Celery) -> None:
    """scim.answer: what is due, after whatever is urgent."""
    register(app, "scim.answer", _answer)


def _answer(_lane: str, _ring: Ring) -> dict[str, int]:
    parts = container()
    help_urgent()
    count, is_more = parts.answer_later.run(budget=SLICE)
    if is_more:
        parts.ring_later()
    return {"answered": count}

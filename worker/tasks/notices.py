"""Tasks that tell somebody something."""

from __future__ import annotations

from celery import Celery

from worker.tasks.base import Ring, register
from worker.tasks.process import post


def register_all(app: Celery) -> None:
    """notices.send: mails that are due, each under a lease."""
    register(app, "notices.send", _send)


def _send(_lane: str, _ring: Ring) -> dict[str, int]:
    post().wake()
    return {}

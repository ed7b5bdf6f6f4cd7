"""Tasks that tell somebody something."""

from __future__ import annotations

from celery import Celery

from worker.tasks.base import Ring, register
from worker.tasks.process import courier, post


def register_all(app: Celery) -> None:
    """notices.send, announcements.send: what is due of either, under leases."""
    register(app, "notices.send", _send)
    register(app, "announcements.send", _announce)


def _send(_lane: str, _ring: Ring) -> dict[str, int]:
    post().wake()
    return {}


def _announce(_lane: str, _ring: Ring) -> dict[str, int]:
    courier().wake()
    return {}

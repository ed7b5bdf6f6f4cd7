"""Tasks that keep the house: sweep, collect foreign messages, retention."""

from __future__ import annotations

from celery import Celery

from worker.tasks.base import Ring, register
from worker.tasks.process import container


def register_all(app: Celery) -> None:
    """maintenance.sweep, maintenance.collect_dead, maintenance.retain."""
    register(app, "maintenance.sweep", _sweep)
    register(app, "maintenance.collect_dead", _collect_dead)
    register(app, "maintenance.retain", _retain)


def _sweep(_lane: str, _ring: Ring) -> dict[str, int]:
    return container().sweep.run()


def _collect_dead(_lane: str, _ring: Ring) -> dict[str, int]:
    return container().collect_dead()


def _retain(_lane: str, _ring: Ring) -> dict[str, int]:
    return container().retain()

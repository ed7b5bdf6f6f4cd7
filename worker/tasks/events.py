"""Tasks about events as such."""

from __future__ import annotations

from celery import Celery

from domain.inbox import Kind
from worker.tasks.base import drain, register


def register_all(app: Celery) -> None:
    """events.sort: what a peek could not tell, unparseable bodies among it."""
    register(app, Kind.SORT.value, drain(Kind.SORT))

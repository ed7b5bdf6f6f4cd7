"""Tasks about events as such."""

from __future__ import annotations

from celery import Celery

from domain.inbox import Kind
from worker.tasks.base import Ring, drain, register
from worker.tasks.process import hydrator


def register_all(app: Celery) -> None:
    """events.sort: what a peek could not tell, unparseable bodies among it. events.hydrate."""
    register(app, Kind.SORT.value, drain(Kind.SORT))
    register(app, Kind.HYDRATE.value, _hydrate)


def _hydrate(lane: str, ring: Ring) -> dict[str, int]:
    """What says too little is sent to be read, and what is to be read is asked for."""
    tally = drain(Kind.HYDRATE)(lane, ring)
    hydrator().wake()
    return tally

"""One typed way to declare a task: arguments checked, logs bound, nothing scheduled in a broker."""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import structlog
from celery import Celery
from celery.exceptions import SoftTimeLimitExceeded
from pydantic import BaseModel, ConfigDict, Field

from domain.inbox import Kind, Lane
from domain.ports import InfrastructureError
from worker.services.drain import Tally
from worker.tasks.process import container, lanes

#: A kind of which more is due than this yields to the others of its lane, and rings again (D11).
SLICE = timedelta(seconds=0.25)
#: A task of another lane gives one batch of each kind to what is urgent.
ONE_BATCH = timedelta(0)
#: A worker of bulk work alone has the least of the machine: what waits less is others' to take.
LEFT_LYING = timedelta(seconds=0.5)
#: This process, once it has looked after whoever was here before it.
_REPAIRED: set[int] = set()


class Ring(BaseModel):
    """What a ring says; unknown members are ignored so that versions can overlap."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    connection: str = ""
    count: int = Field(0, ge=0)
    event_ids: tuple[int, ...] = ()
    traceparent: str | None = None


def register(app: Celery, name: str, run: Callable[[str, Ring], dict[str, int]]) -> None:
    """Register a task under an explicit name; its queue is the lane that rings it."""

    def task(self: Any, **arguments: Any) -> dict[str, int]:
        lane = (self.request.delivery_info or {}).get("routing_key") or Lane.STANDARD.value
        structlog.contextvars.bind_contextvars(task=name, task_id=self.request.id, lane=lane)
        try:
            return run(lane, Ring.model_validate(arguments))
        except InfrastructureError as error:
            # Rolled back; the rows are as they were and the sweep rings them again (F23).
            container().log.warning("task_postponed", why=str(error))
            return {"postponed": 1}
        except SoftTimeLimitExceeded:
            container().log.warning("task_cut_short", why="soft time limit")
            return {"postponed": 1}
        finally:
            structlog.contextvars.clear_contextvars()

    task.__name__ = name.replace(".", "_")
    app.task(task, bind=True, name=name, ignore_result=True, acks_late=True)


def drain(kind: Kind) -> Callable[[str, Ring], dict[str, int]]:
    """The body of every task of events: help with what is urgent, then this kind in this lane."""

    def run(lane: str, _ring: Ring) -> dict[str, int]:
        parts = container()
        _repair_first()
        if lane == Lane.BULK.value:
            tally, is_more = _drain_bulk(kind)
        else:
            if lane != Lane.URGENT.value:
                help_urgent()
            tally, is_more = parts.drain.run(lane=lane, kind=kind, budget=SLICE)
        if is_more:
            _give_way(Lane(lane), kind)
            parts.ringer.ring(kind, lane, connection="", event_ids=())
        if tally.applied:
            parts.ring_notices()
        if tally.claimed:
            parts.log.info("drained", kind=kind.value, **tally.as_dict())
        return tally.as_dict()

    return run


def _repair_first() -> None:
    """Once in each process: it may be here because the one before it died of what is due next.

    That lives too short to sweep, if it dies at once of whatever it claims.
    """
    pid = os.getpid()
    if pid not in _REPAIRED:
        container().sweep.repair()
        _REPAIRED.clear()
        _REPAIRED.add(pid)


def _drain_bulk(kind: Kind) -> tuple[Tally, bool]:
    """A batch at a time: what is live waits for one of a replay's, however much there is of it."""
    drain = container().drain
    whole, until = Tally(), drain.monotonic() + SLICE.total_seconds()
    while True:
        help_urgent()
        help_live()
        tally, is_more = drain.run(lane=Lane.BULK.value, kind=kind, budget=ONE_BATCH)
        whole.add(tally)
        if not is_more or drain.monotonic() >= until:
            return whole, is_more


def _give_way(lane: Lane, to_all_but: Kind) -> None:
    """The rings of other kinds may lie behind many of a kind that has a backlog."""
    parts = container()
    for kind in parts.kinds_due(lane):
        if kind is not to_all_but:
            parts.drain.run(lane=lane.value, kind=kind, budget=SLICE)


def _patience() -> timedelta:
    return LEFT_LYING if lanes() == [Lane.BULK.value] else timedelta(0)


def help_live() -> None:
    """What is live goes before replays and backfills, whatever the order of their rings.

    A batch of each kind: one slow slice of bulk work is all that it ever waits for.
    """
    parts = container()
    for kind in parts.kinds_due(Lane.STANDARD, since=_patience()):
        parts.drain.run(lane=Lane.STANDARD.value, kind=kind, budget=ONE_BATCH)


def help_urgent() -> None:
    """What is urgent goes first, in every drain of every worker (D10): a batch of each kind.

    Not all of it, and nothing of a connection that somebody is at work on: one that suspends
    thousands would take the workers of all lanes, who would wait for each other at its breaker.
    """
    parts = container()
    for kind in parts.kinds_due(Lane.URGENT, since=_patience()):
        parts.drain.run(lane=Lane.URGENT.value, kind=kind, budget=ONE_BATCH, is_guest=True)

"""`/v1/replays`: a frozen set, what would become of it, then carried out at a pace (G8)."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Annotated

from fastapi import APIRouter, Path
from sqlalchemy import Connection
from starlette.requests import Request
from starlette.responses import Response

from domain.replays import Order
from worker.adapters.db.engine import Changing
from worker.adapters.db.replay_queries import items_page, replay_seen, replays_page, report_of
from worker.bootstrap import Container
from worker.services.replay import Replay as Replaying
from worker.web.api.answers import reading, tagged
from worker.web.api.caller import Parts, Viewer
from worker.web.api.paging import Page, sealed
from worker.web.api.problems import responses
from worker.web.api.replay_shapes import (
    Choice,
    Item,
    ItemsQuery,
    Pacing,
    Replay,
    ReplayReport,
    ReplaysQuery,
    item_of,
    number_in,
    replay_of,
    report_shape,
)
from worker.web.api.writing import Replays, Write

router = APIRouter(tags=["replays"], responses=responses(404))
Which = Annotated[str, Path(description="Id of the replay.")]
WRITES = responses(400, 404, 409, 413, 415)
#: A plan is worked on so long in its own request; workers go on with a larger one.
PLAN_SECONDS = 0.5


@router.get("/replays")
def list_replays(caller: Viewer, parts: Parts, asked: ReplaysQuery) -> Page[Replay]:
    """Plans, and replays under way or over: the newest first."""
    states = [one.value for one in asked.state]
    with reading(parts) as sql:
        found, after = replays_page(
            sql,
            within=caller.some_accounts(asked.account),
            states=states,
            after=asked.after,
            limit=asked.limit,
        )
    return Page(items=[replay_of(one) for one in found], next=sealed(after))


@router.post("/replays", status_code=201, response_model=Replay, responses=WRITES)
def plan(asked: Choice, write: Replays) -> Response:
    """Freeze dead letters and predict what becomes of each; nothing is changed.

    `planning` until that is done, a moment for a few hundred; then `planned`: start it.
    """
    selection, made = asked.selection(), []

    def act(database: Changing) -> object:
        use = write.parts.replays.replay_on(database)
        made.append(use.plan(selection, write.caller.asker))
        return made[-1]

    answer = write.answered(act, lambda sql, replay: (201, replay_of(replay_seen(sql, replay))))
    if made:
        _plan_on(write.parts, made[-1])
    return answer


def _plan_on(parts: Container, replay: str) -> None:
    until = time.monotonic() + PLAN_SECONDS
    while not parts.replay.plan_on(replay) and time.monotonic() < until:
        pass


@router.get(
    "/replays/{replay}",
    response_model=Replay,
    responses={304: {"description": "As it was."}, **responses(404)},
)
def show_replay(replay: Which, caller: Viewer, parts: Parts, request: Request) -> Response:
    """Where it is, what was predicted, what became of it so far."""
    with reading(parts) as sql:
        return tagged(request, replay_of(replay_seen(sql, replay, within=caller.accounts)))


@router.get("/replays/{replay}/items")
def list_items(replay: Which, caller: Viewer, parts: Parts, asked: ItemsQuery) -> Page[Item]:
    """Its events in the order in which they came."""
    with reading(parts) as sql:
        replay_seen(sql, replay, within=caller.accounts)
        found, after = items_page(
            sql,
            replay,
            state=asked.state,
            predicted=asked.predicted,
            outcome=asked.outcome,
            differs=asked.differs,
            after=number_in(asked.cursor),
            limit=asked.limit,
        )
    last = str(after) if after is not None else None
    return Page(items=[item_of(one) for one in found], next=sealed(last))


@router.get("/replays/{replay}/report")
def show_report(replay: Which, caller: Viewer, parts: Parts) -> ReplayReport:
    """What was predicted against what became, in counts."""
    with reading(parts) as sql:
        replay_seen(sql, replay, within=caller.accounts)
        return report_shape(report_of(sql, replay))


@router.post("/replays/{replay}/start", response_model=Replay, responses=WRITES)
def start(replay: Which, asked: Pacing, write: Replays) -> Response:
    """Carry a plan out: what was shown is what is acted on. Say why."""
    order = Order(write.because(), asked.pace())
    return _moved(replay, write, lambda use: use.start_plan(replay, order, write.caller.asker))


@router.post("/replays/{replay}/pause", response_model=Replay, responses=WRITES)
def pause(replay: Which, write: Replays) -> Response:
    """Try nothing more for now. Twice is once."""
    return _moved(
        replay,
        write,
        lambda use: use.pause(replay, write.caller.asker, reason=write.reason),
    )


@router.post("/replays/{replay}/resume", response_model=Replay, responses=WRITES)
def resume(replay: Which, asked: Pacing, write: Replays) -> Response:
    """Go on. Of the pace what is said is changed, null too; all else stays. Twice is once."""
    change = asked.change()
    return _moved(
        replay,
        write,
        lambda use: use.resume(replay, write.caller.asker, reason=write.reason, change=change),
    )


@router.post("/replays/{replay}/cancel", response_model=Replay, responses=WRITES)
def cancel(replay: Which, write: Replays) -> Response:
    """Try nothing more, for good: what was not tried stays dead. Twice is once."""
    return _moved(
        replay,
        write,
        lambda use: use.cancel(replay, write.caller.asker, reason=write.reason),
    )


def _moved(replay: str, write: Write, act: Callable[[Replaying], object]) -> Response:
    def told(sql: Connection, _done: object) -> tuple[int, Replay]:
        return 200, replay_of(replay_seen(sql, replay))

    return write.answered(lambda database: act(write.parts.replays.replay_on(database)), told)

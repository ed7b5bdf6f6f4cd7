"""`/v1/holds`: what a tripped breaker keeps back, and an operator's answer (C6)."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query
from pydantic import BaseModel, Field
from sqlalchemy import Connection
from starlette.responses import Response

from domain.breaker import Answer, HoldState, Released
from worker.adapters.db.breaker_rows import holds
from worker.adapters.db.engine import Changing
from worker.adapters.db.holding import SQLHolds
from worker.bootstrap import Container
from worker.web.api.asking import Asking
from worker.web.api.caller import Parts, Viewer
from worker.web.api.finding import found, known_connection
from worker.web.api.paging import Page, Paged, sealed
from worker.web.api.problems import responses
from worker.web.api.texts import Text
from worker.web.api.writing import AnswersHolds, Write

router = APIRouter(tags=["holds"], responses=responses(404))
Which = Annotated[str, Path(description="Id of the hold.")]
#: Of its events so many are shown; all are among `/events?state=held&reason=breaker`.
EVENTS = 100


class Hold(BaseModel):
    """A trip of the breaker."""

    id: str
    account: str
    connection: str
    state: HoldState
    explanation: str = Field(description="What it would do, in words.")
    opened_at: datetime
    counted: int = Field(description="People and groups that had gone when it tripped.")
    people: int = Field(description="Who were in then.")
    most: int = Field(description="The limit that was passed.")
    window_seconds: int
    auto_at: datetime | None = Field(description="When it approves itself; null for never.")
    events: int | None
    closed_at: datetime | None
    closed_by: str | None
    reason: str


class HeldEvent(BaseModel):
    """An event that is held."""

    id: int
    received_at: datetime
    type: str
    kind: str
    subject: str
    email: str | None


class HoldShown(Hold):
    """A trip with what it keeps: the first hundred."""

    by_kind: list[dict[str, Any]]
    held: list[HeldEvent]


class HoldsAsked(Paged):
    """Filters."""

    connection: Text | None = Field(None, description="Id of a connection.")
    all: bool = Field(False, description="With those that were answered.")


class Answered(BaseModel):
    """What an answer came to."""

    hold: str
    state: HoldState
    events: int
    undid: str = Field(
        "", description="Where an approval takes a rejection back: by whom that was, when and why."
    )


class Raise(Asking):
    """A higher limit for one window."""

    to: int = Field(ge=1, le=2**31 - 1)


@router.get("/holds")
def list_holds(caller: Viewer, parts: Parts, asked: Annotated[HoldsAsked, Query()]) -> Page[Hold]:
    """Newest first, each with what it would do."""
    accounts = caller.some_accounts(asked.account)
    known_connection(caller, parts, asked.connection)
    seen, after = SQLHolds(parts.database).page(
        accounts,
        connection=asked.connection,
        is_open=not asked.all,
        after=asked.after,
        limit=asked.limit,
    )
    return Page(items=[_hold(row) for row in seen], next=sealed(after))


@router.get("/holds/{hold}")
def show_hold(hold: Which, caller: Viewer, parts: Parts) -> HoldShown:
    """Why, what it would do to whom, its first events."""
    found(caller, parts, holds, "hold", hold)
    row = SQLHolds(parts.database).show(hold, limit=EVENTS)
    return HoldShown(
        **_hold(row).model_dump(),
        by_kind=row.get("by_kind", []),
        held=[HeldEvent(**one) for one in row["held"]],
    )


@router.post(
    "/holds/{hold}/approve", response_model=Answered, responses=responses(400, 404, 409, 413, 415)
)
def approve(hold: Which, write: AnswersHolds) -> Response:
    """It is meant: what is held goes on, and the window begins anew. Say why."""
    reason = write.because()
    return _answer(
        hold,
        write,
        HoldState.APPROVED,
        lambda holds_: holds_.approve(hold, actor=write.caller.actor, reason=reason),
    )


@router.post(
    "/holds/{hold}/reject", response_model=Answered, responses=responses(400, 404, 409, 413, 415)
)
def reject(hold: Which, write: AnswersHolds) -> Response:
    """It is a mistake: what is held is never applied; an approval takes this back. Say why."""
    reason = write.because()
    return _answer(
        hold,
        write,
        HoldState.REJECTED,
        lambda holds_: holds_.reject(hold, actor=write.caller.actor, reason=reason),
    )


@router.post(
    "/holds/{hold}/raise-once",
    response_model=Answered,
    responses=responses(400, 404, 409, 413, 415),
)
def raise_once(hold: Which, asked: Raise, write: AnswersHolds) -> Response:
    """Some of it is meant: a higher limit for one window. Say why."""
    reason, actor = write.because(), write.caller.actor
    return _answer(
        hold,
        write,
        HoldState.RAISED,
        lambda holds_: holds_.raise_once(hold, to=asked.to, actor=actor, reason=reason),
    )


def _answer(
    hold: str,
    write: Write,
    state: HoldState,
    act: Callable[[SQLHolds], Answer],
) -> Response:
    found(write.caller, write.parts, holds, "hold", hold)
    released: Released = []

    def answer(database: Changing) -> None:
        released.extend(act(SQLHolds(write.parts.database, database)).kinds)

    def told(_connection: Connection, done: Any) -> tuple[int, Answered]:
        return 200, Answered(hold=hold, state=state, events=done.events, undid=done.undid)

    reply = write.answered(answer, told)
    _ring(write.parts, released)
    return reply


def _ring(parts: Container, kinds: Released) -> None:
    for kind, lane in kinds:
        parts.ringer.ring(kind, lane.value, connection="", event_ids=())


def _hold(row: dict[str, Any]) -> Hold:
    fields = {name: row[name] for name in Hold.model_fields if name in row}
    return Hold(**{**fields, "account": row["account_id"], "connection": row["connection_id"]})

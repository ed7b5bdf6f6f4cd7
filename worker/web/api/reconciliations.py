"""`/v1/reconciliations`: an IdP's directory held against ours, and mending what differs (D18)."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Path, Query
from pydantic import BaseModel, Field
from sqlalchemy import Connection
from starlette.responses import Response

from domain.errors import UsageError
from domain.reconciliation import Order, Phase, Purpose, RunState
from domain.reconciling import Thing, What
from worker.adapters.db import rows
from worker.adapters.db.engine import Changing
from worker.adapters.db.reconciliation_queries import (
    RunSeen,
    differences_of,
    run_seen,
    runs_of,
)
from worker.adapters.db.reconciliation_rows import reconciliations
from worker.web.api.answers import reading
from worker.web.api.asking import Asking
from worker.web.api.caller import Parts, Viewer
from worker.web.api.finding import found
from worker.web.api.paging import Page, Paged, sealed
from worker.web.api.problems import responses
from worker.web.api.writing import Configures

router = APIRouter(tags=["reconciliations"], responses=responses(404))
WRITES = responses(400, 404, 409, 413, 415)
Which = Annotated[str, Path(description="Id of the reconciliation.")]
Attached = Annotated[str, Path(description="Id of the connection.")]


class NewReconciliation(Asking):
    """What is to be done once the directory was read."""

    apply: bool = Field(False, description="Mend what differs by events, through the breaker.")
    purpose: Purpose = Field(
        Purpose.RECONCILE, description="backfill: take in what the IdP has, miss nobody (S4)."
    )


class Reconciliation(BaseModel):
    """A run. Workers go on with it until it is over."""

    id: str
    account: str
    connection: str
    purpose: Purpose
    applies: bool
    state: RunState
    phase: Phase
    actor: str
    reason: str
    why: str = Field(description="Why it waits, failed or was cancelled; else empty.")
    counts: dict[str, int] = Field(
        description="Read (`people`, ..), found (`user.missing`, ..), and events that were `said`."
    )
    doubts: dict[str, str] = Field(
        description="By list why it proves nothing of who is missing in it: nobody is put out."
    )
    made_at: datetime
    began_at: datetime | None
    ended_at: datetime | None
    due_at: datetime


class Different(BaseModel):
    """One difference."""

    thing: Thing
    what: What
    external_id: str = Field(description="Of a membership, the person's.")
    group: str | None
    fields: list[str]
    why: str | None = Field(description="Why it is left to another run.")
    read_at: datetime
    said: bool


class DifferencesAsked(Paged):
    """Filters."""

    what: What | None = None


@router.post(
    "/connections/{connection}/reconciliations",
    status_code=201,
    response_model=Reconciliation,
    responses=WRITES,
)
def reconcile(connection: Attached, asked: NewReconciliation, write: Configures) -> Response:
    """Begin to read; a dry run unless `apply` is set, for which say why."""
    found(write.caller, write.parts, rows.connections, "connection", connection)
    is_backfill = asked.purpose is Purpose.BACKFILL
    applies = asked.apply or is_backfill
    reason = write.because() if asked.apply else write.reason
    order = Order(asked.purpose, applies, write.caller.actor, reason)

    def act(database: Changing) -> object:
        return write.parts.reading.reconcile_on(database).begin(connection, order)

    return write.answered(act, lambda sql, run: (201, _shown(run_seen(sql, run))))


@router.get("/connections/{connection}/reconciliations")
def list_reconciliations(
    connection: Attached, caller: Viewer, parts: Parts
) -> list[Reconciliation]:
    """The newest twenty, the newest first."""
    found(caller, parts, rows.connections, "connection", connection)
    with reading(parts) as sql:
        return [_shown(one) for one in runs_of(sql, connection)]


@router.get("/reconciliations/{reconciliation}")
def show_reconciliation(reconciliation: Which, caller: Viewer, parts: Parts) -> Reconciliation:
    """Where it is, and what it found so far."""
    with reading(parts) as sql:
        return _shown(run_seen(sql, reconciliation, within=caller.accounts))


@router.get("/reconciliations/{reconciliation}/differences")
def list_differences(
    reconciliation: Which,
    caller: Viewer,
    parts: Parts,
    asked: Annotated[DifferencesAsked, Query()],
) -> Page[Different]:
    """In the order of finding: people, groups, memberships."""
    if asked.after and not asked.after.isdecimal():
        raise UsageError("cursor: take it as `next` of the page before gave it")
    with reading(parts) as sql:
        run_seen(sql, reconciliation, within=caller.accounts)
        seen, after = differences_of(
            sql,
            reconciliation,
            what=asked.what,
            after=int(asked.after) if asked.after else -1,
            limit=asked.limit,
        )
    last = str(after) if after is not None else None
    return Page(items=[Different(**one) for one in seen], next=sealed(last))


@router.post(
    "/reconciliations/{reconciliation}/cancel", response_model=Reconciliation, responses=WRITES
)
def cancel_reconciliation(reconciliation: Which, write: Configures) -> Response:
    """Read and say nothing more; what was said stays said. Twice is once."""
    found(write.caller, write.parts, reconciliations, "reconciliation", reconciliation)
    actor, reason = write.caller.actor, write.reason

    def act(database: Changing) -> object:
        runs = write.parts.reading.runs_on(database)
        return runs.cancel(reconciliation, actor=actor, reason=reason)

    def told(sql: Connection, _done: object) -> tuple[int, Reconciliation]:
        return 200, _shown(run_seen(sql, reconciliation))

    return write.answered(act, told)


def _shown(seen: RunSeen) -> Reconciliation:
    told = asdict(seen)
    return Reconciliation(**{name: told[name] for name in Reconciliation.model_fields})

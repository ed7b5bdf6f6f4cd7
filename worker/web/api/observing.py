"""`/v1/connections/{connection}`: from observing to live, lists, and who is whom (S3, S4, C1)."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Path
from pydantic import BaseModel, Field
from sqlalchemy import func, select
from starlette.responses import Response, StreamingResponse

from domain.connecting import parse_scope
from domain.errors import RefusedError, UsageError
from domain.inbox import Kind, Lane, lane_of
from domain.intake import StoredEvent
from domain.moving import Verdict, Wanted
from domain.observing import Person, Plan, differences
from domain.policy import Scope
from domain.values import FUTURE_TOLERANCE, HORIZON
from worker.adapters.db import rows
from worker.adapters.db.observing_setup import is_scoped
from worker.adapters.db.setup import SQLSetup
from worker.adapters.db.setup_lists import TakenList
from worker.adapters.db.taking_over import Taking
from worker.adapters.db.windows import Row
from worker.adapters.links_file import read_links
from worker.adapters.sources.registry import SOURCES
from worker.bootstrap import Container
from worker.web.api.answers import reading
from worker.web.api.asking import Asking
from worker.web.api.caller import Parts, Viewer
from worker.web.api.connections import insist_observing
from worker.web.api.finding import found
from worker.web.api.problems import LINES, responses
from worker.web.api.texts import Moment, Text
from worker.web.api.writing import Configures

router = APIRouter(tags=["connections"], responses=responses(404))
WRITES = responses(400, 404, 409, 413, 415)
Which = Annotated[str, Path(description="Id of the connection.")]
#: A history is decided while its request waits: some ten seconds for so many.
PLANNED = 10_000
#: So many people of a plan are named.
NAMED = 1_000
#: So many are suspended by one list, or taken over by one request.
TOGETHER = 100_000


class NewPlan(Asking):
    """What would going live do?"""

    scope: Text | None = Field(None, description="In place of the connection's.")


class PlannedPerson(BaseModel):
    """Somebody whom going live would change."""

    external_id: str | None
    email: str
    does: str
    state: str


class PlanMade(BaseModel):
    """A plan, kept under an id."""

    id: str
    connection: str
    events: int
    people: dict[str, int] = Field(description="How many by what is done to them.")
    groups: int
    memberships: int
    held: int = Field(description="Events that the breaker would keep back.")
    counts: list[dict[str, Any]] = Field(description="Events by how they would end.")
    digest: str
    named: list[PlannedPerson] = Field(description="The first thousand people.")


class Live(Asking):
    """Apply what was observed, as it was shown."""

    plan: Text = Field(description="Id of the plan that was agreed.")
    accept_changes: bool = Field(False, description="Also if it differs from the plan by now.")


class WentLive(BaseModel):
    """events: so many went to the bulk lane; how they end is told by `/events`."""

    connection: str
    plan: str
    events: int
    changed: list[str] = Field(description="Where it differs from the plan that was agreed.")


class FullList(Asking):
    """The external ids of all whom the identity provider has (S3)."""

    ids: list[Text] = Field(min_length=1, max_length=TOGETHER)
    count: int = Field(ge=1, description="How many people the provider says that it has.")
    taken_at: Moment | None = Field(None, description="When it was asked; default: now.")
    dry_run: bool = False


class Listed(BaseModel):
    """What a list came to, each by external id."""

    dry_run: bool
    suspends: bool = Field(description="Whether `suspend_unlisted` has the missing suspended.")
    missing: list[str]
    returned: list[str]
    newer: list[str] = Field(description="Missing, and spoken of since: left to the next list.")


class LinkLine(Asking):
    """Which external id is which person or group."""

    kind: Text = "user"
    external_id: Text
    person: Text | None = None
    email: Text | None = None
    group: Text | None = None


class Links(Asking):
    """People and groups that are nobody's, by what the connection calls them."""

    lines: list[LinkLine] = Field(min_length=1, max_length=TOGETHER)
    dry_run: bool = False


class Replacement(Asking):
    """Another connection of the account takes all people over, and this one is retired (C1, C7)."""

    by: Text = Field(description="Id of the connection that takes over.")
    map: Text = Field("email", description="email, same or lines.")
    lines: list[LinkLine] = Field(default_factory=list, max_length=TOGETHER)
    partial: bool = Field(False, description="Though lines conflict.")
    dry_run: bool = False


class Line(BaseModel):
    """What became of a line; problem is empty where it is linked."""

    line: int
    kind: str
    external_id: str
    problem: str
    says: str
    id: str


class Linked(BaseModel):
    """What became of all. refused: nothing was changed, for lines conflict."""

    dry_run: bool
    refused: bool
    counts: dict[str, int]
    lines: list[Line]


@router.post(
    "/connections/{connection}/plans", status_code=201, response_model=PlanMade, responses=WRITES
)
def make_plan(connection: Which, asked: NewPlan, write: Configures) -> Response:
    """S4: what going live would do, decided for real and undone; kept under an id."""
    row = found(write.caller, write.parts, rows.connections, "connection", connection)
    insist_observing(row)
    named: list[Person] = []

    def tell(person: Person) -> None:
        if len(named) < NAMED:
            named.append(person)

    wanted = _scope(row, asked.scope)
    _insist_short(write.parts, connection)
    made = write.parts.observe.plan(connection, scope=wanted, tell=tell)
    return write.set_up(
        lambda use: use.keep_plan(row, made, asked.scope),
        lambda _c, kept: (201, _plan(kept, connection, made, named)),
    )


@router.post("/connections/{connection}/go-live", response_model=WentLive, responses=WRITES)
def go_live(connection: Which, asked: Live, write: Configures) -> Response:
    """S4: apply what was observed, through the breaker, behind all live traffic. Say why."""
    reason, parts = write.because(), write.parts
    row = found(write.caller, parts, rows.connections, "connection", connection)
    insist_observing(row)
    with reading(parts) as open_:
        shown = SQLSetup(open_, parts.vault, actor="").kept_plan(row, asked.plan)
    wanted = _scope(row, shown.scope)
    if SOURCES[row["source"]].needs_scope and wanted is None and not is_scoped(row):
        raise UsageError("plan: it has no scope, and this source speaks of a whole organisation")
    _insist_short(parts, connection)
    made = parts.observe.plan(connection, scope=wanted)
    changed = differences(shown.summary, made.as_dict())
    if changed and not asked.accept_changes:
        raise RefusedError(f"plan {asked.plan} is out of date: {'; '.join(changed)}")

    def act(use: SQLSetup) -> tuple[str, int]:
        kept = use.keep_plan(row, made, shown.scope)
        return kept, use.go_live(row, scope=wanted, plan=kept, reason=reason)

    answer = write.set_up(
        act,
        lambda _c, done: (
            200,
            WentLive(connection=connection, plan=done[0], events=done[1], changed=changed),
        ),
    )
    parts.ringer.ring(Kind.SORT, Lane.BULK.value, connection=connection, event_ids=())
    return answer


@router.post("/connections/{connection}/list", response_model=Listed, responses=WRITES)
def take_list(connection: Which, asked: FullList, write: Configures) -> Response:
    """S3: these are all whom the provider has; suspend_unlisted=on suspends the others."""
    reason = write.reason if asked.dry_run else write.because()
    row = found(write.caller, write.parts, rows.connections, "connection", connection)
    ids = frozenset(asked.ids)
    if not len(ids) == len(asked.ids) == asked.count:
        # Half a list would suspend the other half.
        raise UsageError(f"ids: {len(ids)} different ones, but count says {asked.count}")
    at = asked.taken_at or datetime.now(UTC)
    if not -FUTURE_TOLERANCE <= datetime.now(UTC) - at <= HORIZON:
        raise UsageError("taken_at: too old, or in the future")
    rung: list[StoredEvent] = []

    def act(use: SQLSetup) -> TakenList:
        taken = use.take_list(row, ids, taken_at=at, reason=reason, dry_run=asked.dry_run)
        rung[:] = taken.events
        return taken

    answer = write.set_up(act, lambda _c, taken: (200, _listed(taken, dry_run=asked.dry_run)))
    ring(write.parts, rung, connection)
    return answer


@router.get("/connections/{connection}/links", response_class=StreamingResponse, responses=LINES)
def export_links(connection: Which, caller: Viewer, parts: Parts) -> StreamingResponse:
    """JSON Lines: which external id is which person or group; of a retired connection, too."""
    found(caller, parts, rows.connections, "connection", connection)

    def lines() -> Iterator[bytes]:
        with reading(parts) as open_:
            for line in SQLSetup(open_, parts.vault, actor="").links(connection):
                yield json.dumps(line, sort_keys=True).encode() + b"\n"

    return StreamingResponse(lines(), media_type="application/x-ndjson")


@router.post("/connections/{connection}/links", response_model=Linked, responses=WRITES)
def import_links(connection: Which, asked: Links, write: Configures) -> Response:
    """C1: link people who are nobody's to external ids; lines that cannot be are left out."""
    reason = write.reason if asked.dry_run else write.because()
    row = found(write.caller, write.parts, rows.connections, "connection", connection)
    wanted, unreadable = _read(asked.lines)

    def act(use: SQLSetup) -> Linked:
        retired = use.retired_of(row["account_id"])
        verdicts = use.take_over(Taking(row, retired, retired, reason), wanted)
        if asked.dry_run:
            use.sql.rollback()
        return _linked([*unreadable, *verdicts], dry_run=asked.dry_run, is_refused=False)

    return write.set_up(act, lambda _c, linked: (200, linked))


@router.post("/connections/{connection}/replace", response_model=Linked, responses=WRITES)
def replace_connection(connection: Which, asked: Replacement, write: Configures) -> Response:
    """C1, C7: another connection takes all people over, nobody is invited; this one is retired."""
    reason = write.reason if asked.dry_run else write.because()
    former = found(write.caller, write.parts, rows.connections, "connection", connection)
    taker = found(write.caller, write.parts, rows.connections, "connection", asked.by)
    if former["account_id"] != taker["account_id"] or former["id"] == taker["id"]:
        raise UsageError("by: no other connection of the same account")
    if asked.map not in ("email", "same", "lines") or (asked.map == "lines") != bool(asked.lines):
        raise UsageError("map: email, same or lines; lines go with the last")
    wanted, unreadable = _read(asked.lines)

    def act(use: SQLSetup) -> Linked:
        mine = wanted
        if asked.map == "same":
            told = [json.dumps(line) for line in use.links(connection)]
            mine = [one for one in read_links(told) if isinstance(one, Wanted)]
        retired = use.retired_of(former["account_id"]) | {connection}
        verdicts = [*unreadable, *use.take_over(Taking(taker, retired, retired, reason), mine)]
        if former["state"] != "retired":
            use.retire_connection(use.connection(connection), reason=reason)
        is_refused = any(one.is_conflict for one in verdicts) and not asked.partial
        if asked.dry_run or is_refused:
            use.sql.rollback()
        return _linked(verdicts, dry_run=asked.dry_run, is_refused=is_refused)

    return write.set_up(act, lambda _c, linked: (200, linked))


def _scope(row: Row, text: str | None) -> Scope | None:
    if text is None:
        return None
    return parse_scope(text, needs_scope=False, source=row["source"])


def _insist_short(parts: Container, connection: str) -> None:
    """A request is not held for minutes; raises RefusedError."""
    events = rows.events
    mine = (events.c.connection_id == connection) & (events.c.state == "held")
    among = select(events.c.id).where(mine, events.c.state != "ended").limit(PLANNED + 1)
    with reading(parts) as open_:
        count = open_.execute(select(func.count()).select_from(among.subquery())).scalar_one()
    if count > PLANNED:
        raise RefusedError(
            f"more than {PLANNED:,} events were observed: `rosterd connection plan {connection}` "
            "and `go-live` take the minutes that it needs"
        )


def _plan(kept: str, connection: str, made: Plan, named: Sequence[Person]) -> PlanMade:
    told: dict[str, Any] = made.as_dict()
    people = [
        PlannedPerson(external_id=one.external_id, email=one.email, does=one.does, state=one.state)
        for one in named
    ]
    return PlanMade(id=kept, connection=connection, named=people, **told)


def _listed(taken: TakenList, *, dry_run: bool) -> Listed:
    compared = taken.compared
    return Listed(
        dry_run=dry_run,
        suspends=taken.is_on,
        missing=list(compared.missing),
        returned=list(compared.returned),
        newer=list(compared.newer),
    )


def ring(parts: Container, events: Sequence[StoredEvent], connection: str) -> None:
    """Unless they are held; a lost ring costs a sweep."""
    for kind in sorted({event.kind for event in events if not event.is_held}):
        lane = lane_of(kind)
        told = (Lane.BULK if lane is Lane.STANDARD else lane).value
        ids = [event.id for event in events if event.kind is kind]
        parts.ringer.ring(kind, told, connection=connection, event_ids=ids)


def _read(lines: Sequence[LinkLine]) -> tuple[list[Wanted], list[Verdict]]:
    read = list(read_links(line.model_dump_json(exclude_none=True) for line in lines))
    wanted = [one for one in read if isinstance(one, Wanted)]
    return wanted, [one for one in read if isinstance(one, Verdict)]


def _linked(verdicts: Sequence[Verdict], *, dry_run: bool, is_refused: bool) -> Linked:
    told = sorted(verdicts, key=lambda one: one.wanted.line)
    return Linked(
        dry_run=dry_run,
        refused=is_refused,
        counts=Counter(one.problem or "linked" for one in told),
        lines=[
            Line(
                line=one.wanted.line,
                kind=one.wanted.kind,
                external_id=one.wanted.external_id,
                problem=one.problem,
                says=one.says,
                id=one.subject,
            )
            for one in told
        ],
    )

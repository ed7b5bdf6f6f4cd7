"""`/v1/endpoints`: where an application hears of changes to its directory."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Path
from pydantic import BaseModel, Field
from sqlalchemy import Connection
from starlette.responses import Response

from domain.announcements import AnnouncementType
from domain.dispatches import DeliveryError, Dispatch, EndpointState
from domain.errors import NothingFoundError, RefusedError, UsageError
from domain.outbound import check_url, parse_allowed
from worker.adapters.db import rows
from worker.adapters.db.dispatches import live_endpoint
from worker.adapters.db.endpoint_pages import deliveries_page, endpoints_page
from worker.adapters.db.engine import Changing
from worker.adapters.db.finishing import await_writers
from worker.adapters.db.outbound_rows import endpoints
from worker.adapters.db.reannouncing import SQLReannounce
from worker.adapters.db.setup import SQLSetup
from worker.adapters.db.windows import Row
from worker.adapters.sources.registry import SOURCES
from worker.adapters.vault import new_id
from worker.bootstrap import Container
from worker.services.announce import Announce
from worker.web.api.answers import reading
from worker.web.api.asking import Asking
from worker.web.api.caller import Caller, Parts, Viewer
from worker.web.api.finding import found
from worker.web.api.operating import number_before
from worker.web.api.paging import Page, PagedQuery, sealed
from worker.web.api.problems import responses
from worker.web.api.texts import Moment, Text
from worker.web.api.writing import Configures, Pauses, Replays, Told, Write

router = APIRouter(tags=["endpoints"], responses=responses(404))
WRITES = responses(400, 404, 409, 413, 415)
#: How long an answer waits for those who write at the moment.
PATIENCE = timedelta(seconds=5)
Which = Annotated[str, Path(description="Id of the endpoint.")]


class Endpoint(BaseModel):
    """Where an application listens, and how it fares."""

    id: str
    account: str
    url: str
    types: list[str] = Field(description="Of what it hears; empty for all.")
    state: EndpointState
    why: str
    created_at: datetime
    failures: int = Field(description="In a row.")
    failing_since: datetime | None
    last_error: str | None
    waiting: int = Field(description="Announcements that are not delivered yet.")


class EndpointMade(Endpoint):
    """A new endpoint."""

    signing_secret: str = Field(description="Shown this once.")


class NewEndpoint(Asking):
    """Where to send every change of an account's directory, from now on."""

    account: Text | None = None
    url: Text
    types: list[AnnouncementType] = Field(default_factory=list, max_length=50)


class Delivery(BaseModel):
    """An announcement that was sent or waits. cursor: a replay may begin after it."""

    cursor: int
    message_id: str
    type: str
    made_at: datetime
    subject: str
    sequence: int
    state: str
    attempts: int
    due_at: datetime | None
    ended_at: datetime | None
    last_error: str | None


class Tried(BaseModel):
    """What an endpoint answered to a test."""

    id: str
    status: int
    seconds: float


class Overlap(Asking):
    """How long the old secret signs, too."""

    overlap_hours: float = Field(24.0, ge=0, le=8760)


class Rotated(BaseModel):
    """A new secret, shown this once."""

    id: str
    signing_secret: str
    old_until: datetime


class Again(Asking):
    """From where announcements are sent once more: a cursor, or a time."""

    cursor: int | None = Field(None, ge=0, le=2**63 - 1)
    since: Moment | None = None
    dry_run: bool = False


class Sent(BaseModel):
    """count: how many are sent once more, or would be."""

    count: int
    dry_run: bool


class Dropped(BaseModel):
    """count: announcements that waited and are dropped."""

    count: int


@router.get("/endpoints")
def list_endpoints(caller: Viewer, parts: Parts, asked: PagedQuery) -> Page[Endpoint]:
    """In the order of their ids."""
    mine = caller.some_accounts(asked.account)
    with reading(parts) as connection:
        seen, after = endpoints_page(connection, mine, after=asked.after, limit=asked.limit)
    return Page(items=[_endpoint(row) for row in seen], next=sealed(after))


@router.post("/endpoints", status_code=201, response_model=EndpointMade, responses=WRITES)
def add_endpoint(asked: NewEndpoint, write: Configures) -> Response:
    """Send every change of an account's directory there; its secret is shown this once."""
    parts, caller = write.parts, write.caller
    owner = found(caller, parts, rows.accounts, "account", caller.one_account(asked.account))
    address = check_url(asked.url, parse_allowed(parts.settings.outbound_allow))
    secret = SOURCES["standard"].new_secret()

    def told(connection: Connection, endpoint: str) -> tuple[int, EndpointMade]:
        row = _use(write, connection).endpoint(endpoint)
        return 201, EndpointMade(**_endpoint(row).model_dump(), signing_secret=secret)

    answer = write.set_up(
        lambda use: use.add_endpoint(owner["id"], address, types=asked.types, secret=secret), told
    )
    # What is written by who began before is not announced; who takes longer is not waited for.
    await_writers(parts.database, patience=PATIENCE)
    return answer


@router.get("/endpoints/{endpoint}")
def show_endpoint(endpoint: Which, caller: Viewer, parts: Parts) -> Endpoint:
    """One endpoint, and how it fares."""
    _live(caller, parts, endpoint)
    with reading(parts) as connection:
        return _endpoint(SQLSetup(connection, parts.vault, actor="").endpoint(endpoint))


@router.get("/endpoints/{endpoint}/deliveries")
def list_deliveries(
    endpoint: Which, caller: Viewer, parts: Parts, asked: PagedQuery
) -> Page[Delivery]:
    """What was sent or waits, newest first."""
    _live(caller, parts, endpoint)
    before = number_before(asked)
    with reading(parts) as connection:
        page = deliveries_page(connection, endpoint, before=before, limit=asked.limit)
    after = str(page.after) if page.after is not None else None
    return Page(items=[Delivery(cursor=row["id"], **row) for row in page.rows], next=sealed(after))


@router.post("/endpoints/{endpoint}/test", response_model=Tried, responses=WRITES)
def try_endpoint(endpoint: Which, write: Configures) -> Response:
    """Send a signed `endpoint.test` now; nothing of it is kept or tried again."""
    parts = write.parts
    row = _live(write.caller, parts, endpoint)
    with reading(parts) as connection:
        listening = live_endpoint(connection, parts.vault, endpoint)
    message = Dispatch(
        id=0,
        endpoint=endpoint,
        message_id=new_id("msg"),
        type=AnnouncementType.ENDPOINT_TEST.value,
        sequence=0,
        data=orjson.dumps({"account": row["account_id"], "endpoint": endpoint}),
        made_at=datetime.now(UTC),
        subject=endpoint,
    )
    headers, body = parts.webhooks.compose(listening, message)
    began = time.monotonic()
    try:
        reply = parts.webhooks.post(listening.url, headers, body)
    except DeliveryError as error:
        raise RefusedError(f"{listening.url}: {error}") from error
    seconds = round(time.monotonic() - began, 3)
    tried = Tried(id=message.message_id, status=reply.status, seconds=seconds)
    return Response(tried.model_dump_json(), media_type="application/json")


@router.post("/endpoints/{endpoint}/pause", response_model=Endpoint, responses=WRITES)
def pause_endpoint(endpoint: Which, write: Pauses) -> Response:
    """Send nothing; what is announced meanwhile is kept. Say why."""
    reason = write.because()
    _live(write.caller, write.parts, endpoint)
    return write.set_up(
        lambda use: use.pause_endpoint(use.endpoint(endpoint), reason=reason),
        _shown(endpoint, write),
    )


@router.post("/endpoints/{endpoint}/resume", response_model=Endpoint, responses=WRITES)
def resume_endpoint(endpoint: Which, write: Pauses) -> Response:
    """Send again, also after it was disabled; what was kept goes out first."""
    _live(write.caller, write.parts, endpoint)
    answer = write.set_up(
        lambda use: use.resume_endpoint(use.endpoint(endpoint), reason=write.reason),
        _shown(endpoint, write),
    )
    write.parts.ring_announcements()
    return answer


@router.post("/endpoints/{endpoint}/rotate", response_model=Rotated, responses=WRITES)
def rotate_endpoint(endpoint: Which, asked: Overlap, write: Configures) -> Response:
    """C3: a new signing secret; for the overlap each request bears both signatures."""
    _live(write.caller, write.parts, endpoint)
    secret = SOURCES["standard"].new_secret()

    def act(use: SQLSetup) -> datetime:
        until = use.now + timedelta(hours=asked.overlap_hours)
        use.rotate_endpoint(use.endpoint(endpoint), secret, old_until=until)
        return until

    return write.set_up(
        act,
        lambda _c, until: (200, Rotated(id=endpoint, signing_secret=secret, old_until=until)),
    )


@router.delete("/endpoints/{endpoint}", response_model=Dropped, responses=WRITES)
def remove_endpoint(endpoint: Which, write: Configures) -> Response:
    """For good: nothing more is sent, what waits is dropped, its secrets are gone. Say why."""
    reason = write.because()
    _live(write.caller, write.parts, endpoint)
    return write.set_up(
        lambda use: use.remove_endpoint(use.endpoint(endpoint), reason=reason),
        lambda _c, dropped: (200, Dropped(count=dropped)),
    )


@router.post("/endpoints/{endpoint}/replay", response_model=Sent, responses=WRITES)
def replay_endpoint(endpoint: Which, asked: Again, write: Replays) -> Response:
    """Send once more what was announced after a cursor or a time, under its old ids. Say why."""
    reason = write.reason if asked.dry_run else write.because()
    parts = write.parts
    row = _live(write.caller, parts, endpoint)
    begin = asked.cursor if asked.cursor is not None else asked.since
    if begin is None or (asked.cursor is not None and asked.since is not None):
        raise UsageError("one of them: cursor, or since")

    def act(database: Changing) -> int:
        announce = Announce(SQLReannounce(database, parts.vault), parts.ring_announcements)
        return announce.replay(
            endpoint,
            since=begin,
            actor=write.caller.actor,
            reason=reason,
            account=row["account_id"],
            is_dry=asked.dry_run,
        )

    return write.answered(act, lambda _c, count: (200, Sent(count=count, dry_run=asked.dry_run)))


def _live(caller: Caller, parts: Container, endpoint: str) -> Row:
    """What is removed is not there any more."""
    row = found(caller, parts, endpoints, "endpoint", endpoint)
    if row["state"] == EndpointState.REMOVED.value:
        raise NothingFoundError("endpoint", endpoint)
    return row


def _use(write: Write, connection: Connection) -> SQLSetup:
    return SQLSetup(connection, write.parts.vault, actor=write.caller.actor)


def _shown(endpoint: str, write: Write) -> Told:
    def told(connection: Connection, _done: object) -> tuple[int, Endpoint]:
        return 200, _endpoint(_use(write, connection).endpoint(endpoint))

    return told


def _endpoint(row: Any) -> Endpoint:
    fields = {name: row[name] for name in Endpoint.model_fields if name in row}
    return Endpoint(account=row["account_id"], **fields)

"""`/v1/connections`: identity providers attached to an account (C1, C2, C7)."""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query
from pydantic import BaseModel, Field
from sqlalchemy import Connection as Open
from sqlalchemy import select
from starlette.requests import Request
from starlette.responses import Response

from domain.addressing import check_rule
from domain.connecting import check_name, check_settings, parse_scope
from domain.errors import RefusedError, UsageError
from domain.policy import CONNECTION_SETTINGS, Scope, ScopeRule
from domain.ports import Source
from worker.adapters.db import bulk, rows
from worker.adapters.db.reading_gauges import caught_up
from worker.adapters.db.retiring import Farewell
from worker.adapters.db.setup import SQLSetup
from worker.adapters.sources.registry import SOURCES
from worker.web.api.answers import IfMatch, matched, reading, tagged
from worker.web.api.asking import Asking
from worker.web.api.caller import Parts, Viewer
from worker.web.api.feeds import Credential, Feed, credential, feed_of, source_of
from worker.web.api.finding import found
from worker.web.api.paging import Page, PagedQuery, sealed
from worker.web.api.problems import responses
from worker.web.api.texts import Shown, Text
from worker.web.api.writing import Configures, Pauses, Write

router = APIRouter(tags=["connections"], responses=responses(404))
WRITES = responses(400, 404, 409, 413, 415)
Which = Annotated[str, Path(description="Id of the connection.")]
DryRun = Annotated[bool, Query(description="Tell what would happen, do nothing.")]


class Connection(BaseModel):
    """One identity provider of an account."""

    id: str
    account: str
    name: str
    source: str
    state: str
    scope: str = Field(description="Whom it provisions: everyone, groups:ID,.., assignment:APP.")
    settings: dict[str, str] = Field(description="What was set; all else is as by default.")
    created_at: datetime


class CatchUp(BaseModel):
    """Its identity provider's log, which is read for what hooks did not bring."""

    read_at: datetime | None = Field(description="When it last answered.")
    due_at: datetime = Field(description="When it is read next.")
    found: int = Field(description="Events that had not come by themselves.")
    known: int = Field(description="Events that had.")
    why: str = Field(description="What keeps it from being read; empty for nothing.")


class ConnectionShown(Connection):
    """A connection with its feeds."""

    backfilled_at: datetime | None = Field(description="When its whole list was read last (S4).")
    caught_up: CatchUp | None = Field(description="Null where no log is read.")
    feeds: list[Feed]


class ConnectionMade(Connection):
    """A new connection with what is shown this once."""

    feed: Feed
    signing_secret: str
    bearer_token: str


class NewConnection(Credential):
    """A connection with its first feed."""

    account: Text | None = None
    source: Text
    name: Shown | None = Field(None, description="Default: the source's.")
    scope: Text | None = Field(None, description="everyone, groups:ID,.. or assignment:APP.")
    settings: dict[Text, Text] = Field(default_factory=dict, max_length=100)
    observe: bool = Field(False, description="Store and hold everything for now (S4).")


class State(BaseModel):
    """events: how many were held, or go on."""

    id: str
    state: str
    events: int


class Retired(BaseModel):
    """What a retirement comes to."""

    connection: str
    dry_run: bool
    people: int = Field(description="Who leave management as they are; nobody is mailed.")
    invitations: int
    pending: int
    groups: int
    events: int
    letters: int
    credentials: int


class Setting(BaseModel):
    """A setting of a connection."""

    name: str
    value: str
    default: str
    rule: str
    says: str


class Settings(BaseModel):
    """All of them."""

    items: list[Setting]


class Changed(Asking):
    """What is to be another; the rest stays."""

    settings: dict[Text, Text] = Field(min_length=1, max_length=100)


@router.get("/connections")
def list_connections(caller: Viewer, parts: Parts, asked: PagedQuery) -> Page[Connection]:
    """In the order of their ids; retired ones, too."""
    table, mine = rows.connections, caller.some_accounts(asked.account)
    statement = select(table).where(table.c.id > asked.after).order_by(table.c.id)
    with reading(parts) as open_:
        if mine is not None:
            statement = statement.where(bulk.among(table.c.account_id, sorted(mine), open_))
        seen = open_.execute(statement.limit(asked.limit + 1)).mappings().all()
    items = [connection_of(row) for row in seen[: asked.limit]]
    return Page(items=items, next=sealed(items[-1].id if len(seen) > asked.limit else None))


@router.post("/connections", status_code=201, response_model=ConnectionMade, responses=WRITES)
def add_connection(asked: NewConnection, write: Configures) -> Response:
    """Attach an identity provider; its secrets are shown this once."""
    caller, parts = write.caller, write.parts
    owner = found(caller, parts, rows.accounts, "account", caller.one_account(asked.account))
    source = source_of(asked.source)
    wanted = _scope(asked, source)
    told = checked_settings(asked.settings, source)
    name = check_name(asked.name or asked.source)
    secret = credential(source, asked, parts)

    def made(open_: Open, new: Any) -> tuple[int, ConnectionMade]:
        table, feeds = rows.connections, rows.feeds
        row = open_.execute(select(table).where(table.c.id == new.id)).mappings().one()
        feed = open_.execute(select(feeds).where(feeds.c.id == new.feed)).mappings().one()
        return 201, ConnectionMade(
            **connection_of(row).model_dump(),
            feed=feed_of(feed, parts),
            signing_secret=new.signing_secret,
            bearer_token=new.bearer_token,
        )

    return write.set_up(
        lambda use: use.add_connection(
            owner,
            name=name,
            source=asked.source,
            scope=wanted,
            settings=told,
            secret=secret,
            observe=asked.observe,
        ),
        made,
    )


def _scope(asked: NewConnection, source: Source) -> Scope:
    if source.needs_scope and asked.scope is None and asked.observe:
        # It may observe without; going live asks for one (S1).
        return Scope(ScopeRule.UNSET)
    return parse_scope(asked.scope, needs_scope=source.needs_scope, source=source.name)


@router.get(
    "/connections/{connection}",
    response_model=ConnectionShown,
    responses={304: {"description": "As it was."}},
)
def show_connection(connection: Which, caller: Viewer, parts: Parts, request: Request) -> Response:
    """One connection with its feeds."""
    return tagged(
        request, _shown(found(caller, parts, rows.connections, "connection", connection), parts)
    )


def _shown(row: Any, parts: Parts) -> ConnectionShown:
    with reading(parts) as open_:
        use = SQLSetup(open_, parts.vault, actor="")
        feeds = [feed_of(one, parts) for one in use.feeds(row["id"])]
        backfilled = use.backfilled_at(row["id"])
        read = next(iter(caught_up(open_, row["id"])), None)
    told = {} if read is None else asdict(read)
    log = CatchUp(**{n: told[n] for n in CatchUp.model_fields}) if told else None
    known = connection_of(row).model_dump()
    return ConnectionShown(**known, feeds=feeds, backfilled_at=backfilled, caught_up=log)


@router.post("/connections/{connection}/pause", response_model=State, responses=WRITES)
def pause_connection(connection: Which, write: Pauses) -> Response:
    """C2: hold everything that comes, until resumed. Say why."""
    return _become(connection, "paused", write, write.because())


@router.post("/connections/{connection}/resume", response_model=State, responses=WRITES)
def resume_connection(connection: Which, write: Pauses) -> Response:
    """C2: apply what was held, and everything from now on."""
    return _become(connection, "active", write, write.reason)


def _become(connection: str, state: str, write: Write, reason: str) -> Response:
    found(write.caller, write.parts, rows.connections, "connection", connection)
    return write.set_up(
        lambda use: use.set_connection_state(use.connection(connection), state, reason=reason),
        lambda _open, moved: (200, State(id=connection, state=state, events=moved)),
    )


@router.post("/connections/{connection}/retire", response_model=Retired, responses=WRITES)
def retire_connection(connection: Which, write: Configures, *, dry_run: DryRun = False) -> Response:
    """C7: turn provisioning off for good: nobody is suspended, nobody is mailed. Say why."""
    reason = write.reason if dry_run else write.because()
    found(write.caller, write.parts, rows.connections, "connection", connection)
    if not dry_run:
        write.parts.reading.end_subscriptions(connection)

    def act(use: SQLSetup) -> Farewell:
        row = use.connection(connection)
        return use.farewell(row) if dry_run else use.retire_connection(row, reason=reason)

    return write.set_up(
        act,
        lambda _open, told: (
            200,
            Retired(connection=connection, dry_run=dry_run, **asdict(told)),
        ),
    )


@router.get(
    "/connections/{connection}/settings",
    response_model=Settings,
    responses={304: {"description": "As it was."}},
)
def list_settings(connection: Which, caller: Viewer, parts: Parts, request: Request) -> Response:
    """D18: every setting with its value, its default and what it means."""
    row = found(caller, parts, rows.connections, "connection", connection)
    return tagged(request, settings_shown(row))


@router.patch(
    "/connections/{connection}/settings",
    response_model=Settings,
    responses=responses(400, 404, 409, 412, 413, 415),
)
def change_settings(
    connection: Which, asked: Changed, write: Configures, if_match: IfMatch = None
) -> Response:
    """D18: from the next event on. Say why. Another `address` is a change of its own (E9)."""
    reason = write.because()
    row = found(write.caller, write.parts, rows.connections, "connection", connection)
    if "address" in asked.settings:
        raise UsageError("settings.address: POST /v1/connections/{connection}/address")
    told = checked_settings(asked.settings, SOURCES[row["source"]])

    def act(use: SQLSetup) -> None:
        use.lock_connection(connection)
        now = use.connection(connection)
        matched(if_match, settings_shown(now))
        use.change_settings(now, told, reason=reason)

    def after(open_: Open, _none: None) -> tuple[int, Settings]:
        mine = select(rows.connections).where(rows.connections.c.id == connection)
        return 200, settings_shown(open_.execute(mine).mappings().one())

    return write.set_up(act, after)


def checked_settings(given: dict[str, str], source: Source) -> dict[str, str]:
    """Settings for a connection of this source; raises UsageError."""
    told = check_settings(given)
    if "address" in told:
        check_rule(told["address"], source.addresses, source.name)
    if told.get("tenant") and not source.tells_tenant:
        raise UsageError(f"settings.tenant: source {source.name} speaks for one customer")
    return told


def settings_shown(row: Any) -> Settings:
    """All of a connection."""
    told: dict[str, str] = json.loads(row["settings"])
    return Settings(
        items=[
            Setting(
                name=name,
                value=told.get(name, setting.default),
                default=setting.default,
                rule=setting.rule,
                says=setting.says,
            )
            for name, setting in sorted(CONNECTION_SETTINGS.items())
        ]
    )


def connection_of(row: Any) -> Connection:
    """A connection as answers show it."""
    keys = ",".join(json.loads(row["scope_keys"]))
    return Connection(
        **{name: row[name] for name in ("id", "name", "source", "state", "created_at")},
        account=row["account_id"],
        scope=f"{row['scope_rule']}:{keys}" if keys else row["scope_rule"],
        settings=json.loads(row["settings"]),
    )


def insist_observing(row: Any) -> None:
    """Raises RefusedError for a connection that does not observe (S4)."""
    if row["state"] != "observing":
        raise RefusedError(f"connection {row['id']} is {row['state']}: it has no plan")

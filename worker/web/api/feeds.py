"""`/v1/feeds`: the ways in which one identity provider speaks (C3)."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Annotated, Any

from fastapi import APIRouter, Path
from pydantic import BaseModel, Field
from sqlalchemy import Connection, select
from starlette.responses import Response

from domain.errors import RefusedError, UsageError
from domain.outbound import check_url, parse_allowed
from domain.ports import Source
from worker.adapters.db import rows
from worker.adapters.db.setup import SQLSetup
from worker.adapters.sources.registry import SOURCES
from worker.adapters.sources.scim import NAME as SCIM
from worker.bootstrap import Container
from worker.web.api.answers import reading
from worker.web.api.asking import Asking
from worker.web.api.caller import Parts, Viewer
from worker.web.api.finding import found, found_feed
from worker.web.api.paging import Page
from worker.web.api.problems import responses
from worker.web.api.texts import Text
from worker.web.api.writing import Configures, Pauses, Write

router = APIRouter(tags=["feeds"], responses=responses(404))
WRITES = responses(400, 404, 409, 413, 415)
Which = Annotated[str, Path(description="Id of the feed.")]
OfConnection = Annotated[str, Path(description="Id of the connection.")]


class Feed(BaseModel):
    """One way in. hook_url: empty for SCIM, which has scim_url."""

    id: str
    connection: str
    source: str
    state: str
    created_at: datetime
    last_heard_at: datetime | None
    hook_url: str
    scim_url: str


class FeedMade(Feed):
    """A new feed with what is shown this once."""

    signing_secret: str | None
    bearer_token: str | None


class Credential(Asking):
    """What proves the sender: its own secret, whom to trust, or neither to have one made."""

    secret: Text | None = Field(None, description="The sender's own, where it gives one out.")
    trust: dict[Text, Text] = Field(
        default_factory=dict, max_length=10, description="issuer, audience, jwks_url."
    )


class NewFeed(Credential):
    """A further feed of a connection."""

    source: Text


class Rotation(Credential):
    """Another secret."""

    overlap_hours: float = Field(24.0, ge=0, le=8760, description="How long the old one lives.")


class Rotated(BaseModel):
    """A new secret, shown this once."""

    id: str
    signing_secret: str
    old_until: datetime


class Moved(BaseModel):
    """events: how many were held, or go on."""

    id: str
    state: str
    events: int


@router.get("/connections/{connection}/feeds")
def list_feeds(connection: OfConnection, caller: Viewer, parts: Parts) -> Page[Feed]:
    """Feeds of a connection, oldest first; all on one page."""
    found(caller, parts, rows.connections, "connection", connection)
    table = rows.feeds
    mine = select(table).where(table.c.connection_id == connection).order_by(table.c.created_at)
    with reading(parts) as open_:
        seen = open_.execute(mine).mappings().all()
    return Page(items=[feed_of(row, parts) for row in seen], next=None)


@router.get("/feeds/{feed}")
def show_feed(feed: Which, caller: Viewer, parts: Parts) -> Feed:
    """One feed."""
    return feed_of(found_feed(caller, parts, feed), parts)


@router.post(
    "/connections/{connection}/feeds",
    status_code=201,
    response_model=FeedMade,
    responses=WRITES,
)
def add_feed(connection: OfConnection, asked: NewFeed, write: Configures) -> Response:
    """A further feed: it shares the connection's people and external ids."""
    parts = write.parts
    told = credential(source_of(asked.source), asked, parts)
    row = found(write.caller, parts, rows.connections, "connection", connection)

    def act(use: SQLSetup) -> tuple[str, str | None]:
        account = row["account_id"]
        feed = use.add_feed(account, connection, source=asked.source, secret=told)
        if asked.source != SCIM:
            return feed, None
        return feed, use.add_feed_token(account, feed, name=f"{row['name']} SCIM")

    def made(open_: Connection, done: tuple[str, str | None]) -> tuple[int, FeedMade]:
        feed, token = done
        seen = open_.execute(select(rows.feeds).where(rows.feeds.c.id == feed)).mappings().one()
        secret = None if token is not None else told
        shown = feed_of(dict(seen), parts).model_dump()
        return 201, FeedMade(**shown, signing_secret=secret, bearer_token=token)

    return write.set_up(act, made)


@router.post("/feeds/{feed}/rotate", response_model=Rotated, responses=WRITES)
def rotate(feed: Which, asked: Rotation, write: Configures) -> Response:
    """A new signing secret; the old one lives on for the overlap."""
    row = found_feed(write.caller, write.parts, feed)
    if row["state"] == "retired" or row["source"] not in SOURCES:
        raise RefusedError(f"feed {feed} takes no secret: it is retired, or rosterd's own")
    if row["source"] == SCIM:
        raise RefusedError(f"feed {feed} takes bearer tokens: POST /v1/tokens with this feed")
    told = credential(SOURCES[row["source"]], asked, write.parts)

    def act(use: SQLSetup) -> datetime:
        until = use.now + timedelta(hours=asked.overlap_hours)
        use.rotate_secret(row["account_id"], feed, told, old_until=until)
        return until

    return write.set_up(
        act, lambda _c, until: (200, Rotated(id=feed, signing_secret=told, old_until=until))
    )


@router.post("/feeds/{feed}/pause", response_model=Moved, responses=WRITES)
def pause_feed(feed: Which, write: Pauses) -> Response:
    """Hold what this feed says, until resumed; the other feeds go on. Say why."""
    return _become(feed, "paused", write, write.because())


@router.post("/feeds/{feed}/resume", response_model=Moved, responses=WRITES)
def resume_feed(feed: Which, write: Pauses) -> Response:
    """Apply what was held, and everything from now on."""
    return _become(feed, "active", write, write.reason)


@router.post("/feeds/{feed}/retire", response_model=Moved, responses=WRITES)
def retire_feed(feed: Which, write: Configures) -> Response:
    """Close this way in for good: 401 from now on; what it has told is kept. Say why."""
    return _become(feed, "retired", write, write.because())


def _become(feed: str, state: str, write: Write, reason: str) -> Response:
    found_feed(write.caller, write.parts, feed)
    return write.set_up(
        lambda use: use.set_feed_state(use.feed(feed), state, reason=reason),
        lambda _c, moved: (200, Moved(id=feed, state=state, events=moved)),
    )


def source_of(name: str) -> Source:
    """The adapter of a source; raises UsageError."""
    if name not in SOURCES:
        raise UsageError(f"source: there are: {', '.join(sorted(SOURCES))}")
    return SOURCES[name]


def credential(source: Source, asked: Credential, parts: Container) -> str:
    """What is stored for a feed of this source; raises UsageError."""
    told = dict(asked.trust)
    if "jwks_url" in told:
        check_url(told["jwks_url"], parse_allowed(parts.settings.outbound_allow))
    return source.credential(asked.secret, told)


def feed_of(row: Any, parts: Container) -> Feed:
    """A feed as answers show it."""
    url = parts.settings.public_url.rstrip("/")
    is_scim = row["source"] == SCIM
    same = ("id", "source", "state", "created_at", "last_heard_at")
    return Feed(
        **{name: row[name] for name in same},
        connection=row["connection_id"],
        hook_url="" if is_scim else f"{url}/hooks/{row['id']}",
        scim_url=f"{url}/scim/v2" if is_scim else "",
    )

"""`/v1/feeds/{feed}/recordings`: a feed's last requests without anybody's data, for a report."""

from __future__ import annotations

import secrets
from base64 import b64encode
from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Path
from pydantic import BaseModel, Field
from sqlalchemy import Connection
from starlette.responses import Response

from domain.disguise import Disguise
from domain.errors import RefusedError
from worker.adapters.db.recorded import Delivered, last_delivered
from worker.adapters.db.setup import SQLSetup
from worker.adapters.recording import recorded
from worker.adapters.sources.registry import SOURCES
from worker.web.api.asking import Asking
from worker.web.api.finding import found_feed
from worker.web.api.problems import responses
from worker.web.api.writing import Records

router = APIRouter(tags=["feeds"], responses=responses(404))
MOST = 200


class RecordingAsked(Asking):
    """How many requests."""

    last: int = Field(10, ge=1, le=MOST, description="Those that came last.")


class RecordedRequest(BaseModel):
    """A disguised request, as `POST /sources/check` takes one, without a proof."""

    received_at: datetime
    headers: dict[str, str]
    body: str
    body_base64: bool = True
    is_cut: bool = Field(description="Passwords were cut before it was stored.")
    is_faithful: bool = Field(description="Its source makes of it what it made of the real one.")
    asked: list[dict[str, Any]]
    events: list[dict[str, Any]] = Field(description="What became of the real one's.")


class Recording(BaseModel):
    """What was recorded, oldest first. kept_back: how many still held an address."""

    feed: str
    source: str
    requests: list[RecordedRequest]
    kept_back: int


@router.post(
    "/feeds/{feed}/recordings",
    response_model=Recording,
    responses=responses(400, 404, 409, 413, 415),
)
def record(
    feed: Annotated[str, Path(description="Id of the feed.")],
    asked: RecordingAsked,
    write: Records,
) -> Response:
    """The last requests of a feed: names, addresses and numbers replaced, their shape kept."""
    row = found_feed(write.caller, write.parts, feed)
    if row["source"] not in SOURCES:
        raise RefusedError(f"feed {feed} is rosterd's own: nobody posts to it")

    def act(use: SQLSetup) -> Recording:
        found = use.feed(feed)
        told = {"last": asked.last}
        account = found["account_id"]
        use.audit(account, "feed.recorded", feed, reason=write.reason, after=told)
        vault, connection = write.parts.vault, found["connection_id"]
        kept = last_delivered(use.sql, vault, connection, feed, asked.last)
        return _recording(feed, row["source"], kept)

    def made(_: Connection, done: Recording) -> tuple[int, Recording]:
        return 200, done

    return write.set_up(act, made)


def _recording(feed: str, source: str, kept: list[Delivered]) -> Recording:
    disguise = Disguise(secrets.token_bytes(32))
    found = [(one, recorded(SOURCES[source], one.headers, one.body, disguise)) for one in kept]
    requests = [
        RecordedRequest(
            received_at=one.received_at,
            headers=dict(made.headers),
            body=b64encode(made.body).decode(),
            is_cut=one.is_cut,
            is_faithful=made.is_faithful,
            asked=made.asked,
            events=[dict(event) for event in one.events],
        )
        for one, made in found
        if made.body is not None
    ]
    kept_back = len(found) - len(requests)
    return Recording(feed=feed, source=source, requests=requests, kept_back=kept_back)

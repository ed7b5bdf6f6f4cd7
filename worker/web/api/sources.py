"""`/v1/sources`: the kinds of interface behind feeds, and a captured request looked at."""

from __future__ import annotations

from base64 import b64decode
from binascii import Error
from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import APIRouter
from pydantic import BaseModel, Field, StringConstraints

from domain.errors import UsageError
from domain.ports import Request, SigningSecret, Source
from worker.adapters.db.setup import feed_view
from worker.adapters.request_check import looked_at
from worker.adapters.sources.detection import detected
from worker.adapters.sources.registry import SOURCES
from worker.bootstrap import Container
from worker.web.api.answers import reading
from worker.web.api.caller import Configurer, Parts, Viewer
from worker.web.api.feeds import Credential, credential, source_of
from worker.web.api.finding import found_feed
from worker.web.api.paging import Page
from worker.web.api.problems import responses
from worker.web.api.texts import Moment, Text

router = APIRouter(tags=["sources"], responses=responses(404))
LONGEST = 1_000_000


class SourceShown(BaseModel):
    """A kind of interface."""

    name: str
    needs_scope: bool = Field(description="It speaks of a whole organisation (S1).")
    addresses: list[str] = Field(description="What may be the address besides its own (E9).")


class Captured(Credential):
    """A request as it came, and what it is judged by."""

    method: Annotated[Text, StringConstraints(pattern="^[A-Z]{3,7}$")] = "POST"
    headers: dict[Text, Annotated[str, StringConstraints(max_length=20_000)]] = Field(
        default_factory=dict, max_length=100
    )
    query: dict[Text, Text] = Field(default_factory=dict, max_length=100)
    body: str = Field(max_length=LONGEST, description="As text; or see body_base64.")
    body_base64: bool = False
    source: Text | None = Field(None, description="Default: told from the request.")
    feed: Text | None = Field(None, description="Prove it by this feed's secrets.")
    at: Moment | None = Field(None, description="As of this time; default: now.")


class Looked(BaseModel):
    """What the request is. authentic: null where nothing to prove it by was given."""

    source: str
    detected: list[str]
    authentic: bool | None
    why: str
    handshake: str | None = None
    unparseable: str | None = None
    answer: int | None = Field(None, description="The status that it would be answered with.")
    is_cut: bool | None = None
    events: list[dict[str, Any]]


@router.get("/sources")
def list_sources(_caller: Viewer) -> Page[SourceShown]:
    """All on one page."""
    return Page(
        items=[
            SourceShown(name=name, needs_scope=one.needs_scope, addresses=list(one.addresses))
            for name, one in sorted(SOURCES.items())
        ],
        next=None,
    )


@router.post("/sources/check", responses=responses(400, 404, 409, 413, 415))
def check_request(asked: Captured, caller: Configurer, parts: Parts) -> Looked:
    """Which source sends such a request, whether it is authentic, what it asks. Nothing stored."""
    request = Request(
        asked.method,
        {name.lower(): value for name, value in asked.headers.items()},
        _body(asked),
        asked.query,
    )
    view: Any = None
    if asked.feed is not None:
        found_feed(caller, parts, asked.feed)
        with reading(parts) as connection:
            view = feed_view(connection, parts.vault, asked.feed)
    known = detected(request)
    name = asked.source or (view.source if view is not None else None) or next(iter(known), None)
    if name is None:
        raise UsageError("source: no source sends such a request, say which")
    source = source_of(name)
    secrets = list(view.secrets) if view is not None else _secrets(source, asked, parts)
    told = looked_at(source, request, secrets, asked.at or datetime.now(UTC), parts.key_ring)
    return Looked(source=source.name, detected=known, **told)


def _body(asked: Captured) -> bytes:
    try:
        return b64decode(asked.body, validate=True) if asked.body_base64 else asked.body.encode()
    except (Error, ValueError):
        raise UsageError("body: no base 64, or no text") from None


def _secrets(source: Source, asked: Captured, parts: Container) -> list[SigningSecret]:
    if asked.secret is None and not asked.trust:
        return []
    return [SigningSecret("given", credential(source, asked, parts))]

"""`/v1/events`: what came in, and what became of it."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query
from pydantic import BaseModel, Field
from starlette.requests import Request
from starlette.responses import Response

from domain.errors import NothingFoundError
from domain.keys import row_number
from domain.permissions import Permission
from worker.bootstrap import Container
from worker.web.api.answers import tagged
from worker.web.api.caller import Caller, Parts, Viewer
from worker.web.api.finding import known_connection
from worker.web.api.operating import (
    Entry,
    Event,
    EventsAsked,
    EventsQuery,
    entry_of,
    event_of,
    number_before,
)
from worker.web.api.paging import Page, sealed
from worker.web.api.problems import responses
from worker.web.api.texts import Text

router = APIRouter(tags=["events"], responses=responses(404))
#: Events that a tail tells again as they are now, at most.
WATCHED = 100


class Tail(BaseModel):
    """What came since a cursor, oldest first. An event is told two seconds after it came."""

    items: list[Event]
    next: str = Field(description="Where to go on; always given.")


class TailAsked(EventsAsked):
    """Filters of a tail; without a cursor it begins now."""

    watch: Annotated[list[Text], Field(max_length=WATCHED)] = Field(
        default_factory=list, description="Ids of events to be told again as they are now."
    )


class Attempt(BaseModel):
    """One try, or a replay of it."""

    at: datetime
    outcome: str
    reason: str | None
    detail: str
    worker: str


class Superseder(BaseModel):
    """The event whose word counts instead; id: null where it is not kept any more."""

    id: int | None
    type: str | None = None
    external_id: str | None = None


class Received(BaseModel):
    """The request that brought the event. body: null unless it was asked for, or is gone."""

    received_at: datetime
    credential: str | None = Field(description="Id of the secret or token that proved it.")
    headers: dict[str, str]
    cut: bool = Field(description="Whether secrets were cut from the body.")
    body: str | None
    redacted: bool = Field(description="Whether what the body says of people is hidden.")


class ReadAtIdP(BaseModel):
    """What was last asked at the identity provider about the event's person or group."""

    what: str = Field(description="person, group or membership; ending in _at, by address.")
    is_open: bool = Field(description="It is still to be asked, or asked again.")
    wanted_at: datetime = Field(description="By the newest event that needs it.")
    asked_at: datetime | None
    true_at: datetime | None = Field(description="When the last answer was true, by its clock.")
    attempts: int = Field(description="In a row, without an answer.")
    last_error: str | None


class Letter(BaseModel):
    """The dead letter of an event."""

    state: str
    reason: str
    fingerprint: str
    first_error: str
    last_error: str
    first_at: datetime
    last_at: datetime
    attempts: int
    note: str


class Mailed(BaseModel):
    """A link that was opened for a person, and the mails that carry it."""

    person: str
    kind: str
    address: str
    state: str
    mails: list[dict[str, Any]]


class Story(BaseModel):
    """All that is known of an event."""

    event: Event
    clamped: bool = Field(description="Whether its time was no believable one.")
    superseded_by: Superseder | None
    delivery: Received | None = Field(description="Null once retention has let it go.")
    read: ReadAtIdP | None
    attempts: list[Attempt]
    dead_letter: Letter | None
    decisions: list[dict[str, Any]]
    changes: list[Entry]
    mails: list[Mailed]
    replays: list[dict[str, Any]] = Field(description="Newest first: state, reason, outcome.")
    edited_as: list[dict[str, Any]] = Field(description="Events that it was edited into.")
    edited_from: list[dict[str, Any]] = Field(description="The event that it was made of.")


@router.get("/events")
def list_events(caller: Viewer, parts: Parts, asked: EventsQuery) -> Page[Event]:
    """Newest first."""
    wanted = asked.filter(caller.some_accounts(asked.account))
    known_connection(caller, parts, asked.connection)
    page = parts.readings.events.page(wanted, before=number_before(asked), limit=asked.limit)
    after = str(page.after) if page.after is not None else None
    return Page(items=[event_of(row) for row in page.rows], next=sealed(after))


@router.get("/events/tail")
def tail_events(caller: Viewer, parts: Parts, asked: Annotated[TailAsked, Query()]) -> Tail:
    """What comes from now on, and what became of it: a cursor that goes forward."""
    wanted = asked.filter(caller.some_accounts(asked.account))
    known_connection(caller, parts, asked.connection)
    events = parts.readings.events
    after = number_before(asked)
    begin = events.newest() if after is None else after
    watched = [row_number(ref, "event") for ref in asked.watch]
    found, then = events.coming(wanted, after=begin, limit=asked.limit, watched=watched)
    # Of a cursor nothing is left out; 0 would be no text.
    return Tail(items=[event_of(row) for row in found], next=sealed(f"{then}") or "")


@router.get("/events/{event}", response_model=Story, responses={304: {"description": "As it was."}})
def show_event(
    event: Annotated[str, Path(description="Id of the event.")],
    caller: Viewer,
    parts: Parts,
    request: Request,
    *,
    body: Annotated[bool, Query(description="With the request's body.")] = False,
) -> Response:
    """One event's whole story. Without `view_bodies` the body tells nothing of people."""
    return tagged(request, _story(caller, parts, event, with_body=body))


def _story(caller: Caller, parts: Container, event: str, *, with_body: bool) -> Story:
    number = row_number(event, "event")
    account = parts.readings.events.account_of(number)
    if account is None:
        raise NothingFoundError("event", event)
    caller.check("event", event, account)
    may_read = caller.may(Permission.VIEW_BODIES)
    return story_of(
        parts.readings.events.story(number, with_body=with_body, may_read=may_read),
        may_read=may_read,
    )


def story_of(found: dict[str, Any], *, may_read: bool) -> Story:
    """The reading as the answer has it."""
    delivery, letter = found.get("delivery"), found["dead_letter"]
    return Story(
        event=event_of(found),
        clamped=found["is_clamped"],
        superseded_by=Superseder(**found["superseded_by"]) if found["superseded_by"] else None,
        delivery=Received(
            **{name: delivery[name] for name in ("received_at", "credential", "headers")},
            cut=delivery["is_cut"],
            body=found.get("body"),
            redacted="body" in found and not may_read,
        )
        if delivery is not None
        else None,
        read=ReadAtIdP(**found["read"]) if found["read"] is not None else None,
        attempts=[Attempt(**one) for one in found["attempts_made"]],
        dead_letter=Letter(**letter) if letter is not None else None,
        decisions=found["decisions"],
        changes=[entry_of(one) for one in found["changes"]],
        mails=[Mailed(**one) for one in found["notices"]],
        **{name: found[name] for name in ("replays", "edited_as", "edited_from")},
    )

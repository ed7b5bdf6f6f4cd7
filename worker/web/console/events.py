"""Events: searched, followed, and each with its story."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from starlette.responses import Response
from starlette.routing import Route

from domain.errors import UsageError
from domain.inbox import Kind, Outcome, Reason, State
from domain.moments import parse_moment
from domain.permissions import Permission
from worker.adapters.db.event_queries import event_story
from worker.adapters.db.event_search import OPEN, EventFilter, search_events
from worker.adapters.db.names import connections_of, feed_source
from worker.adapters.db.uow import database_now
from worker.adapters.sources.registry import SOURCES
from worker.web.console.bodies import shape_of, shown_body
from worker.web.console.call import Call
from worker.web.console.frame import Frame, Live

PAGE = 50
STATES = (OPEN, *(state.value for state in State))
#: Fields of the filter, in the order of the form.
FIELDS = (
    *("subject", "email", "external_id", "account", "connection", "source", "type", "kind"),
    *("state", "outcome", "reason", "replay", "since", "until"),
)
#: Those of which the value is one of a few.
KNOWN: dict[str, tuple[str, ...]] = {
    "state": STATES,
    "outcome": tuple(Outcome),
    "reason": tuple(Reason),
    "kind": tuple(Kind),
    "source": tuple(sorted(SOURCES)),
}


def routes(frame: Frame) -> list[Route]:
    """The search with its stream, and one event."""
    search = Live("/events", "/events/stream", "events.html", "events_part.html", _found)
    return [*frame.live(search), frame.page("/events/{id}", _event)]


def event_filter(call: Call, now: datetime) -> EventFilter:
    """What the address asks for; raises UsageError."""
    told = {name: call.text(name) or None for name in FIELDS}
    for name, words in KNOWN.items():
        if told[name] is not None and told[name] not in words:
            raise UsageError(f"{name} is one of {', '.join(words)}, not {told[name]!r}")
    times = {
        name: parse_moment(text, now) if (text := told.pop(name)) else None
        for name in ("since", "until")
    }
    before = call.number("before")
    return EventFilter(accounts=call.asker.accounts, before=before, **told, **times)  # type: ignore[arg-type]


def _found(call: Call) -> dict[str, Any]:
    with call.reading() as connection:
        now = database_now(connection)
        wanted = event_filter(call, now)
        page = search_events(connection, wanted, limit=PAGE)
        known = connections_of(connection, call.asker.accounts)
    asked = {name: call.text(name) for name in FIELDS}
    return {
        "now": now,
        "page": page,
        "asked": asked,
        "is_asked": any(asked.values()),
        "known": known,
        "choices": KNOWN,
        "is_first": wanted.before is None,
        "older": call.link("/events", **asked, before=page.after) if page.after else None,
        "newest": call.link("/events", **asked),
    }


def _event(call: Call) -> Response:
    number = call.id("event")
    sees_bodies = call.may(Permission.VIEW_BODIES)
    with call.reading() as connection:
        story = event_story(connection, number, vault=call.parts.vault, with_body=True)
        call.asker.check_account("event", str(number), story["account_id"])
        known = {one["id"]: one for one in connections_of(connection, None)}
        source = feed_source(connection, story["feed_id"])
    whole = str(story.pop("body", ""))
    body, is_short = shown_body(whole) if sees_bodies else (shape_of(whole), False)
    return call.render(
        "event.html",
        event=story,
        body=body,
        is_short=is_short,
        source=source,
        of=known.get(story["connection_id"]),
        sees_bodies=sees_bodies,
    )

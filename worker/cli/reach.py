"""`rosterd connection check` and `watch`: does a request come through, and does the IdP's?"""

from __future__ import annotations

import time
import urllib.error
from collections.abc import Callable
from typing import Annotated, Any

import typer
from sqlalchemy import select

from domain.errors import NothingFoundError, RefusedError
from worker.adapters.db import rows
from worker.adapters.db.event_queries import list_events
from worker.adapters.db.setup import feed_view
from worker.adapters.sources.registry import SOURCES
from worker.adapters.sources.scim import NAME as SCIM
from worker.adapters.sources.trust import Trust
from worker.adapters.vault import new_id
from worker.cli.output import AsJSON, as_json, out
from worker.cli.sender import Hook, Sender
from worker.cli.session import container, reading, setup

#: A type that no source knows: authenticated, stored and ignored, so that nobody is touched.
CHECKED_TYPE = "rosterd.connection_check"
_SPEAK: dict[str, Callable[[Sender], int]] = {
    "standard": lambda sender: sender.standard(CHECKED_TYPE, {"id": "check"}),
    "okta": lambda sender: sender.okta(CHECKED_TYPE),
    "workos": lambda sender: sender.workos(CHECKED_TYPE, {"id": "check"}),
    "entra": lambda sender: sender.speak(
        "entra", {"value": [{"id": new_id("evt"), "changeType": CHECKED_TYPE}]}
    ),
    "auth0": lambda sender: sender.speak("auth0", {"id": new_id("evt"), "type": CHECKED_TYPE}),
    "fusionauth": lambda sender: sender.speak(
        "fusionauth", {"event": {"id": new_id("evt"), "type": CHECKED_TYPE}}
    ),
    "google": lambda sender: sender.speak(
        "google",
        {
            "kind": "admin#reports#activity",
            "id": {"applicationName": "rosterd", "time": new_id("evt"), "uniqueQualifier": "1"},
            "events": [{"name": CHECKED_TYPE.partition(".")[2]}],
        },
    ),
    "keycloak": lambda sender: sender.speak(
        "keycloak", {"uid": new_id("evt"), "type": CHECKED_TYPE}
    ),
    "zitadel": lambda sender: sender.speak(
        "zitadel", {"aggregateID": new_id("evt"), "sequence": 1, "event_type": CHECKED_TYPE}
    ),
    "pingone": lambda sender: sender.speak(
        "pingone", [{"id": new_id("evt"), "action": {"type": CHECKED_TYPE}}]
    ),
    "onelogin": lambda sender: sender.speak(
        "onelogin", [{"uuid": new_id("evt"), "event_type_id": CHECKED_TYPE}]
    ),
    "polis": lambda sender: sender.speak("polis", {"event": CHECKED_TYPE}),
    "clerk": lambda sender: sender.speak("clerk", {"type": CHECKED_TYPE}),
    "scalekit": lambda sender: sender.speak("scalekit", {"type": CHECKED_TYPE}),
}

Patience = Annotated[float, typer.Option("--wait", help="Seconds to wait at most.")]
OfFeed = Annotated[str | None, typer.Option(help="One feed; default: the oldest.")]


def check(
    connection: str, feed: OfFeed = None, wait: Patience = 15.0, json_: AsJSON = False
) -> None:
    """Send a signed test event through the front door and wait until a worker has ended it."""
    chosen = _feed(connection, feed)
    base = container().settings.public_url.rstrip("/")
    url = f"{base}/hooks/{chosen['id']}"
    began = time.monotonic()
    before = _newest(chosen["id"])
    status = _send(chosen, url)
    if status not in (200, 202, 204):
        raise RefusedError(f"{url} answered {status}: {_advice(status)}")
    is_observing = _is_observing(chosen["connection_id"])
    event = _await(lambda: _ended(chosen["id"], before, is_held=is_observing), wait)
    if event is None:
        raise RefusedError(
            f"{url} stored the test event, but no worker ended it within {wait:g} s: "
            "is `rosterd worker` running, and the connection not paused? See `rosterd status`"
        )
    seconds = round(time.monotonic() - began, 3)
    outcome = event["outcome"] or event["state"]
    done = {"event": event["id"], "outcome": outcome, "seconds": seconds}
    if json_:
        print(as_json(done))
        return
    how = "is held, as everything that an observing connection hears," if is_observing else "ended"
    out.print(f"ok: {url} took it, event {event['id']} {how} after {seconds} s", markup=False)


def watch(connection: str, wait: Patience = 600.0, json_: AsJSON = False) -> None:
    """Wait for the first real event of a connection; Ctrl-C ends the waiting."""
    with setup() as use:
        found = use.connection(connection)
    if not json_:
        out.print(f"waiting for {found['name']} ({found['id']}) to speak")
    event = _await(lambda: _first_real(found["id"]), wait)
    if event is None:
        raise NothingFoundError("event", more=f"of connection {found['id']} within {wait:g} s")
    if json_:
        print(as_json(event))
        return
    told = event["outcome"] or event["state"]
    out.print(f"heard: event {event['id']} {event['type']} {event['subject']}: {told}")


def _feed(connection: str, feed: str | None) -> dict[str, Any]:
    with setup() as use:
        feeds = use.feeds(use.connection(connection)["id"])
    chosen = [row for row in feeds if feed in (None, row["id"])]
    chosen.sort(key=lambda row: row["state"] == "retired")
    if not chosen:
        raise NothingFoundError("feed", feed, more=f"of connection {connection}")
    return chosen[0]


def _send(feed: dict[str, Any], url: str) -> int:
    with reading() as open_:
        view = feed_view(open_, container().vault, feed["id"])
    if view is None:
        raise RefusedError(f"feed {feed['id']} is retired: see `rosterd feed list`, or add another")
    _insist_askable(feed)
    if not view.secrets:
        raise RefusedError(f"feed {feed['id']} has no secret: rosterd feed rotate {feed['id']}")
    if feed["source"] not in _SPEAK or Trust.is_one(view.secrets[0].value):
        raise RefusedError(
            f"feed {feed['id']} believes whoever holds a key that rosterd does not have: let the "
            "identity provider send a test event, and see `rosterd connection watch`"
        )
    try:
        return _SPEAK[feed["source"]](Sender(Hook(url, view.secrets[0].value)))
    except (urllib.error.URLError, OSError) as error:
        raise RefusedError(
            f"{url} is out of reach ({error}): is `rosterd web` running there? "
            "ROSTERD_PUBLIC_URL says where it is"
        ) from error


def _insist_askable(feed: dict[str, Any]) -> None:
    """Raise RefusedError for a feed to which nothing signed is posted, so that no secret helps."""
    if feed["source"] == SCIM:
        raise RefusedError(
            f"feed {feed['id']} is spoken to with bearer tokens, of which rosterd keeps none: let "
            "the identity provider test its connection, and see `rosterd connection watch`"
        )
    if feed["source"] not in SOURCES:
        raise RefusedError(f"feed {feed['id']} is rosterd's own: nothing is posted to it")


def _advice(status: int) -> str:
    if status == 401:  # noqa: PLR2004 - the HTTP status
        return "another rosterd's database or keys are behind this address"
    if status == 503:  # noqa: PLR2004 - the HTTP status
        return "its database is away: see `rosterd doctor` there"
    return "a proxy in between, or no rosterd at all"


def _await(look: Callable[[], Any], seconds: float) -> Any:
    deadline = time.monotonic() + seconds
    while (found := look()) is None and time.monotonic() < deadline:
        time.sleep(0.1)
    return found


def _newest(feed: str) -> int:
    events = rows.events
    with reading() as open_:
        found = open_.execute(
            select(events.c.id).where(events.c.feed_id == feed).order_by(events.c.id.desc())
        ).scalar()
    return int(found or 0)


def _is_observing(connection: str) -> bool:
    with setup() as use:
        return bool(use.connection(connection)["state"] == "observing")


def _ended(feed: str, after: int, *, is_held: bool) -> dict[str, Any] | None:
    """The test event at its end, or where it rests while the connection observes."""
    events = rows.events
    rests = (events.c.state == "held") if is_held else events.c.outcome.is_not(None)
    with reading() as open_:
        found = (
            open_.execute(
                select(events).where(
                    events.c.feed_id == feed,
                    events.c.id > after,
                    events.c.type == CHECKED_TYPE,
                    rests,
                )
            )
            .mappings()
            .first()
        )
    return dict(found) if found is not None else None


def _first_real(connection: str) -> dict[str, Any] | None:
    with reading() as open_:
        newest = list_events(
            open_, equals={"connection_id": connection}, since=None, until=None, limit=100
        )
    real = [event for event in newest if event["type"] != CHECKED_TYPE]
    return real[-1] if real else None

"""Connections: set up, waiting for their first event, planned, live, paused, retired."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

from starlette.responses import Response
from starlette.routing import Route

from domain.connecting import check_name, parse_scope
from domain.errors import NothingFoundError, RefusedError, UsageError
from domain.inbox import Kind, Lane
from domain.outbound import check_url, parse_allowed
from domain.permissions import Permission
from domain.policy import CONNECTION_SETTINGS, Scope, ScopeRule
from worker.adapters.db.connection_queries import connection_story, connections_listed, first_heard
from worker.adapters.db.names import accounts_of
from worker.adapters.db.setup_connections import NewConnection
from worker.adapters.sources.registry import SOURCES
from worker.adapters.sources.scim import NAME as SCIM
from worker.web.console.call import Call
from worker.web.console.frame import Frame, Live

#: How long the old secret of a feed lives on beside a new one.
OVERLAP = timedelta(hours=24)
TRUST = ("issuer", "audience", "jwks_url")


def routes(frame: Frame) -> list[Route]:
    """The list, one connection with its first word, and what may be done to it."""
    one = Live(
        "/connections/{id}",
        "/connections/{id}/stream",
        "connection.html",
        "connection_part.html",
        _fields,
    )
    sets_up, pauses = Permission.CONFIGURE, Permission.PAUSE
    return [
        frame.page("/connections", _list),
        frame.page("/connections/new", _new, sets_up),
        frame.form("/connections", _add, sets_up),
        *frame.live(one),
        frame.form("/connections/{id}/pause", _pause, pauses),
        frame.form("/connections/{id}/resume", _resume, pauses),
        frame.form("/connections/{id}/rotate", _rotate, sets_up),
        frame.page("/connections/{id}/retire", _farewell, sets_up),
        frame.form("/connections/{id}/retire", _retire, sets_up),
    ]


def known(call: Call) -> dict[str, Any]:
    """The connection in the path, if it is there for whoever asks; raises NothingFoundError."""
    id_ = call.part("id")
    with call.reading() as connection:
        found = connection_story(connection, id_)
    if not call.asker.may_see(found["account_id"]):
        raise NothingFoundError("connection", id_)
    return found


def _list(call: Call) -> Response:
    with call.reading() as connection:
        found = connections_listed(connection, call.asker.accounts)
    text = call.text("find").casefold()
    if text:
        names = ("name", "account", "source", "id")
        found = [one for one in found if any(text in str(one[n]).casefold() for n in names)]
    return call.render("connections.html", connections=found[:200], count_all=len(found), find=text)


def _fields(call: Call) -> dict[str, Any]:
    found = known(call)
    with call.reading() as connection:
        first = first_heard(connection, found["id"])
    url = call.parts.settings.public_url.rstrip("/")
    told: dict[str, str] = json.loads(found["settings"])
    shown = {
        name: (told.get(name, setting.default), setting.says, name in told)
        for name, setting in sorted(CONNECTION_SETTINGS.items())
    }
    return {
        "of": found,
        "first": first,
        "url": url,
        "settings": shown,
        "scope": _scope_text(found),
        "is_scim": SCIM,
        "spoken": frozenset(SOURCES),
    }


def _scope_text(found: dict[str, Any]) -> str:
    keys = ", ".join(json.loads(found["scope_keys"]))
    return f"{found['scope_rule']}{': ' + keys if keys else ''}"


def _new(call: Call) -> Response:
    with call.reading() as connection:
        accounts = accounts_of(connection, call.asker.accounts)
    return call.render("connection_new.html", accounts=accounts, sources=sorted(SOURCES))


def _add(call: Call) -> Response:
    source = call.text("source")
    if source not in SOURCES:
        raise UsageError(f"choose a source: {', '.join(sorted(SOURCES))}")
    adapter, observe = SOURCES[source], bool(call.text("observe"))
    scope_text = call.text("scope") or None
    wanted = parse_scope(scope_text, needs_scope=adapter.needs_scope and not observe, source=source)
    if adapter.needs_scope and scope_text is None:
        wanted = Scope(ScopeRule.UNSET)
    trust = {name: value for name in TRUST if (value := call.text(name))}
    if "jwks_url" in trust:
        check_url(trust["jwks_url"], parse_allowed(call.parts.settings.outbound_allow))
    secret = adapter.credential(call.text("secret") or None, trust)
    with call.setup(Permission.CONFIGURE) as use:
        account = use.account(call.text("account"))
        call.asker.check_account("account", account["name"], account["id"])
        made = use.add_connection(
            account,
            name=check_name(call.text("name") or source),
            source=source,
            scope=wanted,
            settings={},
            secret=secret,
            observe=observe,
        )
    return _secrets(call, made, source)


def _secrets(call: Call, made: NewConnection, source: str) -> Response:
    url = call.parts.settings.public_url.rstrip("/")
    shown = [
        ("Address to send to", "" if source == SCIM else f"{url}/hooks/{made.feed}"),
        ("SCIM base address", f"{url}/scim/v2"),
        ("Signing secret", made.signing_secret if source != SCIM else ""),
        ("Bearer token", made.bearer_token),
    ]
    told = [(name, value) for name, value in shown if value]
    return call.render("secrets.html", title="The connection is made", id=made.id, shown=told)


def _pause(call: Call) -> Response:
    found, reason = known(call), call.reason()
    with call.setup(Permission.PAUSE) as use:
        held = use.set_connection_state(use.connection(found["id"]), "paused", reason=reason)
    told = f"Paused: {held:,} open events are held, and whatever comes until you resume."
    return call.done(f"/connections/{found['id']}", told)


def _resume(call: Call) -> Response:
    found, reason = known(call), call.reason()
    with call.setup(Permission.PAUSE) as use:
        released = use.set_connection_state(use.connection(found["id"]), "active", reason=reason)
    for lane in Lane:
        call.parts.ringer.ring(Kind.SORT, lane.value, connection=found["id"], event_ids=())
    return call.done(f"/connections/{found['id']}", f"Active: {released:,} held events go on.")


def _rotate(call: Call) -> Response:
    found = known(call)
    feed = next((one for one in found["feeds"] if one["id"] == call.text("feed")), None)
    if feed is None:
        raise NothingFoundError("feed", call.text("feed"))
    if feed["state"] == "retired" or feed["source"] not in SOURCES:
        raise RefusedError(f"feed {feed['id']} has no secret to rotate")
    with call.setup(Permission.CONFIGURE) as use:
        if feed["source"] == SCIM:
            token = use.add_feed_token(
                found["account_id"], feed["id"], name=f"{found['name']} SCIM"
            )
            shown = [("Bearer token", token)]
        else:
            secret = SOURCES[feed["source"]].credential(call.text("secret") or None, {})
            until = use.now + OVERLAP
            use.rotate_secret(found["account_id"], feed["id"], secret, old_until=until)
            shown = [("Signing secret", secret)]
    return call.render(
        "secrets.html", title="Another credential", id=found["id"], shown=shown, overlap=OVERLAP
    )


def _farewell(call: Call) -> Response:
    found = known(call)
    with call.setup(Permission.CONFIGURE) as use:
        told = use.farewell(use.connection(found["id"]))
    return call.render("retire.html", of=found, told=told)


def _retire(call: Call) -> Response:
    found, reason = known(call), call.reason()
    with call.setup(Permission.CONFIGURE) as use:
        told = use.retire_connection(use.connection(found["id"]), reason=reason)
    said = f"Retired: {told.people:,} people left management as they are; nobody was suspended."
    return call.done(f"/connections/{found['id']}", said)

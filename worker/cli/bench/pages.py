"""The API's lists and the console's pages over years of events: how long each takes."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import urlencode

from sqlalchemy import select

from domain.policy import Scope
from domain.sign_in import Visitor
from worker.adapters.db import rows
from worker.adapters.db.filling_history import fill_history
from worker.adapters.db.scratch import scratch_database
from worker.adapters.db.setup import setting_up
from worker.adapters.sources.registry import SOURCES
from worker.bootstrap import Container
from worker.bootstrap_operators import ITSELF
from worker.cli.bench.ingest import serving
from worker.cli.bench.report import percentile
from worker.cli.bench.scim_client import Line, Service, Times
from worker.cli.bench.scratch import rosterd_on

#: Each list is asked for so often.
TIMES = 20
CONNECTIONS = 3
#: By this name the console knows the session of a browser that speaks without TLS.
COOKIE = "rosterd_session"
#: A page in the middle of the history is as quick as the first.
PAGES = 3


def page_times(server: str | None, folder: Path, *, ended: int, dead: int) -> dict[str, float]:
    """p95 in milliseconds of a page of each list of the API and of each page of the console.

    The API is asked by one account's token, the console by an operator of all accounts.
    """
    with _service(server, folder) as (service, parts):
        account, connections = _filled(parts, ended=ended, dead=dead)
        told = asyncio.run(_ask(service, lists(account, connections, ended)))
        console = replace(service, base="", cookie=_cookie(parts))
        return told | asyncio.run(_look(console, _pages(parts, connections[0], ended)))


def lists(account: str, connections: list[str], ended: int) -> dict[str, str]:
    """Path of each list by its name."""
    middle = (datetime.now(UTC) - timedelta(seconds=ended // 2)).isoformat()
    hour = (datetime.now(UTC) - timedelta(hours=1)).isoformat()
    asked: dict[str, tuple[str, dict[str, str]]] = {
        "events": ("/events", {}),
        "events of a connection": ("/events", {"connection": connections[0]}),
        "events of a subject": ("/events", {"subject": "x77"}),
        "events of a source": ("/events", {"source": "standard"}),
        "dead events": ("/events", {"state": "dead"}),
        "dead letters": ("/dead-letters", {}),
        "dead letters of a reason": ("/dead-letters", {"reason": "conflict"}),
        "groups of dead letters": ("/dead-letters/groups", {}),
        "replays": ("/replays", {}),
        "held events": ("/events", {"state": "held"}),
        "pending events": ("/events", {"state": "pending"}),
        "events by reason": ("/events", {"reason": "conflict"}),
        "ignored events": ("/events", {"outcome": "ignored"}),
        "events by type": ("/events", {"type": "user.suspended"}),
        "events of no type": ("/events", {"type": "nothing"}),
        "events of a time": ("/events", {"since": middle, "until": hour}),
        "an event by its own id": ("/events", {"external_id": "e77"}),
        "events by address": ("/events", {"email": "nobody@example.com"}),
        "tail": ("/events/tail", {}),
        "audit": ("/audit", {}),
        "audit of an actor": ("/audit", {"actor": "cli:nobody"}),
        "audit with events": ("/audit", {"events": "true"}),
        "audit of a subject": ("/audit", {"subject": "px77"}),
        "holds": ("/holds", {"all": "true"}),
        "connections": ("/connections", {}),
        "accounts": ("/accounts", {}),
        "an account": (f"/accounts/{account}", {}),
        "users": ("/users", {}),
        "groups": ("/groups", {}),
        "endpoints": ("/endpoints", {}),
        "overrides": ("/overrides", {}),
        "tokens": ("/tokens", {}),
        "status": ("/status", {}),
    }
    return {
        name: path + (f"?{urlencode(params)}" if params else "")
        for name, (path, params) in asked.items()
    }


def _pages(parts: Container, connection: str, ended: int) -> dict[str, str]:
    """Path of each page of the console by its name; `ended` is the id of an event that ended."""
    letters = rows.dead_letters
    with parts.database.read() as sql:
        dead, fingerprint = sql.execute(
            select(letters.c.event_id, letters.c.fingerprint).limit(1)
        ).one()
    group = urlencode({"fingerprint": fingerprint})
    return {
        f"console: {name}": path
        for name, path in {
            "now": "/",
            "now, of a day": "/?span=day",
            "events": "/events",
            "events of a subject": "/events?subject=x77",
            "events of no type": "/events?type=nothing",
            "an event": f"/events/{ended}",
            "an event that is dead": f"/events/{dead}",
            "edit an event": f"/events/{dead}/edit",
            "people": "/people",
            "groups": "/groups",
            "dead letters": "/dead-letters",
            "dead letters of a group": f"/dead-letters/group?{group}",
            "dead letters one by one": "/dead-letters/list",
            "replays": "/replays",
            "holds": "/holds",
            "connections": "/connections",
            "a connection": f"/connections/{connection}",
            "audit": "/audit",
            "audit of an actor": "/audit?actor=cli:nobody",
        }.items()
    }


def _cookie(parts: Container) -> str:
    """The session of an administrator who has just signed in."""
    email = "bench@example.com"
    parts.operators.appoint.add(ITSELF, email, "admin", account=None)
    link = parts.operators.appoint.link(ITSELF, email)
    token = parts.operators.sign_in.by_link(link, Visitor("127.0.0.1", "bench"))
    return f"{COOKIE}={token}"


@contextmanager
def _service(server: str | None, folder: Path) -> Iterator[tuple[Service, Container]]:
    with scratch_database(server, folder) as url, rosterd_on(url, folder) as parts:
        with setting_up(parts.database, parts.vault, actor="bench") as use:
            account = use.add_account(
                "bench", owner=None, domains=["example.com"], parent=None, several=True
            )
            for number in range(CONNECTIONS):
                source = SOURCES["standard"]
                use.add_connection(
                    use.account(account),
                    name=f"c{number}",
                    source="standard",
                    scope=Scope(),
                    settings={},
                    secret=source.new_secret(),
                    observe=False,
                )
            token = use.add_token(account, name="bench", scopes=["operator"])
        environment = {
            "ROSTERD_DATA_DIR": str(folder),
            "ROSTERD_DATABASE_URL": url,
            "ROSTERD_BROKER_URL": "memory://",
            "ROSTERD_LOG_LEVEL": "error",
            "ROSTERD_API_RATE": "1000000",
        }
        with serving("worker.web.asgi:app", environment) as (port, _):
            yield Service(port, "/api/v1", token), parts


def _filled(parts: Container, *, ended: int, dead: int) -> tuple[str, list[str]]:
    table = rows.connections
    with parts.database.read() as sql:
        found = sql.execute(select(table.c.account_id, table.c.id).order_by(table.c.id)).all()
    account, connections = found[0][0], [row[1] for row in found]
    fill_history(parts.database, account, connections, ended=ended, dead=dead)
    return account, connections


async def _look(service: Service, pages: dict[str, str]) -> dict[str, float]:
    times = Times()
    async with Line(service, times) as line:
        for name, path in pages.items():
            await line.look("", path)
            for _ in range(TIMES):
                await line.look(name, path)
    return {name: percentile(times.of[name], 0.95) for name in pages}


async def _ask(service: Service, asked: dict[str, str]) -> dict[str, float]:
    times = Times()
    async with Line(service, times) as line:
        for name, path in asked.items():
            # Opens connections, and reads pages into memory.
            await line.ask("", "GET", path)
            for _ in range(TIMES):
                cursor = ""
                for _ in range(PAGES):
                    both = path + ("&" if "?" in path else "?") + f"cursor={cursor}"
                    told = await line.ask(name, "GET", both if cursor else path)
                    cursor = told.get("next") or ""
                    if not cursor:
                        break
    return {name: percentile(times.of[name], 0.95) for name in asked}

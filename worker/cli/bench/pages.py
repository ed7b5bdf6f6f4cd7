"""Lists of the API over years of events: how long a page takes, whatever is asked."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import urlencode

from sqlalchemy import select

from domain.policy import Scope
from worker.adapters.db import rows
from worker.adapters.db.filling_history import fill_history
from worker.adapters.db.scratch import scratch_database
from worker.adapters.db.setup import setting_up
from worker.adapters.sources.registry import SOURCES
from worker.bootstrap import Container
from worker.cli.bench.ingest import serving
from worker.cli.bench.report import percentile
from worker.cli.bench.scim_client import Line, Service, Times
from worker.cli.bench.scratch import rosterd_on

#: Each list is asked for so often.
TIMES = 20
CONNECTIONS = 3
#: A page in the middle of the history is as quick as the first.
PAGES = 3


def page_times(server: str | None, folder: Path, *, ended: int, dead: int) -> dict[str, float]:
    """p95 in milliseconds of a page of each list, as one account's token asks for it."""
    with _service(server, folder) as (service, parts):
        account, connections = _filled(parts, ended=ended, dead=dead)
        return asyncio.run(_ask(service, lists(account, connections, ended)))


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

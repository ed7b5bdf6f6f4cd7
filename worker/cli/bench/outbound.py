"""From the receipt of a suspension to its receipt by the application, behind a backlog or idle."""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from sqlalchemy import select

from domain.announcements import AnnouncementType
from domain.errors import RefusedError
from domain.inbox import Kind
from worker.adapters.db import rows
from worker.adapters.db.scratch import scratch_database
from worker.adapters.db.setup import setting_up
from worker.adapters.sources.registry import SOURCES
from worker.bootstrap import Container
from worker.cli.bench.drain import drained
from worker.cli.bench.scratch import (
    connect,
    rosterd_on,
    scratch_broker,
    signed,
    store,
    submissions,
)
from worker.cli.running import bring_up
from worker.cli.sender import Hook, Sent, send
from worker.settings import load_settings

#: A second between ten of them: they must find the workers at work, not each other.
PAUSE_SECONDS = 0.1
PATIENCE_SECONDS = 60.0
#: Subjects of the backlog, beyond those who are suspended.
OTHERS = 1_000_000
_ALLOW = "ROSTERD_OUTBOUND_ALLOW"


def told_after(
    server: str | None, broker_url: str | None, folder: Path, *, backlog: int, count: int
) -> list[float]:
    """Milliseconds, one for each suspension that `rosterd up` is sent over HTTP."""
    with ExitStack() as stack:
        url = stack.enter_context(scratch_database(server, folder))
        broker = stack.enter_context(scratch_broker(broker_url, folder))
        parts = stack.enter_context(rosterd_on(url, folder, broker))
        heard = stack.enter_context(_application())
        hook = connect(parts, leavers=count)
        store(parts, submissions(parts, hook, range(count)))
        drained(parts)
        _listen(parts, heard.url)
        store(parts, submissions(parts, hook, range(OTHERS, OTHERS + backlog)))
        settings = load_settings(data_dir=folder, database_url=url, broker_url=broker)
        running = bring_up(settings)
        stack.callback(running.stop)
        return _measured(parts, running.url, hook, heard, count)


class _Heard:
    """When the application was told of whom, by its own clock."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.at: dict[str, float] = {}


@contextmanager
def _application() -> Iterator[_Heard]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_POST(self) -> None:
            now = time.time()
            body = self.rfile.read(int(self.headers["content-length"]))
            heard.at.setdefault(json.loads(body)["data"]["external_id"], now)
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    heard = _Heard(f"http://127.0.0.1:{server.server_address[1]}/")
    threading.Thread(target=server.serve_forever, daemon=True).start()
    before = os.environ.get(_ALLOW)
    os.environ[_ALLOW] = "127.0.0.1"
    try:
        yield heard
    finally:
        server.shutdown()
        server.server_close()
        os.environ.pop(_ALLOW)
        if before is not None:
            os.environ[_ALLOW] = before


def _listen(parts: Container, url: str) -> None:
    types = (AnnouncementType.USER_SUSPENDED,)
    with setting_up(parts.database, parts.vault, actor="bench") as use:
        account = use.account("bench")["id"]
        use.add_endpoint(account, url, types=types, secret=SOURCES["standard"].new_secret())


def _measured(parts: Container, url: str, hook: Hook, heard: _Heard, count: int) -> list[float]:
    for number in range(count):
        request = signed(hook, number, "user.suspended")
        headers = {"content-type": "application/json", **request.headers}
        if send(Sent(f"{url}/hooks/{hook.url}", headers, request.body)) != 200:  # noqa: PLR2004
            raise RefusedError("a suspension was not taken")
        time.sleep(PAUSE_SECONDS)
    deadline = time.monotonic() + PATIENCE_SECONDS
    while len(heard.at) < count and time.monotonic() < deadline:
        time.sleep(0.1)
    if len(heard.at) < count:
        raise RefusedError(f"the application heard of {len(heard.at)} of {count} suspensions")
    events = rows.events
    with parts.database.read() as connection:
        found = connection.execute(
            select(events.c.subject, events.c.received_at).where(
                events.c.kind == Kind.USERS_SUSPEND.value
            )
        ).all()
    return [(heard.at[row.subject] - row.received_at.timestamp()) * 1000 for row in found]

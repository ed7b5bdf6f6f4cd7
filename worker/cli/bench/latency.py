"""From the receipt of a suspension to its commit: on an idle rosterd, and behind a backlog."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import func, select

from domain.errors import RefusedError
from worker.adapters.db import rows
from worker.adapters.db.scratch import scratch_database
from worker.bootstrap import Container
from worker.cli.bench.committed import latencies, watch
from worker.cli.bench.scratch import (
    SUSPENDED,
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
PATIENCE_SECONDS = 60
TRIES = 20


def suspensions(
    server: str | None, broker_url: str | None, folder: Path, *, backlog: int, count: int
) -> list[float]:
    """Milliseconds, one for each suspension sent over HTTP to the processes of `rosterd up`."""
    with (
        scratch_database(server, folder) as url,
        scratch_broker(broker_url, folder) as broker,
        rosterd_on(url, folder, broker) as parts,
    ):
        hook = connect(parts, leavers=count)
        watch(parts.database, (hook, SUSPENDED))
        store(parts, submissions(parts, hook, range(backlog)))
        given = None if server is None else url
        settings = load_settings(data_dir=folder, database_url=given or url, broker_url=broker)
        running = bring_up(settings)
        try:
            return _measured(parts, running.url, hook, backlog, count)
        finally:
            running.stop()


def _measured(parts: Container, url: str, hook: Hook, backlog: int, count: int) -> list[float]:
    began = datetime.now(UTC)
    for number in range(count):
        request = signed(hook, number, SUSPENDED)
        headers = {"content-type": "application/json", **request.headers}
        _insist(Sent(f"{url}/hooks/{hook.url}", headers, request.body))
        time.sleep(PAUSE_SECONDS)
    left = _open(parts, "standard")
    deadline = time.monotonic() + PATIENCE_SECONDS
    while _open(parts, "urgent"):
        if time.monotonic() > deadline:
            raise RefusedError("suspensions were still open a minute after the last was sent")
        time.sleep(0.1)
    if backlog and not left:
        raise RefusedError("the backlog was gone before the last suspension: choose a larger one")
    return latencies(parts.database, hook, SUSPENDED, began, count)


def _insist(sent: Sent) -> None:
    """Send, and again where the answer is 503, as providers do."""
    status = 0
    for _ in range(TRIES):
        status = send(sent)
        if status == 200:  # noqa: PLR2004
            return
        time.sleep(PAUSE_SECONDS)
    raise RefusedError(f"a suspension was not taken: {status}")


def _open(parts: Container, lane: str) -> int:
    events = rows.events
    with parts.database.read() as connection:
        due = events.c.due_at.is_not(None), events.c.lane == lane
        return int(
            connection.execute(select(func.count()).select_from(events).where(*due)).scalar_one()
        )

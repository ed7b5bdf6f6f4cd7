"""`rosterd bench`: measurements, each beside what it is compared with, in the same run."""

from __future__ import annotations

import json
import os
import secrets
import statistics
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any

import typer
from sqlalchemy import create_engine, text
from sqlalchemy.engine import make_url

from domain.inbox import Kind
from domain.intake import Submission
from domain.policy import Scope
from domain.ports import Request
from worker.adapters.broker import make_celery
from worker.adapters.db.ingest import GroupCommitter, Stored
from worker.adapters.db.schema import migrate
from worker.adapters.db.setup import feed_view, setting_up
from worker.adapters.embedded import start_broker
from worker.adapters.sources.registry import SOURCES
from worker.bootstrap import Container
from worker.cli.output import as_json, out
from worker.cli.processes import beside
from worker.cli.sender import standard_headers
from worker.services.receive import receive
from worker.settings import load_settings

app = typer.Typer(no_args_is_help=True, help="Measurements, each beside its comparison.")
NOOP = "bench.noop"


def register(root: typer.Typer) -> None:
    """Add the command."""
    root.add_typer(app, name="bench")


@app.command("drain")
def drain(
    events: Annotated[int, typer.Option(help="Events a round.")] = 5000,
    rounds: Annotated[int, typer.Option()] = 3,
    database_url: Annotated[
        str | None, typer.Option(help="A server; scratch databases are made.")
    ] = None,
    broker_url: Annotated[str | None, typer.Option(help="Default: embedded Valkey.")] = None,
    json_: Annotated[bool, typer.Option("--json")] = False,
) -> None:
    """Events applied a second, with every rule on, against a bare Celery no-op task."""
    rates: dict[str, list[float]] = {"applied": [], "celery no-op": []}
    with tempfile.TemporaryDirectory(prefix="rosterd-bench-") as folder:
        for _ in range(rounds):
            with _scratch(database_url, Path(folder)) as url:
                rates["applied"].append(_applied(url, Path(folder), events))
            rates["celery no-op"].append(_noops(broker_url, Path(folder), min(events, 3000)))
    ratio = statistics.median(rates["applied"]) / statistics.median(rates["celery no-op"])
    if json_:
        print(as_json({"rates": rates, "ratio": ratio, "events": events}))
        return
    for name, found in rates.items():
        middle = statistics.median(found)
        out.print(f"{name:14} median {middle:8.0f}/s  range {min(found):.0f} - {max(found):.0f}")
    out.print(f"ratio          {ratio:.1f}")


@contextmanager
def _scratch(server: str | None, folder: Path) -> Iterator[str]:
    """A fresh database: on the server, or SQLite in the folder."""
    if server is None:
        yield f"sqlite:///{folder / secrets.token_hex(4)}.db"
        return
    base = make_url(load_settings(database_url=server).database)
    name = f"rosterd_bench_{secrets.token_hex(4)}"
    admin = create_engine(base, isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name}"))
    try:
        yield base.set(database=name).render_as_string(hide_password=False)
    finally:
        with admin.connect() as connection:
            connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))
        admin.dispose()


def _applied(url: str, folder: Path, events: int) -> float:
    """Store the events, then time one process that drains them."""
    parts = Container(load_settings(data_dir=folder, database_url=url, broker_url="memory://"))
    migrate(parts.database)
    submissions = _submissions(parts, events)
    _store(parts, submissions)
    began = time.perf_counter()
    tally, _ = parts.drain.run(
        lane="standard", kind=Kind.USERS_CREATE, budget=timedelta(minutes=10)
    )
    seconds = time.perf_counter() - began
    parts.close()
    if tally.applied != events:
        raise typer.Exit(1)
    return events / seconds


def _submissions(parts: Container, events: int) -> list[Submission]:
    source = SOURCES["standard"]
    with setting_up(parts.database, parts.vault, actor="bench") as use:
        use.add_account("bench", owner=None, domains=["example.com"], parent=None, several=False)
        made = use.add_connection(
            use.account("bench"),
            name="bench",
            source="standard",
            scope=Scope(),
            settings={},
            secret=source.new_secret(),
            observe=False,
        )
    with parts.database.read() as connection:
        view = feed_view(connection, parts.vault, made.feed)
    found = []
    for number in range(events):
        now = datetime.now(UTC)
        data = {"id": f"u{number}", "email": f"u{number}@example.com", "given_name": "Ana"}
        body = json.dumps(
            {"type": "user.upserted", "timestamp": now.isoformat(), "data": data}
        ).encode()
        headers = standard_headers(made.signing_secret, f"m{number}", now, body)
        taken = receive(view, source, Request("POST", headers, body), now=now) if view else None
        if isinstance(taken, Submission):
            found.append(taken)
    return found


def _store(parts: Container, submissions: list[Submission]) -> None:
    committer = GroupCommitter(
        parts.database, parts.vault, committed=lambda _events: None, report=parts.report
    )
    left = threading.Semaphore(0)

    def done(_result: Stored | BaseException) -> None:
        left.release()

    for submission in submissions:
        committer.submit(submission, done)
    committer.start()
    for _ in submissions:
        left.acquire()
    committer.stop()


def _noops(broker_url: str | None, folder: Path, count: int) -> float:
    """One worker process, concurrency 1, prefetch 1, late ack: as D7 sets the baseline."""
    settings = load_settings(data_dir=folder, broker_url=broker_url)
    broker = start_broker(settings.broker_socket, folder) if broker_url is None else None
    try:
        return _timed_noops(settings.broker, count)
    finally:
        if broker is not None:
            broker.terminate()
            broker.wait()


def _timed_noops(url: str, count: int) -> float:
    queue = f"bench-{secrets.token_hex(4)}"
    celery = make_celery(url, sweep_seconds=5)
    celery.conf.task_create_missing_queues = True
    time.sleep(0.5)
    with (
        celery.connection_for_write() as connection,
        celery.amqp.producer_pool.acquire() as producer,
    ):
        del connection
        for _ in range(count):
            celery.send_task(NOOP, queue=queue, producer=producer)
    command = [
        beside("celery"),
        "--quiet",
        "-A",
        "worker.cli.bench_noop",
        "worker",
        "-c",
        "1",
        "-Q",
        queue,
        "--without-gossip",
        "--without-mingle",
        "--loglevel",
        "ERROR",
    ]
    environment = {**os.environ, "ROSTERD_BENCH_BROKER": url}
    worker = subprocess.Popen(command, env=environment)  # noqa: S603 - our own arguments
    try:
        return _consumed(celery, queue, count)
    finally:
        worker.terminate()
        worker.wait()


def _consumed(celery: Any, queue: str, count: int) -> float:
    """Rate from the first consumed message to the last but a few."""
    with celery.connection_for_read() as connection:
        client = connection.default_channel.client
        while client.llen(queue) >= count - 1:
            time.sleep(0.01)
        began, first = time.perf_counter(), client.llen(queue)
        while client.llen(queue) > 0:
            time.sleep(0.01)
        return float(first / (time.perf_counter() - began))

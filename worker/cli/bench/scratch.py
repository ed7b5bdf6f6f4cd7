"""What a measurement stands on: a scratch database, a broker, signed requests, a stored backlog."""

from __future__ import annotations

import json
import secrets
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from domain.intake import Submission
from domain.policy import Scope
from domain.ports import Request
from worker.adapters.db.ingest import GroupCommitter, Stored
from worker.adapters.db.migrate import migrate
from worker.adapters.db.setup import feed_view, setting_up
from worker.adapters.embedded import start_broker
from worker.adapters.sources.registry import SOURCES
from worker.bootstrap import Container
from worker.cli.sender import Hook
from worker.cli.signing import standard_headers
from worker.logs import configure_logs
from worker.services.receive import receive
from worker.settings import load_settings

CREATED, SUSPENDED = "user.upserted", "user.suspended"


@contextmanager
def scratch_broker(url: str | None, folder: Path) -> Iterator[str]:
    """The broker that was named, or an embedded one."""
    settings = load_settings(data_dir=folder, broker_url=url)
    broker = start_broker(settings.broker_socket, folder) if url is None else None
    try:
        yield settings.broker
    finally:
        if broker is not None:
            broker.terminate()
            broker.wait()


@contextmanager
def rosterd_on(url: str, folder: Path, broker: str = "memory://") -> Iterator[Container]:
    """A migrated rosterd in this process."""
    settings = load_settings(data_dir=folder, database_url=url, broker_url=broker)
    # On standard error: what is measured is told on standard output, as JSON where that is asked.
    configure_logs(level="warning", format_=settings.log_format)
    parts = Container(settings)
    migrate(parts.database)
    try:
        yield parts
    finally:
        parts.close()


def connect(parts: Container, account: str = "bench", *, leavers: int = 0) -> Hook:
    """An account with one `standard` connection, whose breaker lets that many leavers through."""
    source = SOURCES["standard"]
    with setting_up(parts.database, parts.vault, actor="bench") as use:
        use.add_account(account, owner=None, domains=["example.com"], parent=None, several=False)
        made = use.add_connection(
            use.account(account),
            name=account,
            source="standard",
            scope=Scope(),
            settings={"breaker_min": str(leavers)} if leavers else {},
            secret=source.new_secret(),
            observe=False,
        )
    return Hook(made.feed, made.signing_secret)


def signed(
    hook: Hook,
    number: int,
    type_: str = CREATED,
    *,
    host: str = "example.com",
    **more: str,
) -> Request:
    """One request, as an identity provider would sign it now; about 1 KB with its headers."""
    now = datetime.now(UTC)
    data = {"id": f"u{number}"}
    if type_ == CREATED:
        data |= {"email": f"u{number}@{host}", "given_name": "Ana"}
    data |= more
    body = json.dumps({"type": type_, "timestamp": now.isoformat(), "data": data}).encode()
    id_ = f"m{number}-{secrets.token_hex(4)}"
    return Request("POST", standard_headers(hook.secret, id_, now, body), body)


def submissions(
    parts: Container, hook: Hook, numbers: range, type_: str = "user.upserted", **more: str
) -> list[Submission]:
    """Verified and split, as the web process hands them to the group committer."""
    with parts.database.read() as connection:
        view = feed_view(connection, parts.vault, hook.url)
    assert view is not None
    found = (
        receive(
            view, SOURCES["standard"], signed(hook, number, type_, **more), now=datetime.now(UTC)
        )
        for number in numbers
    )
    return [taken for taken in found if isinstance(taken, Submission)]


def store(parts: Container, submissions: Sequence[Submission]) -> None:
    """Commit them in groups, as the web process does."""
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

"""A worker that gets no connection any more, for want of free ones on the server (F25)."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest
from sqlalchemy.engine import make_url

from tests.harness import Rosterd
from tests.marked import processes
from tests.servers import RedisServer, await_true


@contextmanager
def role_of_its_own(url: str) -> Iterator[tuple[str, psycopg.Connection]]:
    """The URL of a role that may do everything, and a session beside it that sets its limit."""
    role = f"workers_{os.getpid()}"
    plain = make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)
    with psycopg.connect(plain, autocommit=True) as connection:
        connection.execute(f"CREATE ROLE {role} LOGIN CONNECTION LIMIT 0")
        for kind in ("TABLES", "SEQUENCES"):
            connection.execute(f"GRANT ALL ON ALL {kind} IN SCHEMA public TO {role}")
        try:
            limited = make_url(url).set(username=role)
            yield limited.render_as_string(hide_password=False), connection
        finally:
            connection.execute(f"DROP OWNED BY {role}")
            connection.execute(f"DROP ROLE {role}")


@pytest.mark.timeout(240)
def test_t25_too_many_connections_postpone_a_workers_tasks_until_there_is_one(
    postgres_url: str, redis_server: RedisServer, tmp_path: Path
) -> None:
    rosterd = Rosterd(postgres_url, tmp_path, broker_url=redis_server.url)
    with (
        role_of_its_own(postgres_url) as (url, connection),
        processes(tmp_path / "logs") as start,
        rosterd.serving(),
    ):
        feed = rosterd.account()
        worker = start(
            "worker",
            *("worker", "--concurrency", "1"),
            ROSTERD_DATA_DIR=str(tmp_path),
            ROSTERD_DATABASE_URL=url,
            ROSTERD_BROKER_URL=rosterd.settings.broker,
            ROSTERD_SWEEP_SECONDS="0.5",
            ROSTERD_LOG_FORMAT="json",
        )

        def is_postponed() -> bool:
            """Rings expire, and how long a worker takes to start is the machine's to say."""
            key = f"u{len(rosterd.events())}"
            data = {"id": key, "email": f"{key}@example.com"}
            rosterd.tell(feed, "user.upserted", data, drain=False)
            return re.search("too many connections.*task_postponed", worker.said()) is not None

        await_true(is_postponed, name="a task that is postponed")
        worker.await_said("too many connections.*keeper_postponed")
        assert "keeper_failed" not in worker.said()
        assert {(e["state"], e["attempts"]) for e in rosterd.events()} == {("pending", 0)}
        connection.execute(f"ALTER ROLE {make_url(url).username} CONNECTION LIMIT 20")
        await_true(lambda: {event["state"] for event in rosterd.events()} == {"ended"})
        assert {event["attempts"] for event in rosterd.events()} == {0}
        assert len(rosterd.users()) == len(rosterd.events())
        assert rosterd.dead() == []
    rosterd.close()

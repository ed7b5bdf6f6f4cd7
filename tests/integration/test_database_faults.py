"""PostgreSQL that is locked, read-only, full of connections; forks; a sweep with a broken row."""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import event, text
from sqlalchemy.engine import make_url

from domain.inbox import Kind, Lane
from domain.ports import InfrastructureError
from tests.compiled import apart
from tests.harness import Feed, Rosterd
from worker.adapters.db import bulk, rows
from worker.adapters.db.engine import KeptConnection
from worker.adapters.db.sweeping import SQLSweep
from worker.bootstrap import Container


@pytest.fixture(autouse=True)
def engines_of_their_own() -> Iterator[None]:
    with apart():
        yield


@contextmanager
def beside(rosterd: Rosterd) -> Iterator[psycopg.Connection]:
    """Another session of the same database."""
    url = make_url(rosterd.settings.database).set(drivername="postgresql")
    with psycopg.connect(url.render_as_string(hide_password=False)) as connection:
        yield connection


def lock(connection: psycopg.Connection, key: str) -> None:
    connection.execute(f"SELECT * FROM users WHERE key = '{key}' FOR UPDATE")


def later(what: Callable[[], object]) -> threading.Thread:
    thread = threading.Thread(target=what)
    thread.start()
    return thread


def two_hired(rosterd: Rosterd) -> Feed:
    feed = rosterd.account()
    for key in ("u1", "u2"):
        rosterd.hire(feed, key)
        rosterd.tell(feed, "user.suspended", {"id": key}, drain=False)
    return feed


def ended(rosterd: Rosterd) -> set[tuple[str, int]]:
    return {(event["state"], event["attempts"]) for event in rosterd.events()}


def test_t24_a_row_that_somebody_holds_costs_no_attempt(on_postgres: Rosterd) -> None:
    two_hired(on_postgres)
    with beside(on_postgres) as other:
        lock(other, "u1")
        drained = later(on_postgres.drain)
        time.sleep(2.5)  # longer than lock_timeout
        other.rollback()
        drained.join()
    assert ended(on_postgres) == {("ended", 0)}


def test_t24_a_deadlock_is_tried_again_at_once(on_postgres: Rosterd) -> None:
    two_hired(on_postgres)
    with beside(on_postgres) as other:
        lock(other, "u2")
        drained = later(on_postgres.drain)
        time.sleep(0.4)  # now it holds u1 and waits for u2, and is the first to look for a cycle
        lock(other, "u1")
        other.rollback()
        drained.join()
    assert ended(on_postgres) == {("ended", 0)}


def test_t05_t14_two_workers_woken_twice_apply_each_event_once(on_postgres: Rosterd) -> None:
    feed = on_postgres.account()
    for i in range(200):
        data = {"id": f"u{i}", "email": f"u{i}@example.com"}
        on_postgres.tell(feed, "user.upserted", data, drain=False)
    workers = [later(on_postgres.drain) for _ in range(4)]
    for worker in workers:
        worker.join()
    told = [row["event_id"] for row in on_postgres.table(rows.audit) if row["event_id"]]
    assert len(told) == len(set(told)) == 200
    assert len(on_postgres.table(rows.notices)) == 200


def end_sessions(other: psycopg.Connection, database: str | None) -> None:
    """As a failover ends them, at once."""
    other.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE datname = %s AND pid <> pg_backend_pid()",
        [database],
    )


def test_t23_a_read_only_database_is_503_and_costs_no_attempt(on_postgres: Rosterd) -> None:
    feed = two_hired(on_postgres)
    with beside(on_postgres) as other:
        other.autocommit = True
        name = make_url(on_postgres.settings.database).database
        other.execute(f"ALTER DATABASE {name} SET default_transaction_read_only = on")
        end_sessions(other, name)
        sent = on_postgres.request(feed, "user.suspended", {"id": "u1"})
        try:
            assert on_postgres.post(sent) == 503
            with pytest.raises(Exception, match="database is away"):
                on_postgres.drain()
        finally:
            other.execute("SET default_transaction_read_only = off")
            other.execute(f"ALTER DATABASE {name} RESET default_transaction_read_only")
            end_sessions(other, name)
    assert on_postgres.post(sent) == 200, "without a restart"
    on_postgres.drain()
    assert ended(on_postgres) == {("ended", 0)}


def test_t23_a_session_ended_by_the_server_is_not_noticed_by_whoever_tells(
    on_postgres: Rosterd,
) -> None:
    feed = two_hired(on_postgres)
    with beside(on_postgres) as other:
        other.autocommit = True
        end_sessions(other, make_url(on_postgres.settings.database).database)
        assert on_postgres.post(on_postgres.request(feed, "user.suspended", {"id": "u1"})) == 200
    on_postgres.drain()
    assert ended(on_postgres) == {("ended", 0)}


def test_t25_too_many_connections_are_503(on_postgres: Rosterd) -> None:
    feed = on_postgres.account()
    role = f"crowded_{os.getpid()}"
    with beside(on_postgres) as other:
        other.autocommit = True
        other.execute(f"CREATE ROLE {role} LOGIN CONNECTION LIMIT 0")
        try:
            url = make_url(on_postgres.settings.database).set(username=role)
            crowded = Rosterd(
                url.render_as_string(hide_password=False), Path(on_postgres.settings.data_dir)
            )
            with crowded.serving():
                sent = crowded.request(feed, "user.suspended", {"id": "u1"})
                assert crowded.post(sent) == 503
                assert crowded.http.get("/livez").status_code == 200
                assert crowded.http.get("/readyz").status_code == 503
            crowded.close()
        finally:
            other.execute(f"DROP ROLE {role}")


def test_t25_a_pool_without_a_free_connection_is_503_until_there_is_one(
    on_postgres: Rosterd,
) -> None:
    feed = two_hired(on_postgres)
    sent = on_postgres.request(feed, "user.suspended", {"id": "u1"})
    with ExitStack() as held:
        # All of the pool; the thread that commits has a connection of its own.
        for _ in range(10):
            held.enter_context(on_postgres.parts.database.read())
        assert on_postgres.post(sent) == 503
        # As a worker that has not drained yet: it keeps the connection that it has.
        on_postgres.parts.kept_connections.close()
        with pytest.raises(InfrastructureError, match="no database connection is free"):
            on_postgres.parts.drain.run(
                lane=Lane.STANDARD.value, kind=Kind.USERS_CREATE, budget=timedelta(seconds=9)
            )
    assert on_postgres.post(sent) == 200
    on_postgres.drain()
    assert ended(on_postgres) == {("ended", 0)}


def test_t23_a_full_disk_is_503_costs_no_attempt_and_ends_without_a_restart(
    sqlite_url: str, tmp_path: Path
) -> None:
    rosterd = Rosterd(sqlite_url, tmp_path)
    pages = {"limit": 0}

    def limit(raw: sqlite3.Connection, *_: object) -> None:
        if pages["limit"]:
            raw.execute(f"PRAGMA max_page_count = {pages['limit']}")

    event.listen(rosterd.parts.database._writer, "checkout", limit)
    with rosterd.serving():
        feed = rosterd.account()
        for number in range(100):
            data = {"id": f"u{number}", "email": f"u{number}@example.com"}
            rosterd.tell(feed, "user.upserted", data, drain=False)
        with rosterd.parts.database.read() as connection:
            pages["limit"] = connection.exec_driver_sql("PRAGMA page_count").scalar_one()
        refused = []
        for number in range(200):
            data = {"id": f"n{number}", "email": f"n{number}@example.com"}
            more = rosterd.request(feed, "user.upserted", data)
            if rosterd.post(more) != 200:
                refused.append(more)
        assert refused, "the disk never filled"
        assert rosterd.post(refused[0]) == 503
        with pytest.raises(InfrastructureError, match="full"):
            rosterd.drain()
        pages["limit"] = 1_000_000
        assert {rosterd.post(again) for again in refused} == {200}
        rosterd.drain()
        assert {event["attempts"] for event in rosterd.events()} == {0}
        assert {event["state"] for event in rosterd.events()} == {"ended"}
    rosterd.close()


def test_t14_a_connection_lost_in_the_pools_own_ping_is_a_database_that_is_away(
    on_postgres: Rosterd, monkeypatch: pytest.MonkeyPatch
) -> None:
    feed = two_hired(on_postgres)
    sent = on_postgres.request(feed, "user.suspended", {"id": "u1"})
    with ExitStack() as several:
        for _ in range(3):
            several.enter_context(on_postgres.parts.database.read())

    def ping(*_: object) -> bool:
        """As seen with a killed server: the second error hides the first."""
        try:
            raise psycopg.OperationalError("connection socket closed")
        finally:
            raise psycopg.ProgrammingError("can't change 'autocommit' now")

    with monkeypatch.context() as patched:
        patched.setattr(on_postgres.parts.database._writer.dialect, "do_ping", ping)
        assert on_postgres.post(sent) == 503
        # As a worker that has not drained yet: it keeps the connection that it has.
        on_postgres.parts.kept_connections.close()
        with (
            pytest.raises(InfrastructureError, match="database is away"),
            on_postgres.parts.works(),
        ):
            pass
        lane, kind = Lane.URGENT.value, Kind.USERS_SUSPEND
        tally, _ = on_postgres.parts.drain.run(lane=lane, kind=kind, budget=timedelta(seconds=5))
        assert tally.claimed == 1, "a drain asks for another connection at once"
    assert on_postgres.post(sent) == 200
    on_postgres.drain()
    assert ended(on_postgres) == {("ended", 0)}


def test_no_statement_lock_or_idle_transaction_may_last(on_postgres: Rosterd) -> None:
    with on_postgres.parts.database.read() as connection:
        shown = {
            name: connection.execute(text(f"SHOW {name}")).scalar_one()
            for name in ("statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout")
        }
    assert shown == {
        "statement_timeout": "10s",
        "lock_timeout": "2s",
        "idle_in_transaction_session_timeout": "15s",
    }
    kept = KeptConnection(on_postgres.parts.database)
    with kept.begin() as connection:
        assert connection.execute(text("SHOW statement_timeout")).scalar_one() == "2s"
    kept.close()
    with on_postgres.parts.database.read() as connection:
        assert connection.execute(text("SHOW statement_timeout")).scalar_one() == "10s"


def test_f25_a_slow_database_is_503_within_seconds_and_no_broken_group(
    on_postgres: Rosterd,
) -> None:
    feed = on_postgres.account()
    sent = on_postgres.request(feed, "user.suspended", {"id": "u1"})
    with beside(on_postgres) as other:
        other.autocommit = True
        other.execute(
            "CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
            "PERFORM pg_sleep(30); RETURN NULL; END $$; CREATE TRIGGER slow AFTER INSERT ON events "
            "EXECUTE FUNCTION slow()"
        )
        began = time.monotonic()
        try:
            assert on_postgres.post(sent) == 503
        finally:
            other.execute("DROP FUNCTION slow CASCADE")
        assert time.monotonic() - began < 6
    assert on_postgres.post(sent) == 200
    assert len(on_postgres.events()) == 1


def test_f25_a_statement_that_takes_too_long_is_narrowed_down_in_a_drain(
    on_postgres: Rosterd,
) -> None:
    feed = on_postgres.account()
    for key in ("u1", "u2"):
        data = {"id": key, "email": f"{key}@example.com"}
        on_postgres.tell(feed, "user.upserted", data, drain=False)
    with beside(on_postgres) as other:
        other.autocommit = True
        other.execute(
            "CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
            "IF NEW.email LIKE 'u1@%' THEN PERFORM pg_sleep(30); END IF; RETURN NULL; END $$; "
            "CREATE TRIGGER slow AFTER INSERT ON people FOR EACH ROW EXECUTE FUNCTION slow()"
        )
        try:
            with on_postgres.parts.database.begin() as connection:
                connection.execute(text("SET statement_timeout = 500"))
                connection.commit()
            lane, kind = Lane.STANDARD.value, Kind.USERS_CREATE
            on_postgres.parts.drain.run(lane=lane, kind=kind, budget=timedelta(0))
        finally:
            other.execute("DROP FUNCTION slow CASCADE")
    assert [user["external_id"] for user in on_postgres.users()] == ["u2"]
    (slow,) = [e for e in on_postgres.events() if e["state"] != "ended"]
    assert (slow["state"], slow["attempts"]) == ("retrying", 1)


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_t27_a_child_never_speaks_through_its_parents_connection(
    on_postgres: Rosterd, monkeypatch: pytest.MonkeyPatch
) -> None:
    from worker.tasks import process

    monkeypatch.setattr(process, "build", lambda: Container(on_postgres.settings))
    mine = _backend(process.container())
    read, write = os.pipe()
    children = []
    for _ in range(4):
        child = os.fork()
        if child == 0:
            os.write(write, f"{_backend(process.container())}\n".encode())
            os._exit(0)
        children.append(child)
    for child in children:
        assert os.waitpid(child, 0)[1] == 0
    os.close(write)
    with os.fdopen(read) as told:
        found = [int(line) for line in told]
    assert len({mine, *found}) == 5
    assert _backend(process.container()) == mine, "and the parent's still works"
    process.container().close()
    process._BUILT.clear()


def _backend(parts: Container) -> int:
    with parts.database.read() as connection:
        return int(connection.execute(text("SELECT pg_backend_pid()")).scalar_one())


def test_t36_a_marker_that_cannot_be_read_stops_no_repair(rosterd: Rosterd) -> None:
    feed = rosterd.account()
    rosterd.tell(feed, "user.suspended", {"id": "u1"}, drain=False)
    (event,) = rosterd.events()
    markers = [
        {"id": name, "worker": "elsewhere:1:x", "event_ids": ids, "made_at": rosterd.at(0)}
        for name, ids in (("bat_1", b"no json"), ("bat_2", f"[{event['id']}]".encode()))
    ]
    with rosterd.parts.database.begin() as connection:
        bulk.insert(connection, rows.batch_markers, markers)
        connection.commit()
    told: list[str] = []
    sweep = SQLSweep(
        rosterd.parts.database,
        rosterd.parts.worker_id,
        report=lambda name, fields: told.append(f"{name} {fields['marker']}"),
    )
    sweep.sweep()
    assert [row["id"] for row in rosterd.table(rows.batch_markers)] == ["bat_1"]
    assert rosterd.events()[0]["crashes"] > 0
    assert told == ["marker_unrepairable bat_1"]


def test_d8_a_row_that_the_database_refuses_costs_only_its_own_event(on_postgres: Rosterd) -> None:
    """The writes of a batch are sent ahead: their error comes with a later one, or at the end."""
    feed = on_postgres.account()
    with on_postgres.parts.database.begin() as connection:
        connection.exec_driver_sql(
            "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS "
            "$$BEGIN IF NEW.email LIKE 'u3@%%' THEN RAISE 'refused for a test'; END IF; "
            "RETURN NEW; END$$"
        )
        connection.exec_driver_sql(
            "CREATE TRIGGER refuse BEFORE INSERT ON people FOR EACH ROW EXECUTE FUNCTION refuse()"
        )
        connection.commit()
    for number in range(6):
        data = {"id": f"u{number}", "email": f"u{number}@example.com"}
        on_postgres.tell(feed, "user.upserted", data, drain=False)
    on_postgres.drain()
    with on_postgres.parts.database.begin() as connection:
        connection.exec_driver_sql("DROP FUNCTION refuse CASCADE")
        connection.commit()
    assert {user["external_id"] for user in on_postgres.users()} == {"u0", "u1", "u2", "u4", "u5"}
    # Full jitter may be next to nothing, so it may have been tried again already.
    attempt, *_ = on_postgres.table(rows.attempts)
    assert attempt["outcome"] == "retrying"
    assert "refused for a test" in attempt["detail"]
    assert len({attempt["event_id"] for attempt in on_postgres.table(rows.attempts)}) == 1
    assert on_postgres.table(rows.batch_markers) == []

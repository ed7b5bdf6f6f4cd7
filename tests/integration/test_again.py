"""T24, T14, F26: a transaction that met another or lost its connection is made again, not twice."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from datetime import timedelta
from pathlib import Path

import psycopg
import pytest
from sqlalchemy.engine import make_url

from domain.inbox import Kind
from domain.ports import InfrastructureError
from domain.replays import Selection
from tests.harness import Rosterd
from tests.integration.test_database_faults import beside, ended, later, lock, two_hired
from tests.integration.test_drain import poison
from tests.servers import await_true
from worker import telemetry
from worker.adapters.db import rows, sweeping
from worker.adapters.db.replay_rows import replays

#: The transaction that writes to a table comes to grief, the first so many times.
_TRAP = """
CREATE SEQUENCE tries;
CREATE FUNCTION trap() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
  IF nextval('tries') <= {times} THEN {grief}; END IF;
  RETURN NULL; END $$;
CREATE TRIGGER trap AFTER {what} ON {table} EXECUTE FUNCTION trap();
"""
MET = "RAISE EXCEPTION 'met' USING ERRCODE = '40001'"
ENDED = "PERFORM pg_terminate_backend(pg_backend_pid())"


@contextmanager
def met(rosterd: Rosterd, table: str, what: str, *, times: int, grief: str = MET) -> Iterator[None]:
    """Serialisation failures, as the database itself reports them, or a session's end."""
    with beside(rosterd) as other:
        other.autocommit = True
        other.execute(_TRAP.format(table=table, what=what, times=times, grief=grief))
        try:
            yield
        finally:
            other.execute("DROP FUNCTION trap CASCADE; DROP SEQUENCE tries")


class Wire:
    """Before PostgreSQL. Armed, it forwards the n-th COMMIT and cuts the answer off."""

    def __init__(self, server: tuple[str, int]) -> None:
        self._server = server
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._commits = 0
        self.was_cut = threading.Event()
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self, *, commit: int) -> None:
        self._commits = commit

    def close(self) -> None:
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                client = self._listener.accept()[0]
            except OSError:
                return
            server = socket.create_connection(self._server)
            is_cut = threading.Event()
            for source, target in ((client, server), (server, client)):
                args = (source, target, client, is_cut)
                threading.Thread(target=self._pump, args=args, daemon=True).start()

    def _pump(
        self,
        source: socket.socket,
        target: socket.socket,
        client: socket.socket,
        is_cut: threading.Event,
    ) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                if source is client and b"COMMIT" in data:
                    self._commits -= 1
                    if self._commits == 0:
                        is_cut.set()
                target.sendall(data) if source is client or not is_cut.is_set() else None
                if source is not client and is_cut.is_set():
                    # The server has answered: it is committed, and nobody will hear of it.
                    self.was_cut.set()
                    break
        for end in (source, target):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()


@pytest.fixture
def wired(postgres_url: str, tmp_path: Path) -> Iterator[tuple[Rosterd, Wire]]:
    """A rosterd whose connections to PostgreSQL can be cut."""
    url = make_url(postgres_url)
    with closing(Wire((url.host or "127.0.0.1", url.port or 5432))) as wire:
        through = url.set(host="127.0.0.1", port=wire.port)
        harness = Rosterd(through.render_as_string(hide_password=False), tmp_path)
        with harness.serving():
            yield harness, wire
        harness.close()


def terminate_who_waits(connection: psycopg.Connection) -> None:
    """End the session that waits for one of our locks."""
    ask = (
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
        "WHERE datname = current_database() AND wait_event_type = 'Lock'"
    )
    await_true(lambda: connection.execute(ask).fetchone(), name="somebody who waits")


def told(name: str) -> float:
    labels = {"kind": name}
    found = telemetry.REGISTRY.get_sample_value("rosterd_invariant_violations_total", labels)
    return found or 0.0


def test_t14_a_drain_whose_session_is_ended_goes_on_with_another(on_postgres: Rosterd) -> None:
    two_hired(on_postgres)
    before = told("connection_lost")
    with beside(on_postgres) as other:
        lock(other, "u2")
        drained = later(on_postgres.drain)
        terminate_who_waits(other)
        other.rollback()
        drained.join()
    assert ended(on_postgres) == {("ended", 0)}
    assert told("connection_lost") == before + 1
    assert on_postgres.table(rows.batch_markers) == []


def test_t24_a_serialisation_failure_is_tried_again_at_once(on_postgres: Rosterd) -> None:
    two_hired(on_postgres)
    before = told("transactions_met")
    with met(on_postgres, "events", "UPDATE", times=2):
        on_postgres.drain()
    assert ended(on_postgres) == {("ended", 0)}
    assert told("transactions_met") == before + 2


def test_t14_a_session_that_ends_while_writes_are_sent_ahead_of_each_other(
    on_postgres: Rosterd,
) -> None:
    two_hired(on_postgres)
    before = told("connection_lost")
    with met(on_postgres, "events", "UPDATE", times=2, grief=ENDED):
        on_postgres.drain()
    assert ended(on_postgres) == {("ended", 0)}
    assert told("connection_lost") == before + 2


def test_t24_after_three_tries_it_is_left_to_the_sweep_and_costs_no_attempt(
    on_postgres: Rosterd,
) -> None:
    two_hired(on_postgres)
    with met(on_postgres, "users", "UPDATE", times=3):
        with pytest.raises(InfrastructureError, match="40001"):
            on_postgres.drain()
        open_ = [e for e in on_postgres.events() if e["state"] != "ended"]
        assert {(e["state"], e["attempts"], e["crashes"]) for e in open_} == {("pending", 0, 0)}
        on_postgres.drain()
    assert ended(on_postgres) == {("ended", 0)}


def test_f26_a_batch_whose_commit_was_not_heard_of_is_applied_once(
    wired: tuple[Rosterd, Wire],
) -> None:
    rosterd, wire = wired
    feed = rosterd.account()
    for key in ("u1", "u2"):
        data = {"id": key, "email": f"{key}@example.com"}
        rosterd.tell(feed, "user.upserted", data, drain=False)
    wire.cut(commit=2)  # the first is the batch marker's
    rosterd.drain()
    assert wire.was_cut.is_set()
    assert ended(rosterd) == {("ended", 0)}
    assert len(rosterd.users()) == len(rosterd.table(rows.notices)) == 2
    assert len([row for row in rosterd.table(rows.audit) if row["event_id"]]) == 2


def test_f26_a_failure_whose_commit_was_not_heard_of_counts_once(
    wired: tuple[Rosterd, Wire], monkeypatch: pytest.MonkeyPatch
) -> None:
    rosterd, wire = wired
    feed = rosterd.account()
    rosterd.tell(feed, "user.upserted", {"id": "u1", "email": "u1@example.com"}, drain=False)
    poison(monkeypatch, "u1")
    wire.cut(commit=4)  # a marker made and taken away, a marker again, then the failure itself
    drain = rosterd.parts.drain
    drain.run(lane="standard", kind=Kind.USERS_CREATE, budget=timedelta(0))
    assert wire.was_cut.is_set()
    (event,) = rosterd.events()
    assert (event["state"], event["attempts"]) == ("retrying", 1)
    assert len(rosterd.table(rows.attempts)) == 1


def test_t24_an_answer_meets_others_and_is_given_all_the_same(on_postgres: Rosterd) -> None:
    feed = on_postgres.account()
    on_postgres.hire(feed, "u1")
    link = on_postgres.link("u1@example.com")
    with met(on_postgres, "links", "UPDATE", times=2):
        assert on_postgres.http.post(link).status_code == 200
    assert on_postgres.user("u1")["state"] == "active"  # type: ignore[index]


def test_f26_an_answer_whose_commit_was_not_heard_of_is_given_once(
    wired: tuple[Rosterd, Wire],
) -> None:
    rosterd, wire = wired
    rosterd.hire(rosterd.account(), "u1")
    link = rosterd.link("u1@example.com")
    wire.cut(commit=1)
    assert rosterd.http.post(link).status_code == 200
    assert wire.was_cut.is_set()
    accepted = rosterd.table(rows.audit, rows.audit.c.action == "user.accept_invitation")
    assert len(accepted) == 1


def test_f26_a_replay_whose_commit_was_not_heard_of_is_not_started_twice(
    wired: tuple[Rosterd, Wire],
) -> None:
    rosterd, wire = wired
    rosterd.hire(rosterd.account(), "u1", "u1@partner.example")
    rosterd.allow("partner.example")
    wire.cut(commit=1)
    with pytest.raises(InfrastructureError, match="look before you try again"):
        rosterd.parts.replay.start(Selection(account=rosterd.account_id), actor="e", reason="r")
    assert wire.was_cut.is_set()
    assert len(rosterd.table(replays)) == 1
    assert [event["state"] for event in rosterd.events()] == ["pending"]


def test_t24_a_replay_that_meets_others_is_started(on_postgres: Rosterd) -> None:
    on_postgres.hire(on_postgres.account(), "u1", "u1@partner.example")
    with met(on_postgres, "replays", "INSERT", times=2):
        selection = Selection(account=on_postgres.account_id)
        started = on_postgres.parts.replay.start(selection, actor="e", reason="r")
    assert len(started.ids) == 1
    assert len(on_postgres.table(replays)) == 1


def test_a_server_that_is_not_there_is_not_asked_three_times(tmp_path: Path) -> None:
    rosterd = Rosterd("postgresql+psycopg://nobody@127.0.0.1:1/none", tmp_path)
    before, began = told("connection_lost"), time.monotonic()
    with pytest.raises(InfrastructureError, match="database is away"):
        rosterd.drain()
    assert told("connection_lost") == before
    assert time.monotonic() - began < 5


def test_t38_a_drain_that_holds_its_locks_too_long_loses_them_and_nobody_else_does(
    on_postgres: Rosterd, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sweeping, "HELD_TOO_LONG", timedelta(seconds=1))
    two_hired(on_postgres)
    reported: list[str] = []
    sweep = sweeping.SQLSweep(
        on_postgres.parts.database, on_postgres.parts.worker_id, lambda n, _: reported.append(n)
    )
    with beside(on_postgres) as operator, ExitStack() as drains:
        operator.execute("SELECT 1")
        drains.enter_context(pytest.raises(InfrastructureError, match="database is away"))
        held = drains.enter_context(on_postgres.parts.works())
        assert held.claim(lane="urgent", kind=Kind.USERS_SUSPEND, limit=5, troubled=False)
        sweep.sweep()
        assert reported == [], "it is young"
        time.sleep(1.2)
        with on_postgres.parts.works():
            sweep.sweep()
            assert reported == ["session_ended"], "and not the one that has just begun"
        assert operator.execute("SELECT 2").fetchone() == (2,), "nor one that drains nothing"
        on_postgres.drain()
        assert ended(on_postgres) == {("ended", 0)}
        held.commit()
    assert ended(on_postgres) == {("ended", 0)}

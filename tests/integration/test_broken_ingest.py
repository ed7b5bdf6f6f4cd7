"""What may not stop ingest: a row that the database refuses, a broker that says nothing (T09)."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlalchemy import text

from tests.harness import Rosterd

_POSTGRES_TRAP = (
    (
        "CREATE FUNCTION trap() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
        "IF NEW.external_id = 'poison' THEN RAISE division_by_zero; END IF; RETURN NEW; END $$"
    ),
    "CREATE TRIGGER trap BEFORE INSERT ON events FOR EACH ROW EXECUTE FUNCTION trap()",
)
_POSTGRES_RELEASE = ("DROP TRIGGER trap ON events", "DROP FUNCTION trap")
_SQLITE_TRAP = (
    (
        "CREATE TRIGGER trap BEFORE INSERT ON events WHEN NEW.external_id = 'poison' "
        "BEGIN SELECT RAISE(ABORT, 'trapped'); END"
    ),
)
_SQLITE_RELEASE = ("DROP TRIGGER trap",)


@contextmanager
def trap(rosterd: Rosterd) -> Iterator[None]:
    """The database refuses any row with the event id `poison`."""
    is_postgres = rosterd.parts.database.is_postgres
    _run(rosterd, _POSTGRES_TRAP if is_postgres else _SQLITE_TRAP)
    try:
        yield
    finally:
        _run(rosterd, _POSTGRES_RELEASE if is_postgres else _SQLITE_RELEASE)


def _run(rosterd: Rosterd, statements: tuple[str, ...]) -> None:
    with rosterd.parts.database.begin() as connection:
        for statement in statements:
            connection.execute(text(statement))
        connection.commit()


def test_d9_one_row_that_the_database_refuses_costs_no_other_request(rosterd: Rosterd) -> None:
    feed = rosterd.account()
    names = [f"e{i}" for i in range(12)]
    names.insert(5, "poison")
    answers: list[int] = []

    def send(name: str) -> None:
        data = {"id": f"u-{name}", "email": f"{name}@example.com"}
        answers.append(rosterd.post(rosterd.request(feed, "user.upserted", data, id_=name)))

    with trap(rosterd):
        senders = [threading.Thread(target=send, args=(name,)) for name in names]
        for sender in senders:
            sender.start()
        for sender in senders:
            sender.join()
    assert answers == [200] * 13
    stored = {e["external_id"] for e in rosterd.events()}
    assert set(names) - {"poison"} < stored
    rosterd.drain()
    # The guilty one was stored as it came, without what a peek had read of it, and is applied.
    assert len(rosterd.users()) == 13
    assert rosterd.dead() == []


@contextmanager
def mute_broker() -> Iterator[tuple[int, list[socket.socket]]]:
    """A server that takes connections and never says a word."""
    listener = socket.create_server(("127.0.0.1", 0))
    taken: list[socket.socket] = []

    def serve() -> None:
        while True:
            try:
                taken.append(listener.accept()[0])
            except OSError:
                return

    threading.Thread(target=serve, daemon=True).start()
    try:
        yield listener.getsockname()[1], taken
    finally:
        listener.close()
        for one in taken:
            one.close()


@pytest.mark.timeout(120)
def test_t09_a_broker_that_never_answers_does_not_delay_a_single_answer(
    database_url: str, tmp_path: Path
) -> None:
    """Waiting for it once per request would take 60 x 5 s: the limit above says so."""
    with mute_broker() as (port, taken):
        rosterd = Rosterd(database_url, tmp_path, broker_url=f"redis://127.0.0.1:{port}/0")
        with rosterd.serving():
            feed = rosterd.account()
            for i in range(60):
                data = {"id": f"u{i}", "email": f"u{i}@example.com"}
                assert rosterd.post(rosterd.request(feed, "user.upserted", data)) == 200
            assert taken, "the ring was tried"
            rosterd.drain()
            assert len(rosterd.users()) == 60
        rosterd.close()

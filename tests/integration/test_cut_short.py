"""A time limit that ends a batch says nothing of its events: it leaves the drain as it came."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import pytest
from celery.exceptions import SoftTimeLimitExceeded
from sqlalchemy import text

from domain.inbox import Kind, Lane
from domain.ports import InfrastructureError, Parsed
from tests.harness import Rosterd
from tests.integration.test_again import told
from worker.adapters.db import rows
from worker.adapters.sources.standard import StandardSource


@contextmanager
def soft_limit(seconds: float) -> Iterator[None]:
    """As billiard's pool does it: a signal whose handler raises."""

    def expire(*_: object) -> None:
        raise SoftTimeLimitExceeded

    before = signal.signal(signal.SIGALRM, expire)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def three_told(rosterd: Rosterd) -> None:
    feed = rosterd.account()
    for key in ("u1", "u2", "u3"):
        data = {"id": key, "email": f"{key}@example.com"}
        rosterd.tell(feed, "user.upserted", data, drain=False)


def drain(rosterd: Rosterd) -> None:
    lane, kind = Lane.STANDARD.value, Kind.USERS_CREATE
    rosterd.parts.drain.run(lane=lane, kind=kind, budget=timedelta(seconds=5))


def untouched(rosterd: Rosterd) -> bool:
    found = {(e["state"], e["attempts"], e["crashes"]) for e in rosterd.events()}
    return found == {("pending", 0, 0)} and rosterd.table(rows.batch_markers) == []


def test_a_soft_limit_inside_a_batch_leaves_the_drain_and_costs_no_attempt(
    rosterd: Rosterd, monkeypatch: pytest.MonkeyPatch
) -> None:
    three_told(rosterd)
    plain, broke, parsed = StandardSource.parse, told("batch_broke"), []

    def parse(self: StandardSource, document: object, index: int) -> Parsed:
        parsed.append(index)
        threading.Event().wait(5)
        return plain(self, document, index)

    with monkeypatch.context() as patch, soft_limit(0.5):
        patch.setattr(StandardSource, "parse", parse)
        with pytest.raises(SoftTimeLimitExceeded):
            drain(rosterd)
    assert len(parsed) == 1, "nothing was narrowed down"
    assert told("batch_broke") == broke
    assert untouched(rosterd)
    drain(rosterd)
    assert len(rosterd.users()) == 3


@pytest.mark.parametrize("table", ["events", "users"])
def test_a_soft_limit_inside_a_statement_leaves_the_drain_too(
    postgres_url: str, tmp_path: Path, table: str
) -> None:
    rosterd = Rosterd(postgres_url, tmp_path)
    with rosterd.serving():
        three_told(rosterd)
        broke = told("batch_broke")
        _run(
            rosterd,
            "CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
            "PERFORM pg_sleep(2); RETURN NULL; END $$",
            f"CREATE TRIGGER slow AFTER INSERT OR UPDATE ON {table} EXECUTE FUNCTION slow()",
        )
        try:
            with (
                soft_limit(0.5),
                pytest.raises((SoftTimeLimitExceeded, InfrastructureError)),
            ):
                drain(rosterd)
        finally:
            _run(rosterd, "DROP FUNCTION slow CASCADE")
        assert told("batch_broke") == broke
        assert untouched(rosterd)
        drain(rosterd)
        assert len(rosterd.users()) == 3
    rosterd.close()


def _run(rosterd: Rosterd, *statements: str) -> None:
    with rosterd.parts.database.begin() as connection:
        for statement in statements:
            connection.execute(text(statement))
        connection.commit()

"""T31: one poisoned event among thousands pays alone, by the policy's count, and delays nobody."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import insert, select

from domain.inbox import Kind, Lane
from domain.retry import RetryPolicy
from tests.harness import Rosterd
from tests.integration.test_drain import _make_due, poison
from worker.adapters.db import rows

EVENTS = 3_000


def multiply(rosterd: Rosterd, events: int) -> None:
    """The one event that there is, told by so many more ids; it is itself the only other body."""
    with rosterd.parts.database.begin() as connection:
        (event,) = connection.execute(select(rows.events)).mappings()
        (body,) = connection.execute(select(rows.deliveries)).mappings()
        copies = [
            {**event, "id": None, "delivery_id": n + 10, "digest": str(n).encode()}
            for n in range(events)
        ]
        bodies = [
            {**body, "id": n + 10, "body": rosterd.parts.vault.seal(_said(n))}
            for n in range(events)
        ]
        for copy in copies:
            del copy["id"]
        connection.execute(insert(rows.deliveries), bodies)
        connection.execute(insert(rows.events), copies)
        connection.commit()


def _said(number: int) -> bytes:
    data = f'{{"id": "u{number}", "email": "u{number}@example.com"}}'
    when = "2026-01-01T00:00:00Z"
    return f'{{"type": "user.upserted", "timestamp": "{when}", "data": {data}}}'.encode()


@pytest.mark.timeout(180)
def test_t31_one_poison_among_thousands_is_dead_after_the_policys_count(
    postgres_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rosterd = Rosterd(postgres_url, tmp_path)
    with rosterd.serving():
        feed = rosterd.account()
        rosterd.tell(feed, "user.upserted", {"id": "x", "email": "x@example.com"}, drain=False)
        multiply(rosterd, EVENTS)
        poison(monkeypatch, "u1777")
        tally, _ = rosterd.parts.drain.run(
            lane=Lane.STANDARD.value, kind=Kind.USERS_CREATE, budget=timedelta(seconds=120)
        )
        assert tally.applied == EVENTS
        (bad,) = rosterd.events(rows.events.c.state != "ended")
        assert (bad["state"], bad["outcome"]) == ("retrying", None)
        for _ in range(RetryPolicy().max_attempts):
            _make_due(rosterd)
            rosterd.drain()
        (letter,) = rosterd.dead()
        assert (letter["event_id"], letter["reason"]) == (bad["id"], "error")
        tried = rosterd.table(rows.attempts)
        assert {row["event_id"] for row in tried} == {bad["id"]}
        assert len(tried) == RetryPolicy().max_attempts, "the whole history is kept"
        assert len(rosterd.users()) == EVENTS
    rosterd.close()

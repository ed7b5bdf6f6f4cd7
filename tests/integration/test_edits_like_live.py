"""G8: an edited event is the news that it says, and meets the same rules as live traffic does."""

from __future__ import annotations

from typing import Any

import pytest

from tests.api import Client, is_problem
from tests.harness import Rosterd
from tests.integration.test_breaker import crew, held, suspend
from worker.adapters.db import rows


def edited(rosterd: Rosterd, path: str, value: Any, *, dry: bool = False) -> Any:
    """What an operator is answered who replaces one value of the only dead letter."""
    (letter,) = rosterd.dead()
    app = Client(rosterd, "operator", account=None)
    patch = [{"op": "replace", "path": path, "value": value}]
    return app.ask(
        "POST",
        f"/events/{letter['event_id']}/edit-and-replay",
        json={"patch": patch, "dry_run": dry},
        headers={"X-Reason": "the provider wrote it wrongly"},
    )


def test_an_edit_may_say_true_where_one_was_written(rosterd: Rosterd) -> None:
    """To Python they are equal; to the source, which refuses a number there, they are not."""
    feed = rosterd.account()
    rosterd.tell(feed, "user.upserted", {"id": "u1", "email": "u1@example.com", "active": 1})
    nothing = edited(rosterd, "/data/active", 1)
    assert "changes nothing" in nothing.json()["detail"]
    told = edited(rosterd, "/data/active", True)
    assert told.status_code == 201, told.text
    rosterd.drain()
    assert rosterd.dead() == []
    assert [line["state"] for line in rosterd.users()] == ["invited"]


@pytest.mark.parametrize("dry", [True, False])
def test_c7_of_a_retired_connection_nothing_is_edited(rosterd: Rosterd, dry: bool) -> None:
    """It would wait for ever; whoever tries is told why, and not first when it is for real."""
    feed = rosterd.account()
    rosterd.hire(feed, "u1", "u1@elsewhere.test")
    with rosterd.setup() as use:
        use.retire_connection(use.connection(feed.connection), reason="a new vendor")
    before = len(rosterd.events())
    told = edited(rosterd, "/data/email", "u1@example.com", dry=dry)
    assert told.status_code == 409, told.text
    is_problem(told, 409, told.json()["code"])
    assert "was retired: nothing of it is applied any more" in told.json()["detail"]
    assert len(rosterd.events()) == before
    assert rosterd.events(rows.events.c.due_at.is_not(None)) == []
    assert len(rosterd.dead()) == 1, "the letter lies as it lay"


def test_c6_d17_a_dry_run_foresees_that_the_breaker_holds_an_edit(rosterd: Rosterd) -> None:
    """An edit is no replay that an operator vouched for: it counts, and may be one too many."""
    feed = crew(rosterd)
    assert rosterd.accept("u4@example.com") == 200
    moved = {"id": "u4", "email": "u4@elsewhere.test"}
    rosterd.tell(feed, "user.email_changed", moved, id_="moved")
    suspend(rosterd, feed, 0, 1, 2)
    dry = edited(rosterd, "/data/email", "u4b@example.com", dry=True).json()
    assert dry["would_be"] == "held"
    assert held(rosterd) == [], "a dry run holds nothing"
    made = edited(rosterd, "/data/email", "u4b@example.com").json()
    rosterd.drain()
    (event,) = rosterd.events(rows.events.c.id == made["event"])
    assert (event["state"], event["reason"]) == ("held", "breaker")

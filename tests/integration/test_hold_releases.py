"""C6, D17: an answer to one hold is an answer for its own events, as far as there are any left."""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy import update

from tests.harness import Rosterd
from tests.integration.test_breaker import age, cli, crew, held, hold, out, suspend
from tests.integration.test_by_hand import at
from worker.adapters.db import rows
from worker.adapters.db.breaker_rows import breaker_marks, holds
from worker.adapters.db.retention import retain_bodies


def rejected(rosterd: Rosterd) -> str:
    """The id of the open hold, after an operator has rejected it."""
    number = hold(rosterd)
    cli(rosterd, "hold", "reject", number, "--reason", "a broken export", "--yes")
    return number


def approve(rosterd: Rosterd, number: str) -> None:
    cli(rosterd, "hold", "approve", number, "--reason", "they left after all", "--yes")
    rosterd.drain()


def test_c6_d17_approving_a_rejected_hold_leaves_a_later_hold_closed(rosterd: Rosterd) -> None:
    """The later one holds people whom nobody has looked at yet; it is answered by itself."""
    feed = crew(rosterd)
    suspend(rosterd, feed, *range(4))
    first = rejected(rosterd)
    suspend(rosterd, feed, 5, 6)
    second = hold(rosterd)
    assert second != first
    assert held(rosterd) == ["s5", "s6"]
    approve(rosterd, first)
    assert out(rosterd) == {"u0", "u1", "u2", "u3"}, "whom the first hold had kept, and no others"
    assert held(rosterd) == ["s5", "s6"]
    answered = {row["id"]: (row["state"], row["events"]) for row in rosterd.table(holds)}
    assert answered[first] == ("approved", 1)
    assert answered[second][0] == "open"
    shown = rosterd.json("hold", "show", second)
    assert [event["external_id"] for event in shown["held"]] == ["s5", "s6"]
    suspend(rosterd, feed, 7)
    assert held(rosterd) == ["s5", "s6", "s7"], "what was counted for it still counts"
    approve(rosterd, second)
    assert out(rosterd) == {"u0", "u1", "u2", "u3", "u5", "u6", "u7"}


def test_d17_of_a_rejected_hold_nothing_is_tried_whose_body_is_gone(rosterd: Rosterd) -> None:
    """Bodies go a month after an event's end: what is left of such an event cannot be applied.

    Released, it would fail again and again and end as a dead letter that nobody can replay.
    """
    feed = crew(rosterd)
    suspend(rosterd, feed, *range(5))
    number = rejected(rosterd)
    events, deliveries = rows.events, rows.deliveries
    (gone,) = rosterd.events(events.c.external_id == "s3")
    with rosterd.setup() as use:
        month_ago = use.now - timedelta(days=31)
        mine = events.c.id == gone["id"]
        use.sql.execute(update(events).where(mine).values(ended_at=month_ago))
        its = deliveries.c.id == gone["delivery_id"]
        use.sql.execute(update(deliveries).where(its).values(received_at=month_ago))
    assert retain_bodies(rosterd.parts.database, days=30)
    assert rosterd.table(deliveries, deliveries.c.id == gone["delivery_id"]) == []
    approve(rosterd, number)
    assert rosterd.outcome("s4") == ("applied", None)
    (still,) = rosterd.events(events.c.id == gone["id"])
    assert (still["state"], still["outcome"], still["due_at"]) == ("ended", "discarded", None)
    assert still["attempts"] == gone["attempts"]
    assert out(rosterd) == {"u0", "u1", "u2", "u4"}


def test_d17_u5_of_a_rejected_hold_nothing_is_tried_of_somebody_erased(rosterd: Rosterd) -> None:
    """An erasure empties the events of a person; a hold's late answer does not wake them."""
    feed = crew(rosterd)
    suspend(rosterd, feed, *range(5))
    number = rejected(rosterd)
    age(rosterd, breaker_marks, "at", timedelta(hours=2))
    rosterd.tell(feed, "user.suspended", {"id": "u3"}, id_="left")
    person = at(rosterd, "u3@example.com")["id"]
    (kept,) = rosterd.events(rows.events.c.external_id == "s3")
    rosterd.parts.people.delete(person, actor="t", reason="asked for")
    approve(rosterd, number)
    (still,) = rosterd.events(rows.events.c.id == kept["id"])
    assert (still["state"], still["outcome"], still["due_at"]) == ("ended", "discarded", None)
    assert rosterd.dead() == []
    assert "u4" in out(rosterd), "everybody else of the hold leaves"

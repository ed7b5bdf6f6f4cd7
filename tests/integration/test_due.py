"""What is due by lane and kind: what every worker asks before every batch (D10)."""

from __future__ import annotations

from datetime import timedelta

from domain.inbox import Kind, Lane
from tests.harness import Rosterd
from worker.adapters.db import rows
from worker.adapters.db.due import lanes_due


def test_d10_only_what_is_due_now_is_told_and_by_its_lane(rosterd: Rosterd) -> None:
    feed = rosterd.account()
    rosterd.hire(feed, "u1")
    assert rosterd.parts.kinds_due(Lane.STANDARD) == []
    rosterd.tell(feed, "user.upserted", {"id": "u2", "email": "u2@example.com"}, drain=False)
    rosterd.tell(feed, "user.suspended", {"id": "u1"}, drain=False)
    with rosterd.parts.database.read() as sql:
        found = set(lanes_due(sql, *Lane))
    assert found == {
        (Kind.USERS_CREATE, Lane.STANDARD),
        (Kind.USERS_SUSPEND, Lane.URGENT),
    }
    assert rosterd.parts.kinds_due(Lane.URGENT) == [Kind.USERS_SUSPEND]
    hour = timedelta(hours=1)
    assert rosterd.parts.kinds_due(Lane.URGENT, since=hour) == [], "nobody left it lying"
    events = rows.events
    with rosterd.parts.database.begin() as sql:
        later = rosterd.now() + hour
        sql.execute(events.update().where(events.c.kind == "users.suspend").values(due_at=later))
        sql.commit()
    assert rosterd.parts.kinds_due(Lane.URGENT) == [], "a retry is not due before its time"

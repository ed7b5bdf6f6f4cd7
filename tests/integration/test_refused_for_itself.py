"""What an application refuses for itself holds up neither the rest nor itself."""

from __future__ import annotations

import json
from datetime import timedelta

from sqlalchemy import update

from tests.listening import Listening
from worker.adapters.db.outbound_rows import announcements, dispatches


def test_g2_what_is_refused_is_not_tried_again_at_each_success_of_another(
    listening: Listening,
) -> None:
    """Its 45 tries are meant for three days."""
    feed = listening.begin()
    listening.hire(feed, "u0")
    listening.deliver()
    listening.app.answers = lambda told: 500 if told.data.get("external_id") == "u0" else 204
    listening.hire(feed, "u0", given_name="Ana")
    for number in range(10):
        listening.hire(feed, f"n{number}")
        listening.deliver()
    (mine,) = [row for row in listening.table(dispatches) if row["state"] != "delivered"]
    assert mine["state"] == "pending"
    assert mine["attempts"] <= 2, "once more when it looked as if the application was back"


def test_g9_a_paused_endpoint_does_not_end_retention_for_everybody(listening: Listening) -> None:
    """A thousand are looked at a time, and all of those wait for it."""
    feed = listening.begin()
    other = listening.account(name="other")
    listening.listen(account="other")
    paused = ("endpoint", "pause", listening.endpoint, "--reason", "x")
    assert listening.cli(*paused).returncode == 0
    events = [
        {
            "id": f"e{number}",
            "type": "user.upserted",
            "timestamp": listening.at(number).isoformat(),
            "data": {"id": f"u{number}", "email": f"u{number}@example.com"},
        }
        for number in range(1_000)
    ]
    body = json.dumps({"events": events}).encode()
    assert listening.post(listening.signed(feed, body, id_="crowd")) == 200
    listening.drain()
    for number in range(5):
        listening.hire(other, f"o{number}")
    listening.deliver()
    with listening.parts.database.begin() as sql:
        sql.execute(update(announcements).values(made_at=listening.at(0) - timedelta(days=31)))
        sql.commit()
    assert listening.parts.retain()["announcements"] == 5

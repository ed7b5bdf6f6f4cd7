"""How long a feed may be silent, and what ends soon: standing warnings and gauges (C3, C5)."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import update

from tests.harness import Feed, Rosterd
from worker.adapters.db import rows


def _silent_for(rosterd: Rosterd, feed: Feed, hours: float) -> None:
    then = datetime.now(UTC) - timedelta(hours=hours)
    with rosterd.parts.database.begin() as connection:
        table = rows.feeds
        connection.execute(
            update(table).where(table.c.id == feed.id).values(last_heard_at=then, created_at=then)
        )
        connection.commit()


def _gauges(rosterd: Rosterd, feed: Feed) -> dict[str, float]:
    rosterd.parts.gauges._known = None
    with rosterd.setup() as use:
        token = use.add_token(None, name="p", scopes=["metrics"])
    bearer = {"Authorization": f"Bearer {token}"}
    lines = rosterd.http.get("/metrics", headers=bearer).text.splitlines()
    mine = [line for line in lines if f'feed="{feed.id}"' in line]
    return {line.partition("{")[0]: float(line.rpartition(" ")[2]) for line in mine}


@pytest.mark.parametrize(
    ("setting", "hours", "limit", "warns"),
    [
        (None, 71, 259200, False),
        (None, 73, 259200, True),
        ("4h", 3, 14400, False),
        ("4h", 5, 14400, True),
        ("off", 9999, 0, False),
    ],
)
def test_c5_a_silent_feed_is_warned_of_by_its_connections_limit(
    rosterd: Rosterd, setting: str | None, hours: float, limit: float, warns: bool
) -> None:
    feed = rosterd.account() if setting is None else rosterd.account(silent_after=setting)
    rosterd.hire(feed, "u1")
    _silent_for(rosterd, feed, hours)
    found = _gauges(rosterd, feed)
    assert found["rosterd_feed_silence_limit_seconds"] == limit
    assert found["rosterd_feed_last_heard_seconds"] == pytest.approx(hours * 3600, abs=60)
    for command in ("doctor", "status"):
        assert ("has been silent for" in rosterd.cli(command).stdout) is warns


def test_c5_each_feed_is_silent_by_itself_and_paused_ones_may_be(rosterd: Rosterd) -> None:
    first = rosterd.account(silent_after="1h")
    other = rosterd.feed(first)
    rosterd.hire(first, "u1")
    rosterd.hire(other, "u2")
    _silent_for(rosterd, other, 2)
    warned = [line for line in rosterd.cli("doctor").stdout.splitlines() if "been silent" in line]
    assert len(warned) == 1
    assert other.id in warned[0]
    rosterd.cli("feed", "pause", other.id, "--reason", "on purpose")
    assert "been silent" not in rosterd.cli("doctor").stdout
    assert _gauges(rosterd, other)["rosterd_feed_silence_limit_seconds"] == 0


@pytest.mark.parametrize("wrong", ["soon", "0h", "4", "-1d", "366000d", "99999999999999d"])
def test_c5_d18_a_limit_that_is_no_duration_is_refused(rosterd: Rosterd, wrong: str) -> None:
    feed = rosterd.account()
    words = ("connection", "set", feed.connection, f"silent_after={wrong}", "--reason", "x")
    assert rosterd.cli(*words).returncode == 2


def test_c3_what_ends_soon_is_warned_of_until_it_is_replaced(rosterd: Rosterd) -> None:
    feed = rosterd.account()
    with rosterd.setup() as use:
        for name, days in (("soon", 3), ("later", 300), ("gone", -2)):
            scopes, ends = ["directory:read"], use.in_days(days)
            use.add_token(rosterd.account_id, name=name, scopes=scopes, expires_at=ends)
    said = rosterd.cli("doctor").stdout
    assert "(soon) ends in 2 days" in said
    assert "(gone) ended 2 days ago" in said
    assert "later" not in said
    for token in json.loads(rosterd.cli("token", "list", "--json").stdout):
        if token["name"] in ("soon", "gone"):
            rosterd.cli("token", "revoke", token["id"], "--reason", "replaced")
    assert " ends in " not in rosterd.cli("doctor").stdout
    told = rosterd.cli("feed", "rotate", feed.id, "--overlap-hours", "5", "--json").stdout
    assert "old secret" not in rosterd.cli("doctor").stdout, "nobody was seen to use it"
    rosterd.hire(feed, "u1")
    assert "still in use, ends in 4:59" in rosterd.cli("status").stdout
    rosterd.hire(Feed(feed.id, feed.connection, json.loads(told)["signing_secret"]), "u2")
    assert "old secret" not in rosterd.cli("status").stdout

"""G8: a replay is carried out by the workers, whoever of them dies; whoever started it may go."""

from __future__ import annotations

import os
import signal
from datetime import timedelta
from pathlib import Path

import pytest

from domain.pacing import Pace
from domain.permissions import ALL, Asker
from domain.replays import Order, ReplaySeen, ReplayState, Selection
from tests.e2e.test_injured import Fleeting, fleet
from tests.servers import RedisServer, await_true
from worker.adapters.db import rows
from worker.adapters.db.replay_queries import replay_seen, report_of
from worker.adapters.db.replay_rows import replays
from worker.adapters.db.setup import setting_up

pytestmark = pytest.mark.long
COUNT = 60


def seen(whole: Fleeting, replay: str) -> ReplaySeen:
    with whole.stage.parts.database.read() as sql:
        return replay_seen(sql, replay)


def refused(whole: Fleeting) -> str:
    """The account, with dead letters whose domain is allowed since."""
    for number in range(COUNT):
        data = {"id": f"u{number}", "email": f"u{number}@partner.example"}
        assert whole.idp.standard("user.upserted", data) == 200
    await_true(lambda: len(whole.stage.dead("acme")) == COUNT, name="the letters")
    parts = whole.stage.parts
    with setting_up(parts.database, parts.vault, actor="test") as use:
        account = str(use.account("acme")["id"])
        use.allow_domain(account, "partner.example")
    return account


@pytest.mark.timeout(240)
def test_g8_a_replay_goes_on_when_the_worker_that_conducts_it_is_killed(
    postgres_url: str, redis_server: RedisServer, tmp_path: Path
) -> None:
    with fleet(tmp_path, postgres_url, redis_server.url) as whole:
        use, ana = whole.stage.parts.replay, Asker("operator:ana", ALL)
        replay = use.plan(Selection(account=refused(whole)), ana)
        await_true(lambda: seen(whole, replay).state is ReplayState.PLANNED, name="the plan")
        use.start_plan(replay, Order("allowed", Pace(timedelta(milliseconds=100))), ana)
        await_true(lambda: seen(whole, replay).counts.get("applied", 0) > 5, name="the first")
        (row,) = whole.rows(replays)
        _, conductor, _ = row["lease_by"].split(":", 2)
        os.kill(int(conductor), signal.SIGKILL)
        await_true(
            lambda: seen(whole, replay).state is ReplayState.FINISHED, seconds=120, name="the end"
        )
        with whole.stage.parts.database.read() as sql:
            report = report_of(sql, replay)
        assert (report.as_predicted, report.otherwise) == (COUNT, 0)
        assert whole.told_twice() == []
        assert whole.stage.dead("acme") == []
        done = [r["action"] for r in whole.rows(rows.audit) if r["subject"] == replay]
        assert done == ["dead.plan", "dead.replay", "dead.finish"]

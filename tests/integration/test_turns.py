"""Urgent events of one connection take neither others' turns nor other lanes' workers (G5, G7)."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import text

from domain.inbox import LIVE_SHARE, QUIET_SHARE, URGENT_BATCH, Kind
from domain.ports import ClaimedEvent
from tests.harness import Feed, Rosterd
from tests.listening import Listening
from tests.servers import await_true
from worker.adapters.db import inbox, rows
from worker.settings import LANES_VARIABLE
from worker.tasks import base, courier
from worker.tasks.courier import Courier

MANY = 3 * URGENT_BATCH
AT_ONCE = timedelta(0)


def _leave(rosterd: Rosterd, feed: Feed, keys: list[str]) -> None:
    events = [
        {
            "id": f"gone-{key}",
            "type": "user.suspended",
            "timestamp": rosterd.at(1).isoformat(),
            "data": {"id": key},
        }
        for key in keys
    ]
    body = json.dumps({"events": events}).encode()
    assert rosterd.post(rosterd.signed(feed, body, id_=f"leave-{keys[0]}")) == 200


def _ended(rosterd: Rosterd, feed: Feed) -> int:
    events = rows.events
    mine = (events.c.connection_id == feed.connection) & events.c.ended_at.is_not(None)
    return len(rosterd.events(mine, events.c.type == "user.suspended"))


def _claim(rosterd: Rosterd, *, is_guest: bool) -> list[ClaimedEvent]:
    with rosterd.parts.drain.works() as work:
        return work.claim(
            lane="urgent", kind=Kind.USERS_SUSPEND, limit=500, troubled=False, is_guest=is_guest
        )


def test_g5_g7_a_batch_with_somebody_elses_suspension_is_small(rosterd: Rosterd) -> None:
    loud = rosterd.account(several=True, breaker_min="1000000")
    quiet = rosterd.connect("acme", name="quiet")
    _leave(rosterd, loud, [f"u{n}" for n in range(MANY)])
    _leave(rosterd, quiet, ["q1"])
    tally, is_more = rosterd.parts.drain.run(lane="urgent", kind=Kind.USERS_SUSPEND, budget=AT_ONCE)
    assert is_more
    assert tally.claimed == QUIET_SHARE + 1
    assert _ended(rosterd, quiet) == 1
    assert _ended(rosterd, loud) == QUIET_SHARE
    tally, _ = rosterd.parts.drain.run(lane="urgent", kind=Kind.USERS_SUSPEND, budget=AT_ONCE)
    assert tally.claimed == URGENT_BATCH, "and where there is nobody else, not a huge one"
    rosterd.drain()
    assert _ended(rosterd, loud) == MANY


def test_g7_a_batch_with_somebody_elses_create_is_small(on_postgres: Rosterd) -> None:
    rosterd = on_postgres
    loud = rosterd.account(several=True)
    quiet = rosterd.connect("acme", name="quiet")
    events = [
        {
            "id": f"new-{number}",
            "type": "user.upserted",
            "timestamp": rosterd.at(1).isoformat(),
            "data": {"id": f"u{number}", "email": f"u{number}@example.com"},
        }
        for number in range(3 * LIVE_SHARE)
    ]
    body = json.dumps({"events": events}).encode()
    assert rosterd.post(rosterd.signed(loud, body, id_="many")) == 200
    rosterd.tell(quiet, "user.upserted", {"id": "q1", "email": "q1@example.com"}, drain=False)
    run = rosterd.parts.drain.run
    tally, is_more = run(lane="standard", kind=Kind.USERS_CREATE, budget=AT_ONCE)
    assert is_more
    assert tally.claimed == LIVE_SHARE + 1
    tally, _ = run(lane="standard", kind=Kind.USERS_CREATE, budget=AT_ONCE)
    assert tally.claimed == 2 * LIVE_SHARE, "and all at once where there is nobody else"


def test_g7_a_worker_of_another_lane_leaves_alone_what_is_in_hand(on_postgres: Rosterd) -> None:
    loud = on_postgres.account(several=True)
    quiet = on_postgres.connect("acme", name="quiet")
    _leave(on_postgres, loud, [f"u{n}" for n in range(MANY)])
    with on_postgres.parts.drain.works() as work:
        mine = work.claim(
            lane="urgent", kind=Kind.USERS_SUSPEND, limit=10, troubled=False, is_guest=False
        )
        assert len(mine) == 10
        assert _claim(on_postgres, is_guest=True) == []
        assert len(_claim(on_postgres, is_guest=False)) == MANY - 10, "a worker of the lane helps"
        _leave(on_postgres, quiet, ["q1"])
        (found,) = _claim(on_postgres, is_guest=True)
        assert found.connection == quiet.connection
        work.commit()
    assert len(_claim(on_postgres, is_guest=True)) > QUIET_SHARE, "nobody is at work now"


def test_g5_a_worker_that_is_stuck_keeps_nobody_from_what_is_urgent(
    on_postgres: Rosterd, monkeypatch: pytest.MonkeyPatch
) -> None:
    loud = on_postgres.account()
    _leave(on_postgres, loud, [f"u{n}" for n in range(20)])
    soon = text(str(inbox._STUCK).replace("2 seconds", "0 seconds"))
    with on_postgres.parts.drain.works() as work:
        assert work.claim(
            lane="urgent", kind=Kind.USERS_SUSPEND, limit=5, troubled=False, is_guest=False
        )
        assert _claim(on_postgres, is_guest=True) == []
        monkeypatch.setattr(inbox, "_STUCK", soon)
        assert len(_claim(on_postgres, is_guest=True)) == 15


def test_g7_a_create_waits_for_one_batch_of_what_is_urgent(
    rosterd: Rosterd, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As the task of the standard lane does it, whatever urgent backlog there is."""
    feed = rosterd.account(breaker_min="1000000")
    monkeypatch.setattr(base, "container", lambda: rosterd.parts)
    _leave(rosterd, feed, [f"u{n}" for n in range(MANY)])
    rosterd.tell(feed, "user.upserted", {"id": "new", "email": "new@example.com"}, drain=False)
    done = base.drain(Kind.USERS_CREATE)("standard", base.Ring())
    assert done["applied"] == 1
    assert _ended(rosterd, feed) == URGENT_BATCH


def test_g5_a_worker_of_bulk_work_alone_takes_only_what_others_leave_lying(
    rosterd: Rosterd, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has the least of the processor: what it takes is done last."""
    feed = rosterd.account()
    rosterd.hire(feed, "u1")
    monkeypatch.setattr(base, "container", lambda: rosterd.parts)
    monkeypatch.setenv(LANES_VARIABLE, "bulk")
    monkeypatch.setattr(base, "LEFT_LYING", timedelta(hours=1))
    _leave(rosterd, feed, ["u1"])
    base.drain(Kind.USERS_CREATE)("bulk", base.Ring())
    assert _ended(rosterd, feed) == 0
    monkeypatch.setattr(base, "LEFT_LYING", AT_ONCE)
    base.drain(Kind.USERS_CREATE)("bulk", base.Ring())
    assert _ended(rosterd, feed) == 1, "somebody has to, where their worker is gone"


def test_a_worker_of_other_lanes_leaves_urgent_announcements_to_one_of_that_lane(
    listening: Listening, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(courier, "LEFT_SECONDS", 3600.0)
    feed = listening.begin()
    listening.hire(feed, "u1")
    busy = replace(listening.parts, leaves_urgent=True)
    rung: list[str] = []
    busy.couriers.append(lambda: rung.append("own"))
    monkeypatch.setattr(busy.ringer, "ring_task", lambda name, lane: rung.append(f"{name} {lane}"))
    busy.ring_announcements(is_urgent=False)
    busy.ring_announcements(is_urgent=True)
    assert rung == ["own", "own", "announcements.send urgent"]
    sender = Courier(busy)
    try:
        sender.wake()
        await_true(lambda: listening.app.types() == ["user.invited"], name="the others it sends")
        listening.tell(feed, "user.suspended", {"id": "u1"})
        sender.wake()
        await_true(lambda: bool(sender._left), name="it has seen the suspension")
        assert listening.app.types() == ["user.invited"]
        monkeypatch.setattr(courier, "LEFT_SECONDS", 0.0)
        sender.wake()
        await_true(lambda: "user.suspended" in listening.app.types(), name="nobody else sent it")
    finally:
        sender.stop()
    busy.close()

"""The drain: bisection, retries, crashes, plans, and progress beside ingest (D6-D8, D14)."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import update

from domain.inbox import Kind, Lane
from domain.ports import Parsed
from tests.harness import Feed, Rosterd
from worker.adapters.db import bulk, rows
from worker.adapters.db.sweeping import SQLSweep
from worker.adapters.sources.standard import StandardSource
from worker.services.drain import PIECE


def poison(monkeypatch: pytest.MonkeyPatch, subject: str) -> None:
    """Make one subject's events break the worker's code."""
    plain = StandardSource.parse

    def parse(self: StandardSource, document: object, index: int) -> Parsed:
        if f"'{subject}'" in repr(document):
            raise ZeroDivisionError("poison")
        return plain(self, document, index)

    monkeypatch.setattr(StandardSource, "parse", parse)


def test_t31_d8_one_poisoned_event_pays_alone_and_retries_by_policy(
    rosterd: Rosterd, monkeypatch: pytest.MonkeyPatch
) -> None:
    feed = rosterd.account()
    for i in range(40):
        data = {"id": f"u{i}", "email": f"u{i}@example.com"}
        rosterd.tell(feed, "user.upserted", data, id_=f"e{i}", drain=False)
    with monkeypatch.context() as patch:
        poison(patch, "u7")
        rosterd.drain()
        assert len(rosterd.users()) == 39
        (bad,) = rosterd.events(rows.events.c.external_id == "e7")
        # Full jitter may be next to nothing, so it may have been tried again already.
        assert (bad["state"], bad["reason"]) == ("retrying", "error")
        assert 1 <= bad["attempts"] < 8
        for _ in range(10):
            _make_due(rosterd)
            rosterd.drain()
    (letter,) = rosterd.dead()
    assert (letter["reason"], letter["attempts"] > 1) == ("error", True)
    assert "ZeroDivisionError" in letter["last_error"]
    assert len(rosterd.table(rows.attempts)) == 8
    started = rosterd.parts.replay.start(_all(rosterd), actor="test", reason="mended")
    assert len(started.ids) == 1
    rosterd.drain()
    assert rosterd.user("u7") is not None


def test_g7_d8_a_batch_of_guilty_ones_gives_way_and_who_shares_no_piece_is_applied_at_once(
    rosterd: Rosterd, monkeypatch: pytest.MonkeyPatch
) -> None:
    noisy = rosterd.account(several=True)
    quiet = rosterd.connect("acme", name="quiet")
    for i in range(45):
        data = {"id": f"b{i}", "email": f"b{i}@example.com"}
        rosterd.tell(noisy, "user.upserted", data, id_=f"b{i}", drain=False)
    rosterd.tell(quiet, "user.upserted", {"id": "g", "email": "g@example.com"}, drain=False)
    plain = StandardSource.parse

    def parse(self: StandardSource, document: object, index: int) -> Parsed:
        if "'id': 'b" in repr(document):
            raise ZeroDivisionError("poison")
        return plain(self, document, index)

    monkeypatch.setattr(StandardSource, "parse", parse)
    # Whenever it looks at the clock, its time is over.
    seconds = iter(range(10_000))
    drain = replace(rosterd.parts.drain, monotonic=lambda: float(next(seconds)))
    looks = []
    while rosterd.events(rows.events.c.attempts == 0, rows.events.c.state != "ended"):
        tally, is_more = drain.run(
            lane=Lane.STANDARD.value, kind=Kind.USERS_CREATE, budget=timedelta(0)
        )
        looks.append(tally.retrying)
        assert is_more
        assert rosterd.user("g") is not None, "applied by the first look"
    assert len(looks) > 1, "others had their turn between"
    assert max(looks) <= PIECE, "no more than a piece at a time"
    assert {e["state"] for e in rosterd.events(rows.events.c.attempts > 0)} == {"retrying"}


def _all(rosterd: Rosterd) -> Any:
    from domain.replays import Selection

    return Selection(account=rosterd.account_id)


def _make_due(rosterd: Rosterd) -> None:
    with rosterd.parts.database.begin() as connection:
        connection.execute(
            update(rows.events)
            .where(rows.events.c.state == "retrying")
            .values(due_at=datetime.now(UTC) - timedelta(seconds=1))
        )
        connection.commit()


def _crash(rosterd: Rosterd, ids: list[int]) -> None:
    """A marker of a process that is gone, as kill -9 leaves it, and the sweep after it."""
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    import socket

    marker = {
        "id": f"bat_{time.monotonic_ns()}",
        "worker": f"{socket.gethostname()}:{gone.pid}:run_gone",
        "event_ids": repr(ids).encode(),
        "made_at": datetime.now(UTC),
    }
    with rosterd.parts.database.begin() as connection:
        bulk.insert(connection, rows.batch_markers, [marker])
        connection.commit()
    SQLSweep(rosterd.parts.database, rosterd.parts.worker_id, rosterd.parts.report).sweep()


def _received(rosterd: Rosterd, count: int) -> list[int]:
    """Numbers of events about so many people, whom nobody has drained yet."""
    feed = rosterd.account()
    for i in range(count):
        data = {"id": f"u{i}", "email": f"u{i}@example.com"}
        rosterd.tell(feed, "user.upserted", data, id_=f"e{i}", drain=False)
    return [e["id"] for e in rosterd.events()]


def test_t03_d6_only_an_event_that_crashed_alone_three_times_is_worker_lost(
    rosterd: Rosterd,
) -> None:
    ids = _received(rosterd, 3)
    _crash(rosterd, ids)
    assert [e["crashes"] for e in rosterd.events()] == [1, 1, 1]
    assert [e["attempts"] for e in rosterd.events()] == [0, 0, 0]
    for _ in range(2):
        _crash(rosterd, ids[:1])
        assert rosterd.dead() == []
    _crash(rosterd, ids[:1])
    (letter,) = rosterd.dead()
    assert (letter["event_id"], letter["reason"]) == (ids[0], "worker_lost")
    rosterd.drain()
    assert sorted(u["external_id"] for u in rosterd.users()) == ["u1", "u2"]
    assert rosterd.table(rows.batch_markers) == []


def test_t03_d6_how_often_it_crashed_with_others_says_nothing_of_one_event(
    rosterd: Rosterd,
) -> None:
    ids = _received(rosterd, 2)
    # Workers that are back within a moment take the batch again before anybody sweeps.
    for _ in range(6):
        _crash(rosterd, ids)
    for _ in range(2):
        _crash(rosterd, ids[:1])
        assert rosterd.dead() == []
    _crash(rosterd, ids[:1])
    assert [letter["event_id"] for letter in rosterd.dead()] == ids[:1]
    rosterd.drain()
    assert [u["external_id"] for u in rosterd.users()] == ["u1"]


def test_d6_a_marker_of_a_living_process_is_left_alone(rosterd: Rosterd) -> None:
    feed = rosterd.account()
    rosterd.tell(feed, "user.suspended", {"id": "u1"}, drain=False)
    marker = {
        "id": "bat_live",
        "worker": rosterd.parts.worker_id,
        "event_ids": b"[1]",
        "made_at": datetime.now(UTC),
    }
    with rosterd.parts.database.begin() as connection:
        bulk.insert(connection, rows.batch_markers, [marker])
        connection.commit()
    SQLSweep(rosterd.parts.database, rosterd.parts.worker_id, rosterd.parts.report).sweep()
    assert [e["crashes"] for e in rosterd.events()] == [0]


def crowd(rosterd: Rosterd, feed: Feed, count: int, domain: str) -> None:
    """So many newcomers, told in one delivery."""
    events = [
        {
            "id": f"{domain}-{i}",
            "type": "user.upserted",
            "timestamp": rosterd.at(i).isoformat(),
            "data": {"id": f"u{i}", "email": f"u{i}@{domain}"},
        }
        for i in range(count)
    ]
    body = json.dumps({"events": events}).encode()
    assert rosterd.post(rosterd.signed(feed, body, id_=domain)) == 200


def test_d14_a_drain_beside_ingest_both_make_progress(rosterd: Rosterd) -> None:
    feed = rosterd.account()
    crowd(rosterd, feed, 300, "example.com")
    is_over = threading.Event()

    def drains() -> None:
        rosterd.parts.drain.run(
            lane=Lane.STANDARD.value, kind=Kind.USERS_CREATE, budget=timedelta(seconds=60)
        )
        is_over.set()

    worker = threading.Thread(target=drains)
    worker.start()
    beside = 0
    while not is_over.is_set() and beside < 500:
        sent = rosterd.request(feed, "user.suspended", {"id": f"x{beside}"}, id_=f"s{beside}")
        assert rosterd.post(sent) == 200
        beside += 1
    worker.join(timeout=60)
    assert len(rosterd.users()) == 300
    assert beside > 0


def test_g5_urgent_kinds_wait_in_their_own_lane(rosterd: Rosterd) -> None:
    feed = rosterd.account()
    for type_, data in (
        ("user.suspended", {"id": "u1"}),
        ("user.deleted", {"id": "u1"}),
        ("user.upserted", {"id": "u1", "email": "u1@example.com", "active": False}),
        ("group.member_removed", {"group_id": "g1", "user_id": "u1"}),
        ("group.deleted", {"id": "g1"}),
    ):
        rosterd.tell(feed, type_, data, drain=False)
    assert {e["lane"] for e in rosterd.events()} == {"urgent"}
    rosterd.tell(
        feed, "user.upserted", {"id": "u2", "email": "u2@example.com"}, id_="std", drain=False
    )
    assert rosterd.events(rows.events.c.external_id == "std")[0]["lane"] == "standard"


def test_t32_a_noisy_connection_leaves_others_their_turn(rosterd: Rosterd) -> None:
    crowd(rosterd, rosterd.account("noisy.example", name="noisy"), 600, "noisy.example")
    quiet = rosterd.account("quiet.example", name="quiet")
    crowd(rosterd, quiet, 5, "quiet.example")
    lane, kind = Lane.STANDARD.value, Kind.USERS_CREATE
    tally, is_more = rosterd.parts.drain.run(lane=lane, kind=kind, budget=timedelta(0))
    assert is_more, "one batch, not all of it"
    mine = rosterd.events(rows.events.c.connection_id == quiet.connection)
    assert {event["state"] for event in mine} == {"ended"}
    assert tally.claimed <= 500


def test_retention_keeps_what_is_dead_and_lets_old_bodies_go(rosterd: Rosterd) -> None:
    feed = rosterd.account()
    rosterd.hire(feed, "u1")
    rosterd.hire(feed, "u2", "x@elsewhere.example")
    old = datetime.now(UTC) - timedelta(days=40)
    with rosterd.parts.database.begin() as connection:
        connection.execute(update(rows.deliveries).values(received_at=old))
        connection.execute(update(rows.events).values(ended_at=old))
        connection.commit()
    assert rosterd.parts.retain()["deleted"] == 1
    (kept,) = rosterd.table(rows.deliveries)
    (dead,) = rosterd.dead()
    (event,) = rosterd.events(rows.events.c.id == dead["event_id"])
    assert event["delivery_id"] == kept["id"]

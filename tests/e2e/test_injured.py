"""Injuries that have to be just so, to real processes: T03, T04, T05, T38, T40."""

from __future__ import annotations

import os
import signal
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from domain.policy import Scope
from tests.chaos.fleet import Fleet
from tests.servers import RedisServer, await_true
from worker.adapters.db import rows
from worker.adapters.db.sweeping import ALONE_FROM
from worker.cli.sender import Sender
from worker.cli.stage import Stage

pytestmark = pytest.mark.long


class Fleeting:
    """A fleet with one account, and what became of its events."""

    def __init__(self, fleet: Fleet) -> None:
        self.fleet = fleet
        self.stage = Stage(fleet.parts, fleet.url)
        self.idp: Sender = self.stage.connect("acme", "standard", Scope(), domain="example.com")

    def hire(self, key: str) -> None:
        data = {"id": key, "email": f"{key}@example.com"}
        assert self.idp.standard("user.upserted", data) == 200

    def rows(self, table: Any) -> list[dict[str, Any]]:
        with self.stage.parts.database.read() as connection:
            return [dict(row) for row in connection.execute(table.select()).mappings()]

    def events(self) -> dict[str, dict[str, Any]]:
        """By subject."""
        return {row["subject"]: row for row in self.rows(rows.events)}

    def ended(self, *keys: str) -> bool:
        found = self.events()
        return all(found[key]["state"] == "ended" for key in keys)

    def seen(self, word: str) -> list[list[str]]:
        """Lines of what happened inside the processes."""
        path = self.fleet.points / "seen"
        lines = path.read_text().splitlines() if path.exists() else []
        return [line.split() for line in lines if line.startswith(word)]

    def told_twice(self) -> list[str]:
        """Subjects whose audit or mails are there more than once."""
        told = [row["subject"] for row in self.rows(rows.audit) if row["event_id"]]
        mailed = [row["address"] for row in self.rows(rows.notices)]
        mailed = [address for address in mailed if not address.startswith("owner@")]
        return [one for many in (told, mailed) for one in set(many) if many.count(one) > 1]


@contextmanager
def fleet(
    folder: Path, database_url: str, broker_url: str, **environment: str
) -> Iterator[Fleeting]:
    data = folder / "rosterd"
    data.mkdir()
    whole = Fleet(data, database_url=database_url, broker_url=broker_url, **environment)
    whole.start()
    try:
        yield Fleeting(whole)
    finally:
        whole.stop()


@pytest.fixture
def broker_url(request: pytest.FixtureRequest) -> str:
    if request.param == "redis":
        return str(request.getfixturevalue("redis_server").url)
    return str(request.getfixturevalue("rabbitmq_url"))


@pytest.mark.timeout(180)
@pytest.mark.parametrize(
    ("broker_url", "poison"),
    [("redis", "poison-child"), ("rabbitmq", "poison-child"), ("rabbitmq", "poison-group")],
    indirect=["broker_url"],
)
def test_t03_t04_an_event_that_kills_its_worker_is_dead_after_three_lone_crashes(
    postgres_url: str, broker_url: str, tmp_path: Path, poison: str
) -> None:
    with fleet(tmp_path, postgres_url, broker_url) as whole:
        others = [f"u{number}" for number in range(12)]
        for key in (*others[:6], poison, *others[6:]):
            whole.hire(key)
        later = iter(range(1000))

        def is_dead() -> bool:
            # Others go on coming, not as fast as they can: each is looked at again and again.
            time.sleep(0.25)
            whole.hire(f"later{next(later)}")
            return bool(whole.events()[poison]["state"] == "dead")

        await_true(is_dead, seconds=90, name="the poison's end")
        keys = [key for key in whole.events() if key != poison]
        await_true(lambda: whole.ended(*keys), seconds=30, name="the others")
        assert whole.events()[poison]["reason"] == "worker_lost"
        assert whole.events()[poison]["crashes"] - ALONE_FROM == 3
        # Alone three times, and before that in a batch of each size. Until the sweep has counted
        # a crash, another child may claim the same batch and die of it as well.
        assert 3 <= len(whole.seen(poison)) <= 2 * (3 + ALONE_FROM)
        assert [letter["reason"] for letter in whole.stage.dead("acme")] == ["worker_lost"]
        assert {e["state"] for e in whole.rows(rows.events) if e["subject"] != poison} == {"ended"}
        assert whole.told_twice() == []
        assert whole.rows(rows.batch_markers) == []


@pytest.mark.timeout(180)
@pytest.mark.parametrize("broker_url", ["redis"], indirect=True)
def test_t03_d6_whoever_dies_too_soon_to_sweep_leaves_the_count_to_the_next(
    postgres_url: str, broker_url: str, tmp_path: Path
) -> None:
    with fleet(tmp_path, postgres_url, broker_url, ROSTERD_SWEEP_SECONDS="300") as whole:
        for key in ("u0", "poison-child", "u1"):
            whole.hire(key)
        later = iter(range(1000))

        def is_dead() -> bool:
            time.sleep(0.25)
            whole.hire(f"later{next(later)}")
            return bool(whole.events()["poison-child"]["state"] == "dead")

        await_true(is_dead, seconds=90, name="the poison's end")
        assert whole.events()["poison-child"]["crashes"] - ALONE_FROM == 3
        whole.hire("last")
        await_true(lambda: whole.ended("u0", "u1", "last"), seconds=30, name="the others")


@pytest.mark.timeout(120)
def test_t05_a_ring_that_comes_again_while_it_is_answered_changes_nothing(
    postgres_url: str, redis_server: RedisServer, tmp_path: Path
) -> None:
    quiet = {"ROSTERD_SWEEP_SECONDS": "60", "ROSTERD_CHAOS_VISIBILITY": "1"}
    with fleet(tmp_path, postgres_url, redis_server.url, **quiet) as whole:
        whole.hire("slow")
        await_true(lambda: whole.ended("slow"), seconds=60, name="the slow one")
        (slow,) = whole.seen("slow")
        began, pid = float(slow[-1]), slow[-2]
        beside = [
            line
            for line in whole.seen("drain standard users.create")
            if line[-2] != pid and began < float(line[-1]) < began + 5
        ]
        assert beside, "the ring came again meanwhile, to another child"
        assert whole.told_twice() == []
        assert whole.events()["slow"]["attempts"] == whole.events()["slow"]["crashes"] == 0


@pytest.mark.timeout(180)
@pytest.mark.parametrize("where", ["worker.before_writes", "worker.before_commit"])
def test_t38_a_child_that_was_frozen_with_a_batch_in_hand_does_nothing_when_it_comes_back(
    postgres_url: str, redis_server: RedisServer, tmp_path: Path, where: str
) -> None:
    with fleet(tmp_path, postgres_url, redis_server.url) as whole:
        point = whole.fleet.points / where
        point.write_text("stop")
        for number in range(5):
            whole.hire(f"u{number}")
        fired = point.with_name(f"{where}.fired")
        await_true(fired.exists, name="somebody who claims")
        (frozen,) = await_true(lambda: stopped(whole.fleet), name="a child that is frozen")
        (held,) = [
            m["event_ids"] for m in whole.rows(rows.batch_markers) if f":{frozen}:" in m["worker"]
        ]
        assert held != b"[]"
        # Its session is ended, and then others may take what it held.
        keys = [f"u{number}" for number in range(5)]
        await_true(lambda: whole.ended(*keys), seconds=45, name="others who do its work")
        assert stopped(whole.fleet) == [frozen]
        os.kill(frozen, signal.SIGCONT)
        whole.hire("after")
        await_true(lambda: whole.ended("after"), seconds=30, name="the next event")
        await_true(lambda: whole.rows(rows.batch_markers) == [], name="the markers' end")
        assert whole.told_twice() == []
        assert {(e["attempts"], e["crashes"]) for e in whole.rows(rows.events)} == {(0, 0)}
        assert whole.stage.dead("acme") == []


@pytest.mark.timeout(120)
def test_t40_a_broker_that_is_away_kills_nobody_and_work_goes_on(
    postgres_url: str, redis_server: RedisServer, tmp_path: Path
) -> None:
    with fleet(tmp_path, postgres_url, redis_server.url) as whole:
        whole.hire("before")
        await_true(lambda: whole.ended("before"), name="the first event")
        parents = {c.name: c.process.pid for c in whole.fleet.supervisor.children if c.process}
        redis_server.away()
        until = time.monotonic() + 8
        whole.hire("meanwhile")
        while time.monotonic() < until:
            for probe in ("livez", "readyz"):
                with urllib.request.urlopen(f"{whole.fleet.url}/{probe}", timeout=5) as answer:
                    assert answer.status == 200
            time.sleep(0.2)
        assert whole.ended("meanwhile"), "without a broker the tables are polled"
        redis_server.back()
        whole.hire("after")
        await_true(lambda: whole.ended("after"), name="the last event")
        now = {c.name: c.process.pid for c in whole.fleet.supervisor.children if c.process}
        assert now == parents, "nobody was started anew"
        assert whole.told_twice() == []


def stopped(whole: Fleet) -> list[int]:
    """Pool children that are stopped."""
    found = []
    for pid in whole.pool():
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        if state == "T":
            found.append(pid)
    return found

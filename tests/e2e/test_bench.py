"""Measurements that run real processes come to an end and to numbers, on the smallest scale."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from domain.breaker import BreakerRule
from domain.inbox import Kind, Lane
from tests.command import run_command
from tests.preloaded import forking
from worker.adapters.db import rows
from worker.adapters.sources.registry import SOURCES
from worker.cli.bench.scratch import CREATED, SUSPENDED, connect, rosterd_on, store, submissions

pytestmark = pytest.mark.long


#: Of what no option says: how long a measurement pauses, and how often it repeats itself.
LITTLE: dict[str, dict[str, float]] = {
    "latency": {"PAUSE_SECONDS": 0.01},
    "pages": {"TIMES": 2},
    "replay": {"WARM_UP": 2},
    "scim": {"LOOKUPS": 20, "TURNS": 3},
}


@pytest.fixture(autouse=True)
def little(monkeypatch: pytest.MonkeyPatch) -> None:
    """That a measurement ends is found out here, not what it measures."""
    for module, names in LITTLE.items():
        for name, value in names.items():
            monkeypatch.setattr(import_module(f"worker.cli.bench.{module}"), name, value)


def printed(*words: str) -> str:
    """What a measurement prints, here; the processes that it measures are of its own."""
    with forking():
        done = run_command(("bench", *words, "--json"), {})
    assert done.returncode == 0, done.stderr
    return done.stdout


def tables(*words: str) -> Iterator[dict[str, Any]]:
    """One document a table; they are printed one after the other."""
    rest = printed(*words, "--rounds", "1").strip()
    while rest:
        table, end = json.JSONDecoder().raw_decode(rest)
        yield table
        rest = rest[end:].strip()


def measured(*words: str) -> list[str]:
    """The names of what a measurement measured; every value of it is above nothing."""
    found = list(tables(*words))
    series = [one for table in found for one in table["series"]]
    assert all(value > 0 for one in series for value in one["values"]), found
    return [one["name"] for one in series]


def test_suspensions_are_measured_to_the_last_on_an_idle_rosterd_and_behind_a_backlog() -> None:
    assert measured("latency", "--backlog", "4000", "--count", "10") == [
        "behind it: p50",
        "behind it: p99",
        "idle: p50",
        "idle: p99",
    ]


def test_more_leave_in_a_measurement_than_a_breaker_lets_through(
    sqlite_url: str, tmp_path: Path
) -> None:
    """At its default it would hold all after the hundredth, and they would never end."""
    leavers = BreakerRule().least + 10
    with rosterd_on(sqlite_url, tmp_path) as parts:
        hook = connect(parts, leavers=leavers)
        for type_, kind, lane in (
            (CREATED, Kind.USERS_CREATE, Lane.STANDARD),
            (SUSPENDED, Kind.USERS_SUSPEND, Lane.URGENT),
        ):
            store(parts, submissions(parts, hook, range(leavers), type_))
            parts.drain.run(lane=lane.value, kind=kind, budget=timedelta(minutes=1))
        with parts.database.read() as sql:
            states = sql.execute(select(rows.events.c.state, rows.events.c.outcome)).all()
    assert Counter(map(tuple, states)) == {("ended", "applied"): 2 * leavers}


def test_a_providers_day_over_scim_is_measured_to_its_end() -> None:
    assert measured("scim", "--people", "9") == ["one connection", "eight connections"]


def test_large_groups_and_lookups_are_measured_on_postgresql(postgres_url: str) -> None:
    on = ["--database-url", postgres_url]
    assert measured("scim-groups", "--members", "50", *on) == [
        "group of 50",
        "group of ten",
        "PUT of the whole group",
        "web process grows by",
    ]
    few = ["--few", "20", "--many", "40"]
    assert measured("scim-lookups", *few, *on) == ["p99 among 40", "p99 among 20"]


def test_a_replay_is_measured_beside_live_traffic() -> None:
    told = printed("replay", "--events", "20", "--rate", "20/s", "--live", "5")
    words = (
        "live p99 beside 20/s",
        "beside a process that only computes",
        "live p99 alone",
        "kept",
    )
    assert all(word in told for word in words)


def test_pages_of_every_list_are_measured() -> None:
    names = measured("pages", "--ended", "300", "--dead", "60")
    assert {"events", "dead events", "events of a time", "audit", "status"} <= set(names)


def test_every_source_that_posts_is_measured_with_a_request_that_it_takes() -> None:
    posts = set(SOURCES) - {"scim"}
    assert set(measured("sources", "--requests", "3")) == posts

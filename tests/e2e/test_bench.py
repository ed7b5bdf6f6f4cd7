"""Measurements that run real processes come to an end and to numbers, on the smallest scale."""

from __future__ import annotations

import json
import sys

import pytest

from tests.preloaded import run
from worker.adapters.sources.registry import SOURCES

pytestmark = pytest.mark.long


def test_more_leavers_than_a_breaker_lets_through_are_measured_to_the_last() -> None:
    """A breaker at its default holds all after the fiftieth, and they never end."""
    small = ["--backlog", "15000", "--count", "60", "--rounds", "1"]

    done = run(
        [sys.executable, "-m", "worker", "bench", "latency", *small, "--json"],
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert [one["name"] for one in told["series"]] == [
        "behind it: p50",
        "behind it: p99",
        "idle: p50",
        "idle: p99",
    ]
    assert all(value > 0 for one in told["series"] for value in one["values"]), told


def measured(*words: str) -> list[str]:
    """The names of what a measurement measured; every value of it is above nothing."""
    done = run(
        [sys.executable, "-m", "worker", "bench", *words, "--rounds", "1", "--json"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    # One document a table; they are printed one after the other.
    tables, rest = [], done.stdout.strip()
    while rest:
        table, end = json.JSONDecoder().raw_decode(rest)
        tables.append(table)
        rest = rest[end:].strip()
    series = [one for table in tables for one in table["series"]]
    assert all(value > 0 for one in series for value in one["values"]), tables
    return [one["name"] for one in series]


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
    few = ["--few", "600", "--many", "1200"]
    assert measured("scim-lookups", *few, *on) == ["p99 among 1,200", "p99 among 600"]


def test_a_replay_is_measured_beside_live_traffic() -> None:
    done = run(
        [
            *(sys.executable, "-m", "worker", "bench", "replay", "--json"),
            *("--events", "40", "--rate", "20/s", "--live", "5"),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    told = done.stdout[done.stdout.index("{") :]
    words = (
        "live p99 beside 20/s",
        "beside a process that only computes",
        "live p99 alone",
        "kept",
    )
    assert all(word in told for word in words)


def test_pages_of_every_list_are_measured() -> None:
    names = measured("pages", "--ended", "2000", "--dead", "200")
    assert {"events", "dead events", "events of a time", "audit", "status"} <= set(names)


def test_every_source_that_posts_is_measured_with_a_request_that_it_takes() -> None:
    posts = set(SOURCES) - {"scim"}
    assert set(measured("sources", "--requests", "3")) == posts

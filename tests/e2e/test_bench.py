"""Measurements that run real processes come to an end and to numbers, on the smallest scale."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

pytestmark = pytest.mark.long


def test_more_leavers_than_a_breaker_lets_through_are_measured_to_the_last() -> None:
    """A breaker at its default holds all after the fiftieth, and they never end."""
    small = ["--backlog", "15000", "--count", "60", "--rounds", "1"]

    done = subprocess.run(
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

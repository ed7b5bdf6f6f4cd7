"""What a pool child tells its parent comes through whole, and not once it is out of date."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.registry import Collector

from worker.adapters.db.gauges import Named, Snapshot
from worker.adapters.prometheus import Told, state_gauges
from worker.adapters.state_file import StateFile

STATE = state_gauges(
    Snapshot(datetime(2026, 1, 1, tzinfo=UTC), connections=(Named("con_1", 'a"b', "okta\n"),)),
    {"urgent": 3},
)


def text(collector: Collector) -> str:
    registry = CollectorRegistry()
    registry.register(collector)
    return generate_latest(registry).decode()


def test_it_is_read_as_it_was_told(tmp_path: Path) -> None:
    StateFile(tmp_path).write(STATE, interval=10)
    assert text(StateFile(tmp_path)) == text(Told(STATE))
    assert [path.name for path in tmp_path.iterdir()] == ["state.json"]


@pytest.mark.parametrize("is_written", [False, True], ids=["never told", "out of date"])
def test_ages_that_have_stopped_are_not_told(tmp_path: Path, is_written: bool) -> None:
    file = StateFile(tmp_path)
    if is_written:
        file.write(STATE, interval=0)
    told = [line for line in text(file).splitlines() if not line.startswith("#")]
    assert told == ["rosterd_state_readable 0.0"]


def test_it_knows_how_old_it_is(tmp_path: Path) -> None:
    file = StateFile(tmp_path)
    assert file.age() == float("inf")
    file.write(STATE, interval=10)
    assert 0 <= file.age() < 5

"""Minutes that add up: percentiles from buckets, lanes beside and minutes behind each other."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.minutes import BOUNDS, Minute, behind, beside, bucket, spans

NOON = datetime(2026, 1, 1, 12, 0, tzinfo=UTC)


def of(*seconds: float) -> Minute:
    counts = [0] * (len(BOUNDS) + 1)
    for one in seconds:
        counts[bucket(one)] += 1
    return Minute(applied=len(seconds), latencies=tuple(counts))


@given(st.lists(st.floats(0, 599), min_size=1), st.floats(0.01, 1))
def test_a_percentile_is_right_to_the_bounds_around_it(values: list[float], part: float) -> None:
    told = of(*values).percentile(part)
    ordered = sorted(values)
    exact = ordered[min(int(-(-part * len(ordered) // 1)) - 1, len(ordered) - 1)]
    assert told is not None
    below = max((bound for bound in (0.0, *BOUNDS) if bound < exact), default=0.0)
    assert below - 1e-9 <= told <= BOUNDS[bucket(exact)] + 1e-9


def test_where_nothing_ended_there_is_no_percentile() -> None:
    assert Minute().percentile(0.5) is None
    assert of(10_000).percentile(0.5) == BOUNDS[-1]


def test_counts_add_up_and_of_what_there_was_the_most_is_told() -> None:
    one = Minute(applied=3, retrying=1, backlog=10, held=2, oldest=5, late=7)
    other = Minute(applied=4, dead=2, backlog=1, letters=9, oldest=50)
    lanes = beside([one, other])
    assert (lanes.applied, lanes.retrying, lanes.dead) == (7, 1, 2)
    assert (lanes.backlog, lanes.held, lanes.letters) == (11, 2, 9)
    assert (lanes.oldest, lanes.late) == (50, 7)
    later = behind([one, other])
    assert (later.applied, later.backlog, later.letters, later.oldest) == (7, 10, 9, 50)


@pytest.mark.parametrize(("minutes", "count"), [(1, 60), (15, 96)])
def test_a_chart_has_a_gap_where_nothing_was_noted(minutes: int, count: int) -> None:
    step = timedelta(minutes=minutes)
    noted = {NOON: Minute(applied=1), NOON - 2 * step: Minute(applied=2)}
    found = spans(noted, until=NOON + timedelta(seconds=30), step=step, count=count)
    assert len(found) == count
    assert [one.minute.applied if one.minute else None for one in found[-3:]] == [2, None, 1]
    assert found[-1].at == NOON

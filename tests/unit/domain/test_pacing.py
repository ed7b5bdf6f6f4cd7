"""How fast a replay goes, and when it stops by itself: for any course of time and failures."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.errors import UsageError
from domain.pacing import (
    CATCH_UP,
    SLICE,
    USUAL_STOP,
    WINDOW,
    Course,
    Pace,
    begun,
    changed_pace,
    next_move,
    seconds_left,
)
from domain.replays import parse_pace_change

SPARE = CATCH_UP.total_seconds()
GAPS = st.lists(st.floats(0.01, 5.0), min_size=1, max_size=60)
RATES = st.floats(0.05, 400.0)


def went(pace: Pace, gaps: list[float], *, total: int, fails: int = 0) -> list[tuple[float, int]]:
    """Each release and when: whatever was released is tried before the next look.

    fails: so many of every hundred fail, the first ones.
    """
    now, tried = 0.0, 0
    course = begun(pace, left=total, now=now)
    said: list[tuple[float, int]] = []
    for gap in [0.0, *gaps]:
        now += gap
        what = next_move(pace, course, now=now)
        if what.is_over or what.stop:
            return said
        said.append((now, what.release))
        failed = sum(1 for n in range(tried, tried + what.release) if n % 100 < fails)
        tried += what.release
        course = Course(
            left=course.left - what.release,
            open=0,
            step=what.step,
            released=(0 if what.is_new_step else course.released) + what.release,
            tried=(0 if what.is_new_step else course.tried) + what.release,
            failed=(0 if what.is_new_step else course.failed) + failed,
            paced_at=what.paced_at,
        )
    return said


@given(rate=RATES, gaps=GAPS)
def test_no_more_is_released_than_the_rate_allows_whenever_one_looks(
    rate: float, gaps: list[float]
) -> None:
    pace = Pace(timedelta(seconds=1 / rate))
    seconds, done = pace.interval.total_seconds(), 0
    for now, count in went(pace, gaps, total=10**6):
        done += count
        assert done <= 1 + now / seconds + 1e-6


@given(rate=RATES, gaps=st.lists(st.floats(0.01, 1.0), min_size=1, max_size=60))
def test_who_looks_often_enough_loses_nothing_of_the_rate(rate: float, gaps: list[float]) -> None:
    pace = Pace(timedelta(seconds=1 / rate))
    seconds, done = pace.interval.total_seconds(), 0
    for now, count in went(pace, gaps, total=10**6):
        done += count
        assert done >= int(now / seconds + 1 - 1e-3)


@given(rate=RATES, away=st.floats(10, 10_000))
def test_a_long_absence_is_not_made_up_for_by_a_flood(rate: float, away: float) -> None:
    pace = Pace(timedelta(seconds=1 / rate))
    (_, first), (_, then) = went(pace, [away], total=10**6)
    assert first == 1
    # An interval has whole microseconds.
    assert then <= max(SPARE / pace.interval.total_seconds(), 1) + 1


@given(total=st.integers(1, 5_000), gaps=st.lists(st.just(1.0), min_size=40, max_size=40))
def test_a_ramp_goes_by_ones_tens_and_hundreds(total: int, gaps: list[float]) -> None:
    said = [count for _, count in went(Pace(has_ramp=True), gaps, total=total)]
    assert sum(said) == total
    done, step, begins = 0, 1, 0
    for count in said:
        if done - begins >= step:
            begins, step = done, step * 10
        assert count <= min(step, SLICE)
        done += count


def test_a_step_of_the_ramp_waits_for_the_whole_of_the_one_before() -> None:
    pace = Pace(has_ramp=True)
    course = Course(left=90, open=1, step=10, released=10, tried=9, failed=0, paced_at=0)
    assert next_move(pace, course, now=5).release == 0
    begun_anew = next_move(pace, replace(course, open=0, tried=10), now=5)
    assert (begun_anew.release, begun_anew.step, begun_anew.is_new_step) == (90, 100, True)


@given(fails=st.integers(0, 100), stop=st.integers(0, 99))
def test_it_stops_where_more_fail_than_was_said_and_only_there(fails: int, stop: int) -> None:
    pace = Pace(stop_percent=stop)
    course = Course(left=10, open=0, step=0, released=100, tried=100, failed=fails, paced_at=0)
    assert (next_move(pace, course, now=1).stop is not None) == (fails > stop)


def test_the_first_failure_of_a_ramp_stops_it() -> None:
    pace = Pace(has_ramp=True, stop_percent=20)
    assert went(pace, [1.0] * 9, total=50, fails=100) == [(0.0, 1)]
    why = next_move(pace, Course(49, 0, 1, 1, 1, 1, 0), now=1).stop
    assert why == "1 of 1 failed, more than the 20 % at which it was to stop"


def test_a_few_failures_say_nothing_without_a_ramp() -> None:
    course = Course(left=9, open=0, step=0, released=5, tried=5, failed=5, paced_at=0)
    assert next_move(Pace(stop_percent=0), course, now=1).stop is None


def test_what_waits_to_be_tried_has_a_limit() -> None:
    course = Course(left=9_999, open=WINDOW, step=0, released=0, tried=0, failed=0, paced_at=0)
    assert next_move(Pace(), course, now=1).release == 0
    assert next_move(Pace(), replace(course, open=0), now=1).release == SLICE


def test_it_is_over_once_all_was_tried_whatever_failed() -> None:
    course = Course(left=0, open=0, step=0, released=30, tried=30, failed=30, paced_at=0)
    assert next_move(Pace(stop_percent=0), course, now=1).is_over
    assert not next_move(Pace(), replace(course, open=1), now=1).is_over


@pytest.mark.parametrize("pace", [Pace(timedelta(seconds=-1)), Pace(stop_percent=100)])
def test_a_pace_that_makes_no_sense_is_refused(pace: Pace) -> None:
    with pytest.raises(UsageError):
        pace.check()


def test_how_long_it_goes_on_follows_the_rate_or_the_course() -> None:
    slow = Pace(timedelta(seconds=1))
    assert seconds_left(slow, left=60, done=0, since=0) == 60
    assert seconds_left(Pace(), left=50, done=100, since=10) == 5
    assert seconds_left(Pace(), left=50, done=0, since=10) is None
    assert seconds_left(Pace(), left=0, done=9, since=1) == 0


@pytest.mark.parametrize(
    ("rate", "has_ramp", "stop_at", "expected"),
    [
        (None, None, None, Pace(timedelta(seconds=6), has_ramp=True, stop_percent=7)),
        ("5/m", None, None, Pace(timedelta(seconds=12), has_ramp=True, stop_percent=7)),
        ("full", None, None, Pace(timedelta(0), has_ramp=True, stop_percent=7)),
        (None, False, None, Pace(timedelta(seconds=6), has_ramp=False, stop_percent=7)),
        (None, None, "30%", Pace(timedelta(seconds=6), has_ramp=True, stop_percent=30)),
        (None, None, "never", Pace(timedelta(seconds=6), has_ramp=True, stop_percent=None)),
    ],
)
def test_of_a_pace_only_what_is_told_changes(
    rate: str | None, has_ramp: bool | None, stop_at: str | None, expected: Pace
) -> None:
    before = Pace(timedelta(seconds=6), has_ramp=True, stop_percent=7)
    change = parse_pace_change(rate, has_ramp=has_ramp, stop_at=stop_at)
    assert changed_pace(before, change) == expected


def test_a_ramp_that_begins_has_something_to_stop_at() -> None:
    told = parse_pace_change(None, has_ramp=True)
    assert changed_pace(Pace(), told).stop_percent == USUAL_STOP
    assert changed_pace(Pace(stop_percent=3), told).stop_percent == 3
    never = parse_pace_change(None, has_ramp=True, stop_at="never")
    assert changed_pace(Pace(), never).stop_percent is None
    with pytest.raises(UsageError):
        changed_pace(Pace(), {"stop_percent": 100})

"""Intervals of access, made of turns."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.access import (
    MEMBER,
    NO_MEMBER,
    Interval,
    Turn,
    Window,
    common,
    intervals,
    is_member,
    may_sign_in,
    own_word,
    role_in,
)
from domain.errors import UsageError

START = datetime(2026, 1, 1, tzinfo=UTC)


def at(hour: int) -> datetime:
    return START + timedelta(hours=hour)


def turn(hour: int, *, joins: bool) -> Turn:
    was, now = (NO_MEMBER, MEMBER) if joins else (MEMBER, NO_MEMBER)
    return Turn(at(hour), was, now, "cli:ana", event=hour)


def hours(found: list[Interval]) -> list[tuple[int | None, int | None]]:
    ends = [(one.began, one.ended) for one in found]
    return [tuple(turn.event if turn else None for turn in pair) for pair in ends]  # type: ignore[misc]


def test_in_and_out_and_in_again() -> None:
    turns = [turn(1, joins=True), turn(2, joins=False), turn(3, joins=True)]
    found = intervals(turns, is_member, is_now=True)
    assert hours(found) == [(1, 2), (3, None)]
    assert not any(one.is_lost for one in found)


def test_what_has_no_turn_lasts_since_before_the_history() -> None:
    assert intervals([], is_member, is_now=True) == [Interval(None)]
    assert intervals([], is_member, is_now=False) == []
    assert hours(intervals([turn(2, joins=False)], is_member, is_now=False)) == [(None, 2)]


def test_what_contradicts_the_present_was_not_recorded() -> None:
    (lost,) = intervals([turn(1, joins=True)], is_member, is_now=False)
    assert lost.is_lost
    _, unrecorded = intervals([turn(1, joins=False)], is_member, is_now=True)
    assert unrecorded == Interval(None, None, is_lost=True)


def test_a_turn_that_says_what_was_so_already_changes_nothing() -> None:
    turns = [turn(1, joins=True), turn(2, joins=True), turn(3, joins=False), turn(4, joins=False)]
    assert hours(intervals(turns, is_member, is_now=False)) == [(1, 3)]


def test_a_persons_own_word_gives_access_and_roles() -> None:
    assert may_sign_in(own_word("active", "owner"))
    for state in ("invited", "suspended", "invited_suspended", "withdrawn"):
        assert not may_sign_in(own_word(state, "owner"))
    assert role_in({"owner", "administrator"})(own_word("suspended", "owner"))
    assert not role_in({"owner"})(own_word("active", "member"))
    assert not role_in({"owner"})("")


def test_a_window_is_one_moment_or_two_bounds() -> None:
    with pytest.raises(UsageError, match="one moment"):
        Window(at=at(1), since=at(0))
    with pytest.raises(UsageError, match="before until"):
        Window(since=at(1), until=at(1))


_HOURS = st.lists(st.integers(0, 20), unique=True, max_size=8).map(sorted)


def _spans(marks: list[int]) -> list[Interval]:
    turns = [turn(hour, joins=place % 2 == 0) for place, hour in enumerate(marks)]
    return intervals(turns, is_member, is_now=len(marks) % 2 == 1)


@given(one=_HOURS, other=_HOURS, asked=st.integers(0, 21))
def test_common_parts_cover_exactly_the_moments_that_both_cover(
    one: list[int], other: list[int], asked: int
) -> None:
    mine, others = _spans(one), _spans(other)
    both = [part for interval in mine for part in common(interval, others)]
    covers = [any(i.covers(at(asked)) for i in some) for some in (mine, others, both)]
    assert covers[2] == (covers[0] and covers[1])


@given(marks=_HOURS, since=st.integers(0, 20), length=st.integers(1, 5))
def test_a_window_wants_whatever_lasted_at_any_moment_of_it(
    marks: list[int], since: int, length: int
) -> None:
    window = Window(since=at(since), until=at(since + length))
    halves = [at(since) + timedelta(minutes=30 * half) for half in range(2 * length)]
    for interval in _spans(marks):
        assert window.wants(interval) == any(interval.covers(moment) for moment in halves)

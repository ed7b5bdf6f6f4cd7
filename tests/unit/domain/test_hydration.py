"""What an answer means, when it counts, and how often an IdP is asked."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain import changes as c
from domain.directories import ReadGroup, ReadPerson
from domain.hydration import WITHIN, Answer, Wanted, What, changes_of, read_id, sorted_by
from domain.inbox import Kind, Lane
from domain.questions import BURST, INTERVAL, LONGEST_REST, next_slot, pause_after, rest_after
from domain.values import HORIZON

NOW = datetime(2026, 3, 9, 8, 30, tzinfo=UTC)
ANA = ReadPerson("u1", "ana@example.com", {"given_name": "Ana"})
SECONDS = st.integers(-100_000, 100_000).map(lambda s: timedelta(seconds=s))


def answer(found: ReadPerson | ReadGroup | None, at: datetime = NOW) -> Answer:
    return Answer(found, NOW, at)


@pytest.mark.parametrize(
    ("wanted", "found", "told"),
    [
        (
            Wanted(What.PERSON, "u1"),
            ANA,
            (c.ProvisionUser("u1", "ana@example.com", {"given_name": "Ana"}, True, "member"),),
        ),
        (
            Wanted(What.PERSON, "u1"),
            ReadPerson("u1", "", {}, is_active=False),
            (c.ProvisionUser("u1", "", {}, False, "member"),),
        ),
        (
            Wanted(What.PERSON, "u1"),
            ReadPerson("u1", "", {"given_name": "Ana"}),
            (c.UpdateProfile("u1", {"given_name": "Ana"}), c.ReactivateUser("u1")),
        ),
        (Wanted(What.PERSON, "u1"), None, (c.SuspendUser("u1"),)),
        (Wanted(What.PERSON, "u1", "app"), None, (c.SuspendUser("u1"),)),
        (
            Wanted(What.PERSON, "u1", "app"),
            ANA,
            (c.AssignUser("u1", "app", "ana@example.com", {"given_name": "Ana"}),),
        ),
        (
            Wanted(What.PERSON, "u1", "app"),
            ReadPerson("u1", "", {}, is_active=False),
            (c.AssignUser("u1", "app", None, {}), c.SuspendUser("u1")),
        ),
        (Wanted(What.GROUP, "g1"), ReadGroup("g1", "Staff"), (c.PutGroup("g1", "Staff"),)),
        (Wanted(What.GROUP, "g1"), None, (c.DeleteGroup("g1"),)),
    ],
)
def test_what_an_answer_asks_for(
    wanted: Wanted, found: ReadPerson | ReadGroup | None, told: tuple[c.Change, ...]
) -> None:
    assert changes_of(wanted, answer(found)) == told


def test_d10_it_is_laned_by_what_it_says() -> None:
    out, back = (c.SuspendUser("u1"),), (c.UpdateProfile("u1", {}), c.ReactivateUser("u1"))
    assert sorted_by(out, Kind.USERS_UPDATE, Lane.STANDARD) == (Kind.USERS_SUSPEND, Lane.URGENT)
    assert sorted_by(out, Kind.USERS_UPDATE, Lane.BULK) == (Kind.USERS_SUSPEND, Lane.BULK)
    assert sorted_by(back, Kind.USERS_UPDATE, Lane.STANDARD) == (Kind.USERS_UPDATE, Lane.STANDARD)
    assert sorted_by(back, Kind.HYDRATE, Lane.URGENT) == (Kind.USERS_REACTIVATE, Lane.STANDARD)


def test_a_person_and_a_group_of_one_id_are_two_questions() -> None:
    assert read_id("con_1", What.PERSON, "x") != read_id("con_1", What.GROUP, "x")


def test_d2_only_what_was_received_before_it_was_asked_is_answered() -> None:
    assert answer(ANA).is_after(NOW - timedelta(microseconds=1))
    assert not answer(ANA).is_after(NOW)


@given(changed=SECONDS, occurred=SECONDS)
def test_d2_a_version_bears_its_own_time(changed: timedelta, occurred: timedelta) -> None:
    """Whatever a late notification says: a stale replica's word is as old as it is."""
    changed_at = NOW + min(changed, timedelta(0))
    person = ReadPerson("u1", "ana@example.com", changed_at=changed_at)
    assert answer(person).stamp(NOW + occurred, NOW) == changed_at


@given(occurred=SECONDS)
def test_what_bears_no_version_is_as_old_as_its_answer(occurred: timedelta) -> None:
    stamp = answer(None).stamp(NOW + occurred, NOW)
    assert NOW <= stamp <= NOW + WITHIN
    if timedelta(0) <= occurred <= WITHIN:
        assert stamp == NOW + occurred, "no older than the event that was told of before"


@pytest.mark.parametrize("changed_at", [NOW - HORIZON - timedelta(days=1), NOW + timedelta(days=1)])
def test_a_version_of_no_believable_time_is_as_old_as_its_answer(changed_at: datetime) -> None:
    person = ReadPerson("u1", "ana@example.com", changed_at=changed_at)
    assert answer(person).stamp(NOW, NOW) == NOW


@given(gaps=st.lists(st.integers(0, 400), min_size=1, max_size=200))
def test_never_more_questions_than_the_rate_and_one_burst(gaps: list[int]) -> None:
    """Asked at any moments, milliseconds apart: in no span more than its share."""
    now, kept, asked = NOW, None, []
    for gap in gaps:
        now += timedelta(milliseconds=gap)
        wait, following = next_slot(kept, now)
        if wait == timedelta(0):
            asked.append(now)
            kept = following
    for first in range(len(asked)):
        for last in range(first, len(asked)):
            assert last - first + 1 <= BURST + (asked[last] - asked[first]) / INTERVAL


def test_a_question_after_a_pause_waits_for_nothing() -> None:
    assert next_slot(None, NOW)[0] == timedelta(0)
    assert next_slot(NOW - timedelta(days=1), NOW)[0] == timedelta(0)


@given(
    failures=st.integers(1, 1000),
    chance=st.floats(0, 1, exclude_max=True),
    asked=st.none() | st.integers(0, 10**7),
)
def test_an_idp_rests_as_long_as_it_asks_and_ever_longer_but_not_for_ever(
    failures: int, chance: float, asked: int | None
) -> None:
    after = timedelta(seconds=asked) if asked is not None else None
    rest = rest_after(retry_after=after, needs_operator=False, random=lambda: chance)
    wait = rest.wait(failures)
    assert timedelta(0) < wait <= LONGEST_REST
    assert after is None or wait >= min(after, LONGEST_REST)
    assert wait <= rest.wait(failures + 1)
    assert pause_after(failures, lambda: chance) > timedelta(0)

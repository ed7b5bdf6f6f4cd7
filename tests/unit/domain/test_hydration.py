"""What an answer means, when it counts, and how often an IdP is asked."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain import changes as c
from domain.directories import Found, ReadGroup, ReadMembership, ReadPerson
from domain.hydration import (
    WITHIN,
    Answer,
    Wanted,
    What,
    changes_of,
    onward,
    pair_of,
    read_id,
    sorted_by,
)
from domain.inbox import Kind, Lane
from domain.questions import BURST, INTERVAL, LONGEST_REST, next_slot, pause_after, rest_after
from domain.values import HORIZON

NOW = datetime(2026, 3, 9, 8, 30, tzinfo=UTC)
ANA = ReadPerson("u1", "ana@example.com", {"given_name": "Ana"})
SECONDS = st.integers(-100_000, 100_000).map(lambda s: timedelta(seconds=s))


STAFF = ReadGroup("g1", "Staff")
BELONGS = Wanted.member("staff@example.com", "ana@example.com", by_address=True)


def answer(found: Found | None, at: datetime = NOW, former: str = "") -> Answer:
    return Answer(found, NOW, at, former)


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
        (
            Wanted(What.PERSON_AT, "ana@example.com"),
            ANA,
            (c.ProvisionUser("u1", "ana@example.com", {"given_name": "Ana"}, True, "member"),),
        ),
        (Wanted(What.PERSON_AT, "ana@example.com"), None, ()),
        (Wanted(What.GROUP_AT, "staff@example.com"), STAFF, (c.PutGroup("g1", "Staff"),)),
        (Wanted(What.GROUP_AT, "staff@example.com"), None, ()),
        (
            BELONGS,
            ReadMembership(STAFF, "u1", is_member=True),
            (c.PutGroup("g1", "Staff"), c.AddMember("g1", "u1")),
        ),
        (BELONGS, ReadMembership(STAFF, "u1", is_member=False), (c.RemoveMember("g1", "u1"),)),
        (BELONGS, ReadMembership(STAFF, "", is_member=False), ()),
        (BELONGS, None, ()),
        (Wanted.member("g1", "u1"), None, (c.DeleteGroup("g1"),)),
    ],
)
def test_what_an_answer_asks_for(
    wanted: Wanted, found: Found | None, told: tuple[c.Change, ...]
) -> None:
    assert changes_of(wanted, answer(found)) == told


def test_d10_it_is_laned_by_what_it_says() -> None:
    out, back = (c.SuspendUser("u1"),), (c.UpdateProfile("u1", {}), c.ReactivateUser("u1"))
    assert sorted_by(out, Kind.USERS_UPDATE, Lane.STANDARD) == (Kind.USERS_SUSPEND, Lane.URGENT)
    assert sorted_by(out, Kind.USERS_UPDATE, Lane.BULK) == (Kind.USERS_SUSPEND, Lane.BULK)
    assert sorted_by(back, Kind.USERS_UPDATE, Lane.STANDARD) == (Kind.USERS_UPDATE, Lane.STANDARD)
    assert sorted_by(back, Kind.HYDRATE, Lane.URGENT) == (Kind.USERS_REACTIVATE, Lane.STANDARD)


def test_a_person_and_a_group_of_one_id_are_two_questions() -> None:
    assert len({read_id("con_1", what, "x") for what in What}) == len(What)


@given(group=st.text(), user=st.text(), others=st.tuples(st.text(), st.text()))
def test_every_membership_is_a_question_of_its_own(
    group: str, user: str, others: tuple[str, str]
) -> None:
    wanted = Wanted.member(group, user)
    assert pair_of(wanted.key) == (group, user)
    assert (Wanted.member(*others).key == wanted.key) is (others == (group, user))


def test_an_address_that_nobody_has_proves_nothing_of_whoever_had_it() -> None:
    """They may have another now: who had it is asked for by id, and only that answer counts."""
    nobody = answer(None, former="u1")
    assert onward(Wanted(What.PERSON_AT, "ana@example.com"), nobody) == Wanted(What.PERSON, "u1")
    assert onward(Wanted(What.GROUP_AT, "staff@example.com"), answer(None, former="g1")) == Wanted(
        What.GROUP, "g1"
    )
    assert onward(BELONGS, answer(None)) == Wanted(What.GROUP_AT, "staff@example.com")
    assert onward(Wanted(What.PERSON_AT, "ana@example.com"), answer(None)) is None
    assert onward(Wanted(What.PERSON, "u1"), nobody) is None
    assert onward(Wanted(What.PERSON_AT, "ana@example.com"), answer(ANA, former="u2")) is None


def test_what_asks_nothing_yet_keeps_its_place_before_all_others() -> None:
    assert sorted_by((), Kind.HYDRATE, Lane.URGENT) == (Kind.HYDRATE, Lane.URGENT)
    gone = (c.RemoveMember("g1", "u1"),)
    urgent = (Kind.GROUPS_REMOVE_MEMBERS, Lane.URGENT)
    assert sorted_by(gone, Kind.GROUPS_ADD_MEMBERS, Lane.STANDARD) == urgent


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

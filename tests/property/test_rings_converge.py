"""E8: addresses that change hands in rings, whoever accepted and in whatever order it is told."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given, note
from hypothesis import strategies as st

from domain.changes import ChangeEmail, ProvisionUser, SuspendUser
from domain.consequences import link_of
from domain.inbox import State
from domain.model import Person
from tests.builders import accept, drain, policy
from tests.exploring import patient
from tests.fakes.memory import START, Memory


def _address(number: int) -> str:
    return f"a{number}@example.com"


def _hired(size: int, accepted: set[int]) -> Memory:
    memory = Memory(policy())
    for number in range(size):
        memory.add(f"hire{number}", ProvisionUser(f"u{number}", _address(number), {}), at=START)
    drain(memory)
    for number in accepted:
        accept(memory, _person(memory, number).id)
    return memory


def _person(memory: Memory, number: int) -> Person:
    return next(p for p in memory.state.people.values() if p.user == f"u{number}")


def _emails(memory: Memory, size: int) -> list[str]:
    return [_person(memory, number).email for number in range(size)]


def _tell_ring(memory: Memory, order: list[int], batches: list[int]) -> None:
    """Each is given the next one's address, in this order, so many in each batch."""
    left = list(batches)
    room = left.pop(0) if left else len(order)
    for place, number in enumerate(order):
        at = START + timedelta(days=1, seconds=number)
        change = ChangeEmail(f"u{number}", _address((number + 1) % len(order)))
        memory.add(f"turn{number}", change, at=at)
        room -= 1
        if room == 0 or place == len(order) - 1:
            drain(memory)
            room = left.pop(0) if left else len(order)


def _insist_sound(memory: Memory) -> None:
    """Nobody's address is somebody else's, and each one's is theirs in the table, too."""
    people = [p for p in memory.state.people.values() if p.has_address]
    assert len({p.email for p in people}) == len(people)
    for person in people:
        assert memory.state.addresses[f"acc:{person.email}"] == person.id


@st.composite
def rings(draw: st.DrawFn) -> tuple[int, set[int], list[int], list[int]]:
    size = draw(st.integers(2, 6))
    accepted = draw(st.sets(st.integers(0, size - 1)))
    order = draw(st.permutations(range(size)))
    return size, accepted, order, draw(st.lists(st.integers(1, size), max_size=size))


@patient(600)
@given(ring=rings(), data=st.data())
def test_e8_e2_a_ring_moves_whole_once_all_who_accepted_have_proven_their_address(
    ring: tuple[int, set[int], list[int], list[int]], data: st.DataObject
) -> None:
    size, accepted, order, batches = ring
    memory = _hired(size, accepted)
    old = [_address(number) for number in range(size)]
    _tell_ring(memory, order, batches)
    for number in data.draw(st.permutations(sorted(accepted))):
        assert _emails(memory, size) == old, "the old addresses are in force until the last yes"
        _insist_sound(memory)
        person = _person(memory, number)
        link = link_of(person)
        assert link is not None
        assert (link.kind, link.address) == ("email_change", _address((number + 1) % size))
        accept(memory, person.id)
        if data.draw(st.booleans()):
            drain(memory)
    drain(memory)
    assert _emails(memory, size) == [*old[1:], old[0]]
    _insist_sound(memory)
    assert all(r.state is State.ENDED for r in memory.state.results.values())
    for number in range(size):
        person = _person(memory, number)
        assert person.pending is None
        assert person.is_accepted is (number in accepted)


@patient(400)
@given(ring=rings(), data=st.data())
def test_e8_e6_who_is_given_another_address_leaves_the_ring_and_nobody_proves_theirs(
    ring: tuple[int, set[int], list[int], list[int]], data: st.DataObject
) -> None:
    """Then the addresses move up one by one, each when it is given up, as in any chain."""
    size, accepted, order, batches = ring
    accepted = accepted or {0}
    memory = _hired(size, accepted)
    _tell_ring(memory, order, batches)
    yes = data.draw(st.permutations(sorted(accepted)))
    for number in yes[: data.draw(st.integers(0, len(yes) - 1))]:
        accept(memory, _person(memory, number).id)
    leaver = data.draw(st.integers(0, size - 1))
    leaves = ChangeEmail(f"u{leaver}", "free@example.com")
    memory.add("leaves", leaves, at=START + timedelta(days=2))
    drain(memory)
    _insist_sound(memory)
    asked = {p.user for p in memory.state.people.values() if p.pending is not None}
    # Where the leaver has not accepted, the address is free at once for who is behind, and so on.
    assert asked <= {f"u{number}" for number in accepted}
    for _ in range(size):
        for number in range(size):
            person = _person(memory, number)
            if person.pending is not None:
                accept(memory, person.id)
                drain(memory)
                _insist_sound(memory)
    wanted = [_address((number + 1) % size) for number in range(size)]
    wanted[leaver] = "free@example.com"
    assert _emails(memory, size) == wanted
    assert all(r.state is State.ENDED for r in memory.state.results.values())


@patient(300)
@given(ring=rings(), data=st.data())
def test_e8_e2_nobody_is_asked_while_one_of_the_ring_is_suspended(
    ring: tuple[int, set[int], list[int], list[int]], data: st.DataObject
) -> None:
    """All have accepted: who has not would be hired again as the one who left (D4)."""
    size, _, order, batches = ring
    accepted = set(range(size))
    memory = _hired(size, accepted)
    out = data.draw(st.sampled_from(sorted(accepted)))
    is_before = data.draw(st.booleans())
    leaves = SuspendUser(f"u{out}")
    if is_before:
        memory.add("out", leaves, at=START + timedelta(hours=1))
        drain(memory)
    _tell_ring(memory, order, batches)
    if not is_before:
        memory.add("out", leaves, at=START + timedelta(days=2))
        drain(memory)
    note(f"{out} is out")
    assert not [p for p in memory.state.people.values() if p.pending is not None]
    assert _emails(memory, size) == [_address(number) for number in range(size)]
    _insist_sound(memory)


@pytest.mark.parametrize("is_later_first", [False, True])
def test_e8_d3_who_accepts_while_a_claim_waits_has_proven_the_address_that_they_had(
    is_later_first: bool,
) -> None:
    """The mark of the invitation is older than the claim's, whatever the addresses are called."""
    names = ("a", "z") if is_later_first else ("z", "a")
    memory = Memory(policy())
    for number, name in enumerate(names):
        memory.add(f"h{number}", ProvisionUser(name, f"{name}@example.com", {}), at=START)
    drain(memory)
    first, second = names
    by_key = {p.user: p.id for p in memory.state.people.values()}
    accept(memory, by_key[second])
    claim = ChangeEmail(first, f"{second}@example.com")
    memory.add("claim", claim, at=START + timedelta(days=1))
    drain(memory)
    accept(memory, by_key[first])
    moves = ChangeEmail(second, "free@example.com")
    memory.add("moves", moves, at=START + timedelta(days=2))
    drain(memory)
    accept(memory, by_key[second])
    drain(memory)
    accept(memory, by_key[first])
    drain(memory)
    assert memory.state.people[by_key[first]].email == f"{second}@example.com"
    assert memory.state.people[by_key[first]].pending is None

"""G4: any arrival order, duplication and batching of the same events ends in the same directory."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given, note
from hypothesis import strategies as st

from domain.breaker import BreakerRule
from domain.changes import ChangeEmail, ProvisionUser, SuspendUser
from domain.consequences import link_of
from domain.inbox import State
from domain.policy import OnReturn, Scope, ScopeRule
from tests.builders import IdP, accept, drain, erase, policy
from tests.exploring import patient
from tests.fakes.memory import START, Memory

Log = list[tuple[str, object, object]]


def _run(log: list, batches: list[int], **changes: object) -> Memory:  # type: ignore[type-arg]
    memory = Memory(policy(**changes))
    position = 0
    for size in [*batches, len(log)]:
        for name, at, change in log[position : position + size]:
            memory.add(name, change, at=at)
        position += size
        drain(memory)
        if position >= len(log):
            break
    return memory


@pytest.mark.parametrize("scope", [Scope(), Scope(ScopeRule.GROUPS, frozenset({"g1"}))])
@patient(1000)
@given(data=st.data(), length=st.integers(1, 14))
def test_g4_d1_s1_any_order_duplication_and_batching_gives_the_same_directory(
    scope: Scope, data: st.DataObject, length: int
) -> None:
    idp = IdP(data)
    for _ in range(length):
        idp.step()
    log = idp.log
    told = _run(log, [1] * len(log), scope=scope)
    shuffled = data.draw(st.permutations(log))
    again = data.draw(st.lists(st.sampled_from(log), max_size=5)) if log else []
    mixed = data.draw(st.permutations([*shuffled, *again]))
    batches = data.draw(st.lists(st.integers(1, 6), max_size=10))
    other = _run(mixed, batches, scope=scope)
    note("\n".join(f"{name} {change}" for name, _, change in log))
    note(f"arrives as {[name for name, _, _ in mixed]} in {batches}")
    assert other.export() == told.export()
    for memory in (told, other):
        assert all(r.state in (State.ENDED, State.WAITING) for r in memory.state.results.values())
        assert len(memory.state.results) == len(log)


@patient(800)
@given(
    data=st.data(),
    before=st.integers(1, 9),
    after=st.integers(1, 9),
    on_return=st.sampled_from(list(OnReturn)),
)
def test_d1_d3_with_the_same_decisions_every_order_gives_the_same_directory(
    data: st.DataObject, before: int, after: int, on_return: OnReturn
) -> None:
    """Members answer at a random point; what came before and after it arrives in any order."""
    idp = IdP(data, may_rehire=False)
    for _ in range(before):
        idp.step()
    first = list(idp.log)
    for _ in range(after):
        idp.step()
    second = idp.log[len(first) :]
    # Facts that arrive late: some of the first part come only after the answers.
    late = data.draw(st.sets(st.sampled_from(range(len(first))))) if first else set()
    early = [e for i, e in enumerate(first) if i not in late]
    rest = [e for i, e in enumerate(first) if i in late] + second
    told = _run(early, [1] * len(early), on_return=on_return)
    other = _run(
        data.draw(st.permutations(early)),
        data.draw(st.lists(st.integers(1, 4))),
        on_return=on_return,
    )
    assert told.export() == other.export()
    chosen = data.draw(st.sets(st.sampled_from(["u0", "u1", "u2", "u3"])))
    for memory in (told, other):
        for person in sorted(memory.state.people.values(), key=lambda p: p.user or ""):
            if person.user in chosen and link_of(person) is not None:
                accept(memory, person.id)
    assert told.export() == other.export()
    _feed(told, rest)
    _feed(other, data.draw(st.permutations(rest)))
    assert told.export() == other.export()


@patient(600)
@given(data=st.data(), length=st.integers(4, 16))
def test_c6_g4_what_was_approved_is_as_if_there_had_been_no_breaker(
    data: st.DataObject, length: int
) -> None:
    log, batches = _breaker_history(data, length)
    held = _run(log, batches, breaker=STRICT)
    held.answer_holds(approve=True)
    drain(held)
    assert not held.state.held
    assert held.export() == _run(log, [1] * len(log)).export()


@patient(600)
@given(data=st.data(), length=st.integers(4, 16))
def test_c6_d1_what_was_rejected_is_as_if_it_had_never_been_said(
    data: st.DataObject, length: int
) -> None:
    """The verdicts are decisions: with the same ones, any order of the rest ends the same."""
    log, batches = _breaker_history(data, length)
    held = _run(log, batches, breaker=STRICT)
    gone = set(held.answer_holds(approve=False))
    rest = data.draw(st.permutations([entry for entry in log if entry[0] not in gone]))
    assert held.export() == _run(rest, [1] * len(rest)).export()


STRICT = BreakerRule(least=1, percent=0)


def _breaker_history(data: st.DataObject, length: int) -> tuple[list, list[int]]:  # type: ignore[type-arg]
    idp = IdP(data, may_rehire=False)
    for _ in range(length):
        idp.step()
    log = data.draw(st.permutations(idp.log))
    return log, data.draw(st.lists(st.integers(1, 6), max_size=10))


@patient(400)
@given(data=st.data(), before=st.integers(2, 9), after=st.integers(1, 9))
def test_u5_d1_with_the_same_deletions_every_order_gives_the_same_directory(
    data: st.DataObject, before: int, after: int
) -> None:
    """A deletion is a decision: what is older brings nobody back, whenever it arrives."""
    idp = IdP(data, may_rehire=False)
    for _ in range(before):
        idp.step()
    first = list(idp.log)
    for _ in range(after):
        idp.step()
    rest = idp.log[len(first) :]
    told, other = _run(first, [1] * len(first)), _run(data.draw(st.permutations(first)), [])
    chosen = data.draw(st.sets(st.sampled_from(["u0", "u1", "u2", "u3"])))
    for key in sorted(chosen):
        assert erase(told, key) == erase(other, key)
    for memory in (told, other):
        drain(memory)
    again = data.draw(st.lists(st.sampled_from(first), max_size=4)) if first else []
    twice = [(f"{name}-again", at, change) for name, at, change in again]
    note("\n".join(f"{name} {change}" for name, _, change in idp.log))
    note(f"deletes {sorted(chosen)}, then again {[name for name, _, _ in twice]}")
    assert told.export() == other.export()
    _feed(told, rest)
    _feed(other, data.draw(st.permutations([*rest, *twice])))
    assert told.export() == other.export()


def _feed(memory: Memory, log: list) -> None:  # type: ignore[type-arg]
    for name, at, change in log:
        memory.add(name, change, at=at)
        drain(memory)


def test_d1_a_rehire_is_a_decision_that_a_late_fact_does_not_make() -> None:
    """The one thing that depends on arrival, as D1 has it: see IdP in tests/builders.py."""
    leaver = ProvisionUser("old", "a@example.com", {})
    hired = ProvisionUser("new", "a@example.com", {})
    told = [
        ("e1", START, leaver),
        ("e2", START + timedelta(seconds=1), SuspendUser("old")),
        ("e3", START + timedelta(seconds=2), hired),
        ("e4", START + timedelta(seconds=3), ChangeEmail("new", "b@example.com")),
    ]
    in_order = _run(told, [1, 1, 1, 1])
    assert _users(in_order) == {"new": "b@example.com"}, "the leaver's person was hired again"
    late = _run([told[0], told[1], told[3], told[2]], [1, 1, 1, 1])
    assert _users(late) == {"new": "b@example.com", "old": "a@example.com"}


def _users(memory: Memory) -> dict[object, object]:
    return {line[2]: line[3] for line in memory.export() if line[0] == "user"}

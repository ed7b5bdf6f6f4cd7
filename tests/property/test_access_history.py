"""The history of who had access agrees with the directory, whatever arrives in whatever order."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given, note
from hypothesis import strategies as st

from domain.access import MEMBER, ONESELF
from domain.changes import AddMember, Change, ProvisionUser, PutGroup, SuspendUser
from domain.groups import is_current
from domain.keys import group_id, user_id
from domain.policy import Scope, ScopeRule
from tests.builders import IdP, drain, policy
from tests.exploring import patient
from tests.fakes.memory import START, Memory


def in_effect(memory: Memory) -> set[tuple[str, str]]:
    """Who is in which group now, by the rules of `domain.groups`."""
    state, found = memory.state, set()
    for edge in state.edges.values():
        group = state.groups[group_id(edge.connection, edge.group)]
        user = state.users.get(user_id(edge.connection, edge.user))
        if group.is_seen and is_current(edge, group) and user is not None and user.person:
            found.add((group_id(edge.connection, edge.group), user.person))
    return found


def told(memory: Memory) -> set[tuple[str, str]]:
    """The same by the history alone; each turn begins where the one before ended."""
    words: dict[tuple[str, str], str] = {}
    for one in memory.state.access:
        turn = one.turn
        if turn.group == ONESELF:
            continue
        assert words.get((turn.group, turn.person), "") == turn.was, turn
        assert turn.was != turn.now
        words[turn.group, turn.person] = turn.now
    return {key for key, word in words.items() if word == MEMBER}


@pytest.mark.parametrize(("leaver", "hired"), [("u0", "u1"), ("u1", "u0")])
def test_somebody_hired_again_who_stays_in_a_group_is_in_it_by_the_history(
    leaver: str, hired: str
) -> None:
    """E8: both external ids are in the group, so the person is in it before and after."""
    memory = Memory(policy())
    history: list[Change] = [
        PutGroup("g", "Group"),
        ProvisionUser(leaver, "a@example.com", {}),
        AddMember("g", leaver),
        AddMember("g", hired),
        SuspendUser(leaver),
        ProvisionUser(hired, "a@example.com", {}),
    ]
    for second, change in enumerate(history):
        memory.add(f"e{second}", change, at=START + timedelta(seconds=second))
        drain(memory)
    assert [turn.turn.now for turn in memory.state.access if turn.turn.group] == [MEMBER]
    assert told(memory) == in_effect(memory)


@patient(600)
@given(
    data=st.data(),
    length=st.integers(1, 14),
    scope=st.sampled_from([Scope(), Scope(ScopeRule.GROUPS, frozenset({"g1"}))]),
)
def test_the_history_says_who_is_in_which_group_after_every_batch(
    data: st.DataObject, length: int, scope: Scope
) -> None:
    idp = IdP(data)
    for _ in range(length):
        idp.step()
    log = data.draw(st.permutations(idp.log))
    note("\n".join(f"{name} {change}" for name, _, change in log))
    memory, position = Memory(policy(scope=scope)), 0
    while position < len(log):
        size = data.draw(st.integers(1, 6))
        for name, moment, change in log[position : position + size]:
            memory.add(name, change, at=moment)
        position += size
        drain(memory)
        assert told(memory) == in_effect(memory)

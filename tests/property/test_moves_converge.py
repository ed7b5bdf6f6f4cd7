"""C1: whoever is taken over is settled by the new connection's facts exactly as they were."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.consequences import link_of
from domain.decision import Decided
from domain.model import User
from domain.moving import taken_over
from domain.policy import Scope, ScopeRule
from domain.settle import UserState, settle
from tests.builders import IdP, accept, drain, policy
from tests.exploring import patient
from tests.fakes.memory import Memory


@pytest.mark.parametrize("scope", [Scope(), Scope(ScopeRule.GROUPS, frozenset({"g9"}))])
@patient(300)
@given(data=st.data(), length=st.integers(1, 12))
def test_c1_a_move_settles_to_the_same_person_whatever_the_scope(
    scope: Scope, data: st.DataObject, length: int
) -> None:
    idp = IdP(data)
    memory = Memory(policy())
    for _ in range(length):
        idp.step()
    yes = data.draw(st.sets(st.integers(0, length)))
    for place, (name, at, change) in enumerate(idp.log):
        memory.add(name, change, at=at)
        drain(memory)
        if place in yes:
            for one in list(memory.state.people.values()):
                if one.is_managed and link_of(one) is not None:
                    accept(memory, one.id)
    new = policy(connection="new", scope=scope)
    for person in memory.state.people.values():
        if not person.is_managed:
            continue
        user, moved = taken_over(User("new", "x"), person, new)
        same = replace(
            moved,
            connection=person.connection,
            user=person.user,
            governed_by=person.governed_by,
            claim=person.claim,
        )
        assert same == person
        known = UserState("acc", user, moved, moved, lambda _address: None, "fresh")
        settled = settle(known, user.facts, policy=new)
        assert isinstance(settled, Decided)
        assert [p for p in settled.people if p.id == moved.id] == [moved]
        assert not settled.has_visible_change

"""C1, U5: whoever is taken over is settled by the new connection's facts exactly as they were."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.changes import UserChange
from domain.consequences import link_of
from domain.decide import decide
from domain.decision import Decided
from domain.erasure import is_gone, newest
from domain.inbox import Outcome
from domain.model import User, UserFacts
from domain.moving import taken_over
from domain.policy import Scope, ScopeRule
from domain.settle import UserState, settle
from domain.values import BEGINNING, Stamp, to_micros
from tests.builders import IdP, accept, drain, policy
from tests.exploring import patient
from tests.fakes.memory import START, Memory


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


@patient(300)
@given(data=st.data(), length=st.integers(1, 12))
def test_u5_c1_on_an_external_id_that_was_deleted_the_floor_stays(
    data: st.DataObject, length: int
) -> None:
    idp = IdP(data)
    memory = Memory(policy())
    for _ in range(length):
        idp.step()
    for name, at, change in idp.log:
        memory.add(name, change, at=at)
    drain(memory)
    # Whoever had the external id before was deleted at any moment, long ago or after all of this.
    floor = Stamp(to_micros(START) + data.draw(st.integers(1, 10**13)), 1, "gone")
    new = policy(connection="new")
    for person in memory.state.people.values():
        user, moved = taken_over(User("new", "x", UserFacts(floor=floor)), person, new)
        assert user.facts.floor == floor
        assert min(word.stamp for word in (*user.facts.emails, *user.facts.actives)) > floor
        assert not is_gone(user.facts), "it is not the deleted one, but who was moved"
        known = UserState("acc", user, moved, moved, lambda _address: None, "fresh")
        settled = settle(known, user.facts, policy=new)
        assert isinstance(settled, Decided)
        assert not settled.has_visible_change
        for _, at, change in idp.log:
            if not isinstance(change, UserChange):
                continue
            back = data.draw(st.integers(0, floor.at - 1))
            old = Stamp(min(to_micros(at), floor.at - 1 - back), 0, "old")
            decision = decide(known, change, stamp=old, feed="feed", policy=new)
            assert decision.outcome is Outcome.SUPERSEDED
            assert decision.superseded_by == floor
            assert decision.user is None
        again, _ = taken_over(user, moved, new)
        assert again.facts.floor == floor, "and through another move"
        assert newest(again.facts) > newest(user.facts) > BEGINNING

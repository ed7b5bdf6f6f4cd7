"""What a member's yes does: decisions that no later fact undoes (U2, E2, E6, D3)."""

from __future__ import annotations

from dataclasses import replace

from domain.decision import Decided
from domain.errors import RefusedError
from domain.exchange import promise, same_address
from domain.model import Mark, Person, PersonState, Pinned, User
from domain.ordering import given_at, standing
from domain.overriding import accepted
from domain.policy import Policy
from domain.settle import UserState, settle, successor_key
from domain.values import BEGINNING, Stamp


def accept_invitation(state: UserState, policy: Policy, address: str) -> Decided:
    """U2: accepting proves the address and confirms at once; raises RefusedError.

    The answer is bound to the fact that gave the address, never to a clock (D3).
    """
    user, person = state.user, state.person
    if person is None or person.state is not PersonState.INVITED or not _holds(person, address):
        raise RefusedError("this invitation is no longer valid")
    mark = Mark(given_at(user.facts.emails, address), address)
    key = _birth(user, person, policy)
    pinned = Pinned(person.id, key, (mark,))
    return Decided(user=replace(user, pinned=pinned), people=(accepted(person),))


def _birth(user: User, person: Person, policy: Policy) -> Stamp:
    """Stamp of the reactivation that made this person, or the beginning (E5)."""
    if user.pinned is None or user.pinned.person == person.id:
        return BEGINNING
    stands = standing(user.facts, policy.scope)
    return successor_key(user.facts, user.pinned, stands, policy) or user.pinned.key


def accept_address(state: UserState, policy: Policy, address: str) -> Decided:
    """E2: the pending address is proven, and in force from now on; raises RefusedError.

    In a ring it is in force once everybody has proven theirs, and then all move (E8).
    """
    user, person = state.user, state.person
    if person is None or user.pinned is None or person.pending is None:
        raise RefusedError("this change of address is no longer valid")
    if not same_address(person.pending, address):
        raise RefusedError("this change of address was replaced by a newer one")
    pinned = replace(user.pinned, promised=promise(user, address))
    proven = replace(user, pinned=pinned)
    settled = settle(replace(state, user=proven), user.facts, policy=policy)
    if not isinstance(settled, Decided):
        raise RefusedError(settled.detail)
    return settled


def _holds(person: Person, address: str) -> bool:
    return same_address(person.email, address)

"""What a member's yes does: decisions that no later fact undoes (U2, E2, E6, D3)."""

from __future__ import annotations

from dataclasses import replace

from domain.decision import Decided
from domain.errors import RefusedError
from domain.model import Mark, Person, PersonState, Pinned, User
from domain.ordering import run_start, standing
from domain.overriding import accepted
from domain.policy import Policy
from domain.settle import UserState, settle, successor_key
from domain.values import BEGINNING, Stamp, normalise_address


def accept_invitation(state: UserState, policy: Policy, address: str) -> tuple[User, Person]:
    """U2: accepting proves the address and confirms at once; raises RefusedError.

    The answer is bound to the fact that gave the address, never to a clock (D3).
    """
    user, person = state.user, state.person
    if person is None or person.state is not PersonState.INVITED or not _holds(person, address):
        raise RefusedError("this invitation is no longer valid")
    mark = Mark(run_start(user.facts.emails), address)
    key = _birth(user, person, policy)
    pinned = Pinned(person.id, key, (mark,))
    return replace(user, pinned=pinned), accepted(person)


def _birth(user: User, person: Person, policy: Policy) -> Stamp:
    """Stamp of the reactivation that made this person, or the beginning (E5)."""
    if user.pinned is None or user.pinned.person == person.id:
        return BEGINNING
    stands = standing(user.facts, policy.scope)
    return successor_key(user.facts, user.pinned, stands, policy) or user.pinned.key


def accept_address(state: UserState, policy: Policy, address: str) -> tuple[User, Person]:
    """E2: the pending address is proven and in force from now on; raises RefusedError."""
    user, person = state.user, state.person
    if person is None or user.pinned is None or person.pending is None:
        raise RefusedError("this change of address is no longer valid")
    if normalise_address(person.pending) != normalise_address(address):
        raise RefusedError("this change of address was replaced by a newer one")
    mark = Mark(run_start(user.facts.emails), address)
    proven = replace(user, pinned=replace(user.pinned, marks=(*user.pinned.marks, mark)))
    settled = settle(replace(state, user=proven), user.facts, policy=policy)
    if not isinstance(settled, Decided):
        raise RefusedError(settled.detail)
    after = next(p for p in settled.people if p.id == person.id)
    return settled.user, after


def _holds(person: Person, address: str) -> bool:
    return normalise_address(person.email) == normalise_address(address)

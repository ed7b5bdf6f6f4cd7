"""What operators may do to people: those whom no identity provider governs, and anybody's role.

Every function takes the person as they are, under lock, and gives the person as they will be;
where a rule says no it raises RefusedError with the way out.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace

from domain.consequences import LinkKind
from domain.errors import RefusedError
from domain.model import Person, PersonState, Role
from domain.overriding import accepted as after_yes
from domain.protection import Keeper, last_owners
from domain.values import normalise_address


def new_person(
    id_: str,
    account: str,
    email: str,
    *,
    role: Role,
    profile: Mapping[str, str],
    is_active: bool,
) -> Person:
    """Somebody whom no identity provider made: invited, or active where an operator vouches."""
    return Person(
        id=id_,
        account=account,
        email=email,
        requested=email,
        state=PersonState.ACTIVE if is_active else PersonState.INVITED,
        is_accepted=is_active,
        role=role,
        profile=dict(profile),
    )


def with_role(person: Person, role: Role, keepers: Collection[Keeper]) -> Person:
    """U6, S2: the last owner stays one, and nobody who is provisioned is a guest."""
    if role is not Role.OWNER:
        _insist_not_last(person, keepers)
    if role is Role.GUEST and person.is_managed:
        raise RefusedError(
            f"{person.id} is provisioned by connection {person.connection}, and guests never are "
            "(S2): take them out of its scope first"
        )
    return replace(person, role=role)


def with_break_glass(person: Person, *, is_break_glass: bool) -> Person:
    """U6: provisioning does not touch a break-glass person. Guests have no such office."""
    if is_break_glass and person.role is Role.GUEST:
        raise RefusedError(f"{person.id} is a guest: give them another role first")
    return replace(person, is_break_glass=is_break_glass)


def suspended(person: Person, keepers: Collection[Keeper]) -> Person:
    """U3 by hand: only of somebody whom no identity provider governs."""
    _insist_unmanaged(person, "suspend them there")
    _insist_not_last(person, keepers)
    if person.is_break_glass:
        raise RefusedError(f"{person.id} is break-glass: take the mark away first (U6)")
    out = PersonState.SUSPENDED if person.is_accepted else PersonState.INVITED_SUSPENDED
    return replace(person, state=out, pending=None, requested=person.email)


def reactivated(person: Person) -> Person:
    """U4 by hand: back as before; who never accepted is invited anew."""
    _insist_unmanaged(person, "bring them back there")
    if not person.has_address:
        raise RefusedError(f"{person.email} belongs to somebody else now: add a new person instead")
    return replace(person, state=PersonState.ACTIVE if person.is_accepted else PersonState.INVITED)


def with_address(person: Person, email: str) -> Person:
    """E1, E2, E3 by hand: who is active confirms the new address, who is invited has it at once."""
    _insist_unmanaged(person, "the change starts there (E1)")
    if person.is_suspended:
        raise RefusedError(f"{person.id} is {person.state.value}: bring them back first")
    if person.state is PersonState.INVITED:
        return replace(person, email=email, requested=email)
    is_same = normalise_address(email) == normalise_address(person.email)
    return replace(person, requested=email, pending=None if is_same else email)


def with_profile(person: Person, changes: Mapping[str, str | None]) -> Person:
    """Attributes by name; None takes one away. An identity provider's word is not overwritten."""
    _insist_unmanaged(person, "the profile comes from there")
    kept = {**person.profile, **changes}
    return replace(person, profile={n: v for n, v in kept.items() if v is not None})


def accepted(person: Person, kind: LinkKind, address: str) -> Person:
    """U2, E2: the yes of somebody whom no identity provider governs."""
    if kind is LinkKind.INVITATION:
        if person.state is not PersonState.INVITED or not _same(person.email, address):
            raise RefusedError("this invitation is no longer valid")
        return after_yes(person)
    if person.pending is None or not _same(person.pending, address):
        raise RefusedError("this change of address is no longer valid")
    return replace(person, email=person.pending, requested=person.pending, pending=None)


def _same(one: str, other: str) -> bool:
    return normalise_address(one) == normalise_address(other)


def _insist_unmanaged(person: Person, instead: str) -> None:
    if person.is_managed:
        raise RefusedError(
            f"managed_by_idp: {person.id} is governed by connection {person.connection}; {instead}",
            code="managed_by_idp",
        )


def _insist_not_last(person: Person, keepers: Collection[Keeper]) -> None:
    if person.id in last_owners(keepers):
        raise RefusedError(
            f"{person.id} is the last owner of the account (U6): make somebody else an owner first",
            code="last_owner",
        )

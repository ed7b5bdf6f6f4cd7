"""Which addresses a person occupies, and which become free by a change (E8)."""

from __future__ import annotations

from domain.keys import address_id, when_free
from domain.model import Person, PersonState
from domain.overriding import as_told


def addresses_of(person: Person) -> set[str]:
    """Ids of the addresses that a person occupies: in force and pending (E8)."""
    return address_in_force(person) | pending_address(person)


def address_in_force(person: Person) -> set[str]:
    """Id of the address in force, if the person has one."""
    if not person.has_address or person.state is PersonState.WITHDRAWN:
        return set()
    return {address_id(person.account, person.email)}


def pending_address(person: Person) -> set[str]:
    """Id of the address that waits for a yes; in a ring another person's until it moves."""
    is_gone = not person.has_address or person.state is PersonState.WITHDRAWN
    if is_gone or person.pending is None:
        return set()
    return {address_id(person.account, person.pending)}


def freed(before: Person | None, after: Person) -> set[str]:
    """Wait keys of addresses that may be claimed now: given up, or their holder is out."""
    if before is None:
        return set()
    keys = addresses_of(before) - addresses_of(after)
    # As told: whoever waits asks whether the identity provider let the holder go (D4, U9).
    if as_told(after).is_suspended and not as_told(before).is_suspended:
        keys |= addresses_of(after)
    return {when_free(key) for key in keys}

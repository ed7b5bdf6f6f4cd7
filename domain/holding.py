"""Which addresses a person occupies, and which become free by a change (E8)."""

from __future__ import annotations

from domain.keys import address_id, when_free
from domain.model import Person, PersonState
from domain.overriding import as_told


def addresses_of(person: Person) -> set[str]:
    """Ids of the addresses that a person occupies: in force and pending (E8)."""
    if not person.has_address or person.state is PersonState.WITHDRAWN:
        return set()
    taken = {address_id(person.account, person.email)}
    if person.pending is not None:
        taken.add(address_id(person.account, person.pending))
    return taken


def freed(before: Person | None, after: Person) -> set[str]:
    """Wait keys of addresses that may be claimed now: given up, or their holder is out."""
    if before is None:
        return set()
    keys = addresses_of(before) - addresses_of(after)
    # As told: whoever waits asks whether the identity provider let the holder go (D4, U9).
    if as_told(after).is_suspended and not as_told(before).is_suspended:
        keys |= addresses_of(after)
    return {when_free(key) for key in keys}

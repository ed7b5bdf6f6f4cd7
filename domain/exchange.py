"""Rings of addresses that change hands: each wants what the next one was told to leave (E8).

A ring moves whole, once everybody in it who has accepted has proven the address they were given
(E2); who never accepted has nothing to prove (E3). Until then the old addresses are in force.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, replace

from domain.model import Mark, Person, PersonState, Pinned, User
from domain.ordering import run_start
from domain.values import normalise_address


@dataclass(frozen=True, slots=True)
class Party:
    """One of a ring: a person as told, and the subject behind."""

    person: Person
    user: User


#: Who holds a normalised address, as far as that is known.
PartyOf = Callable[[str], Party | None]


def ring_of(first: Party, party_of: PartyOf, protected: Collection[str]) -> tuple[Party, ...]:
    """Everybody else of the ring that begins with who is first; nobody if it is none.

    protected: ids of people whom provisioning may not touch (U6): no ring goes through them.
    """
    others: dict[str, Party] = {}
    behind = party_of(normalise_address(first.person.requested))
    while behind is not None and behind.person.id not in {first.person.id, *others}:
        if behind.person.id in protected or not _is_leaving(behind):
            break
        others[behind.person.id] = behind
        if same_address(behind.person.requested, first.person.email):
            return tuple(others.values())
        behind = party_of(normalise_address(behind.person.requested))
    return ()


def may_leave(person: Person) -> bool:
    """Who was told to have another address than the one in force, and may have it (E2, E3)."""
    if not person.is_managed or not person.has_address or is_settled(person):
        return False
    return not person.is_accepted or person.state is PersonState.ACTIVE


def _is_leaving(party: Party) -> bool:
    """Whether it is this subject's word, of a person whom it still means."""
    person, pinned = party.person, party.user.pinned
    if party.user.person != person.id or not party.user.facts.emails:
        return False
    if person.is_accepted and (pinned is None or pinned.person != person.id):
        return False
    return may_leave(person)


def is_settled(person: Person) -> bool:
    """Whether the address in force is the one that was asked for."""
    return same_address(person.requested, person.email)


def promise(user: User, address: str) -> Mark:
    """A member's proof of an address that somebody else still has."""
    return Mark(run_start(user.facts.emails), address)


def has_promised(user: User) -> bool:
    """Whether who accepted has proven what the identity provider asks for now (E6)."""
    if user.pinned is None or user.pinned.promised is None:
        return False
    proven, wanted = user.pinned.promised, promise(user, str(user.facts.emails[-1].value))
    return proven.stamp >= wanted.stamp and same_address(proven.address, wanted.address)


def is_ready(party: Party) -> bool:
    """Whether this one may move as far as they are concerned."""
    return not party.person.is_accepted or has_promised(party.user)


def asked(party: Party) -> Person:
    """The person with a link to prove the new address, if there is anything left to prove."""
    person = party.person
    return person if is_ready(party) else replace(person, pending=person.requested)


def unasked(party: Party) -> Person:
    """The person after their ring broke: nobody may prove an address that is not given up."""
    return replace(party.person, pending=None) if party.person.is_accepted else party.person


def moved(party: Party) -> tuple[User, Person]:
    """Subject and person with the new address in force."""
    user, person = party.user, party.person
    pinned = user.pinned
    if person.is_accepted and pinned is not None:
        user = replace(user, pinned=kept(pinned))
    return user, replace(person, email=person.requested, pending=None)


def kept(pinned: Pinned) -> Pinned:
    """What was promised is in force from the fact on that asked for it (D3)."""
    if pinned.promised is None:
        return pinned
    return replace(pinned, marks=(*pinned.marks, pinned.promised), promised=None)


def same_address(one: str, other: str) -> bool:
    """Whether two addresses are one, whatever their case."""
    return one == other or normalise_address(one) == normalise_address(other)

"""Permanent deletion: who may be deleted, and what may bring somebody after it (U5, D16)."""

from __future__ import annotations

from collections.abc import Collection

from domain.errors import RefusedError
from domain.model import Person, UserFacts
from domain.ordering import GUEST
from domain.protection import Keeper, last_owners
from domain.values import BEGINNING, Stamp


def insist_erasable(person: Person, keepers: Collection[Keeper]) -> None:
    """U5, U6: only somebody suspended, never break-glass or the last owner."""
    if person.is_break_glass:
        raise RefusedError(f"{person.id} is break-glass: take the mark away first (U6)")
    if person.id in last_owners(keepers):
        raise RefusedError(f"{person.id} is the last owner of the account (U6)")
    if not person.is_suspended:
        raise RefusedError(
            f"{person.id} is {person.state.value}: only somebody suspended is deleted for good (U5)"
        )


def newest(facts: UserFacts) -> Stamp:
    """The newest stamp of anything said of a subject."""
    words = [word.stamp for word in (*facts.emails, *facts.actives, *facts.scopes)]
    said = [stamp for stamp, _ in facts.profile.values()]
    return max((*words, *said, facts.floor), default=BEGINNING)


def buried(facts: UserFacts, heard: Stamp) -> UserFacts:
    """What is left of a subject: only how old a fact must be to count no more.

    heard: stamp of the newest event about it that has ended, refused ones included.
    """
    return UserFacts(floor=max(newest(facts), heard))


def is_gone(facts: UserFacts) -> bool:
    """D16: after a deletion only what says "active", or lets into the scope, makes a person."""
    if facts.floor == BEGINNING:
        return False
    lets_in = any(word.value is True for word in facts.actives)
    return not (lets_in or any(w.value is True and w.by != GUEST for w in facts.scopes))

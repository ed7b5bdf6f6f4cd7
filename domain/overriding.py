"""U9: for a while an operator outranks the identity provider, whose word goes on being recorded.

A person's `state` is what counts, the override included; `told` is the state without it. Rules that
ask what the IdP said (E2, E5, D4, D17) look at people as told.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from datetime import datetime, timedelta

from domain.errors import RefusedError, UsageError
from domain.model import Override, Person, PersonState

#: An override is for a while; longer than this it is a decision that belongs to the IdP.
LONGEST = timedelta(days=90)
_OUT = {
    PersonState.ACTIVE: PersonState.SUSPENDED,
    PersonState.INVITED: PersonState.INVITED_SUSPENDED,
}
_IN = {out: state for state, out in _OUT.items()}


def forced(told: PersonState, override: Override) -> PersonState:
    """The state that counts; an invitation never becomes an acceptance by it."""
    return (_OUT if override is Override.SUSPENDED else _IN).get(told, told)


def as_told(person: Person) -> Person:
    """The person without the override; the same object where there is none."""
    if person.override is None or person.told is None:
        return person
    return replace(person, state=person.told)


def outranked(person: Person) -> Person:
    """A person as told, with the override on top again; a withdrawn person has none."""
    if person.override is None:
        return person
    if person.state is PersonState.WITHDRAWN:
        return replace(person, override=None, told=None)
    return replace(person, told=person.state, state=forced(person.state, person.override))


def override(
    person: Person,
    wanted: Override,
    *,
    until: datetime,
    now: datetime,
    protected: Collection[str],
) -> Person:
    """The person under an override, a former one replaced; raises UsageError, RefusedError.

    protected: ids of the last owner and of break-glass people, whom nobody suspends (U6).
    """
    if until <= now:
        raise UsageError(f"until {until.isoformat()} is past: say when it ends by itself")
    if until > now + LONGEST:
        raise UsageError(
            f"until {until.isoformat()} is more than {LONGEST.days} days away: an override "
            "is for a while; change it at the identity provider"
        )
    if person.state is PersonState.WITHDRAWN:
        raise RefusedError(f"{person.id} was withdrawn: there is nobody to override")
    if wanted is Override.SUSPENDED and person.id in protected:
        raise RefusedError(
            f"{person.id} is the last owner or break-glass (U6): make another owner, or take the "
            "mark away first"
        )
    return outranked(replace(as_told(person), override=wanted))


def without_override(person: Person, *, protected: Collection[str]) -> Person:
    """The person as the IdP has them; who may not be suspended (U6) stays in, and is nobody's word.

    The next event of such a person is refused as `protected_user`, as any suspension of theirs is.
    """
    told = as_told(person)
    if told.is_suspended and not person.is_suspended and person.id in protected:
        told = person
    return replace(told, override=None, told=None)


def accepted(person: Person) -> Person:
    """The person after their yes, which an override does not undo (U2)."""
    told = replace(as_told(person), is_accepted=True)
    states = {
        PersonState.INVITED: PersonState.ACTIVE,
        PersonState.INVITED_SUSPENDED: PersonState.SUSPENDED,
    }
    return outranked(replace(told, state=states.get(told.state, told.state)))


def by_hand(person: Person) -> Person:
    """A person as an operator has just put them: where that contradicts an override, it ends it."""
    if person.override is None or person.told is None:
        return person
    if forced(person.told, person.override) is person.state:
        return person
    return replace(person, override=None, told=None)

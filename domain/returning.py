"""What a return would mean, told before it happens (E5, U10)."""

from __future__ import annotations

from domain.model import Person, PersonState
from domain.policy import OnReturn
from domain.values import normalise_address


def returns_as_new(person: Person, on_return: OnReturn) -> bool:
    """E5: whether a reactivation by the IdP, as things are, would make a new person."""
    is_out = person.state is PersonState.SUSPENDED and person.is_managed
    differs = normalise_address(person.requested) != normalise_address(person.email)
    return is_out and differs and on_return is OnReturn.NEW_USER

"""Two subjects, one address: who links, who swaps, who waits, who is refused (U7, E8, D4)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from domain.decision import Made, Refused, Waits
from domain.inbox import Reason
from domain.model import Person, Role
from domain.policy import Policy, Rehire
from domain.values import Stamp, normalise_address


@dataclass(frozen=True, slots=True)
class Linked:
    """The holder of the address is the person meant."""

    made: Made


@dataclass(frozen=True, slots=True)
class GivesUp:
    """The leaver keeps the history and loses the address to a new person."""

    made: Made


@dataclass(frozen=True, slots=True)
class Swapped:
    """A ring in which each wants what the next one leaves: all move; here are the others, moved."""

    others: tuple[Person, ...]


@dataclass(frozen=True, slots=True)
class Overtaken:
    """The claimant is a leaver, and the holder is who they were hired again as."""

    made: Made


HolderOf = Callable[[str], Person | None]
Contested = Linked | GivesUp | Swapped | Overtaken | Waits | Refused


def contest(
    holder: Person,
    current: Person | None,
    *,
    address: str,
    claim: Stamp,
    state_policy: Policy,
    is_leaver: bool,
    protected: frozenset[str],
    holder_of: HolderOf,
) -> Contested:
    """Settle a claim against the holder of the address.

    current: the claimant's own person who has not accepted, if there is one. claim: the
    claimant's stamp; a leaver is taken over only by a newer claim, whatever the order of
    arrival (D4). is_leaver: the claimant is out, so that a late claim of theirs is older news.
    holder_of: who holds what the holder was given, as far as that is known.
    """
    connection = state_policy.connection
    is_elsewhere = holder.connection is not None and holder.connection != connection
    if is_elsewhere and current is None:
        return Refused(
            Reason.OWNED_ELSEWHERE,
            f"{address} belongs to person {holder.id}, governed by connection {holder.connection}",
        )
    if holder.id in protected:
        return Refused(
            Reason.PROTECTED_USER,
            f"{address} belongs to {holder.id}, the last owner or break-glass",
        )
    if holder.role is Role.GUEST and not holder.is_managed:
        return Refused(
            Reason.GUEST,
            f"{address} belongs to {holder.id}, a guest, and guests are never provisioned (S2): "
            "give them another role, then replay",
        )
    was_ours = holder.governed_by == connection
    if was_ours and holder.is_suspended and claim > holder.claim:
        return _rehire(holder, state_policy)
    if is_leaver and _was_hired_again_as(holder, current, claim, state_policy):
        inputs = {"person": holder.id, "external_id": holder.user or ""}
        return Overtaken(Made("rehired_as", inputs))
    if not was_ours and not holder.is_managed and current is None:
        return Linked(Made("link", {"person": holder.id, "by": "address"}))
    ring = () if current is None or current.is_accepted else _ring(holder, current, holder_of)
    return Swapped(ring) if ring else Waits()


def _rehire(holder: Person, policy: Policy) -> Linked | GivesUp:
    inputs = {"person": holder.id, "former_external_id": holder.user or ""}
    if policy.rehire is Rehire.NEW_USER:
        return GivesUp(Made("rehire_new_user", inputs))
    return Linked(Made("rehire", inputs))


def _was_hired_again_as(
    holder: Person, current: Person | None, claim: Stamp, policy: Policy
) -> bool:
    """The mirror of a rehire: the newer claim came first, the leaver's own address late."""
    if policy.rehire is Rehire.NEW_USER or not holder.is_managed:
        return False
    return claim < holder.claim and not (current is not None and current.is_accepted)


def _ring(holder: Person, current: Person, holder_of: HolderOf) -> tuple[Person, ...]:
    """Everybody from the holder on, each moved to what they were given; nobody if it is no ring.

    In a ring the last of them was given what the claimant leaves (E8).
    """
    moved: dict[str, Person] = {}
    while overstays(holder) and holder.id not in {current.id, *moved}:
        moved[holder.id] = replace(holder, email=holder.requested)
        if _same(holder.requested, current.email):
            return tuple(moved.values())
        behind = holder_of(normalise_address(holder.requested))
        if behind is None:
            break
        holder = behind
    return ()


def overstays(person: Person) -> bool:
    """Who never accepted, and holds another address than the one they were given (E3)."""
    if person.is_accepted or not person.is_managed or not person.has_address:
        return False
    return not _same(person.requested, person.email)


def _same(one: str, other: str) -> bool:
    return one == other or normalise_address(one) == normalise_address(other)

"""Two subjects, one address: who links, who gives way, who waits, who is refused (U7, E8, D4)."""

from __future__ import annotations

from dataclasses import dataclass

from domain.decision import Made, Refused, Waits
from domain.inbox import Reason
from domain.model import Person, Role
from domain.policy import Policy, Rehire
from domain.values import Stamp


@dataclass(frozen=True, slots=True)
class Linked:
    """The holder of the address is the person meant."""

    made: Made


@dataclass(frozen=True, slots=True)
class GivesUp:
    """The leaver keeps the history and loses the address to a new person."""

    made: Made


@dataclass(frozen=True, slots=True)
class Overtaken:
    """The claimant is a leaver, and the holder is who they were hired again as."""

    made: Made


Contested = Linked | GivesUp | Overtaken | Waits | Refused


def contest(
    holder: Person,
    current: Person | None,
    *,
    address: str,
    claim: Stamp,
    state_policy: Policy,
    is_leaver: bool,
    protected: frozenset[str],
) -> Contested:
    """Settle a claim against the holder of the address.

    current: the claimant's own person who has not accepted, if there is one. claim: the
    claimant's stamp; a leaver is taken over only by a newer claim, whatever the order of
    arrival (D4). is_leaver: the claimant is out, so that a late claim of theirs is older news.
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
    return Waits()


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

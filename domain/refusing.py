"""What the rules refuse of a change before anybody is looked for (E4, U6, U8)."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from domain.decision import Refused
from domain.inbox import Reason
from domain.model import Person
from domain.policy import Policy
from domain.values import domain_of


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a change would do to a person, None where there is none yet.

    lets_in: somebody who is out, or nobody yet. address: one that is to be asked for, or in force
    from now on. in_force: the one with which somebody would be let in.
    """

    person: Person | None
    lets_in: bool
    address: str | None
    in_force: str


def refusal(
    wanted: Wanted, policy: Policy, *, is_touched: bool, protected: Collection[str]
) -> Refused | None:
    """E4, U6, U8 where the change would let somebody in, move an address or suspend.

    is_touched: it suspends the person, or asks for another address than theirs.
    """
    person = wanted.person
    if person is not None and person.id in protected and is_touched:
        return Refused(
            Reason.PROTECTED_USER,
            f"{person.email} is the last owner or break-glass; provisioning may not touch them",
        )
    for address in (wanted.in_force if wanted.lets_in else None, wanted.address):
        if address is not None and not policy.allows(address):
            return domain_refusal(address, policy)
    if (wanted.lets_in or wanted.address is not None) and not policy.let_in:
        return Refused(
            Reason.NEEDS_READING,
            "this feed has only a static secret and the connection asks for reading back "
            "from the IdP before anybody is let in (setting read_back)",
        )
    return None


def domain_refusal(address: str, policy: Policy) -> Refused:
    """E4: says which domain, and what the list holds."""
    domain = domain_of(address)
    if not policy.domains:
        detail = f"domain {domain} is not allowed: the account allows no domain yet"
    else:
        detail = f"domain {domain} is not on the account's allowed list"
    return Refused(Reason.DOMAIN_NOT_ALLOWED, detail)

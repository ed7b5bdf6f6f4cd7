"""Several things of one person changed at once, or none of them (U6)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from domain import by_hand
from domain.model import Person, Role
from worker.services.admit import HandStore, HandWork


@dataclass(frozen=True, slots=True)
class Amendment:
    """What is to be changed; None leaves it. profile: None inside takes an attribute away."""

    role: Role | None = None
    profile: Mapping[str, str | None] | None = None


def amend(
    store: HandStore,
    person: str,
    amendment: Amendment,
    *,
    actor: str,
    reason: str,
    account: str | None = None,
) -> Person:
    """Role and profile in one transaction; raises RefusedError, NothingFoundError."""

    def work(unit: HandWork) -> Person:
        before = after = unit.locked(person, account=account)
        if amendment.role is not None:
            after = by_hand.with_role(after, amendment.role, unit.keepers(before.account))
        if amendment.profile is not None:
            after = by_hand.with_profile(after, amendment.profile)
        if after != before:
            unit.save(before, after, action="user.amend", reason=reason)
        return after

    return store.change(work, actor=actor)

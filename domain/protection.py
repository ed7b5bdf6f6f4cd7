"""Whom provisioning may not touch: break-glass people and an account's last owner (U6)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from domain.model import PersonState, Role


class Keeper(NamedTuple):
    """Somebody who keeps an account open: an owner, or a break-glass person."""

    id: str
    account: str
    role: Role
    state: PersonState
    is_break_glass: bool


def protected_ids(keepers: Iterable[Keeper]) -> frozenset[str]:
    """U6: break-glass people, and the last owner of each account."""
    found = [one for one in keepers if one.state is not PersonState.WITHDRAWN]
    return last_owners(found) | {one.id for one in found if one.is_break_glass}


def last_owners(keepers: Iterable[Keeper]) -> frozenset[str]:
    """Of each account the only owner who can act.

    While one owner is active, owners who never accepted do not count: a lost invitation opens no
    account. While none is active, the only one who is invited is the last.
    """
    active: dict[str, list[str]] = {}
    invited: dict[str, list[str]] = {}
    for one in keepers:
        if one.role is Role.OWNER and one.state is PersonState.ACTIVE:
            active.setdefault(one.account, []).append(one.id)
        elif one.role is Role.OWNER and one.state is PersonState.INVITED:
            invited.setdefault(one.account, []).append(one.id)
    able = {**invited, **active}
    return frozenset(ids[0] for ids in able.values() if len(ids) == 1)

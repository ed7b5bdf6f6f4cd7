"""What stands until somebody does something about it: who may open what (G4), what left (G3)."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, select

from domain.own_groups import OwnGroup, Permission
from worker.adapters.db import rows
from worker.adapters.db.group_rows import own_groups, own_members
from worker.adapters.db.membership import groups_holding, people_in


@dataclass(frozen=True, slots=True)
class DroppedOut:
    """A group that no provider manages any more, for what it may do. account: by name."""

    account: str
    id: str
    name: str
    since: datetime


def openers(connection: Connection) -> dict[str, int]:
    """Of every account by name: how many may open private spaces; normally nobody may (G4)."""
    accounts = rows.accounts
    names = {row.id: row.name for row in connection.execute(select(accounts.c.id, accounts.c.name))}
    found: dict[str, set[str]] = defaultdict(set)
    holding = groups_holding(connection, Permission.OPEN_PRIVATE_SPACE)
    # Each account has one by hand, and asking for each by itself would take a second for thousands.
    for account, person in _by_hand(connection, [one.id for one in holding if _is_by_hand(one)]):
        found[account].add(person)
    for group in holding:
        if not _is_by_hand(group):
            found[group.account] |= people_in(connection, group)
    return {name: len(found[account]) for account, name in sorted(names.items())}


def _is_by_hand(group: OwnGroup) -> bool:
    return not group.is_managed and not group.follows


def _by_hand(connection: Connection, groups: list[str]) -> list[tuple[str, str]]:
    """Account and person of each membership by hand; the table holds little else."""
    wanted = set(groups)
    found = connection.execute(
        select(own_groups.c.id, own_groups.c.account_id, own_members.c.person_id)
        .join(own_groups, own_groups.c.id == own_members.c.group_id)
        .where(own_groups.c.permissions.contains(f'"{Permission.OPEN_PRIVATE_SPACE.value}"'))
    )
    return [(row.account_id, row.person_id) for row in found if row.id in wanted]


def dropped_out(connection: Connection) -> tuple[DroppedOut, ...]:
    """Groups whose provider still speaks, and is not listened to (G3); newest first.

    What a retired connection managed left with it, and is nobody's warning (C7).
    """
    table, connections, accounts = own_groups, rows.connections, rows.accounts
    found = connection.execute(
        select(accounts.c.name.label("account"), table.c.id, table.c.name, table.c.released_at)
        .join(accounts, accounts.c.id == table.c.account_id)
        .join(connections, connections.c.id == table.c.connection_id)
        .where(table.c.released_at.is_not(None), ~table.c.is_managed)
        .where(connections.c.state != "retired")
        .order_by(table.c.released_at.desc(), table.c.id)
    )
    return tuple(DroppedOut(*row) for row in found)

"""Who belongs to which group now, whoever said so: by role, by hand, or by a provider."""

from __future__ import annotations

from collections.abc import Collection

from sqlalchemy import Connection, select

from domain.groups import is_current
from domain.keys import group_id
from domain.model import Edge, PersonState
from domain.own_groups import OwnGroup, Permission
from domain.values import BEGINNING
from worker.adapters.db import bulk, rows
from worker.adapters.db.group_rows import own_groups, own_members
from worker.adapters.db.mapping import edge_from_row, group_from_row
from worker.adapters.db.own_groups import own_group_from_row


def people_in(connection: Connection, group: OwnGroup) -> set[str]:
    """Ids of a group's members, whatever their state; of nobody who was withdrawn."""
    if group.follows:
        return _of_roles(connection, group)
    by_hand = {
        row.person_id
        for row in connection.execute(
            select(own_members.c.person_id).where(own_members.c.group_id == group.id)
        )
    }
    if not group.is_managed or group.connection is None or group.key is None:
        return by_hand
    return people_of_provided(connection, group.connection, group.key, by_hand)


def _of_roles(connection: Connection, group: OwnGroup) -> set[str]:
    table = rows.people
    found = connection.execute(
        select(table.c.id)
        .where(table.c.account_id == group.account)
        .where(table.c.role.in_(sorted(group.follows)))
        .where(table.c.state != PersonState.WITHDRAWN.value)
    )
    return {row.id for row in found}


def people_of_provided(
    connection: Connection, connection_id: str, key: str, by_hand: Collection[str] = ()
) -> set[str]:
    """Members of a provider's group: its words, and by_hand where it said nothing yet (G2).

    Once it told the whole list, or deleted the group, only its own words count.
    """
    table = rows.groups
    row = (
        connection.execute(select(table).where(table.c.id == group_id(connection_id, key)))
        .mappings()
        .first()
    )
    if row is None:
        return set(by_hand)
    group = group_from_row(row)
    said = _said(connection, connection_id, key)
    members = {person for person, edge in said.items() if is_current(edge, group)}
    if group.floor == BEGINNING:
        members |= set(by_hand) - set(said)
    return members


def _said(connection: Connection, connection_id: str, key: str) -> dict[str, Edge]:
    """The provider's newest word on each person whom it knows."""
    edges, users = rows.memberships, rows.users
    found = connection.execute(
        select(edges, users.c.person_id)
        .join(
            users,
            (users.c.connection_id == edges.c.connection_id) & (users.c.key == edges.c.user_key),
        )
        .where(edges.c.connection_id == connection_id, edges.c.group_key == key)
        .where(users.c.person_id.is_not(None))
    ).mappings()
    return {row["person_id"]: edge_from_row(row) for row in found}


def groups_holding(
    connection: Connection, permission: Permission, accounts: Collection[str] | None = None
) -> list[OwnGroup]:
    """Groups with a permission, of some accounts or of all."""
    table = own_groups
    statement = select(table).where(table.c.permissions.contains(f'"{permission.value}"'))
    if accounts is not None:
        statement = statement.where(bulk.among(table.c.account_id, sorted(accounts), connection))
    return [own_group_from_row(row) for row in connection.execute(statement).mappings()]


def holders_of(connection: Connection, permission: Permission, account: str) -> set[str]:
    """Ids of everybody who is in a group with the permission."""
    found: set[str] = set()
    for group in groups_holding(connection, permission, [account]):
        found |= people_in(connection, group)
    return found

"""The accounts' own groups between rows and values, and how a batch locks and saves them."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, RowMapping, exists, or_, select, update

from domain.own_groups import OwnGroup, Permission, name_key
from worker.adapters.db import bulk, rows
from worker.adapters.db.group_rows import own_groups

Row = dict[str, Any]


def own_group_from_row(row: RowMapping | Mapping[str, Any]) -> OwnGroup:
    """The group of a row of `own_groups`."""
    return OwnGroup(
        id=row["id"],
        account=row["account_id"],
        name=row["name"],
        is_built_in=row["is_built_in"],
        permissions=frozenset(Permission(word) for word in json.loads(row["permissions"])),
        connection=row["connection_id"],
        key=row["group_key"],
        is_managed=row["is_managed"],
    )


def own_group_to_row(group: OwnGroup, now: datetime) -> Row:
    """A new group as a row of `own_groups`."""
    released = group.connection is not None and not group.is_managed
    return {
        "id": group.id,
        **_changing(group),
        "released_at": now if released else None,
        "created_at": now,
    }


def _changing(group: OwnGroup) -> Row:
    return {
        "account_id": group.account,
        "name": group.name,
        "name_key": name_key(group.name),
        "is_built_in": group.is_built_in,
        "permissions": json.dumps(sorted(group.permissions)),
        "connection_id": group.connection,
        "group_key": group.key,
        "is_managed": group.is_managed,
    }


def locked_own_groups(
    connection: Connection, ids: Collection[str], names: Collection[tuple[str, str]]
) -> list[tuple[OwnGroup, bool]]:
    """By id, and unmanaged ones by account and name key; locked in the order of their ids.

    Each with whether the connection that manages it is retired, so that nobody does (C7).
    """
    table, connections = own_groups, rows.connections
    is_retired = exists().where(
        connections.c.id == table.c.connection_id, connections.c.state == "retired"
    )
    is_nobodys = ~table.c.is_managed | is_retired
    wanted = [
        (table.c.account_id == account) & (table.c.name_key == name) & is_nobodys
        for account, name in sorted(names)
    ]
    found: dict[str, tuple[OwnGroup, bool]] = {}
    # A batch may name hundreds of groups, and a statement has its limits.
    for first in range(0, max(len(wanted), 1), 100):
        some = wanted[first : first + 100]
        mine = bulk.among(table.c.id, sorted(ids), connection)
        statement = (
            select(table, is_retired.label("is_retired"))
            .where(or_(mine, *some))
            .order_by(table.c.id)
            .with_for_update(key_share=True, of=table)
        )
        for row in connection.execute(statement).mappings():
            group = own_group_from_row(row)
            found[group.id] = (group, group.is_managed and bool(row["is_retired"]))
    return list(found.values())


def save_own_groups(connection: Connection, groups: Iterable[OwnGroup], now: datetime) -> None:
    """Write groups that are there; a group that is managed again was not let go."""
    for group in sorted(groups, key=lambda one: one.id):
        values = _changing(group)
        if group.is_managed:
            values["released_at"] = None
        else:
            values["released_at"] = now if group.connection is not None else None
        connection.execute(update(own_groups).where(own_groups.c.id == group.id).values(**values))

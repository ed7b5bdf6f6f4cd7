"""Groups, their members, and the groups of a person, page by page."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, RowMapping, Select, select

from domain.groups import is_current
from domain.keys import group_id, user_id
from domain.model import Group, Person
from worker.adapters.db import bulk, rows
from worker.adapters.db.mapping import edge_from_row, group_from_row, person_from_row


@dataclass(frozen=True, slots=True)
class GroupSeen:
    """A group that an identity provider described, by the id of its row.

    is_managed: no longer, once its connection is retired (C7).
    """

    id: str
    account: str
    group: Group
    is_managed: bool


@dataclass(frozen=True, slots=True)
class Membership:
    """One member of a group. person: None while nobody was seen under that external id (G7)."""

    external_id: str
    person: Person | None


def groups_page(
    connection: Connection, account: str, *, after: str, limit: int
) -> tuple[list[GroupSeen], str | None]:
    """Groups of an account in the order of their ids, and the id to go on behind."""
    groups = rows.groups
    found = connection.execute(
        _seen()
        .where(groups.c.account_id == account, groups.c.id > after)
        .order_by(groups.c.id)
        .limit(limit + 1)
    ).mappings()
    seen = [_from_row(row) for row in found]
    return seen[:limit], seen[limit - 1].id if len(seen) > limit else None


def one_group(connection: Connection, id_: str) -> GroupSeen | None:
    """A group by id, whatever the account; None if there is none, or it was deleted."""
    found = connection.execute(_seen().where(rows.groups.c.id == id_)).mappings().first()
    return _from_row(found) if found is not None else None


def _seen() -> Select[Any]:
    groups, connections = rows.groups, rows.connections
    return (
        select(groups, connections.c.state)
        .join(connections, connections.c.id == groups.c.connection_id)
        .where(groups.c.is_seen)
    )


def _from_row(row: RowMapping) -> GroupSeen:
    is_managed = row["state"] != "retired"
    return GroupSeen(row["id"], row["account_id"], group_from_row(row), is_managed)


def members_page(
    connection: Connection, group: Group, *, after: str, limit: int
) -> tuple[list[Membership], str | None]:
    """Members in the order of their external ids, and the one to go on behind."""
    table = rows.memberships
    found = connection.execute(
        select(table)
        .where(table.c.connection_id == group.connection, table.c.group_key == group.key)
        .where(table.c.user_key > after)
        .order_by(table.c.user_key)
        .limit(limit + 1)
    ).mappings()
    edges = [edge_from_row(row) for row in found]
    page = edges[:limit]
    keys = [e.user for e in page if e.is_member and is_current(e, group)]
    people = _people(connection, group.connection, keys)
    members = [Membership(key, people.get(key)) for key in keys]
    return members, page[-1].user if len(edges) > limit else None


def _people(connection: Connection, of: str, keys: list[str]) -> dict[str, Person]:
    """The people behind external ids of a connection, by external id."""
    users, people = rows.users, rows.people
    ids = [user_id(of, key) for key in keys]
    found = connection.execute(
        select(users.c.key.label("subject_key"), people)
        .join(people, people.c.id == users.c.person_id)
        .where(bulk.among(users.c.id, ids, connection))
    ).mappings()
    return {row["subject_key"]: person_from_row(row) for row in found}


def groups_of(connection: Connection, person: Person) -> list[GroupSeen]:
    """Groups of which the identity provider says that the person is a member, by id."""
    of = person.connection
    if of is None or person.user is None:
        return []
    table, groups = rows.memberships, rows.groups
    edges = {
        row["group_key"]: edge_from_row(row)
        for row in connection.execute(
            select(table)
            .where(table.c.connection_id == of, table.c.user_key == person.user)
            .where(table.c.is_member)
        ).mappings()
    }
    ids = [group_id(of, key) for key in edges]
    found = connection.execute(
        _seen().where(bulk.among(groups.c.id, ids, connection)).order_by(groups.c.id)
    ).mappings()
    seen = [_from_row(row) for row in found]
    return [one for one in seen if is_current(edges[one.group.key], one.group)]

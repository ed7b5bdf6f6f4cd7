"""Groups as operators and applications look at them, whoever made them."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, select

from domain.errors import NothingFoundError
from domain.keys import group_id, group_known_as
from domain.model import Person, PersonState
from domain.own_groups import PERMISSIONS, OwnGroup, Permission, name_key, why_closed
from worker.adapters.db import bulk, rows
from worker.adapters.db.group_rows import own_groups, own_members
from worker.adapters.db.mapping import person_from_row
from worker.adapters.db.membership import holders_of, people_in, people_of_provided
from worker.adapters.db.own_groups import own_group_from_row
from worker.adapters.db.people_queries import summary


def find_groups(connection: Connection, account: str) -> list[dict[str, Any]]:
    """Groups of an account by name: built in, by hand, and what providers told."""
    table = rows.connections
    retired = set(
        connection.execute(
            select(table.c.id).where(table.c.account_id == account, table.c.state == "retired")
        ).scalars()
    )
    found = [*_own(connection, account), *_provided(connection, account)]
    for group in found:
        group["managed"] = group["managed"] and group["connection"] not in retired
    return sorted(found, key=lambda group: (name_key(group["name"]), group["id"]))


def _own(connection: Connection, account: str) -> list[dict[str, Any]]:
    table = rows.groups
    names = {
        row.own_id: row.name
        for row in connection.execute(
            select(table.c.own_id, table.c.name).where(
                table.c.account_id == account, table.c.own_id.is_not(None), table.c.is_seen
            )
        )
    }
    mine = connection.execute(select(own_groups).where(own_groups.c.account_id == account))
    groups = [own_group_from_row(row) for row in mine.mappings()]
    return [
        _shown(group, names.get(group.id) if group.is_managed else group.name)
        for group in groups
        if not group.is_managed or group.id in names
    ]


def _provided(connection: Connection, account: str) -> list[dict[str, Any]]:
    table = rows.groups
    found = connection.execute(
        select(table).where(
            table.c.account_id == account, table.c.is_seen, table.c.own_id.is_(None)
        )
    ).mappings()
    return [
        _shown(
            OwnGroup(
                row["id"],
                account,
                row["name"] or row["key"],
                connection=row["connection_id"],
                key=row["key"],
                is_managed=True,
            )
        )
        for row in found
    ]


def _shown(group: OwnGroup, name: str | None = None) -> dict[str, Any]:
    return {
        "id": group.id,
        "account": group.account,
        "name": name or group.name,
        "built_in": group.is_built_in,
        "managed": group.is_managed,
        "connection": group.connection,
        "external_id": group.key,
        "permissions": sorted(group.permissions),
    }


def group_named(connection: Connection, name: str, account: str | None = None) -> dict[str, Any]:
    """A group by either id, or by name in an account; raises NothingFoundError.

    account: a group of another account is unknown.
    """
    id_ = group_known_as(name)
    owner = account or _account_of(connection, id_)
    groups = find_groups(connection, owner) if owner is not None else []
    wanted = name_key(name)
    found = [group for group in groups if id_ in {group["id"], _provided_id(group)}]
    if not found and account is not None:
        found = [group for group in groups if name_key(group["name"]) == wanted]
    if not found:
        raise NothingFoundError("group", name)
    return found[0]


def _provided_id(group: dict[str, Any]) -> str | None:
    if group["connection"] is None or group["external_id"] is None:
        return None
    return group_id(group["connection"], group["external_id"])


def _account_of(connection: Connection, id_: str) -> str | None:
    for table in (own_groups, rows.groups):
        found = connection.execute(select(table.c.account_id).where(table.c.id == id_)).scalar()
        if found is not None:
            return str(found)
    return None


def group_story(connection: Connection, name: str, account: str | None = None) -> dict[str, Any]:
    """A group with what it may do, in words, and its members; raises NothingFoundError."""
    found = group_named(connection, name, account)
    members = members_of(connection, found)
    return {
        **found,
        "may": {word: PERMISSIONS[Permission(word)] for word in found["permissions"]},
        "members": members,
    }


def members_of(connection: Connection, group: dict[str, Any]) -> list[dict[str, Any]]:
    """The people of a group of `find_groups`, by address."""
    table = rows.people
    ids = sorted(_people_in(connection, group))
    found = connection.execute(
        select(table)
        .where(bulk.among(table.c.id, ids, connection))
        .where(table.c.state != PersonState.WITHDRAWN.value)
    )
    people = [summary(person_from_row(row)) for row in found.mappings()]
    return sorted(people, key=lambda person: (person["email"], person["id"]))


def _people_in(connection: Connection, group: dict[str, Any]) -> set[str]:
    row = (
        connection.execute(select(own_groups).where(own_groups.c.id == group["id"]))
        .mappings()
        .first()
    )
    if row is not None:
        return people_in(connection, own_group_from_row(row))
    return people_of_provided(connection, group["connection"], group["external_id"])


def groups_of(connection: Connection, person: Person) -> list[dict[str, Any]]:
    """Every group that somebody belongs to now, by name."""
    return [
        group
        for group in find_groups(connection, person.account)
        if person.id in _people_in(connection, group)
    ]


def private_space(
    connection: Connection, actor: str, person: str, account: str | None = None
) -> dict[str, Any]:
    """G4: whether the actor can open the person's private space, and why not.

    account: people of another account are unknown. Raises NothingFoundError.
    """
    one, other = _person(connection, actor, account), _person(connection, person, account)
    holders = holders_of(connection, Permission.OPEN_PRIVATE_SPACE, one.account)
    why = why_closed(one, other, actor_holds=one.id in holders)
    return {"actor": one.id, "person": other.id, "allowed": why is None, "why": why}


def can_open_private_space(connection: Connection, actor: str, person: str) -> bool:
    """G4: whether the actor can open the person's private space right now."""
    return bool(private_space(connection, actor, person)["allowed"])


def _person(connection: Connection, id_: str, account: str | None) -> Person:
    table = rows.people
    row = connection.execute(select(table).where(table.c.id == id_)).mappings().first()
    if row is None or (account is not None and row["account_id"] != account):
        raise NothingFoundError("person", id_)
    return person_from_row(row)


def hand_memberships(connection: Connection, account: str) -> list[tuple[str, str]]:
    """Name of the group and address of the person, of every membership by hand."""
    people, groups, members = rows.people, own_groups, own_members
    found = connection.execute(
        select(groups.c.name, people.c.email)
        .join(members, members.c.group_id == groups.c.id)
        .join(people, people.c.id == members.c.person_id)
        .where(groups.c.account_id == account, ~groups.c.is_managed)
        .where(people.c.state != PersonState.WITHDRAWN.value)
    )
    return sorted((row.name, row.email) for row in found)

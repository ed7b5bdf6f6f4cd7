"""Groups, their members, and the groups of a person, page by page, whoever made them.

First the account's own groups, then those that only an identity provider told of; each through an
index in the order of its ids.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, RowMapping, Select, select

from domain.groups import is_current
from domain.keys import group_id, user_id
from domain.model import Edge, Group, Person, PersonState
from domain.own_groups import OwnGroup, Permission
from domain.values import BEGINNING
from worker.adapters.db import bulk, rows
from worker.adapters.db.group_rows import own_groups, own_members
from worker.adapters.db.mapping import edge_from_row, group_from_row, person_from_row
from worker.adapters.db.own_groups import own_group_from_row
from worker.adapters.db.people_pages import PeopleFilter, people_page

#: Where a page of groups begins: among the own ones, or behind all of them.
_OWN, _TOLD = "o", "t"


@dataclass(frozen=True, slots=True)
class GroupSeen:
    """A group as applications see it.

    id: the own group's, or of the provider's row. told: what an identity provider said of it.
    is_managed: no longer, once its connection is retired (C7) or it dropped out (G3).
    """

    id: str
    account: str
    name: str
    is_managed: bool
    is_built_in: bool = False
    permissions: frozenset[Permission] = frozenset()
    told: Group | None = None
    own: OwnGroup | None = None


@dataclass(frozen=True, slots=True)
class Membership:
    """One member of a group. person: None while nobody was seen under that external id (G7)."""

    external_id: str | None
    person: Person | None


def groups_page(
    connection: Connection, account: str, *, after: str, limit: int
) -> tuple[list[GroupSeen], str | None]:
    """Groups of an account, and where to go on."""
    phase, _, last = after.partition(":")
    found: list[GroupSeen] = []
    if phase != _TOLD:
        found = _own_page(connection, account, last, limit + 1)
        if len(found) > limit:
            return found[:limit], f"{_OWN}:{found[limit - 1].id}"
        last = ""
    told = _told_page(connection, account, last, limit + 1 - len(found))
    page = [*found, *told]
    if len(page) <= limit:
        return page, None
    end = page[limit - 1]
    return page[:limit], f"{_OWN if end.own is not None else _TOLD}:{end.id}"


def _own_page(connection: Connection, account: str, last: str, limit: int) -> list[GroupSeen]:
    table = own_groups
    statement = _own().where(table.c.account_id == account, table.c.id > last).order_by(table.c.id)
    return [_of_own(row) for row in connection.execute(statement.limit(limit)).mappings()]


def _own() -> Select[Any]:
    """The account's own groups; one that a provider manages only while that one knows it."""
    table, groups = own_groups, rows.groups
    known = groups.c.id == table.c.connection_id + ":" + table.c.group_key
    columns = [column.label(f"own_{column.name}") for column in table.c]
    return (
        select(*columns, *groups.c, rows.connections.c.state)
        .join(groups, known, isouter=True)
        .join(rows.connections, rows.connections.c.id == groups.c.connection_id, isouter=True)
        .where(~table.c.is_managed | groups.c.is_seen)
    )


def _of_own(row: RowMapping) -> GroupSeen:
    own = own_group_from_row({c.name: row[f"own_{c.name}"] for c in own_groups.c})
    told = group_from_row(row) if own.is_managed else None
    return GroupSeen(
        own.id,
        own.account,
        (told.name[1] if told is not None else None) or own.name,
        is_managed=own.is_managed and row["state"] != "retired",
        is_built_in=own.is_built_in,
        permissions=own.permissions,
        told=told,
        own=own,
    )


def _told_page(connection: Connection, account: str, last: str, limit: int) -> list[GroupSeen]:
    groups = rows.groups
    statement = (
        _told().where(groups.c.account_id == account, groups.c.id > last).order_by(groups.c.id)
    )
    return [_of_told(row) for row in connection.execute(statement.limit(limit)).mappings()]


def _told() -> Select[Any]:
    groups, connections = rows.groups, rows.connections
    return (
        select(groups, connections.c.state)
        .join(connections, connections.c.id == groups.c.connection_id)
        .where(groups.c.is_seen, groups.c.own_id.is_(None))
    )


def _of_told(row: RowMapping) -> GroupSeen:
    told = group_from_row(row)
    name = row["name"] or row["key"]
    is_managed = row["state"] != "retired"
    return GroupSeen(row["id"], row["account_id"], name, is_managed=is_managed, told=told)


def one_group(connection: Connection, id_: str) -> GroupSeen | None:
    """A group by either id, whatever the account; None if there is none, or it was deleted."""
    own = select(own_groups.c.id).where(own_groups.c.id == id_)
    linked = select(rows.groups.c.own_id).where(rows.groups.c.id == id_)
    found = connection.execute(own.union(linked)).scalars().all()
    ids = [one for one in found if one is not None]
    if ids:
        row = connection.execute(_own().where(own_groups.c.id == ids[0])).mappings().first()
        return _of_own(row) if row is not None else None
    row = connection.execute(_told().where(rows.groups.c.id == id_)).mappings().first()
    return _of_told(row) if row is not None else None


def members_page(
    connection: Connection, seen: GroupSeen, *, after: str, limit: int
) -> tuple[list[Membership], str | None]:
    """Members in a fixed order, and where to go on: by the provider's word first, then by hand."""
    if seen.own is not None and seen.own.follows:
        wanted = PeopleFilter(roles=seen.own.follows)
        page = people_page(connection, seen.account, wanted, after=after, limit=limit)
        return [Membership(person.user, person) for person in page.people], page.after
    phase, _, last = after.partition(":")
    if seen.told is not None and phase != _OWN:
        members, end = _told_members(connection, seen.told, last, limit)
        if end is not None:
            return members, f"{_TOLD}:{end}"
        return members, f"{_OWN}:" if seen.own is not None else None
    if seen.own is None:
        return [], None
    return _own_members(connection, seen.own, seen.told, last, limit)


def _told_members(
    connection: Connection, group: Group, last: str, limit: int
) -> tuple[list[Membership], str | None]:
    table = rows.memberships
    found = connection.execute(
        select(table)
        .where(table.c.connection_id == group.connection, table.c.group_key == group.key)
        .where(table.c.user_key > last)
        .order_by(table.c.user_key)
        .limit(limit + 1)
    ).mappings()
    edges = [edge_from_row(row) for row in found]
    page = edges[:limit]
    keys = [e.user for e in page if e.is_member and is_current(e, group)]
    people = _people(connection, group.connection, keys)
    members = [Membership(key, people.get(key)) for key in keys]
    return members, page[-1].user if len(edges) > limit else None


def _people(connection: Connection, of: str, keys: Collection[str]) -> dict[str, Person]:
    """The people behind external ids of a connection, by external id."""
    users, people = rows.users, rows.people
    ids = [user_id(of, key) for key in keys]
    found = connection.execute(
        select(users.c.key.label("subject_key"), people)
        .join(people, people.c.id == users.c.person_id)
        .where(bulk.among(users.c.id, ids, connection))
    ).mappings()
    return {row["subject_key"]: person_from_row(row) for row in found}


def _own_members(
    connection: Connection, own: OwnGroup, told: Group | None, last: str, limit: int
) -> tuple[list[Membership], str | None]:
    """By hand; in a managed group only while the provider has said nothing of it (G2)."""
    if told is not None and told.floor != BEGINNING:
        return [], None
    table, people = own_members, rows.people
    found = connection.execute(
        select(people)
        .join(table, table.c.person_id == people.c.id)
        .where(table.c.group_id == own.id, table.c.person_id > last)
        .order_by(table.c.person_id)
        .limit(limit + 1)
    ).mappings()
    members = [person_from_row(row) for row in found]
    page = members[:limit]
    said = _said(connection, told, page) if told is not None else set()
    shown = [
        Membership(person.user, person)
        for person in page
        if person.id not in said and person.state is not PersonState.WITHDRAWN
    ]
    return shown, f"{_OWN}:{page[-1].id}" if len(members) > limit else None


def _said(connection: Connection, told: Group, people: Collection[Person]) -> set[str]:
    """Those of whom the provider said something: only its word counts."""
    keys = {
        person.user: person.id
        for person in people
        if person.connection == told.connection and person.user is not None
    }
    others = [person.id for person in people if person.connection != told.connection]
    keys |= {key: whose for _, key, whose in _of_retired(connection, others, told.connection)}
    return {keys[edge.user] for edge in _edges(connection, told, keys)}


def _of_retired(
    connection: Connection, people: Collection[str], of: str | None = None
) -> list[tuple[str, str, str]]:
    """Connection, external id and person: whom retired connections still know as whom (C7).

    Whoever a connection governed is nobody's once it is retired; who was in its groups is in them.
    of: only of this connection.
    """
    if not people:
        return []
    users, connections, table = rows.users, rows.connections, rows.people
    whose = select(table.c.account_id).where(bulk.among(table.c.id, sorted(people), connection))
    mine = connections.c.id == of if of is not None else connections.c.account_id.in_(whose)
    retired = select(connections.c.id).where(mine, connections.c.state == "retired")
    ids = list(connection.scalars(retired))
    if not ids:
        return []
    found = connection.execute(
        select(users.c.connection_id, users.c.key, users.c.person_id)
        .where(bulk.among(users.c.connection_id, sorted(ids), connection))
        .where(bulk.among(users.c.person_id, sorted(people), connection))
    )
    return [(row[0], row[1], row[2]) for row in found]


def _edges(connection: Connection, group: Group, keys: Collection[str]) -> list[Edge]:
    table = rows.memberships
    found = connection.execute(
        select(table)
        .where(table.c.connection_id == group.connection, table.c.group_key == group.key)
        .where(bulk.among(table.c.user_key, sorted(keys), connection))
    ).mappings()
    return [edge_from_row(row) for row in found]


def groups_of(connection: Connection, person: Person) -> list[GroupSeen]:
    """Groups that the person is a member of now, by id: by role, by hand, by a provider."""
    if person.state is PersonState.WITHDRAWN:
        return []
    found = {seen.id: seen for seen in _told_groups_of(connection, person)}
    table = own_members
    mine = own_groups.c.id.in_(select(table.c.group_id).where(table.c.person_id == person.id))
    built_in = own_groups.c.is_built_in & (own_groups.c.account_id == person.account)
    for row in connection.execute(_own().where(mine | built_in)).mappings():
        seen = _of_own(row)
        if seen.id not in found and _is_in(connection, seen, person):
            found[seen.id] = seen
    return [found[key] for key in sorted(found)]


def _is_in(connection: Connection, seen: GroupSeen, person: Person) -> bool:
    """Whether somebody is in an own group otherwise than by a provider's word."""
    assert seen.own is not None
    if seen.own.follows:
        return person.role in seen.own.follows
    table = own_members
    key = (table.c.group_id == seen.own.id) & (table.c.person_id == person.id)
    if connection.execute(select(table.c.person_id).where(key)).first() is None:
        return False
    if seen.told is None:
        return True
    return seen.told.floor == BEGINNING and not _said(connection, seen.told, [person])


def _told_groups_of(connection: Connection, person: Person) -> list[GroupSeen]:
    subjects = {(of, key) for of, key, _ in _of_retired(connection, [person.id])}
    if person.connection is not None and person.user is not None:
        subjects.add((person.connection, person.user))
    table, groups = rows.memberships, rows.groups
    edges = {
        group_id(of, row["group_key"]): edge_from_row(row)
        for of, key in sorted(subjects)
        for row in connection.execute(
            select(table)
            .where(table.c.connection_id == of, table.c.user_key == key)
            .where(table.c.is_member)
        ).mappings()
    }
    ids = sorted(edges)
    known = connection.execute(
        select(groups.c.id).where(bulk.among(groups.c.id, ids, connection), groups.c.is_seen)
    ).scalars()
    seen = [one_group(connection, id_) for id_ in known]
    return [
        one
        for one in seen
        if one is not None
        and one.told is not None
        and is_current(edges[group_id(one.told.connection, one.told.key)], one.told)
    ]

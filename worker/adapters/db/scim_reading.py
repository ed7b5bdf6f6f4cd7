"""What the directory adds to a resource when it is shown: who the person is, groups, members."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from sqlalchemy import Connection, and_, select, text

from domain.groups import is_current
from domain.keys import group_id, user_id
from domain.model import Group, Person, UserFacts
from domain.resources import Resource, ResourceKind
from domain.values import BEGINNING
from worker.adapters.db import bulk, rows
from worker.adapters.db.mapping import (
    edge_from_row,
    facts_from_bytes,
    group_from_row,
    person_from_row,
)
from worker.adapters.db.scim_rows import scim_resources

#: Members that are read at once.
PAGE = 1000


class Named(NamedTuple):
    """A resource as another one refers to it."""

    id: str
    name: str


@dataclass(frozen=True, slots=True)
class Seen:
    """What the directory says of a resource. is_described: of a user without a person, why."""

    person: Person | None = None
    is_described: bool = False
    groups: tuple[Named, ...] = ()
    name: str | None = None


def seen(
    sql: Connection, resources: Sequence[Resource], *, with_groups: bool = True
) -> dict[str, Seen]:
    """By SCIM id; three statements at most, however many resources of one connection."""
    users = [one for one in resources if one.kind is ResourceKind.USER]
    groups = [one for one in resources if one.kind is ResourceKind.GROUP]
    found = _users(sql, users)
    if users and with_groups:
        theirs = _groups_of(sql, users)
        found = {
            one.id: Seen(
                found[one.id].person, found[one.id].is_described, tuple(theirs.get(one.key, ()))
            )
            for one in users
        }
    return {**found, **_groups(sql, groups)}


def _users(sql: Connection, users: Sequence[Resource]) -> dict[str, Seen]:
    if not users:
        return {}
    subjects, people = rows.users, rows.people
    mine = bulk.among(subjects.c.id, sorted(user_id(u.connection, u.key) for u in users), sql)
    found = {
        row["key"]: Seen(
            person_from_row(row) if row["state"] is not None else None,
            facts_from_bytes(row["facts"]).is_described if row["state"] is None else True,
        )
        for row in sql.execute(
            select(people, subjects.c.key, subjects.c.facts)
            .select_from(subjects)
            .outerjoin(people, people.c.id == subjects.c.person_id)
            .where(mine)
        ).mappings()
    }
    return {one.id: found.get(one.key, Seen()) for one in users}


def _groups(sql: Connection, groups: Sequence[Resource]) -> dict[str, Seen]:
    if not groups:
        return {}
    table = rows.groups
    mine = bulk.among(table.c.id, sorted(group_id(g.connection, g.key) for g in groups), sql)
    names = {
        row.key: row.name for row in sql.execute(select(table.c.key, table.c.name).where(mine))
    }
    return {one.id: Seen(name=names.get(one.key)) for one in groups}


def _groups_of(sql: Connection, users: Sequence[Resource]) -> dict[str, list[Named]]:
    """Groups with a live resource, by the key of the user who belongs to them."""
    edges, groups, resources = rows.memberships, rows.groups, scim_resources
    connection = users[0].connection
    mine = bulk.among(edges.c.user_key, sorted({one.key for one in users}), sql)
    found = sql.execute(
        select(
            groups, edges.c.user_key, edges.c.stamp, edges.c.is_member, resources.c.id.label("r")
        )
        .join(groups, groups.c.id == edges.c.connection_id + ":" + edges.c.group_key)
        .join(
            resources,
            and_(
                resources.c.connection_id == connection,
                resources.c.kind == ResourceKind.GROUP.value,
                resources.c.key == edges.c.group_key,
                resources.c.deleted_at.is_(None),
            ),
        )
        .where(edges.c.connection_id == connection, mine, edges.c.is_member)
        .order_by(resources.c.id)
    ).mappings()
    theirs: dict[str, list[Named]] = {}
    for row in found:
        group = group_from_row(row)
        edge = edge_from_row({**row, "group_key": group.key})
        if is_current(edge, group):
            theirs.setdefault(edge.user, []).append(Named(row["r"], group.name[1] or ""))
    return theirs


_THEIR_GROUPS = text(
    "SELECT g.*, m.user_key, m.stamp, m.is_member, r.id AS r FROM memberships m "
    "JOIN groups g ON g.id = m.connection_id || ':' || m.group_key "
    "JOIN scim_resources r ON r.connection_id = m.connection_id AND r.kind = 'Group' "
    "AND r.key = m.group_key AND r.deleted_at IS NULL "
    "WHERE m.connection_id = :connection AND m.user_key = :user AND m.is_member ORDER BY r.id"
)


def groups_of(sql: Connection, resource: Resource) -> tuple[Named, ...]:
    """The groups of one user, asked for after every write: the statement is put together once."""
    given = {"connection": resource.connection, "user": resource.key}
    found = []
    for row in sql.execute(_THEIR_GROUPS, given).mappings():
        group = group_from_row(row)
        if is_current(edge_from_row({**row, "group_key": group.key}), group):
            found.append(Named(row["r"], group.name[1] or ""))
    return tuple(found)


class Members(NamedTuple):
    """Some members of a group, by the order of their keys. after: where the next begin, if any."""

    some: list[Named]
    after: str | None


def members_page(
    sql: Connection, resource: Resource, after: str = "", *, group: Group | None = None
) -> Members:
    """Members of a group: one page. The names are their userNames.

    Who is deleted in SCIM is left out; who was never told of is shown by the word said (G7).

    group: what is known of it, where that was asked before.
    """
    edges, resources = rows.memberships, scim_resources
    known = group if group is not None else group_of(sql, resource)
    columns = [edges.c.user_key, resources.c.id.label("r"), resources.c.handle]
    # Stamps are read only where a deletion may have ended some of them.
    if was_cleared := known.cleared > BEGINNING:
        columns += [edges.c.connection_id, edges.c.group_key, edges.c.stamp, edges.c.is_member]
    page = sql.execute(
        select(*columns)
        .outerjoin(
            resources,
            and_(
                resources.c.connection_id == resource.connection,
                resources.c.kind == ResourceKind.USER.value,
                resources.c.key == edges.c.user_key,
                resources.c.deleted_at.is_(None),
            ),
        )
        .where(edges.c.connection_id == resource.connection, edges.c.group_key == resource.key)
        .where(edges.c.is_member, edges.c.user_key > after)
        .order_by(edges.c.user_key)
        .limit(PAGE)
    ).mappings()
    found = page.all()
    current = [row for row in found if not was_cleared or is_current(edge_from_row(row), known)]
    deleted = _known(sql, resource, [row["user_key"] for row in current if row["r"] is None])
    some = [
        Named(row["r"] or row["user_key"], row["handle"] or "")
        for row in current
        if row["user_key"] not in deleted
    ]
    return Members(some, found[-1]["user_key"] if len(found) == PAGE else None)


def _known(sql: Connection, group: Resource, keys: Sequence[str]) -> set[str]:
    """Of keys without a live resource, those of whom something was told: SCIM has deleted them."""
    if not keys:
        return set()
    users = rows.users
    mine = bulk.among(users.c.id, sorted(user_id(group.connection, key) for key in keys), sql)
    found = sql.execute(select(users.c.key, users.c.facts).where(mine))
    return {row.key for row in found if facts_from_bytes(row.facts) != UserFacts()}


def members_of(sql: Connection, resource: Resource) -> Iterator[Named]:
    """All members of a group, read page by page."""
    group, after = group_of(sql, resource), ""
    while True:
        page = members_page(sql, resource, after, group=group)
        yield from page.some
        if page.after is None:
            return
        after = page.after


def group_of(sql: Connection, resource: Resource) -> Group:
    """The subject behind a group's resource."""
    table = rows.groups
    wanted = group_id(resource.connection, resource.key)
    row = sql.execute(select(table).where(table.c.id == wanted)).mappings().first()
    return group_from_row(row) if row is not None else Group(resource.connection, resource.key)

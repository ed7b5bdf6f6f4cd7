"""What the directory adds to a resource when it is shown: who the person is, groups, members."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, and_, select

from domain.groups import is_current
from domain.keys import group_id, user_id
from domain.model import Group, Person, UserFacts
from domain.resources import Members, Named, Resource, ResourceKind
from domain.values import BEGINNING
from worker.adapters.db import bulk, rows
from worker.adapters.db import direct_statements as asks
from worker.adapters.db.arrays import text_array
from worker.adapters.db.direct import Asked, Row, direct_of
from worker.adapters.db.mapping import (
    edge_from_row,
    facts_from_bytes,
    group_from_row,
    person_from_row,
)
from worker.adapters.db.scim_json import Spot, json_on
from worker.adapters.db.scim_rows import scim_resources

#: Members that are read at once.
PAGE = 1000


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
    found = _users(sql, users, with_groups=with_groups) if users else {}
    return {**found, **_groups(sql, groups)}


def _users(sql: Connection, users: Sequence[Resource], *, with_groups: bool) -> dict[str, Seen]:
    connection = users[0].connection
    subjects = sorted({user_id(one.connection, one.key) for one in users})
    keys = {one.key for one in users} if with_groups else set()
    if direct := direct_of(sql):
        asked = [Asked(asks.USERS_SEEN, [text_array(subjects)])]
        if keys:
            asked.append(ask_groups(connection, keys))
        told, *of_groups = direct.ask_all(*asked)
        theirs = current_groups(of_groups[0]) if of_groups else {}
    else:
        table, people = rows.users, rows.people
        statement = (
            select(people, table.c.key, table.c.facts)
            .select_from(table)
            .outerjoin(people, people.c.id == table.c.person_id)
            .where(bulk.among(table.c.id, subjects, sql))
        )
        told = [dict(row) for row in sql.execute(statement).mappings()]
        theirs = groups_of_users(sql, connection, keys) if keys else {}
    known = {row["key"]: row for row in told}
    return {one.id: _seen(known.get(one.key), tuple(theirs.get(one.key, ()))) for one in users}


def _seen(row: Mapping[str, Any] | None, groups: tuple[Named, ...]) -> Seen:
    if row is None:
        return Seen(groups=groups)
    if row["state"] is None:
        return Seen(None, facts_from_bytes(row["facts"]).is_described, groups)
    return Seen(person_from_row(row), is_described=True, groups=groups)


def _groups(sql: Connection, groups: Sequence[Resource]) -> dict[str, Seen]:
    if not groups:
        return {}
    table = rows.groups
    mine = bulk.among(table.c.id, sorted(group_id(g.connection, g.key) for g in groups), sql)
    names = {
        row.key: row.name for row in sql.execute(select(table.c.key, table.c.name).where(mine))
    }
    return {one.id: Seen(name=names.get(one.key)) for one in groups}


def groups_of_users(
    sql: Connection, connection: str, users: Collection[str]
) -> dict[str, list[Named]]:
    """Groups with a live resource, by the key of the user who belongs to them."""
    if direct := direct_of(sql):
        (found,) = direct.ask_all(ask_groups(connection, users))
        return current_groups(found)
    edges, groups, resources = rows.memberships, rows.groups, scim_resources
    mine = bulk.among(edges.c.user_key, sorted(users), sql)
    theirs = sql.execute(
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
    return current_groups([dict(row) for row in theirs])


def ask_groups(connection: str, users: Collection[str]) -> Asked:
    """The statement of `groups_of_users`."""
    return Asked(asks.GROUPS_OF, [connection, text_array(sorted(users))])


def current_groups(found: Sequence[Mapping[str, Any]]) -> dict[str, list[Named]]:
    """What that gave: whether a membership is current is for the domain to say."""
    theirs: dict[str, list[Named]] = {}
    for row in found:
        group = group_from_row(row)
        edge = edge_from_row({**row, "group_key": group.key})
        if is_current(edge, group):
            theirs.setdefault(edge.user, []).append(Named(row["r"], group.name[1] or ""))
    return theirs


def members_page(
    sql: Connection, resource: Resource, after: str = "", *, group: Group | None = None
) -> Members:
    """Members of a group: one page. The names are their userNames.

    Who is deleted in SCIM is left out; who was never told of is shown by the word said (G7).

    group: what is known of it, where that was asked before.
    """
    direct = direct_of(sql)
    if direct is not None and group is None:
        return members_from_rows(sql, resource, *direct.ask_all(*ask_members(resource, after)))
    known = group if group is not None else group_of(sql, resource)
    return _members(sql, resource, known, _page(sql, resource, after, known))


def ask_members(resource: Resource, after: str = "") -> list[Asked]:
    """The statements of `members_page`: of the group, and of its members."""
    return [
        Asked(asks.GROUP, [group_id(resource.connection, resource.key)]),
        Asked(asks.MEMBERS, [resource.connection, resource.key, after, str(PAGE)]),
    ]


def members_from_rows(
    sql: Connection, resource: Resource, of_group: Sequence[Row], page: Sequence[Row]
) -> Members:
    """What those gave."""
    return _members(sql, resource, _group_from(of_group, resource), page)


def _members(
    sql: Connection, resource: Resource, known: Group, page: Sequence[Mapping[str, Any]]
) -> Members:
    # Stamps are looked at only where a deletion may have ended some of them.
    was_cleared = known.cleared > BEGINNING
    current = [row for row in page if not was_cleared or is_current(edge_from_row(row), known)]
    deleted = _known(sql, resource, [row["user_key"] for row in current if row["r"] is None])
    some = [
        Named(row["r"] or row["user_key"], row["name"] or "")
        for row in current
        if row["user_key"] not in deleted
    ]
    return Members(some, page[-1]["user_key"] if len(page) == PAGE else None)


def _page(sql: Connection, resource: Resource, after: str, known: Group) -> list[dict[str, Any]]:
    edges, resources = rows.memberships, scim_resources
    name = json_on(sql).text(Spot(resources.c.document, ("userName",)))
    columns = [edges.c.user_key, resources.c.id.label("r"), name.label("name")]
    if known.cleared > BEGINNING:
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
    return [dict(row) for row in page]


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
    found = sql.execute(select(table).where(table.c.id == wanted)).mappings()
    return _group_from([dict(row) for row in found], resource)


def _group_from(found: Sequence[Mapping[str, Any]], resource: Resource) -> Group:
    return group_from_row(found[0]) if found else Group(resource.connection, resource.key)

"""Memberships as SCIM shows them: members of a group, groups of a user.

A membership is shown while the provider's newest word on it is "member", no deletion of the group
ended it since, and its group is a resource of the connection. So is its member, or nobody yet: who
was never told of is shown by the word that was said (G7), who was deleted is not shown.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    ColumnElement,
    FromClause,
    and_,
    exists,
    func,
    literal,
    or_,
    select,
    union_all,
)

from worker.adapters.db import rows
from worker.adapters.db.mapping import EMPTY_FACTS
from worker.adapters.db.scim_json import JSON, Condition
from worker.adapters.db.scim_rows import scim_resources

#: Where `worker.adapters.db.mapping` keeps what it says of a group: [name, exists, floor, cleared].
_CLEARED = (3, 0)


@dataclass(frozen=True)
class Related:
    """The values of `members` or `groups` as rows, and what is asked of each by name."""

    source: FromClause
    where: Condition
    values: Mapping[str, ColumnElement[Any]]


def _resource(name: str) -> Any:
    return scim_resources.alias(name)


def is_current(json: JSON, edges: Any, groups: Any) -> Condition:
    """Whether the newest word is "member" and no deletion of the group ended it since.

    Stamps of one instant are told apart by `domain.groups.is_current` alone; SCIM's own differ.
    """
    said, cleared = json.stamp_at(edges.c.stamp, (0,)), json.stamp_at(groups.c.facts, _CLEARED)
    return and_(edges.c.is_member, said > cleared)


def members_of(json: JSON, group: Any, base: str) -> Related:
    """The members of the group in a row of `scim_resources`."""
    edges, user, groups = rows.memberships.alias("m"), _resource("mu"), rows.groups.alias("mg")
    mine = and_(
        user.c.connection_id == edges.c.connection_id,
        user.c.kind == "User",
        user.c.key == edges.c.user_key,
        user.c.deleted_at.is_(None),
    )
    source = edges.join(groups, groups.c.id == edges.c.connection_id + ":" + edges.c.group_key)
    where = and_(
        edges.c.connection_id == group.c.connection_id,
        edges.c.group_key == group.c.key,
        is_current(json, edges, groups),
        or_(user.c.id.is_not(None), _is_unheard(edges)),
    )
    value = func.coalesce(user.c.id, edges.c.user_key)
    ref = literal(f"{base}/Users/") + value
    named = {"value": value, "$ref": ref, "type": literal("User")}
    return Related(source.outerjoin(user, mine), where, named)


def _is_unheard(edges: Any) -> Condition:
    """Whether nothing was ever told of the member."""
    users = rows.users.alias("mh")
    heard = and_(
        users.c.id == edges.c.connection_id + ":" + edges.c.user_key, users.c.facts != EMPTY_FACTS
    )
    return ~exists(select(literal(1)).select_from(users).where(heard))


def groups_of(json: JSON, user: Any, base: str) -> Related:
    """The groups of the user in a row of `scim_resources`."""
    edges, group, groups = rows.memberships.alias("m"), _resource("mr"), rows.groups.alias("mg")
    source = edges.join(
        group,
        and_(
            group.c.connection_id == edges.c.connection_id,
            group.c.kind == "Group",
            group.c.key == edges.c.group_key,
            group.c.deleted_at.is_(None),
        ),
    ).join(groups, groups.c.id == edges.c.connection_id + ":" + edges.c.group_key)
    where = and_(
        edges.c.connection_id == user.c.connection_id,
        edges.c.user_key == user.c.key,
        is_current(json, edges, groups),
    )
    values = {
        "value": group.c.id,
        "$ref": literal(f"{base}/Groups/") + group.c.id,
        "display": groups.c.name,
        "type": literal("direct"),
    }
    return Related(source, where, values)


def groups_with(json: JSON, member: str, connection: str) -> Any:
    """Keys of the groups that a user, by SCIM id, is a member of."""
    edges, user, groups = rows.memberships.alias("m"), _resource("mu"), rows.groups.alias("mg")
    theirs = and_(edges.c.connection_id == user.c.connection_id, edges.c.user_key == user.c.key)
    mine = groups.c.id == edges.c.connection_id + ":" + edges.c.group_key
    known = (
        select(edges.c.group_key)
        .select_from(user.join(edges, theirs).join(groups, mine))
        .where(
            user.c.id == member,
            user.c.connection_id == connection,
            user.c.kind == "User",
            user.c.deleted_at.is_(None),
            is_current(json, edges, groups),
        )
    )
    unheard = (
        select(edges.c.group_key)
        .select_from(edges.join(groups, mine))
        .where(edges.c.connection_id == connection, edges.c.user_key == member)
        .where(is_current(json, edges, groups), _is_unheard(edges))
    )
    return union_all(known, unheard)


def users_in(json: JSON, group_id: str, connection: str) -> Any:
    """Keys of the users who are members of a group, by SCIM id."""
    edges, group, groups = rows.memberships.alias("m"), _resource("mr"), rows.groups.alias("mg")
    return (
        select(edges.c.user_key)
        .select_from(group)
        .join(
            edges,
            and_(edges.c.connection_id == group.c.connection_id, edges.c.group_key == group.c.key),
        )
        .join(groups, groups.c.id == edges.c.connection_id + ":" + edges.c.group_key)
        .where(
            group.c.id == group_id,
            group.c.connection_id == connection,
            group.c.kind == "Group",
            group.c.deleted_at.is_(None),
            is_current(json, edges, groups),
        )
    )

"""The groups of an access review: those that are, and those of which only the history knows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import orjson
from sqlalchemy import Connection, RowMapping, Select, and_, cast, literal, null, select

from domain.access import ONESELF
from domain.errors import NothingFoundError
from domain.groups import is_current
from domain.keys import group_known_as, group_ref
from domain.model import Edge, Group, PersonState
from domain.own_groups import ROLES_OF, name_key
from domain.values import BEGINNING
from worker.adapters.db import rows
from worker.adapters.db.access_rows import access_history
from worker.adapters.db.group_queries import find_groups
from worker.adapters.db.group_rows import own_groups, own_members
from worker.adapters.db.mapping import group_from_row, stamp_from_bytes


@dataclass(frozen=True, slots=True)
class ReviewGroup:
    """A group as a review looks at it.

    history: the ids under which the history knows it, ONESELF for one that follows roles. own: id
    of the account's own group; told: the provider's group, whose words count while it is managed.
    """

    id: str
    name: str
    history: tuple[str, ...]
    connection: str | None = None
    external_id: str | None = None
    follows: frozenset[str] = frozenset()
    own: str | None = None
    told: Group | None = None

    def is_in(self, present: Sequence[RowMapping]) -> bool:
        """Whether a person is a member now, by what is stored of them (G2, G7)."""
        if self.told is None:
            return bool(present)
        edges = [row for row in present if row["is_by_hand"] is None]
        if any(is_current(_edge(row, self.told), self.told) for row in edges):
            return True
        return self.told.floor == BEGINNING and bool(present) and not edges


def _edge(row: RowMapping, group: Group) -> Edge:
    stamp = stamp_from_bytes(row["stamp"])
    return Edge(group.connection, group.key, "", stamp, is_member=row["is_member"])


def review_groups(connection: Connection, account: str, named: str | None) -> list[ReviewGroup]:
    """All of an account, or the one of an id or a name, by name; raises NothingFoundError."""
    known = [_of_listed(connection, one) for one in find_groups(connection, account)]
    seen = {key for group in known for key in group.history}
    gone = [_of_gone(connection, one) for one in _ids(connection, account) if one not in seen]
    found = [*known, *gone]
    if named is not None:
        id_ = group_known_as(named)
        found = [g for g in found if id_ in (g.id, *g.history) and id_] or [
            g for g in found if name_key(g.name) == name_key(named)
        ]
        if not found:
            raise NothingFoundError("group", named)
    return sorted(found, key=lambda group: (name_key(group.name), group.id))


def _of_listed(connection: Connection, told: dict[str, Any]) -> ReviewGroup:
    follows = ROLES_OF.get(told["name"], frozenset()) if told["built_in"] else frozenset()
    provided = None
    if told["connection"] is not None and told["external_id"] is not None:
        provided = f"{told['connection']}:{told['external_id']}"
    own = told["id"] if told["id"] != provided else None
    history = (ONESELF,) if follows else tuple(sorted({told["id"], provided or told["id"]}))
    told_by = provided if _is_managed(connection, own) else None
    return ReviewGroup(
        id=own or group_ref(told["id"]),
        name=told["name"],
        history=history,
        connection=told["connection"],
        external_id=told["external_id"],
        follows=frozenset(role.value for role in follows),
        own=own,
        told=_group(connection, told_by) if told_by is not None else None,
    )


def _is_managed(connection: Connection, own: str | None) -> bool:
    """Whether the provider's words count: a retired connection's, too, until it is let go."""
    if own is None:
        return True
    table = own_groups
    return bool(connection.execute(select(table.c.is_managed).where(table.c.id == own)).scalar())


def _group(connection: Connection, id_: str) -> Group | None:
    table = rows.groups
    row = connection.execute(select(table).where(table.c.id == id_)).mappings().first()
    return None if row is None else group_from_row(row)


def _ids(connection: Connection, account: str) -> list[str]:
    """Every group of the history, by the index: from each to the next."""
    table, last = access_history, ONESELF
    found: list[str] = []
    while True:
        mine = and_(table.c.account_id == account, table.c.group_id > last)
        after = select(table.c.group_id).where(mine).order_by(table.c.group_id).limit(1)
        next_ = connection.execute(after).scalar()
        if next_ is None:
            return found
        last = str(next_)
        found.append(last)


def _of_gone(connection: Connection, id_: str) -> ReviewGroup:
    """A group that is deleted, or that nobody manages under this id any more."""
    table = rows.groups
    row = connection.execute(select(table).where(table.c.id == id_)).mappings().first()
    if row is None:
        return ReviewGroup(id_, _last_name(connection, id_), (id_,))
    name = row["name"] or row["key"]
    return ReviewGroup(group_ref(id_), name, (id_,), row["connection_id"], row["key"])


def _last_name(connection: Connection, id_: str) -> str:
    """What a group by hand was called when it was deleted."""
    table = rows.audit
    told = connection.execute(
        select(table.c.after)
        .where(table.c.subject == id_, table.c.after.is_not(None))
        .order_by(table.c.id.desc())
        .limit(1)
    ).scalar()
    said = orjson.loads(told) if told is not None else None
    return str(said.get("name", id_)) if isinstance(said, dict) else id_


def present_members(account: str, group: ReviewGroup) -> list[Select[Any]]:
    """What is stored of who is a member now, in the columns of a review's stream."""
    if group.follows:
        people = rows.people
        mine = people.c.role.in_(sorted(group.follows))
        is_there = people.c.state != PersonState.WITHDRAWN.value
        return [
            _columns(people.c.id, by_hand=True).where(
                people.c.account_id == account, mine, is_there
            )
        ]
    found = []
    if group.own is not None:
        members, people = own_members, rows.people
        by_hand = _columns(members.c.person_id, by_hand=True)
        living = people.c.state != PersonState.WITHDRAWN.value
        found.append(
            by_hand.join(people, people.c.id == members.c.person_id).where(
                members.c.group_id == group.own, living
            )
        )
    if group.told is not None and group.told.is_seen:
        found.append(_provided(group.told))
    return found


def _provided(group: Group) -> Select[Any]:
    users, edges = rows.users, rows.memberships
    same = (users.c.connection_id == edges.c.connection_id) & (users.c.key == edges.c.user_key)
    return (
        _columns(users.c.person_id, stamp=edges.c.stamp, is_member=edges.c.is_member)
        .select_from(edges)
        .join(users, same)
        .where(edges.c.connection_id == group.connection, edges.c.group_key == group.key)
        .where(users.c.person_id.is_not(None))
    )


def _columns(
    person: Any, *, stamp: Any = None, is_member: Any = None, by_hand: bool = False
) -> Select[Any]:
    table, edges = access_history, rows.memberships
    empty = [
        cast(null(), table.c[name].type).label(name)
        for name in ("id", "at", "was", "now", "actor", "reason", "event_id")
    ]
    truth = edges.c.is_member.type
    nothing: tuple[Any, Any] = (cast(null(), edges.c.stamp.type), cast(null(), truth))
    told = (stamp, is_member) if stamp is not None else nothing
    hand = literal(True) if by_hand else cast(null(), truth)
    return select(person.label("person_id"), *empty, *told, hand.label("is_by_hand"))

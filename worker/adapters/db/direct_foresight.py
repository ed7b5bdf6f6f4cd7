"""What a batch names, locked and read in one wait, before anybody asks for it."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache

from sqlalchemy import Table

from domain.changes import Change, EdgeChange, UserChange
from domain.keys import edge_id, group_id, user_id
from domain.model import Edge, Group, Person, User
from worker.adapters.db import direct_statements as asks
from worker.adapters.db import rows
from worker.adapters.db.arrays import array_literal, text_array
from worker.adapters.db.direct import Asked, Direct, Row
from worker.adapters.db.mapping import (
    edge_from_row,
    group_from_row,
    group_to_row,
    person_from_row,
    user_from_row,
    user_to_row,
)


@dataclass(frozen=True, slots=True)
class Foreseen:
    """Rows by id, locked; people behind the locks of their subjects.

    keepers: who keeps the account open (U6), None where nobody looked. named: ids of memberships
    that were looked for. is_nobody_buried: nobody of the connections was deleted for good (U5).
    """

    groups: dict[str, Group] = field(default_factory=dict)
    users: dict[str, User] = field(default_factory=dict)
    people: dict[str, Person] = field(default_factory=dict)
    edges: dict[str, Edge] = field(default_factory=dict)
    keepers: tuple[Person, ...] | None = None
    named: frozenset[str] = frozenset()
    is_nobody_buried: bool = False


def foresight(
    direct: Direct, changes: Collection[tuple[str, Change]], accounts: Mapping[str, str]
) -> Foreseen:
    """Lock what people and memberships are asked for; read who the people are.

    Each statement sees what was committed when its turn came: people are read behind the locks of
    their subjects. What somebody else is making at this moment is left out. changes: each with its
    connection; accounts: by connection.
    """
    groups: dict[str, Group] = {}
    users: dict[str, User] = {}
    edges: set[str] = set()
    for connection, change in changes:
        if isinstance(change, UserChange | EdgeChange):
            users[user_id(connection, change.user)] = User(connection, change.user)
        if isinstance(change, EdgeChange):
            groups[group_id(connection, change.group)] = Group(connection, change.group)
            edges.add(edge_id(connection, change.group, change.user))
    if not users:
        return Foreseen()
    new_groups = [group_to_row(groups[k], accounts[groups[k].connection]) for k in sorted(groups)]
    new_users = [user_to_row(users[k], accounts[users[k].connection]) for k in sorted(users)]
    open_ = text_array(sorted(set(accounts.values())))
    found = iter(
        direct.ask_all(
            *_if_any(rows.groups, new_groups),
            *_if_any(rows.users, new_users),
            # Whoever deletes somebody for good has their lock until it is done.
            Asked(asks.BURIED, [text_array(sorted(accounts))]),
            Asked(asks.PEOPLE_OF, [text_array(sorted(users)), open_]),
            *([ask_edges(edges)] if edges else []),
        )
    )
    locked = [group_from_row(row) for row in next(found)] if groups else []
    subjects = [user_from_row(row) for row in next(found)]
    is_nobody_buried = not next(found)
    people = [person_from_row(row) for row in next(found)]
    theirs = {one.person for one in subjects}
    words = [edge_from_row(row) for row in next(found)] if edges else []
    if len(locked) < len(groups) or len(subjects) < len(users):
        # Somebody is making one of them: what was read of it was read behind no lock.
        edges, words, is_nobody_buried = set(), [], False
    return Foreseen(
        {group_id(one.connection, one.key): one for one in locked},
        {user_id(one.connection, one.key): one for one in subjects},
        {one.id: one for one in people if one.id in theirs},
        {edge_id(one.connection, one.group, one.user): one for one in words},
        tuple(people),
        frozenset(edges),
        is_nobody_buried,
    )


def _if_any(table: Table, made: Sequence[Row]) -> list[Asked]:
    """Memberships lock their groups against a change of them only."""
    return [ask_made_or_locked(table, made, is_shared=table is rows.groups)] if made else []


def ask_made_or_locked(table: Table, made: Sequence[Row], *, is_shared: bool = False) -> Asked:
    """Rows as they are, locked, or as they are to be made."""
    names = tuple(made[0])
    literals = [array_literal(table.c[name], [row[name] for row in made]) for name in names]
    return Asked(_made_or_locked(table, names, is_shared=is_shared), literals)


def ask_edges(ids: Collection[str]) -> Asked:
    """Memberships by their ids, locked."""
    return Asked(_locked(rows.memberships), [text_array(sorted(ids))])


_locked = cache(asks.locked)
_made_or_locked = cache(asks.made_or_locked)

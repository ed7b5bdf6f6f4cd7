"""Turns of who has access to what, written in the transaction that makes them."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, select, text, update

from domain.access import ERASED, ONESELF, AccessTurn, of_membership, of_person, own_word
from domain.groups import is_current
from domain.keys import group_id, user_id
from domain.model import Edge, Group, Person
from domain.own_groups import OwnGroup, known_as
from domain.ports import AccessNote, DirectoryStore
from worker.adapters.db import bulk
from worker.adapters.db.access_rows import access_history
from worker.adapters.db.group_rows import own_groups, own_members
from worker.adapters.db.own_groups import own_group_from_row


@dataclass(frozen=True, slots=True)
class Deed:
    """Whose word a turn goes back to where no event asked for it."""

    at: datetime
    actor: str
    reason: str = ""


#: In `Connection.info`: this session has seen the table.
_SEEN = "access_history"


def is_kept(connection: Connection) -> bool:
    """Whether there is a history to write to: not before its migration, which drains outlive.

    Asked once a session; where anything is sent ahead, before that.
    """
    if not connection.info.get(_SEEN):
        is_postgres = connection.dialect.name == "postgresql"
        ask = _ON_POSTGRES if is_postgres else _ON_SQLITE
        connection.info[_SEEN] = connection.execute(text(ask)).scalar() is not None
    return bool(connection.info[_SEEN])


_ON_POSTGRES = "SELECT to_regclass('access_history')"
_ON_SQLITE = "SELECT name FROM sqlite_master WHERE name = 'access_history'"


def note(connection: Connection, turns: Iterable[AccessTurn | None], deed: Deed) -> None:
    """Write turns that somebody made by hand."""
    told = [_row(turn, deed.at, deed.actor, deed.reason) for turn in turns if turn is not None]
    if told and is_kept(connection):
        bulk.insert(connection, access_history, told)


def note_all(
    connection: Connection, notes: Iterable[AccessNote], actors: Mapping[int, str], at: datetime
) -> None:
    """Write the turns of a batch. actors: who the audit says it was, by event."""
    told = [_row(one.turn, at, actors[one.event.id], "", event=one.event.id) for one in notes]
    bulk.insert(connection, access_history, told)


def _row(
    turn: AccessTurn, at: datetime, actor: str, reason: str, *, event: int | None = None
) -> dict[str, Any]:
    return {
        "account_id": turn.account,
        "group_id": turn.group,
        "person_id": turn.person,
        "at": at,
        "was": turn.was,
        "now": turn.now,
        "event_id": event,
        "actor": actor,
        "reason": reason,
    }


def note_people(
    connection: Connection, changed: Iterable[tuple[Person | None, Person]], deed: Deed
) -> None:
    """Turns of people who were changed by hand, before and after."""
    note(connection, [of_person(before, after) for before, after in changed], deed)


#: Id of a group, id of a person.
Membership = tuple[str, str]


def in_effect(directory: DirectoryStore, subjects: Collection[str]) -> set[Membership]:
    """The memberships in effect that providers gave to who these subjects are now (G7)."""
    edges = directory.edges_of_users(subjects)
    ids = {group_id(edge.connection, edge.group) for edge in edges}
    return _in_effect(directory, edges, directory.groups(ids))


def members_in_effect(directory: DirectoryStore, group: Group) -> set[Membership]:
    """The same of everybody in one group."""
    key = group_id(group.connection, group.key)
    return _in_effect(directory, directory.edges_of(group), {key: group})


def _in_effect(
    directory: DirectoryStore, edges: Collection[Edge], groups: Mapping[str, Group]
) -> set[Membership]:
    linked = directory.linked({user_id(edge.connection, edge.user) for edge in edges})
    found = set()
    for edge in edges:
        key = group_id(edge.connection, edge.group)
        group, person = groups.get(key), linked.get(user_id(edge.connection, edge.user))
        if group is not None and group.is_seen and is_current(edge, group) and person is not None:
            found.add((key, person))
    return found


def note_difference(
    connection: Connection,
    account: str,
    was: Collection[Membership],
    now: Collection[Membership],
    deed: Deed,
) -> None:
    """Turns of memberships that are no more, and of those that are new."""
    gone, new = sorted(set(was) - set(now)), sorted(set(now) - set(was))
    turns = [of_membership(account, *one, is_member=False) for one in gone]
    turns += [of_membership(account, *one, is_member=True) for one in new]
    note(connection, turns, deed)


def note_of_group(connection: Connection, group: OwnGroup, deed: Deed) -> None:
    """Everybody who is in a group by hand leaves it, as it is deleted."""
    table = own_members
    found = connection.execute(select(table.c.person_id).where(table.c.group_id == group.id))
    was = {(known_as(group), row.person_id) for row in found}
    note_difference(connection, group.account, was, (), deed)


def by_hand_of(connection: Connection, person: str) -> set[Membership]:
    """Memberships that somebody has by hand."""
    table, members = own_groups, own_members
    found = connection.execute(
        select(table)
        .join(members, members.c.group_id == table.c.id)
        .where(members.c.person_id == person)
    ).mappings()
    return {(known_as(own_group_from_row(row)), person) for row in found}


def forget(connection: Connection, person: Person, digest: str, deed: Deed) -> int:
    """End what somebody has, who is deleted for good, and know them by a digest only; how many."""
    note(connection, [_gone(person)], deed)
    if not is_kept(connection):
        return 0
    table = access_history
    told = connection.execute(
        update(table).where(table.c.person_id == person.id).values(person_id=ERASED + digest)
    )
    return told.rowcount


def _gone(person: Person) -> AccessTurn:
    return AccessTurn(person.account, person.id, ONESELF, own_word(person.state, person.role), "")

"""Access reviews: each membership from when to when, and when it gave access, line by line.

The history is held against the directory as it is, both of one moment: whatever changed without a
turn, by a process of the release before, is told as not recorded. Memory does not grow with the
account: a group is read in the order of its people, some hundreds at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import groupby, islice
from typing import Any

from sqlalchemy import Connection, RowMapping, cast, null, select, text

from domain.access import (
    ERASED,
    ONESELF,
    Interval,
    Turn,
    Window,
    common,
    intervals,
    is_member,
    may_sign_in,
    role_in,
)
from domain.model import Person, PersonState
from worker.adapters.db import bulk, rows
from worker.adapters.db.access_groups import ReviewGroup, present_members, review_groups
from worker.adapters.db.access_rows import BEGAN, access_history
from worker.adapters.db.mapping import person_from_row
from worker.adapters.db.uow import database_now

#: People whose turns, state and events are read at once.
AT_ONCE = 500
#: Sorting a group of a million people takes longer than a statement may elsewhere.
STATEMENT_MS = 120_000


@dataclass(frozen=True, slots=True)
class ReviewAsked:
    """What a review is about. account: its id; group: an id or a name, None for all."""

    account: str
    group: str | None = None
    window: Window = field(default_factory=Window)


@dataclass(frozen=True, slots=True)
class Reviewed:
    """One membership. access: the parts of it in which the person could sign in, too."""

    group: ReviewGroup
    person: str
    member: Interval
    access: tuple[Interval, ...]
    who: Person | None = None

    @property
    def turns(self) -> Iterator[Turn]:
        """Every turn that the line tells of."""
        for interval in (self.member, *self.access):
            yield from (one for one in (interval.began, interval.ended) if one is not None)


def history_began(connection: Connection) -> datetime | None:
    """Since when the history is kept."""
    table = rows.marks
    found: datetime | None = connection.execute(
        select(table.c.at).where(table.c.name == BEGAN)
    ).scalar()
    return found


def begin_review(connection: Connection) -> datetime:
    """From here on one moment is seen, whatever changes meanwhile; that moment."""
    if connection.dialect.name == "postgresql":
        connection.execute(text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY"))
        connection.execute(text(f"SET LOCAL statement_timeout = {STATEMENT_MS}"))
    return database_now(connection)


def review(connection: Connection, asked: ReviewAsked) -> Iterator[list[Reviewed]]:
    """Memberships, group by group, some hundred people at a time.

    Raises NothingFoundError for a group of which nobody was ever a member, and nobody knows.
    """
    for group in review_groups(connection, asked.account, asked.group):
        people = _by_person(connection, asked.account, group)
        while some := list(islice(people, AT_ONCE)):
            found = _reviewed(connection, asked, group, some)
            if found:
                yield found


#: A person, the turns of their membership, and whether they are a member now.
_Found = tuple[str, list[Turn], bool]


def _by_person(connection: Connection, account: str, group: ReviewGroup) -> Iterator[_Found]:
    """One stream of turns and of who is a member now, in the database's own order of people."""
    table = access_history
    turns = select(
        table.c.person_id,
        table.c.id,
        table.c.at,
        table.c.was,
        table.c.now,
        table.c.actor,
        table.c.reason,
        table.c.event_id,
        *_no_edge(),
    ).where(table.c.account_id == account, bulk.among(table.c.group_id, group.history, connection))
    now = present_members(account, group)
    both = turns.union_all(*now).subquery() if now else turns.subquery()
    statement = select(both).order_by(both.c.person_id)
    found = connection.execute(statement, execution_options={"yield_per": AT_ONCE}).mappings()
    for person, mine in groupby(found, key=lambda row: str(row["person_id"])):
        its = list(mine)
        told = sorted((row for row in its if row["id"] is not None), key=lambda row: row["id"])
        yield person, _turns(told), group.is_in([row for row in its if row["id"] is None])


def _no_edge() -> tuple[Any, Any, Any]:
    table = rows.memberships
    return (
        cast(null(), table.c.stamp.type).label("stamp"),
        cast(null(), table.c.is_member.type).label("is_member"),
        cast(null(), table.c.is_member.type).label("is_by_hand"),
    )


def _turns(told: Sequence[RowMapping]) -> list[Turn]:
    """In the order in which they were made. A clock that went back does not turn an interval."""
    found: list[Turn] = []
    for row in told:
        at = max(row["at"], found[-1].at) if found else row["at"]
        found.append(Turn(at, row["was"], row["now"], row["actor"], row["reason"], row["event_id"]))
    return found


def _reviewed(
    connection: Connection, asked: ReviewAsked, group: ReviewGroup, some: Sequence[_Found]
) -> list[Reviewed]:
    ids = [person for person, _, _ in some]
    people, own = _people(connection, ids), _own_turns(connection, ids)
    holds: Callable[[str], bool] = role_in(group.follows) if group.follows else is_member
    found = []
    for person, turns, is_now in some:
        who = people.get(person)
        is_active = who is not None and who.state is PersonState.ACTIVE
        signs_in = intervals(own.get(person, ()), may_sign_in, is_now=is_active)
        members = intervals(turns, holds, is_now=is_now)
        if who is not None and who.state is PersonState.WITHDRAWN:
            # Whoever was withdrawn is in nothing any more, and nobody took them out (D3).
            there = intervals(own.get(person, ()), bool, is_now=False)
            members = [part for one in members for part in common(one, there)]
        for member in members:
            if asked.window.wants(member):
                access = tuple(filter(asked.window.wants, common(member, signs_in)))
                found.append(Reviewed(group, person, member, access, who))
    return found


def _people(connection: Connection, ids: Collection[str]) -> dict[str, Person]:
    table = rows.people
    living = [one for one in ids if not one.startswith(ERASED)]
    found = connection.execute(select(table).where(bulk.among(table.c.id, living, connection)))
    return {row["id"]: person_from_row(row) for row in found.mappings()}


def _own_turns(connection: Connection, ids: Collection[str]) -> Mapping[str, list[Turn]]:
    table = access_history
    found = connection.execute(
        select(table)
        .where(bulk.among(table.c.person_id, ids, connection), table.c.group_id == ONESELF)
        .order_by(table.c.id)
    ).mappings()
    told: dict[str, list[RowMapping]] = {}
    for row in found:
        told.setdefault(row["person_id"], []).append(row)
    return {person: _turns(its) for person, its in told.items()}

"""What an application hears of a connection that is turned off: of all it managed (C7)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, select

from domain.announcements import Announcement, let_go, of_group, of_person, view_of
from domain.model import Person
from worker.adapters.db import rows
from worker.adapters.db.announcing import announce, listening
from worker.adapters.db.mapping import group_from_row, person_from_row

#: How many are put together at a time.
AT_ONCE = 1_000


def announce_farewell(
    sql: Connection, connection: dict[str, Any], managed: ColumnElement[bool], now: datetime
) -> None:
    """Before they are let go: nobody's state changes, only who governs them.

    Nothing is read where no application listens.
    """
    account = str(connection["account_id"])
    if not listening(sql, [account]):
        return
    told = [*_people(sql, managed), *_groups(sql, str(connection["id"]), account)]
    for first in range(0, len(told), AT_ONCE):
        announce(sql, told[first : first + AT_ONCE], now=now)


def _people(sql: Connection, managed: ColumnElement[bool]) -> Iterator[Announcement]:
    table = rows.people
    for row in sql.execute(select(table).where(managed).order_by(table.c.id)).mappings().all():
        before = person_from_row(row)
        yield from of_person(before, _unmanaged(before))


def _unmanaged(person: Person) -> Person:
    return replace(person, connection=None, user=None, pending=None, requested=person.email)


def _groups(sql: Connection, connection: str, account: str) -> Iterator[Announcement]:
    table = rows.groups
    mine = (table.c.connection_id == connection) & table.c.is_seen
    for row in sql.execute(select(table).where(mine).order_by(table.c.id)).mappings().all():
        before = view_of(group_from_row(row), account)
        yield from of_group(before, let_go(before))

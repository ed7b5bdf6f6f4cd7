"""Which mails are next: accounts take turns, so that one's thousands delay no other's (G7)."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from sqlalchemy import Connection, RowMapping, Select, func, select, true

from worker.adapters.db import rows
from worker.adapters.db.mail_rows import undeliverable

#: Accounts that are served by one claim at most.
AT_ONCE = 20


class Turns:
    """Remembers which account was served last."""

    def __init__(self) -> None:
        self._last: str | None = None

    def due(self, connection: Connection, now: datetime, limit: int) -> list[RowMapping]:
        """Notices that are due, oldest first of each account; locked, with what they tell of.

        `is_marked`: whether the person is held for undeliverable (E7).
        """
        accounts = self._next(connection, now)
        found: list[RowMapping] = []
        for place, account in enumerate(accounts):
            # What one does not need is the next ones'; rounded up, so that nobody gets nothing.
            share = -(-(limit - len(found)) // (len(accounts) - place))
            if share:
                found += connection.execute(_of(account, now, share)).mappings()
                self._last = account
        return found

    def _next(self, connection: Connection, now: datetime) -> list[str]:
        """The accounts after the last one that wait, then those from the beginning."""
        # Looked at once: another thread may have its turn meanwhile, and no account two of one.
        last = self._last
        found = list(_waiting(connection, now, after=last))
        if len(found) < AT_ONCE and last is not None:
            again = _waiting(connection, now, after=None)
            found += [account for account in again if account <= last]
        return found[:AT_ONCE]


def _waiting(connection: Connection, now: datetime, *, after: str | None) -> Iterator[str]:
    """Accounts with something due, in order: one look into the index for each."""
    table = rows.notices
    first = select(func.min(table.c.account_id).label("id"))
    is_due = table.c.due_at <= now
    is_later = true() if after is None else table.c.account_id > after
    steps = first.where(is_due, is_later).cte("steps", recursive=True)
    others = first.where(is_due, table.c.account_id > steps.c.id).scalar_subquery()
    steps = steps.union_all(select(others).where(steps.c.id.is_not(None)))
    asked = select(steps.c.id).where(steps.c.id.is_not(None)).limit(AT_ONCE)
    yield from connection.scalars(asked)


def _of(account: str, now: datetime, limit: int) -> Select[tuple[object, ...]]:
    table, accounts, links, people = rows.notices, rows.accounts, rows.links, rows.people
    return (
        select(
            table,
            accounts.c.name.label("account"),
            links.c.expires_at,
            people.c.profile,
            undeliverable.c.person_id.is_not(None).label("is_marked"),
        )
        .join(accounts, accounts.c.id == table.c.account_id, isouter=True)
        .join(links, links.c.id == table.c.link_id, isouter=True)
        .join(people, people.c.id == table.c.person_id, isouter=True)
        .join(undeliverable, undeliverable.c.person_id == table.c.person_id, isouter=True)
        .where(table.c.account_id == account, table.c.due_at <= now)
        .order_by(table.c.due_at)
        .limit(limit)
        .with_for_update(skip_locked=True, of=table)
    )

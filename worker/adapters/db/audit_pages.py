"""The audit as operators read it: who did what to whom, why, before and after."""

from __future__ import annotations

from typing import Any

import orjson
from sqlalchemy import ColumnElement, Connection, text
from sqlalchemy.sql import FromClause

from domain.looking import AuditFilter
from worker.adapters.db import bulk, rows
from worker.adapters.db.engine import Database, translated
from worker.adapters.db.windows import BRANCHES, Look, Row, RowPage, between, page_of

COLUMNS = tuple(rows.audit.c)
#: As the partial index says it.
BY_HAND = text("audit.event_id IS NULL")


class SQLAudit:
    """The audit for whoever looks: command line, API and console."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def page(self, wanted: AuditFilter, *, before: int | None, limit: int) -> RowPage:
        """Newest first, those with a smaller id than `before`."""
        if wanted.accounts is not None and not wanted.accounts:
            return RowPage([], None)
        with translated(), self._database.read() as sql:
            found = page_of(sql, _look(sql, wanted, before), limit=limit)
        return RowPage([_shown(row) for row in found.rows], found.after)


def _look(sql: Connection, wanted: AuditFilter, before: int | None) -> Look:
    audit = rows.audit
    bounds = between(sql, audit.c.id, audit.c.at, since=wanted.since, until=wanted.until)
    if before is not None:
        bounds.append(audit.c.id < before)
    is_exact = not (wanted.subjects or wanted.with_events) and (
        wanted == AuditFilter(accounts=wanted.accounts)
    )
    fits = None if is_exact else _conditions(sql, wanted)
    return Look(COLUMNS, _branches(sql, wanted), bounds, fits)


def _branches(sql: Connection, wanted: AuditFilter) -> list[ColumnElement[bool]]:
    audit = rows.audit
    if wanted.subjects:
        return [bulk.among(audit.c.subject, sorted(wanted.subjects), sql)]
    if wanted.with_events:
        return []
    if wanted.accounts is None:
        return [audit.c.event_id.is_(None)]
    mine = sorted(wanted.accounts)
    if len(mine) > BRANCHES:
        return [bulk.among(audit.c.account_id, mine, sql) & BY_HAND]
    return [(audit.c.account_id == one) & BY_HAND for one in mine]


def _conditions(sql: Connection, wanted: AuditFilter) -> Any:
    def fits(seen: FromClause) -> list[ColumnElement[bool]]:
        equal = (("actor", wanted.actor), ("action", wanted.action))
        found = [seen.c[name] == value for name, value in equal if value is not None]
        if wanted.subjects:
            found.append(bulk.among(seen.c.subject, sorted(wanted.subjects), sql))
        if wanted.accounts is not None:
            found.append(bulk.among(seen.c.account_id, sorted(wanted.accounts), sql))
        if not wanted.with_events:
            found.append(seen.c.event_id.is_(None))
        if wanted.since is not None:
            found.append(seen.c.at >= wanted.since)
        if wanted.until is not None:
            found.append(seen.c.at <= wanted.until)
        return found

    return fits


def _shown(row: Row) -> Row:
    return {
        **row,
        "before": orjson.loads(row["before"] or b"null"),
        "after": orjson.loads(row["after"] or b"null"),
    }

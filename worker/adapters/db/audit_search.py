"""The audit as operators look at it: who did what to whom and why, newest first, page by page."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson
from sqlalchemy import ColumnElement, Connection, func, select

from worker.adapters.db import bulk, rows

#: Entries looked at for one page, where no index leads to what is asked for.
WINDOW = 50_000


@dataclass(frozen=True, slots=True)
class AuditFilter:
    """What is asked; None asks nothing. accounts: ids of those whose entries are there, None all.

    actor, action: how they begin. by_people: only what operators, members and programs did, not
    what events brought about.
    """

    accounts: frozenset[str] | None
    subject: str | None = None
    actor: str | None = None
    action: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    by_people: bool = False
    before: int | None = None


@dataclass(frozen=True, slots=True)
class AuditPage:
    """Entries, newest first. after: pass it as `before` for the next page; None at the end.

    looked_back_to: where a page that is short has ended its search.
    """

    entries: list[dict[str, Any]]
    after: int | None
    looked_back_to: datetime | None = None


def audit_page(connection: Connection, wanted: AuditFilter, *, limit: int) -> AuditPage:
    """One page."""
    audit = rows.audit
    conditions = _conditions(connection, wanted)
    floor = 0
    if wanted.subject is None:
        newest = int(connection.execute(select(func.max(audit.c.id))).scalar() or 0)
        start = newest if wanted.before is None else min(newest, wanted.before - 1)
        floor = max(start - WINDOW, 0)
        conditions.append(audit.c.id > floor)
    found = (
        connection.execute(
            select(audit).where(*conditions).order_by(audit.c.id.desc()).limit(limit + 1)
        )
        .mappings()
        .all()
    )
    entries = [_shown(dict(row)) for row in found[:limit]]
    if len(found) > limit:
        return AuditPage(entries, entries[-1]["id"])
    if floor == 0:
        return AuditPage(entries, None)
    looked = connection.execute(
        select(audit.c.at).where(audit.c.id <= floor).order_by(audit.c.id.desc()).limit(1)
    ).scalar()
    if looked is None or (wanted.since is not None and looked < wanted.since):
        return AuditPage(entries, None)
    return AuditPage(entries, floor + 1, looked)


def _shown(row: dict[str, Any]) -> dict[str, Any]:
    for name in ("before", "after"):
        row[name] = orjson.loads(row[name] or b"null")
    return row


def _conditions(connection: Connection, wanted: AuditFilter) -> list[ColumnElement[bool]]:
    audit = rows.audit
    found: list[ColumnElement[bool]] = []
    if wanted.accounts is not None:
        found.append(bulk.among(audit.c.account_id, sorted(wanted.accounts), connection))
    if wanted.subject is not None:
        found.append(audit.c.subject == wanted.subject)
    for column, text in ((audit.c.actor, wanted.actor), (audit.c.action, wanted.action)):
        if text is not None:
            found.append(column.startswith(text, autoescape=True))
    if wanted.since is not None:
        found.append(audit.c.at >= wanted.since)
    if wanted.until is not None:
        found.append(audit.c.at <= wanted.until)
    if wanted.by_people:
        found.append(audit.c.event_id.is_(None))
    if wanted.before is not None:
        found.append(audit.c.id < wanted.before)
    return found

"""Operators are told: of each thing once, of many things in one mail.

`tell_operators` writes what happened in the transaction in which it did. The next sweep, seconds
later, makes one mail an operator of all that waits. The same thing again is counted and told an
hour later at the earliest; what is not urgent waits until five minutes after the mail before.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from itertools import groupby
from typing import Any

import orjson
from sqlalchemy import Connection, delete, func, select, update

from domain.consequences import NoticeKind
from domain.display import one_line
from worker.adapters.db import bulk, rows
from worker.adapters.db.family import line_above
from worker.adapters.db.mail_rows import alerts
from worker.adapters.db.operator_rows import account_operators, operators
from worker.adapters.vault import new_id

#: The same thing is told again after so long, if it happens again.
AGAIN = timedelta(hours=1)
#: Between two mails about one account, unless something is urgent.
GAP = timedelta(minutes=5)
#: Who is told; a viewer only looks.
TOLD_ROLES = ("operator", "editor", "admin")
#: Lines of one mail; the others are counted in the last.
MOST_LINES = 50


def tell_operators(
    connection: Connection,
    now: datetime,
    *,
    topic: str,
    subject: str,
    headline: str,
    details: Sequence[str] = (),
    account: str | None = None,
    is_urgent: bool = False,
) -> None:
    """Have operators told, if the caller's transaction commits.

    topic: what kind of thing, `breaker.tripped`. subject: the id of what it happened to. headline:
    one line, the mail's subject. details: a line each, with names, numbers and what to do next.
    account None: it concerns the whole installation.
    """
    entry = {
        "id": alert_id(account, topic, subject),
        "account_id": account,
        "topic": topic,
        "subject": subject,
        "headline": one_line(headline),
        "details": orjson.dumps([one_line(line, limit=500) for line in details]),
        "is_urgent": is_urgent,
        "count": 1,
        "first_at": now,
        "last_at": now,
        "due_at": now,
        "told_at": None,
    }
    known = (
        connection.execute(select(alerts).where(alerts.c.id == entry["id"]).with_for_update())
        .mappings()
        .first()
    )
    if known is None:
        conflict = "ON CONFLICT (id) DO UPDATE SET count = alerts.count + 1"
        bulk.insert(connection, alerts, [entry], conflict=conflict)
        return
    is_waiting = known["due_at"] is not None
    connection.execute(
        update(alerts)
        .where(alerts.c.id == entry["id"])
        .values(
            headline=entry["headline"],
            details=entry["details"],
            is_urgent=is_urgent,
            count=known["count"] + 1 if is_waiting else 1,
            first_at=known["first_at"] if is_waiting else now,
            last_at=now,
            due_at=known["due_at"] if is_waiting else max(now, known["told_at"] + AGAIN),
        )
    )


def settle_alert(
    connection: Connection, *, topic: str, subject: str, account: str | None = None
) -> None:
    """What was told is over: it is not mailed any more, and the next time it is told at once."""
    connection.execute(delete(alerts).where(alerts.c.id == alert_id(account, topic, subject)))


def alert_id(account: str | None, topic: str, subject: str) -> str:
    """The key by which the same thing is the same."""
    return f"{account or '-'}/{topic}/{subject}"


def known_alerts(connection: Connection, account: str | None = None) -> list[dict[str, Any]]:
    """What was told or waits to be, newest first."""
    found = select(alerts).order_by(alerts.c.last_at.desc())
    if account is not None:
        found = found.where(alerts.c.account_id == account)
    return [
        {**row, "details": orjson.loads(row["details"])}
        for row in connection.execute(found).mappings()
    ]


def mail_alerts(connection: Connection, now: datetime, *, hook: str = "") -> int:
    """Put what is due into the outbox, one notice an operator and account; notices written.

    hook: an address at which a program hears of all that anybody is told.
    """
    due = (
        connection.execute(
            select(alerts)
            .where(alerts.c.due_at.is_not(None), alerts.c.due_at <= now)
            .order_by(alerts.c.account_id, alerts.c.id)
            .with_for_update(skip_locked=True)
        )
        .mappings()
        .all()
    )
    if not due:
        return 0
    written = 0
    for account, group in groupby(due, key=lambda row: row["account_id"]):
        told = [*_told(connection, account), *([hook] if hook else ())]
        written += _mail(connection, account, list(group), told, now)
    return written


def _told(connection: Connection, account: str | None) -> list[str]:
    """Operators of all, and of the account or one above it (C4); addresses, sorted."""
    told = set()
    ours, theirs = operators, account_operators
    told |= set(connection.scalars(select(ours.c.email).where(ours.c.role.in_(TOLD_ROLES))))
    if account is not None:
        above = theirs.c.account_id.in_(sorted(line_above(connection, account)))
        mine = select(theirs.c.email).where(theirs.c.role.in_(TOLD_ROLES), above)
        told |= set(connection.scalars(mine))
    return sorted(told)


def _mail(
    connection: Connection, account: str | None, due: list[Any], to: list[str], now: datetime
) -> int:
    if not any(alert["is_urgent"] for alert in due) and _was_told(connection, account, now):
        return 0
    headline = due[0]["headline"]
    if len(due) > 1:
        headline = f"{headline} (and {len(due) - 1} more)"
    named = connection.execute(select(rows.accounts.c.name).where(rows.accounts.c.id == account))
    content = orjson.dumps(
        {"headline": headline, "details": _lines(due), "account": named.scalar() or ""}
    )
    notices = [_notice(address, content, now) for address in to]
    bulk.insert(connection, rows.notices, notices)
    told = bulk.among(alerts.c.id, sorted(alert["id"] for alert in due), connection)
    connection.execute(update(alerts).where(told).values(due_at=None, told_at=now))
    return len(notices)


def _was_told(connection: Connection, account: str | None, now: datetime) -> bool:
    is_mine = alerts.c.account_id == account if account else alerts.c.account_id.is_(None)
    last = connection.execute(select(func.max(alerts.c.told_at)).where(is_mine)).scalar()
    return last is not None and last > now - GAP


def _lines(due: list[Any]) -> list[str]:
    lines: list[str] = []
    for alert in due:
        times = f" ({alert['count']} times)" if alert["count"] > 1 else ""
        lines += [f"{alert['headline']}{times}", *orjson.loads(alert["details"])]
    if len(lines) > MOST_LINES:
        left_out = len(lines) - MOST_LINES
        lines = [*lines[:MOST_LINES], f"{left_out} more lines: rosterd operator alerts"]
    return lines


def _notice(address: str, content: bytes, now: datetime) -> dict[str, object]:
    """No account in it: the release before, at work beside us, passes by what has none."""
    return {
        "id": new_id("not"),
        "account_id": "",
        "person_id": "",
        "kind": NoticeKind.OPERATOR_ALERT.value,
        "address": address,
        "state": "pending",
        "attempts": 0,
        "fence": 0,
        "due_at": now,
        "created_at": now,
        "content": content,
    }

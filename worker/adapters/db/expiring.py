"""Links that nobody answered in time end, and say so (E6)."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import Connection, select, update

from worker.adapters.db import bulk, rows

#: In one sweep; the next comes seconds later.
AT_ONCE = 500


def expire_links(connection: Connection, now: datetime) -> int:
    """Open links past their time expire, with mails that would still carry them; how many."""
    links = rows.links
    over = list(
        connection.execute(
            select(links)
            .where(links.c.state == "open", links.c.expires_at <= now)
            .order_by(links.c.expires_at)
            .limit(AT_ONCE)
            .with_for_update(skip_locked=True)
        ).mappings()
    )
    if not over:
        return 0
    ids = sorted(link["id"] for link in over)
    connection.execute(
        update(links).where(bulk.among(links.c.id, ids, connection)).values(state="expired")
    )
    notices = rows.notices
    connection.execute(
        update(notices)
        .where(bulk.among(notices.c.link_id, ids, connection))
        .where(notices.c.state.in_(["pending", "failed"]))
        .values(state="cancelled", due_at=None, secret=None)
    )
    bulk.insert(connection, rows.audit, [_entry(link, now) for link in over])
    return len(over)


def _entry(link: Any, now: datetime) -> dict[str, object]:
    """For the person's timeline: what an operator looks for who is asked "it does not work"."""
    return {
        "account_id": link["account_id"],
        "at": now,
        "actor": "rosterd",
        "action": f"{link['kind']}.expired",
        "subject": link["person_id"],
        "event_id": None,
        "before": None,
        "after": None,
        "reason": "nobody answered in time; `rosterd user resend` sends a fresh link",
    }

"""Endpoints of applications and what was sent to them, page by page."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from sqlalchemy import Connection, func, select

from domain.dispatches import EndpointState
from worker.adapters.db import bulk
from worker.adapters.db.outbound_rows import announcements, dispatches, endpoints
from worker.adapters.db.windows import RowPage

#: Announcements of the account that are looked at for one page.
WINDOW = 5_000
_SENT = ("subject", "sequence", "state", "attempts", "due_at", "ended_at", "last_error")


def endpoints_page(
    connection: Connection, accounts: Collection[str] | None, *, after: str, limit: int
) -> tuple[list[dict[str, Any]], str | None]:
    """Those that are not removed, in the order of their ids, and where to go on."""
    waits = (
        select(func.count())
        .where(dispatches.c.endpoint_id == endpoints.c.id, dispatches.c.due_at.is_not(None))
        .scalar_subquery()
    )
    statement = (
        select(endpoints, waits.label("waiting"))
        .where(endpoints.c.state != EndpointState.REMOVED.value, endpoints.c.id > after)
        .order_by(endpoints.c.id)
    )
    if accounts is not None:
        mine = bulk.among(endpoints.c.account_id, sorted(accounts), connection)
        statement = statement.where(mine)
    found = connection.execute(statement.limit(limit + 1)).mappings().all()
    shown = [
        {**row, "types": [one for one in row["types"].split(",") if one]} for row in found[:limit]
    ]
    return shown, shown[-1]["id"] if len(found) > limit else None


def deliveries_page(
    connection: Connection, endpoint: str, *, before: int | None, limit: int
) -> RowPage:
    """What was sent to it or waits, newest first; id: the cursor of the announcement."""
    owner = select(endpoints.c.account_id).where(endpoints.c.id == endpoint).scalar_subquery()
    told = (announcements.c.id, announcements.c.message_id, announcements.c.type)
    window = select(*told, announcements.c.made_at).where(announcements.c.account_id == owner)
    if before is not None:
        window = window.where(announcements.c.id < before)
    window = window.order_by(announcements.c.id.desc()).limit(WINDOW)
    seen = window.subquery()
    mine = (dispatches.c.announcement_id == seen.c.id) & (dispatches.c.endpoint_id == endpoint)
    statement = select(seen, *(dispatches.c[name] for name in _SENT)).join(dispatches, mine)
    found = [
        dict(row)
        for row in connection.execute(
            statement.order_by(seen.c.id.desc()).limit(limit + 1)
        ).mappings()
    ]
    if len(found) > limit:
        return RowPage(found[:limit], found[limit - 1]["id"])
    last = window.with_only_columns(announcements.c.id).limit(1).offset(WINDOW - 1)
    return RowPage(found, connection.execute(last).scalar())

"""Retention: bodies go a set time after their events ended; nothing is trimmed by count (G9)."""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy import delete, exists, select

from worker.adapters.db import bulk, rows
from worker.adapters.db.engine import Database, translated
from worker.adapters.db.uow import database_now

AT_ONCE = 1000


def retain_bodies(database: Database, *, days: int) -> dict[str, int]:
    """Delete old deliveries in small batches; what an open or dead event needs stays."""
    deleted = 0
    while True:
        gone = _batch(database, timedelta(days=days))
        deleted += gone
        if gone < AT_ONCE:
            return {"deleted": deleted}


def _batch(database: Database, age: timedelta) -> int:
    deliveries, events = rows.deliveries, rows.events
    with translated(), database.begin() as connection:
        before = database_now(connection) - age
        needed = exists().where(
            events.c.delivery_id == deliveries.c.id,
            (events.c.state != "ended") | (events.c.ended_at > before),
        )
        found = connection.execute(
            select(deliveries.c.id)
            .where(deliveries.c.received_at < before, ~needed)
            .order_by(deliveries.c.received_at)
            .limit(AT_ONCE)
        )
        ids = [row.id for row in found]
        if ids:
            connection.execute(
                delete(deliveries).where(bulk.among(deliveries.c.id, ids, connection))
            )
            connection.commit()
        return len(ids)

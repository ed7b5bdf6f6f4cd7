"""Which connections are to be reconciled by themselves, as their settings have it."""

from __future__ import annotations

import json

from sqlalchemy import func, select

from domain.breaker import OFF, parse_patience
from domain.reconciliation import Order, Purpose
from worker.adapters.db import rows
from worker.adapters.db.directory_rows import accesses
from worker.adapters.db.engine import Database, translated
from worker.adapters.db.reconciliation_rows import reconciliations
from worker.adapters.db.uow import database_now

EVERY, APPLIES = "reconcile_every", "reconcile_applies"
ITSELF = "rosterd"


def scheduled(database: Database) -> list[tuple[str, Order]]:
    """Connections whose last reconciliation began so long ago; none of those that are read now."""
    owners, runs = rows.connections, reconciliations
    last = (
        select(
            runs.c.connection_id, func.max(runs.c.made_at, type_=runs.c.made_at.type).label("at")
        )
        .group_by(runs.c.connection_id)
        .subquery()
    )
    reading = select(runs.c.connection_id).where(runs.c.state == "running")
    with translated(), database.read() as sql:
        now = database_now(sql)
        found = sql.execute(
            select(owners.c.id, owners.c.settings, last.c.at)
            .join(accesses, accesses.c.id == owners.c.id)
            .outerjoin(last, last.c.connection_id == owners.c.id)
            .where(owners.c.state == "active", owners.c.id.not_in(reading))
            .where(owners.c.settings.contains(EVERY))
        ).all()
    due = []
    for row in found:
        settings = json.loads(row.settings)
        every = parse_patience(settings.get(EVERY, OFF))
        if every is not None and (row.at is None or now - row.at >= every):
            applies = settings.get(APPLIES) == "on"
            due.append((row.id, Order(Purpose.RECONCILE, applies, ITSELF, f"every {every}")))
    return due

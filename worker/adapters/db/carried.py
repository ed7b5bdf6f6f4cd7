"""What traces need to go on, read from where it lies: beside the bodies of deliveries."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import select

from domain.ports import InfrastructureError, Result
from worker.adapters.db import bulk, rows
from worker.adapters.db.engine import Database, translated
from worker.adapters.tracing import traceparent_in
from worker.adapters.vault import Vault


def carried(database: Database, vault: Vault, results: Sequence[Result]) -> dict[int, str]:
    """By delivery; nothing while the database is away: what was done is done without a span."""
    table = rows.deliveries
    wanted = sorted({result.event.delivery for result in results})
    try:
        with translated(), database.read() as connection:
            mine = bulk.among(table.c.id, wanted, connection)
            found = connection.execute(select(table.c.id, table.c.headers).where(mine)).all()
    except InfrastructureError:
        return {}
    return {row.id: traceparent_in(vault.open(row.headers)) for row in found}

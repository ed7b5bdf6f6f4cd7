"""Reconciliations as operators look at them."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson
from sqlalchemy import Connection, RowMapping, select

from domain.errors import NothingFoundError
from domain.reconciling import What
from worker.adapters.db import rows
from worker.adapters.db.reconciliation_rows import differences, reconciliations


@dataclass(frozen=True, slots=True)
class RunSeen:
    """A run. counts: what was read, found (`user.missing`, ..) and said. doubts: by list."""

    id: str
    account: str
    connection: str
    connection_name: str
    purpose: str
    applies: bool
    state: str
    phase: str
    actor: str
    reason: str
    why: str
    counts: dict[str, int]
    doubts: dict[str, str]
    made_at: datetime
    began_at: datetime | None
    ended_at: datetime | None
    due_at: datetime

    @property
    def is_over(self) -> bool:
        """Whether nothing comes of it any more."""
        return self.state != "running"


def run_seen(sql: Connection, run: str, *, within: Collection[str] | None = None) -> RunSeen:
    """One run; raises NothingFoundError, also for one of another account."""
    found = sql.execute(_runs().where(reconciliations.c.id == run)).mappings().first()
    if found is None or (within is not None and found["account_id"] not in within):
        raise NothingFoundError("reconciliation", run)
    return _seen(found)


def runs_of(sql: Connection, connection: str, *, limit: int = 20) -> list[RunSeen]:
    """Runs of a connection, the newest first."""
    mine = _runs().where(reconciliations.c.connection_id == connection)
    newest = mine.order_by(reconciliations.c.made_at.desc(), reconciliations.c.id).limit(limit)
    return [_seen(row) for row in sql.execute(newest).mappings()]


def _runs() -> Any:
    table, connections = reconciliations, rows.connections
    joined = table.join(connections, connections.c.id == table.c.connection_id)
    return select(table, connections.c.name.label("connection_name")).select_from(joined)


def _seen(row: RowMapping) -> RunSeen:
    names = {name: row[name] for name in RunSeen.__dataclass_fields__ if name in row}
    counts = {k: v for k, v in orjson.loads(row["counts"]).items() if k != "found"}
    doubts = orjson.loads(row["proof"]).get("doubts", {})
    ids = {"account": row["account_id"], "connection": row["connection_id"]}
    return RunSeen(**{**names, **ids, "counts": counts, "doubts": doubts})


def differences_of(
    sql: Connection, run: str, *, what: What | None = None, after: int = -1, limit: int = 1_000
) -> tuple[list[dict[str, Any]], int | None]:
    """A page of a run's differences in the order of finding, and where the next begins behind."""
    table = differences
    wanted = select(table).where(table.c.run_id == run, table.c.place > after)
    if what is not None:
        wanted = wanted.where(table.c.what == what.value)
    found = list(sql.execute(wanted.order_by(table.c.place).limit(limit)).mappings())
    seen = [
        {
            "thing": row["thing"],
            "what": row["what"],
            "external_id": row["key"],
            "group": row["group_key"] or None,
            "fields": [name for name in row["fields"].split(",") if name],
            "why": row["why"] or None,
            "read_at": row["at"],
            "said": row["state"] == "said",
        }
        for row in found
    ]
    return seen, int(found[-1]["place"]) if len(found) == limit else None

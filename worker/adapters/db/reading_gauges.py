"""How far the logs and directories of IdPs are read, for metrics and pages."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import orjson
from sqlalchemy import Connection, func, select

from worker.adapters.db import rows
from worker.adapters.db.reconciliation_rows import catch_ups, reconciliations


@dataclass(frozen=True, slots=True)
class CaughtUp:
    """A log that is read on. read_at: when it last answered; None for never.

    found: events that had not come by themselves by then; known: those that had. why: what keeps
    it from being read, "" for nothing.
    """

    connection_id: str
    read_at: datetime | None
    made_at: datetime
    due_at: datetime
    found: int
    known: int
    why: str

    def behind(self, now: datetime) -> float:
        """Seconds since it last answered; since it was to be read at all, if it never did."""
        return max((now - (self.read_at or self.made_at)).total_seconds(), 0.0)


@dataclass(frozen=True, slots=True)
class Reconciled:
    """The last run of a connection that came to its end."""

    connection_id: str
    run: str
    ended_at: datetime
    counts: dict[str, int]


def caught_up(sql: Connection, connection: str | None = None) -> tuple[CaughtUp, ...]:
    """Logs that are read on; of this connection, or of all that are not retired."""
    table, owners = catch_ups, rows.connections
    names = CaughtUp.__dataclass_fields__
    wanted = (
        select(*(table.c[name] for name in names))
        .join(owners, owners.c.id == table.c.connection_id)
        .where(owners.c.state != "retired")
        .order_by(table.c.connection_id)
    )
    if connection is not None:
        wanted = wanted.where(table.c.connection_id == connection)
    return tuple(CaughtUp(**row) for row in sql.execute(wanted).mappings())


def reconciled(sql: Connection) -> tuple[Reconciled, ...]:
    """Of each connection the last run that finished."""
    runs = reconciliations
    ended = func.max(runs.c.ended_at, type_=runs.c.ended_at.type)
    last = (
        select(runs.c.connection_id, ended.label("at"))
        .where(runs.c.state == "finished", runs.c.purpose == "reconcile")
        .group_by(runs.c.connection_id)
        .subquery()
    )
    same = (last.c.connection_id == runs.c.connection_id) & (last.c.at == runs.c.ended_at)
    found = sql.execute(
        select(runs.c.connection_id, runs.c.id, runs.c.ended_at, runs.c.counts)
        .join(last, same)
        .order_by(runs.c.connection_id)
    )
    return tuple(Reconciled(r[0], r[1], r[2], orjson.loads(r[3])) for r in found)

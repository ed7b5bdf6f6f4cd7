"""Waiting for transactions that began before something was committed, and so do not know of it."""

from __future__ import annotations

import time
from datetime import datetime, timedelta

from sqlalchemy import Connection, text

from worker.adapters.db.engine import Database, translated

#: A drain is ended after 30 s (see sweeping); nothing else that writes may take as long.
LONGEST = timedelta(seconds=35)
_PAUSE_SECONDS = 0.02

#: Whoever has written or locked anything has a transaction id.
_WRITERS = text(
    "SELECT pid, xact_start FROM pg_stat_activity WHERE datname = current_database() "
    "AND usename = current_user AND pid <> pg_backend_pid() AND backend_xid IS NOT NULL"
)


_OLDEST = text(
    "SELECT min(xact_start) FROM pg_stat_activity WHERE datname = current_database() "
    "AND usename = current_user AND pid <> pg_backend_pid() AND xact_start > :since "
    "AND (backend_xid IS NOT NULL OR wait_event_type = 'Lock')"
)


def settled_at(sql: Connection, latest: datetime) -> datetime:
    """Up to which moment nothing is written any more that began before it; `latest` at the latest.

    Whoever waits for a first lock has no transaction id yet. SQLite has one writer.
    """
    if sql.dialect.name != "postgresql":
        return latest
    oldest = sql.execute(_OLDEST, {"since": latest - LONGEST}).scalar()
    return latest if oldest is None else min(latest, oldest)


def await_writers(database: Database, *, patience: timedelta = LONGEST) -> bool:
    """Return once every transaction has ended that is writing now; False where one goes on.

    Nobody is locked out meanwhile. SQLite has one writer, which has ended when we have written.
    """
    if not database.is_postgres:
        return True
    deadline = time.monotonic() + patience.total_seconds()
    earlier = _writers(database)
    while left := earlier & _writers(database):
        if time.monotonic() >= deadline:
            return False
        earlier = left
        time.sleep(_PAUSE_SECONDS)
    return True


def _writers(database: Database) -> set[tuple[int, object]]:
    with translated(), database.read() as connection:
        return {(row.pid, row.xact_start) for row in connection.execute(_WRITERS)}

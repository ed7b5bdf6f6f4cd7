"""The tables of the breaker: what each connection took away lately, and its trips (C6)."""

from __future__ import annotations

from sqlalchemy import Column, Index, Integer, Table, Text, text

from worker.adapters.db.rows import metadata
from worker.adapters.db.types import Moment

#: One row a connection that ever took something away: locked by whoever counts (D5).
breakers = Table(
    "breakers",
    metadata,
    Column("connection_id", Text, primary_key=True),
    Column("hold_id", Text),
    Column("people", Integer, nullable=False),
    Column("people_at", Moment),
    Column("raised_to", Integer),
    Column("raised_until", Moment),
)

#: Whom a connection took something from, and when last: the window. Older ones go.
breaker_marks = Table(
    "breaker_marks",
    metadata,
    Column("connection_id", Text, primary_key=True),
    Column("key", Text, primary_key=True),
    Column("at", Moment, nullable=False),
    Index("ix_breaker_marks_at", "connection_id", "at"),
)

#: A trip. counted, people, most: as they were then. The events that it holds bear its id.
holds = Table(
    "holds",
    metadata,
    Column("id", Text, primary_key=True),
    Column("account_id", Text, nullable=False),
    Column("connection_id", Text, nullable=False, index=True),
    Column("state", Text, nullable=False),
    Column("opened_at", Moment, nullable=False),
    Column("counted", Integer, nullable=False),
    Column("people", Integer, nullable=False),
    Column("most", Integer, nullable=False),
    Column("window_seconds", Integer, nullable=False),
    Column("auto_at", Moment),
    Column("closed_at", Moment),
    Column("closed_by", Text),
    Column("reason", Text, nullable=False),
    Column("events", Integer),
)
OPEN_HOLD = text("state = 'open'")
Index("ix_holds_open", holds.c.id, postgresql_where=OPEN_HOLD, sqlite_where=OPEN_HOLD)

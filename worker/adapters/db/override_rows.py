"""The table of overrides (U9). The one in force has no `ended_at`."""

from __future__ import annotations

from sqlalchemy import Column, Index, Table, Text, text

from worker.adapters.db.rows import metadata
from worker.adapters.db.types import Moment

IN_FORCE = text("ended_at IS NULL")

overrides = Table(
    "overrides",
    metadata,
    Column("id", Text, primary_key=True),
    Column("account_id", Text, nullable=False),
    Column("person_id", Text, nullable=False),
    Column("wanted", Text, nullable=False),
    Column("until", Moment, nullable=False),
    Column("reason", Text, nullable=False),
    Column("made_at", Moment, nullable=False),
    Column("made_by", Text, nullable=False),
    Column("ended_at", Moment),
    Column("ended_by", Text),
    Index("ix_overrides_person", "person_id"),
)
Index(
    "ix_overrides_in_force",
    overrides.c.until,
    postgresql_where=IN_FORCE,
    sqlite_where=IN_FORCE,
)

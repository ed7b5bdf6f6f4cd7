"""The tables of observing: plans that were shown, lists that were read (S4)."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Integer, LargeBinary, Table, Text

from worker.adapters.db.rows import metadata
from worker.adapters.db.types import Moment

#: audit_from: the newest audit row when it was applied, None until then.
plans = Table(
    "plans",
    metadata,
    Column("id", Text, primary_key=True),
    Column("account_id", Text, nullable=False),
    Column("connection_id", Text, nullable=False, index=True),
    Column("scope", Text),
    Column("digest", Text, nullable=False),
    Column("summary", LargeBinary, nullable=False),
    Column("made_at", Moment, nullable=False),
    Column("made_by", Text, nullable=False),
    Column("applied_at", Moment),
    Column("audit_from", BigInteger),
)

#: Each time that the provider's whole list was read for a connection.
backfills = Table(
    "backfills",
    metadata,
    Column("id", Text, primary_key=True),
    Column("account_id", Text, nullable=False),
    Column("connection_id", Text, nullable=False, index=True),
    Column("at", Moment, nullable=False),
    Column("actor", Text, nullable=False),
    Column("lines", Integer, nullable=False),
    Column("stored", Integer, nullable=False),
)

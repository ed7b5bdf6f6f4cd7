"""The tables of SCIM requests that are answered later (RFC 9967)."""

from __future__ import annotations

from sqlalchemy import Column, Index, Integer, LargeBinary, Table, Text

from worker.adapters.db.rows import OPEN, metadata
from worker.adapters.db.types import Moment, RowNumber

#: `id`: the txn that whoever asked was told. `request`: sealed, gone once it is answered (the
#: deliveries of its events keep what was sent). `answer`: sealed. `due_at` of a leased request is
#: the end of its lease; empty once it is answered.
scim_requests = Table(
    "scim_requests",
    metadata,
    Column("id", Text, primary_key=True),
    Column("connection_id", Text, nullable=False),
    Column("feed_id", Text, nullable=False),
    Column("token_id", Text, nullable=False),
    Column("request", LargeBinary),
    Column("answer", LargeBinary),
    Column("fence", Integer, nullable=False),
    Column("made_at", Moment, nullable=False),
    Column("due_at", Moment),
    Column("ended_at", Moment),
    Index("ix_scim_requests_ended", "ended_at"),
)
Index("ix_scim_requests_due", scim_requests.c.due_at, postgresql_where=OPEN, sqlite_where=OPEN)
#: Connections take turns.
Index(
    "ix_scim_requests_turns",
    scim_requests.c.connection_id,
    scim_requests.c.due_at,
    postgresql_where=OPEN,
    sqlite_where=OPEN,
)

#: Operations of such requests that were applied, each written in the transaction that applied it:
#: a worker that died before it could answer is followed by one that does not do them again.
scim_done = Table(
    "scim_done",
    metadata,
    Column("request_id", Text, primary_key=True),
    Column("place", Integer, primary_key=True, autoincrement=False),
    Column("event_id", RowNumber, nullable=False),
    Column("resource_id", Text, nullable=False),
)

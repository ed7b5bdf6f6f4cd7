"""The tables of outbound events: who listens, what was announced, and what of it is delivered.

`announcements.id` is the cursor of an account's changes; `sequences` numbers those of a subject.
"""

from __future__ import annotations

from sqlalchemy import (
    Column,
    Index,
    Integer,
    LargeBinary,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
)

from worker.adapters.db.rows import OPEN, metadata
from worker.adapters.db.types import Moment, RowNumber

#: `types`: the filter as ",user.suspended,user.deleted,", empty for all. `rests_until`: nothing is
#: sent before, because attempt after attempt failed. `failures`: since the last success.
endpoints = Table(
    "endpoints",
    metadata,
    Column("id", Text, primary_key=True),
    Column("account_id", Text, nullable=False, index=True),
    Column("url", Text, nullable=False),
    Column("types", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("why", Text, nullable=False),
    Column("created_at", Moment, nullable=False),
    Column("changed_at", Moment, nullable=False),
    Column("failures", Integer, nullable=False),
    Column("failing_since", Moment),
    Column("rests_until", Moment),
    Column("last_error", Text),
)

endpoint_secrets = Table(
    "endpoint_secrets",
    metadata,
    Column("id", Text, primary_key=True),
    Column("endpoint_id", Text, nullable=False, index=True),
    Column("ciphertext", LargeBinary, nullable=False),
    Column("created_at", Moment, nullable=False),
    Column("expires_at", Moment),
)

sequences = Table(
    "sequences",
    metadata,
    Column("subject", Text, primary_key=True),
    Column("account_id", Text, nullable=False),
    Column("last", Integer, nullable=False),
    postgresql_with={"fillfactor": "80"},
)

announcements = Table(
    "announcements",
    metadata,
    Column("id", RowNumber, primary_key=True),
    Column("message_id", Text, nullable=False),
    Column("account_id", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("sequence", Integer, nullable=False),
    Column("type", Text, nullable=False),
    Column("lane", Text, nullable=False),
    Column("data", LargeBinary, nullable=False),
    Column("made_at", Moment, nullable=False),
    Index("ix_announcements_account", "account_id", "id"),
    # A cursor must never go back, not even after all rows were purged.
    sqlite_autoincrement=True,
)

#: Open = `due_at` is set: the end of the lease while it is `sending`, else when it may be tried.
dispatches = Table(
    "dispatches",
    metadata,
    Column("id", RowNumber, primary_key=True),
    Column("announcement_id", RowNumber, nullable=False),
    Column("endpoint_id", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("sequence", Integer, nullable=False),
    Column("lane", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("attempts", SmallInteger, nullable=False),
    Column("fence", Integer, nullable=False),
    Column("due_at", Moment),
    Column("ended_at", Moment),
    Column("last_error", Text),
    UniqueConstraint("announcement_id", "endpoint_id"),
    postgresql_with={"fillfactor": "80"},
)
Index(
    "ix_dispatches_due",
    dispatches.c.endpoint_id,
    dispatches.c.lane,
    dispatches.c.due_at,
    dispatches.c.id,
    postgresql_where=OPEN,
    sqlite_where=OPEN,
)
#: What of a subject has not been delivered yet, in its order.
Index(
    "ix_dispatches_subject",
    dispatches.c.endpoint_id,
    dispatches.c.subject,
    dispatches.c.sequence,
    postgresql_where=OPEN,
    sqlite_where=OPEN,
)

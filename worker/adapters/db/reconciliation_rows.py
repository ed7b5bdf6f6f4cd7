"""The tables of reconciliations, of what they read, and of catching up."""

from __future__ import annotations

from sqlalchemy import Boolean, Column, Index, Integer, LargeBinary, Table, Text, text

from worker.adapters.db.rows import metadata
from worker.adapters.db.types import Moment

#: purpose: `reconcile` or `backfill`. phase, cursor, place: how far it is, see
#: `domain.reconciliation`. ends_as: its state once it is over. proof, counts: JSON. fence: grows
#: with each lease, so that a late worker writes nothing.
reconciliations = Table(
    "reconciliations",
    metadata,
    Column("id", Text, primary_key=True),
    Column("account_id", Text, nullable=False),
    Column("connection_id", Text, nullable=False, index=True),
    Column("purpose", Text, nullable=False),
    Column("applies", Boolean, nullable=False),
    Column("actor", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("phase", Text, nullable=False),
    Column("cursor", Text),
    Column("place", Text, nullable=False),
    Column("ends_as", Text, nullable=False),
    Column("proof", LargeBinary, nullable=False),
    Column("counts", LargeBinary, nullable=False),
    Column("why", Text, nullable=False),
    Column("failures", Integer, nullable=False),
    Column("made_at", Moment, nullable=False),
    Column("began_at", Moment),
    Column("ended_at", Moment),
    Column("due_at", Moment, nullable=False),
    Column("lease_by", Text),
    Column("lease_until", Moment),
    Column("fence", Integer, nullable=False),
)
UNDER_WAY = text("state = 'running'")
#: A connection is read once at a time.
Index(
    "ix_reconciliations_under_way",
    reconciliations.c.connection_id,
    unique=True,
    postgresql_where=UNDER_WAY,
    sqlite_where=UNDER_WAY,
)

#: What a run read; gone once it is over. document: JSON of what the IdP says of the person.
read_people = Table(
    "read_people",
    metadata,
    Column("run_id", Text, primary_key=True),
    Column("key", Text, primary_key=True),
    Column("at", Moment, nullable=False),
    Column("document", LargeBinary, nullable=False),
)
#: doubt: why its members prove nothing of who is missing;
#: None while they are being read.
read_groups = Table(
    "read_groups",
    metadata,
    Column("run_id", Text, primary_key=True),
    Column("key", Text, primary_key=True),
    Column("name", Text, nullable=False),
    Column("at", Moment, nullable=False),
    Column("began_at", Moment),
    Column("first", Text),
    Column("total", Integer),
    Column("doubt", Text),
)
#: id: `group` and `user` as `domain.keys.edge_id` joins them, without a connection.
read_members = Table(
    "read_members",
    metadata,
    Column("run_id", Text, primary_key=True),
    Column("id", Text, primary_key=True),
    Column("group_key", Text, nullable=False),
    Column("user_key", Text, nullable=False),
    Column("at", Moment, nullable=False),
    Index("ix_read_members_group", "run_id", "group_key"),
)

#: told: what the event that mends it says, JSON; None once it is said, or the run is over.
#: state: found, confirmed (extra, and the IdP says so of this one, too) or said.
differences = Table(
    "differences",
    metadata,
    Column("run_id", Text, primary_key=True),
    Column("place", Integer, primary_key=True),
    Column("thing", Text, nullable=False),
    Column("what", Text, nullable=False),
    Column("key", Text, nullable=False),
    Column("group_key", Text, nullable=False),
    Column("fields", Text, nullable=False),
    Column("why", Text, nullable=False),
    Column("at", Moment, nullable=False),
    Column("told", LargeBinary),
    Column("state", Text, nullable=False),
)

#: Where a connection's log is read on. found: events that had not come by themselves.
catch_ups = Table(
    "catch_ups",
    metadata,
    Column("connection_id", Text, primary_key=True),
    Column("cursor", Text, nullable=False),
    Column("is_all", Boolean, nullable=False),
    Column("made_at", Moment, nullable=False),
    Column("read_at", Moment),
    Column("due_at", Moment, nullable=False),
    Column("failures", Integer, nullable=False),
    Column("why", Text, nullable=False),
    Column("found", Integer, nullable=False),
    Column("known", Integer, nullable=False),
    Column("lease_by", Text),
    Column("lease_until", Moment),
    Column("fence", Integer, nullable=False),
)

"""The tables of access to identity providers' own directories, and of what is read there.

Neither is in the way of an event: a drain writes a row of `reads` for one that says too little.
"""

from __future__ import annotations

from sqlalchemy import Boolean, Column, Index, Integer, LargeBinary, SmallInteger, Table, Text

from worker.adapters.db.rows import OPEN, metadata
from worker.adapters.db.types import Moment

#: `id`: the connection's. `ciphertext`: the secret, sealed. `details`: JSON, nothing secret.
#: `rests_until`, `failures`: the circuit; nothing is asked before. `next_at`: the rate.
accesses = Table(
    "directory_accesses",
    metadata,
    Column("id", Text, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("url", Text, nullable=False),
    Column("details", Text, nullable=False),
    Column("ciphertext", LargeBinary, nullable=False),
    Column("changed_at", Moment, nullable=False),
    Column("failures", Integer, nullable=False),
    Column("rests_until", Moment),
    Column("next_at", Moment),
    Column("answered_at", Moment),
    Column("last_error", Text),
    Column("needs_operator", Boolean, nullable=False),
)

#: One row a person or group of whom something has to be asked, whatever the number of events about
#: them. `rank`: possible suspensions first. `wanted_at`: the newest event that asks. `due_at` of a
#: leased row is the end of its lease; empty once it is answered. `asked_at`: when the lease began.
#: `answer`: sealed, of the read that began at `began_at`; `true_at`: when it was true by the
#: identity provider's clock.
reads = Table(
    "directory_reads",
    metadata,
    Column("id", Text, primary_key=True),
    Column("connection_id", Text, nullable=False),
    Column("what", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("rank", SmallInteger, nullable=False),
    Column("wanted_at", Moment, nullable=False),
    Column("due_at", Moment),
    Column("leased_until", Moment),
    Column("fence", Integer, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("last_error", Text),
    Column("asked_at", Moment),
    Column("began_at", Moment),
    Column("true_at", Moment),
    Column("answer", LargeBinary),
    Index("ix_directory_reads_began", "began_at"),
    Index("ix_directory_reads_leased", "connection_id", "leased_until"),
    postgresql_with={"fillfactor": "80"},
)
#: A connection's turn: what is due of each rank, the newest subject first.
Index(
    "ix_directory_reads_due",
    reads.c.connection_id,
    reads.c.rank,
    reads.c.wanted_at,
    postgresql_where=OPEN,
    sqlite_where=OPEN,
)

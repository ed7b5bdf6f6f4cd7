"""What permanent deletion leaves: digests that say nothing without the account's key (D16)."""

from __future__ import annotations

from sqlalchemy import Column, Index, LargeBinary, Table, Text

from worker.adapters.db.rows import metadata
from worker.adapters.db.types import Moment

#: id: HMAC of the subject's id, or of the person's where no provider knew them.
tombstones = Table(
    "tombstones",
    metadata,
    Column("id", Text, primary_key=True),
    Column("account_id", Text, nullable=False),
    Column("connection_id", Text, index=True),
    Column("address", Text, nullable=False),
    Column("stamp", LargeBinary, nullable=False),
    Column("made_at", Moment, nullable=False),
)

#: id: the account. ciphertext: its key, sealed; kept for as long as its tombstones.
erasure_keys = Table(
    "erasure_keys",
    metadata,
    Column("id", Text, primary_key=True),
    Column("ciphertext", LargeBinary, nullable=False),
    Column("created_at", Moment, nullable=False),
)

#: One deletion with its proof. person_id: an id of ours, which leads to nobody any more. proof:
#: JSON, what was done in which table, and digests of the names that must not be found again.
erasures = Table(
    "erasures",
    metadata,
    Column("id", Text, primary_key=True),
    Column("account_id", Text, nullable=False),
    Column("person_id", Text, nullable=False, index=True),
    Column("made_at", Moment, nullable=False),
    Column("actor", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("proof", LargeBinary, nullable=False),
    Index("ix_erasures_account", "account_id", "id"),
)

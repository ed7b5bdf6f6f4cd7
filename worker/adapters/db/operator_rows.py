"""The tables of operators: who they are, how they sign in, where they are signed in.

Operators of one account (C4) are a table of their own, and their links and sessions bear kinds of
their own: the release before 0016, at work beside us or after a roll-back, knows neither, so it
lets none of them in to see everybody's.
"""

from __future__ import annotations

from sqlalchemy import Column, Index, Integer, LargeBinary, Table, Text

from worker.adapters.db.rows import metadata
from worker.adapters.db.types import Moment

operators = Table(
    "operators",
    metadata,
    Column("id", Text, primary_key=True),
    Column("email", Text, nullable=False, unique=True),
    Column("role", Text, nullable=False),
    Column("created_at", Moment, nullable=False),
)

account_operators = Table(
    "account_operators",
    metadata,
    Column("id", Text, primary_key=True),
    Column("email", Text, nullable=False, unique=True),
    Column("role", Text, nullable=False),
    Column("account_id", Text, nullable=False, index=True),
    Column("created_at", Moment, nullable=False),
)

#: Links and sessions. From `id` on: only of sessions; the release before 0018 left it empty.
sessions = Table(
    "sessions",
    metadata,
    Column("hash", LargeBinary, primary_key=True),
    Column("operator_id", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("expires_at", Moment, nullable=False),
    Column("id", Text),
    Column("way", Text),
    Column("address", Text),
    Column("agent", Text),
    Column("made_at", Moment),
    Column("seen_at", Moment),
    Column("ends_at", Moment),
    Index("ix_sessions_operator", "operator_id"),
)

operator_passwords = Table(
    "operator_passwords",
    metadata,
    Column("operator_id", Text, primary_key=True),
    Column("hash", Text, nullable=False),
    Column("changed_at", Moment, nullable=False),
)

#: Wrong tries in a row. key: digest of a name or of an address, whether anybody has it or not.
sign_in_tries = Table(
    "sign_in_tries",
    metadata,
    Column("key", LargeBinary, primary_key=True),
    Column("count", Integer, nullable=False),
    Column("last_at", Moment, nullable=False),
    Column("free_at", Moment, nullable=False),
    Index("ix_sign_in_tries_last", "last_at"),
)

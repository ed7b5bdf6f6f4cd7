"""Operators of one account (C4), beside `operators`, who look after the installation.

A table of its own, and their sessions bear kinds of their own: the release before, at work beside
us or after a roll-back, knows neither, so it lets none of them in to see everybody's.
"""

from __future__ import annotations

from sqlalchemy import Column, Table, Text

from worker.adapters.db.rows import metadata
from worker.adapters.db.types import Moment

account_operators = Table(
    "account_operators",
    metadata,
    Column("id", Text, primary_key=True),
    Column("email", Text, nullable=False, unique=True),
    Column("role", Text, nullable=False),
    Column("account_id", Text, nullable=False, index=True),
    Column("created_at", Moment, nullable=False),
)

"""The tables of mails beside `notices`: an account's own words, who is out of reach, alerts."""

from __future__ import annotations

from sqlalchemy import Boolean, Column, Index, Integer, LargeBinary, Table, Text

from worker.adapters.db.rows import OPEN, metadata
from worker.adapters.db.types import Moment

mail_templates = Table(
    "mail_templates",
    metadata,
    Column("account_id", Text, primary_key=True),
    Column("kind", Text, primary_key=True),
    Column("subject", Text, nullable=False),
    Column("text", Text, nullable=False),
    Column("html", Text),
    Column("language", Text, nullable=False),
    Column("button", Text, nullable=False),
    Column("changed_at", Moment, nullable=False),
)

#: E7. One mark a person; it means something while the address is theirs, in force or pending.
undeliverable = Table(
    "undeliverable",
    metadata,
    Column("person_id", Text, primary_key=True),
    Column("account_id", Text, nullable=False),
    Column("address", Text, nullable=False),
    Column("why", Text, nullable=False),
    Column("at", Moment, nullable=False),
    Index("ix_undeliverable_account", "account_id"),
)

#: What operators are told of. due_at: when a mail is to tell of it, empty once one has.
alerts = Table(
    "alerts",
    metadata,
    Column("id", Text, primary_key=True),
    Column("account_id", Text),
    Column("topic", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("headline", Text, nullable=False),
    Column("details", LargeBinary, nullable=False),
    Column("is_urgent", Boolean, nullable=False),
    Column("count", Integer, nullable=False),
    Column("first_at", Moment, nullable=False),
    Column("last_at", Moment, nullable=False),
    Column("due_at", Moment),
    Column("told_at", Moment),
)
Index("ix_alerts_due", alerts.c.due_at, postgresql_where=OPEN, sqlite_where=OPEN)

"""The tables of subscriptions at identity providers, and of whoever looks after them."""

from __future__ import annotations

from sqlalchemy import Column, Integer, Table, Text

from worker.adapters.db.rows import metadata
from worker.adapters.db.types import Moment

#: `key`, `detail`: the provider's own id of it and what else it wants to hear, nothing secret.
#: `secret_id`: the feed's secret that it bears. `renewed_at`: when its present life began;
#: `renew_at`: the half of it.
subscriptions = Table(
    "subscriptions",
    metadata,
    Column("id", Text, primary_key=True),
    Column("connection_id", Text, nullable=False, index=True),
    Column("feed_id", Text, nullable=False),
    Column("topic", Text, nullable=False),
    Column("key", Text, nullable=False),
    Column("detail", Text, nullable=False),
    Column("url", Text, nullable=False),
    Column("secret_id", Text, nullable=False),
    Column("made_at", Moment, nullable=False),
    Column("renewed_at", Moment, nullable=False),
    Column("renew_at", Moment, nullable=False),
    Column("ends_at", Moment, nullable=False),
)

#: A connection's turn. `due_at`: when it is looked after next. `why`: what kept a step from being
#: taken, "" for nothing. `fence` grows with each lease, so that a late worker writes nothing.
subscription_turns = Table(
    "subscription_turns",
    metadata,
    Column("connection_id", Text, primary_key=True),
    Column("due_at", Moment, nullable=False),
    Column("failures", Integer, nullable=False),
    Column("why", Text, nullable=False),
    Column("lease_by", Text),
    Column("lease_until", Moment),
    Column("fence", Integer, nullable=False),
)

"""The table behind the charts: what happened in each minute, by account and lane."""

from __future__ import annotations

from sqlalchemy import Column, Integer, Table, Text

from domain.minutes import BOUNDS
from worker.adapters.db.rows import metadata
from worker.adapters.db.types import Moment

#: Of a row that tells of all accounts together, so that nobody has to add them up.
EVERYBODY = ""
LATENCIES = tuple(f"latency_{number}" for number in range(len(BOUNDS) + 1))
#: Added to by whoever did the work; the others are set once a minute by the sweep.
COUNTED = ("applied", "ended", "retrying", "dead", *LATENCIES)
SEEN = ("backlog", "held", "letters", "oldest", "late")

minutes = Table(
    "minutes",
    metadata,
    Column("minute", Moment, primary_key=True),
    Column("account_id", Text, primary_key=True),
    Column("lane", Text, primary_key=True),
    *(Column(name, Integer, nullable=False, server_default="0") for name in (*COUNTED, *SEEN)),
)

"""The history of who had access to what: a row for each turn (domain/access.py)."""

from __future__ import annotations

from sqlalchemy import Column, Index, Table, Text

from worker.adapters.db.rows import metadata
from worker.adapters.db.types import Moment, RowNumber

#: The mark that says since when the history is kept.
BEGAN = "access_history"

#: group_id: "" for what a person may do themselves. person_id: of somebody who was deleted for
#: good a digest stands in its place. event_id: by which event; else actor and reason tell.
access_history = Table(
    "access_history",
    metadata,
    Column("id", RowNumber, primary_key=True),
    Column("account_id", Text, nullable=False),
    Column("group_id", Text, nullable=False),
    Column("person_id", Text, nullable=False),
    Column("at", Moment, nullable=False),
    Column("was", Text, nullable=False),
    Column("now", Text, nullable=False),
    Column("event_id", RowNumber),
    Column("actor", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Index("ix_access_history_group", "account_id", "group_id", "person_id", "id"),
    Index("ix_access_history_person", "person_id", "group_id"),
)

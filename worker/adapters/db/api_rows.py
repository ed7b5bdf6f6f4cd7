"""The table of answers that were given to requests with a key of their own."""

from __future__ import annotations

from sqlalchemy import Column, LargeBinary, SmallInteger, Table, Text

from worker.adapters.db.rows import metadata
from worker.adapters.db.types import Moment

#: id: the token and its key. asked: digest of method, path and body. answer: the body, sealed.
api_answers = Table(
    "api_answers",
    metadata,
    Column("id", Text, primary_key=True),
    Column("asked", LargeBinary, nullable=False),
    Column("status", SmallInteger, nullable=False),
    Column("answer", LargeBinary, nullable=False),
    Column("made_at", Moment, nullable=False, index=True),
)

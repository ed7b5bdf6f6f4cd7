"""The tables of replays, notes on groups of dead letters, and edited events (G8)."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Index,
    Integer,
    LargeBinary,
    SmallInteger,
    Table,
    Text,
    text,
)

from worker.adapters.db.rows import metadata
from worker.adapters.db.types import Moment, RowNumber

#: account_id: None where its events are of several accounts. state: None for one of the release
#: before, which is over. left_count: events not released yet. step, step_released, tried, failed,
#: paced_at: see `domain.pacing.Course`.
replays = Table(
    "replays",
    metadata,
    Column("id", Text, primary_key=True),
    Column("actor", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("selection", LargeBinary, nullable=False),
    Column("rate", Integer),
    Column("count", Integer, nullable=False),
    Column("made_at", Moment, nullable=False),
    Column("account_id", Text),
    Column("state", Text),
    Column("why", Text),
    Column("interval_us", BigInteger),
    Column("has_ramp", Boolean),
    Column("stop_percent", SmallInteger),
    Column("left_count", Integer),
    Column("step", Integer),
    Column("step_released", Integer),
    Column("tried", Integer),
    Column("failed", Integer),
    Column("paced_at", Moment),
    Column("moved_by", Text),
    Column("started_at", Moment),
    Column("ended_at", Moment),
    Column("lease_by", Text),
    Column("lease_until", Moment),
)
#: What workers look for.
AT_WORK = text("state IN ('planning', 'running')")
Index("ix_replays_at_work", replays.c.id, postgresql_where=AT_WORK, sqlite_where=AT_WORK)

#: The frozen set. kind: the event's own, while it is in the queue of replays. batch: events that
#: are predicted together; those of one subject are. predicted: outcome, or state it would rest in.
replay_items = Table(
    "replay_items",
    metadata,
    Column("replay_id", Text, primary_key=True),
    Column("place", Integer, primary_key=True),
    Column("event_id", RowNumber, nullable=False, index=True),
    Column("kind", Text, nullable=False),
    Column("batch", Integer, nullable=False),
    Column("predicted", Text),
    Column("predicted_reason", Text),
    Column("does", Text),
    Column("state", Text, nullable=False),
    Column("outcome", Text),
    Column("reason", Text),
    Column("settled_at", Moment),
    Index("ix_replay_items_state", "replay_id", "state", "place"),
)
UNPREDICTED = text("predicted IS NULL AND state = 'frozen'")
Index(
    "ix_replay_items_unpredicted",
    replay_items.c.replay_id,
    replay_items.c.batch,
    postgresql_where=UNPREDICTED,
    sqlite_where=UNPREDICTED,
)

#: What operators wrote on a group of dead letters. account_id: None for those of all accounts.
group_notes = Table(
    "group_notes",
    metadata,
    Column("id", RowNumber, primary_key=True),
    Column("account_id", Text),
    Column("fingerprint", Text, nullable=False, index=True),
    Column("at", Moment, nullable=False),
    Column("actor", Text, nullable=False),
    Column("text", Text, nullable=False),
)

#: An event (id) that was made of another by a JSON patch, which is sealed.
event_edits = Table(
    "event_edits",
    metadata,
    Column("id", RowNumber, primary_key=True, autoincrement=False),
    Column("original_id", RowNumber, nullable=False, index=True),
    Column("account_id", Text, nullable=False),
    Column("patch", LargeBinary),
    Column("at", Moment, nullable=False),
    Column("actor", Text, nullable=False),
    Column("reason", Text, nullable=False),
)

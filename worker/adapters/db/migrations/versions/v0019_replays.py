"""Replays that are planned, paced and told event by event; notes on groups; edited events (G8).

New columns may be empty, as the release before leaves them, and the new tables it does not see.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from worker.adapters.db.types import Moment, RowNumber

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None

COLUMNS = (
    ("account_id", sa.Text()),
    ("state", sa.Text()),
    ("why", sa.Text()),
    ("interval_us", sa.BigInteger()),
    ("has_ramp", sa.Boolean()),
    ("stop_percent", sa.SmallInteger()),
    ("left_count", sa.Integer()),
    ("step", sa.Integer()),
    ("step_released", sa.Integer()),
    ("tried", sa.Integer()),
    ("failed", sa.Integer()),
    ("paced_at", Moment),
    ("moved_by", sa.Text()),
    ("started_at", Moment),
    ("ended_at", Moment),
    ("lease_by", sa.Text()),
    ("lease_until", Moment),
)
AT_WORK = sa.text("state IN ('planning', 'running')")
UNPREDICTED = sa.text("predicted IS NULL AND state = 'frozen'")


def upgrade() -> None:
    """Make them."""
    for name, type_ in COLUMNS:
        op.add_column("replays", sa.Column(name, type_, nullable=True))
    op.create_index(
        "ix_replays_at_work", "replays", ["id"], postgresql_where=AT_WORK, sqlite_where=AT_WORK
    )
    op.create_table(
        "replay_items",
        sa.Column("replay_id", sa.Text(), nullable=False),
        sa.Column("place", sa.Integer(), nullable=False),
        sa.Column("event_id", RowNumber, nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("batch", sa.Integer(), nullable=False),
        sa.Column("predicted", sa.Text(), nullable=True),
        sa.Column("predicted_reason", sa.Text(), nullable=True),
        sa.Column("does", sa.Text(), nullable=True),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("outcome", sa.Text(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("settled_at", Moment, nullable=True),
        sa.PrimaryKeyConstraint("replay_id", "place", name=op.f("pk_replay_items")),
    )
    op.create_index(op.f("ix_replay_items_event_id"), "replay_items", ["event_id"])
    op.create_index("ix_replay_items_state", "replay_items", ["replay_id", "state", "place"])
    op.create_index(
        "ix_replay_items_unpredicted",
        "replay_items",
        ["replay_id", "batch"],
        postgresql_where=UNPREDICTED,
        sqlite_where=UNPREDICTED,
    )
    _notes_and_edits()


def _notes_and_edits() -> None:
    op.create_table(
        "group_notes",
        sa.Column("id", RowNumber, nullable=False),
        sa.Column("account_id", sa.Text(), nullable=True),
        sa.Column("fingerprint", sa.Text(), nullable=False),
        sa.Column("at", Moment, nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_group_notes")),
    )
    op.create_index(op.f("ix_group_notes_fingerprint"), "group_notes", ["fingerprint"])
    op.create_table(
        "event_edits",
        sa.Column("id", RowNumber, autoincrement=False, nullable=False),
        sa.Column("original_id", RowNumber, nullable=False),
        sa.Column("account_id", sa.Text(), nullable=False),
        sa.Column("patch", sa.LargeBinary(), nullable=True),
        sa.Column("at", Moment, nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_event_edits")),
    )
    op.create_index(op.f("ix_event_edits_original_id"), "event_edits", ["original_id"])


def downgrade() -> None:
    """Take them away."""
    for table in ("event_edits", "group_notes", "replay_items"):
        op.drop_table(table)
    op.drop_index("ix_replays_at_work", table_name="replays")
    for name, _ in reversed(COLUMNS):
        op.drop_column("replays", name)

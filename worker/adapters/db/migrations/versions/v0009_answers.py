"""Answers to requests that bore an Idempotency-Key, kept for a day."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from worker.adapters.db.types import Moment

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the table."""
    op.create_table(
        "api_answers",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("asked", sa.LargeBinary(), nullable=False),
        sa.Column("status", sa.SmallInteger(), nullable=False),
        sa.Column("answer", sa.LargeBinary(), nullable=False),
        sa.Column("made_at", Moment, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_api_answers"),
    )
    op.create_index("ix_api_answers_made_at", "api_answers", ["made_at"])


def downgrade() -> None:
    """Take it away."""
    op.drop_table("api_answers")

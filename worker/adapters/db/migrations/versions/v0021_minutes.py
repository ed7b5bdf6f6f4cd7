"""Counts by the minute for the charts: a new table, which the release before does not see."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from worker.adapters.db.types import Moment

revision = "0021"
down_revision = "0020"
branch_labels = None
depends_on = None

_COUNTS = (
    *("applied", "ended", "retrying", "dead"),
    *(f"latency_{number}" for number in range(10)),
    *("backlog", "held", "letters", "oldest", "late"),
)


def upgrade() -> None:
    """Make it."""
    op.create_table(
        "minutes",
        sa.Column("minute", Moment, nullable=False),
        sa.Column("account_id", sa.Text(), nullable=False),
        sa.Column("lane", sa.Text(), nullable=False),
        *(sa.Column(name, sa.Integer(), server_default="0", nullable=False) for name in _COUNTS),
        sa.PrimaryKeyConstraint("minute", "account_id", "lane", name=op.f("pk_minutes")),
    )


def downgrade() -> None:
    """Take it away."""
    op.drop_table("minutes")

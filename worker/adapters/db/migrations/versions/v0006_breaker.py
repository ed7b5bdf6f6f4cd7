"""What each connection took away lately, and what is held for it (C6).

New tables only: the version before does not see them.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from worker.adapters.db.types import Moment

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make them."""
    op.create_table(
        "breakers",
        sa.Column("connection_id", sa.Text(), nullable=False),
        sa.Column("hold_id", sa.Text(), nullable=True),
        sa.Column("people", sa.Integer(), nullable=False),
        sa.Column("people_at", Moment, nullable=True),
        sa.Column("raised_to", sa.Integer(), nullable=True),
        sa.Column("raised_until", Moment, nullable=True),
        sa.PrimaryKeyConstraint("connection_id", name=op.f("pk_breakers")),
    )
    op.create_table(
        "breaker_marks",
        sa.Column("connection_id", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("at", Moment, nullable=False),
        sa.PrimaryKeyConstraint("connection_id", "key", name=op.f("pk_breaker_marks")),
    )
    op.create_index("ix_breaker_marks_at", "breaker_marks", ["connection_id", "at"])
    op.create_table(
        "holds",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("account_id", sa.Text(), nullable=False),
        sa.Column("connection_id", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("opened_at", Moment, nullable=False),
        sa.Column("counted", sa.Integer(), nullable=False),
        sa.Column("people", sa.Integer(), nullable=False),
        sa.Column("most", sa.Integer(), nullable=False),
        sa.Column("window_seconds", sa.Integer(), nullable=False),
        sa.Column("auto_at", Moment, nullable=True),
        sa.Column("closed_at", Moment, nullable=True),
        sa.Column("closed_by", sa.Text(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("events", sa.Integer(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_holds")),
    )
    op.create_index("ix_holds_connection_id", "holds", ["connection_id"])
    is_open = sa.text("state = 'open'")
    op.create_index(
        "ix_holds_open", "holds", ["id"], postgresql_where=is_open, sqlite_where=is_open
    )


def downgrade() -> None:
    """Take them away."""
    for table in ("holds", "breaker_marks", "breakers"):
        op.drop_table(table)

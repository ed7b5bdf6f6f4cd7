"""Operators of one account (C4): a new table, which the release before does not see."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from worker.adapters.db.types import Moment

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make it."""
    op.create_table(
        "account_operators",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("email", sa.Text(), nullable=False),
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("account_id", sa.Text(), nullable=False),
        sa.Column("created_at", Moment, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_account_operators")),
        sa.UniqueConstraint("email", name=op.f("uq_account_operators_email")),
    )
    op.create_index(op.f("ix_account_operators_account_id"), "account_operators", ["account_id"])


def downgrade() -> None:
    """Take it away, and who signed in by it: other releases know nothing of such sessions."""
    op.execute("DELETE FROM sessions WHERE kind LIKE 'account_%'")
    op.drop_table("account_operators")

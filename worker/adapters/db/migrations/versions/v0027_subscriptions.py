"""Subscriptions at identity providers, and whoever looks after them.

New tables only: the release before does not see them.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from worker.adapters.db.types import Moment

revision = "0027"
down_revision = "0026"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make them."""
    op.create_table(
        "subscriptions",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("connection_id", sa.Text(), nullable=False),
        sa.Column("feed_id", sa.Text(), nullable=False),
        sa.Column("topic", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.Column("url", sa.Text(), nullable=False),
        sa.Column("secret_id", sa.Text(), nullable=False),
        sa.Column("made_at", Moment, nullable=False),
        sa.Column("renewed_at", Moment, nullable=False),
        sa.Column("renew_at", Moment, nullable=False),
        sa.Column("ends_at", Moment, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_subscriptions")),
    )
    op.create_index(op.f("ix_subscriptions_connection_id"), "subscriptions", ["connection_id"])
    op.create_table(
        "subscription_turns",
        sa.Column("connection_id", sa.Text(), nullable=False),
        sa.Column("due_at", Moment, nullable=False),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("why", sa.Text(), nullable=False),
        sa.Column("lease_by", sa.Text(), nullable=True),
        sa.Column("lease_until", Moment, nullable=True),
        sa.Column("fence", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("connection_id", name=op.f("pk_subscription_turns")),
    )


def downgrade() -> None:
    """Take them away; what the providers have ends by itself."""
    op.drop_table("subscription_turns")
    op.drop_table("subscriptions")

"""SCIM requests that are answered later (RFC 9967). Two tables that nothing before looks at."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from worker.adapters.db.types import Moment, RowNumber

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None

OPEN = sa.text("due_at IS NOT NULL")


def upgrade() -> None:
    """Make them."""
    op.create_table(
        "scim_requests",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("connection_id", sa.Text(), nullable=False),
        sa.Column("feed_id", sa.Text(), nullable=False),
        sa.Column("token_id", sa.Text(), nullable=False),
        sa.Column("request", sa.LargeBinary(), nullable=True),
        sa.Column("answer", sa.LargeBinary(), nullable=True),
        sa.Column("fence", sa.Integer(), nullable=False),
        sa.Column("made_at", Moment, nullable=False),
        sa.Column("due_at", Moment, nullable=True),
        sa.Column("ended_at", Moment, nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_scim_requests")),
    )
    op.create_index(
        "ix_scim_requests_due",
        "scim_requests",
        ["due_at"],
        postgresql_where=OPEN,
        sqlite_where=OPEN,
    )
    op.create_index("ix_scim_requests_ended", "scim_requests", ["ended_at"])
    op.create_table(
        "scim_done",
        sa.Column("request_id", sa.Text(), nullable=False),
        sa.Column("place", sa.Integer(), nullable=False),
        sa.Column("event_id", RowNumber, nullable=False),
        sa.Column("resource_id", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("request_id", "place", name=op.f("pk_scim_done")),
    )


def downgrade() -> None:
    """Take them away."""
    op.drop_table("scim_done")
    op.drop_table("scim_requests")

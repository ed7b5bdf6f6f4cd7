"""Overrides by operators (U9): a table, and the state that a person has without them.

The column is added empty, without a look at the rows. A release before goes on beside it: it
writes people without the column, and an override that it does not know ends at its time.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from worker.adapters.db.types import Moment

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make them."""
    op.add_column("people", sa.Column("told", sa.Text))
    op.create_table(
        "overrides",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("account_id", sa.Text, nullable=False),
        sa.Column("person_id", sa.Text, nullable=False),
        sa.Column("wanted", sa.Text, nullable=False),
        sa.Column("until", Moment, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("made_at", Moment, nullable=False),
        sa.Column("made_by", sa.Text, nullable=False),
        sa.Column("ended_at", Moment),
        sa.Column("ended_by", sa.Text),
    )
    op.create_index("ix_overrides_person", "overrides", ["person_id"])
    in_force = sa.text("ended_at IS NULL")
    op.create_index(
        "ix_overrides_in_force",
        "overrides",
        ["until"],
        postgresql_where=in_force,
        sqlite_where=in_force,
    )


def downgrade() -> None:
    """Take them away."""
    op.drop_table("overrides")
    op.drop_column("people", "told")

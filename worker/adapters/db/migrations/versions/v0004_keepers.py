"""Owners and break-glass people are found without passing by everybody of their account.

Every batch asks for them (U6). The index holds a handful of rows an account; changes of people
wait while it is made: about a second for a million rows.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make it."""
    keeps_open = sa.text("(role = 'owner' OR is_break_glass)")
    op.create_index(
        "ix_people_keepers",
        "people",
        ["account_id"],
        postgresql_where=keeps_open,
        sqlite_where=keeps_open,
    )


def downgrade() -> None:
    """Take it away."""
    op.drop_index("ix_people_keepers", "people")

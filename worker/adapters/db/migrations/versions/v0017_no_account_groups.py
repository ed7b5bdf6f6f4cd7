"""The first slice's list of built-in groups goes: own_groups holds them since 0012.

Nothing reads or writes it any more, the release before included.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Take it away."""
    op.drop_table("account_groups")


def downgrade() -> None:
    """Make it again with what it held: the built-in groups of every account."""
    table = op.create_table(
        "account_groups",
        sa.Column("account_id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("is_built_in", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("account_id", "name", name=op.f("pk_account_groups")),
    )
    found = op.get_bind().execute(
        sa.text("SELECT account_id, name FROM own_groups WHERE is_built_in")
    )
    held = [{"account_id": row[0], "name": row[1], "is_built_in": True} for row in found]
    if held:
        op.bulk_insert(table, held)

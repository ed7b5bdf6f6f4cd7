"""What is open among dead letters and mails is found without passing by what is settled.

Letters and mails are kept after they are settled, and lists and gauges ask for the open ones
(RELIABILITY F30). Both indexes are small, whatever the tables hold. Mails and dead letters wait for
them to be made: about a second for a million rows.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make them."""
    is_open = sa.text("state = 'open'")
    op.create_index(
        "ix_dead_letters_open",
        "dead_letters",
        ["id"],
        postgresql_where=is_open,
        sqlite_where=is_open,
    )
    is_unsent = sa.text("state IN ('pending', 'failed')")
    op.create_index(
        "ix_notices_unsent",
        "notices",
        ["state"],
        postgresql_where=is_unsent,
        sqlite_where=is_unsent,
    )


def downgrade() -> None:
    """Take them away."""
    op.drop_index("ix_notices_unsent", "notices")
    op.drop_index("ix_dead_letters_open", "dead_letters")

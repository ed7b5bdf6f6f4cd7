"""Accounts take turns in being mailed: who has something due is found in an index."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0026"
down_revision = "0025"
branch_labels = None
depends_on = None

_OPEN = sa.text("due_at IS NOT NULL")
_TURNS = "ix_notices_turns"


def upgrade() -> None:
    """Adds only: the release before takes the oldest first, as it did."""
    op.create_index(
        _TURNS,
        "notices",
        ["account_id", "due_at"],
        postgresql_where=_OPEN,
        sqlite_where=_OPEN,
    )


def downgrade() -> None:
    """Nobody asks for it any more."""
    op.drop_index(_TURNS, "notices")

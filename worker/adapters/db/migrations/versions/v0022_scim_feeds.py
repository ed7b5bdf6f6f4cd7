"""Which provider a SCIM feed is spoken by; connections take turns in being answered later."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0022"
down_revision = "0021"
branch_labels = None
depends_on = None

_OPEN = sa.text("due_at IS NOT NULL")
_TURNS = "ix_scim_requests_turns"


def upgrade() -> None:
    """Both add only: the release before knows nothing of them."""
    op.add_column("feeds", sa.Column("dialect", sa.Text()))
    op.create_index(
        _TURNS,
        "scim_requests",
        ["connection_id", "due_at"],
        postgresql_where=_OPEN,
        sqlite_where=_OPEN,
    )


def downgrade() -> None:
    """Nobody asks for either any more."""
    op.drop_index(_TURNS, "scim_requests")
    op.drop_column("feeds", "dialect")

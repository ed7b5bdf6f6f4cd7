"""Sessions say whose browser they are in; passwords; wrong tries.

The release before goes on: it writes and reads the columns of `sessions` that it knows, and its
sessions end with it, since ours have an id.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from worker.adapters.db.types import Moment

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None

TEXTS = ("id", "way", "address", "agent")
MOMENTS = ("made_at", "seen_at", "ends_at")


def upgrade() -> None:
    """Add them."""
    for name in TEXTS:
        op.add_column("sessions", sa.Column(name, sa.Text(), nullable=True))
    for name in MOMENTS:
        op.add_column("sessions", sa.Column(name, Moment, nullable=True))
    op.create_index("ix_sessions_operator", "sessions", ["operator_id"])
    op.create_table(
        "operator_passwords",
        sa.Column("operator_id", sa.Text(), nullable=False),
        sa.Column("hash", sa.Text(), nullable=False),
        sa.Column("changed_at", Moment, nullable=False),
        sa.PrimaryKeyConstraint("operator_id", name=op.f("pk_operator_passwords")),
    )
    op.create_table(
        "sign_in_tries",
        sa.Column("key", sa.LargeBinary(), nullable=False),
        sa.Column("count", sa.Integer(), nullable=False),
        sa.Column("last_at", Moment, nullable=False),
        sa.Column("free_at", Moment, nullable=False),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_sign_in_tries")),
    )
    op.create_index("ix_sign_in_tries_last", "sign_in_tries", ["last_at"])


def downgrade() -> None:
    """Take them away; whoever is signed in stays so for the release before."""
    op.drop_table("sign_in_tries")
    op.drop_table("operator_passwords")
    op.drop_index("ix_sessions_operator", "sessions")
    with op.batch_alter_table("sessions") as table:
        for name in (*TEXTS, *MOMENTS):
            table.drop_column(name)

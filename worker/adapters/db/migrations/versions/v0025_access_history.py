"""The history of who had access to what, and proofs of deletions: tables that are new.

The release before does not see them, so of what its processes change while both run there is no
turn, and an access review says so.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from worker.adapters.db.types import Moment, RowNumber
from worker.adapters.db.uow import database_now

revision = "0025"
down_revision = "0024"
branch_labels = None
depends_on = None

_BEGAN = "access_history"


def upgrade() -> None:
    """Make it, and note since when it is kept."""
    op.create_table(
        "access_history",
        sa.Column("id", RowNumber, nullable=False),
        *(sa.Column(name, sa.Text(), nullable=False) for name in _TEXTS[:3]),
        sa.Column("at", Moment, nullable=False),
        *(sa.Column(name, sa.Text(), nullable=False) for name in _TEXTS[3:5]),
        sa.Column("event_id", RowNumber),
        *(sa.Column(name, sa.Text(), nullable=False) for name in _TEXTS[5:]),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_access_history")),
    )
    op.create_index(
        "ix_access_history_group",
        "access_history",
        ["account_id", "group_id", "person_id", "id"],
    )
    op.create_index("ix_access_history_person", "access_history", ["person_id", "group_id"])
    op.create_table(
        "erasures",
        *(sa.Column(name, sa.Text(), nullable=False) for name in ("id", "account_id", "person_id")),
        sa.Column("made_at", Moment, nullable=False),
        *(sa.Column(name, sa.Text(), nullable=False) for name in ("actor", "reason")),
        sa.Column("proof", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_erasures")),
    )
    op.create_index("ix_erasures_account", "erasures", ["account_id", "id"])
    op.create_index("ix_erasures_person_id", "erasures", ["person_id"])
    marks = sa.table("marks", sa.column("name", sa.Text), sa.column("at", Moment))
    op.bulk_insert(marks, [{"name": _BEGAN, "at": database_now(op.get_bind())}])


_TEXTS = ("account_id", "group_id", "person_id", "was", "now", "actor", "reason")


def downgrade() -> None:
    """Take it away."""
    op.get_bind().execute(sa.text("DELETE FROM marks WHERE name = :name"), {"name": _BEGAN})
    op.drop_table("erasures")
    op.drop_table("access_history")

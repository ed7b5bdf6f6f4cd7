"""Access to identity providers' own directories, and what is read there: two new tables."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from worker.adapters.db.types import Moment

revision = "0023"
down_revision = "0022"
branch_labels = None
depends_on = None

_OPEN = sa.text("due_at IS NOT NULL")


def upgrade() -> None:
    """Make them: the release before knows nothing of either."""
    op.create_table(
        "directory_accesses",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("url", sa.Text(), nullable=False),
        sa.Column("details", sa.Text(), nullable=False),
        sa.Column("ciphertext", sa.LargeBinary(), nullable=False),
        sa.Column("changed_at", Moment, nullable=False),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("rests_until", Moment),
        sa.Column("next_at", Moment),
        sa.Column("answered_at", Moment),
        sa.Column("last_error", sa.Text()),
        sa.Column("needs_operator", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_directory_accesses")),
    )
    op.create_table(
        "directory_reads",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("connection_id", sa.Text(), nullable=False),
        sa.Column("what", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("rank", sa.SmallInteger(), nullable=False),
        sa.Column("wanted_at", Moment, nullable=False),
        sa.Column("due_at", Moment),
        sa.Column("leased_until", Moment),
        sa.Column("fence", sa.Integer(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("last_error", sa.Text()),
        sa.Column("asked_at", Moment),
        sa.Column("began_at", Moment),
        sa.Column("true_at", Moment),
        sa.Column("answer", sa.LargeBinary()),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_directory_reads")),
        postgresql_with={"fillfactor": "80"},
    )
    op.create_index("ix_directory_reads_began", "directory_reads", ["began_at"])
    op.create_index(
        "ix_directory_reads_leased", "directory_reads", ["connection_id", "leased_until"]
    )
    op.create_index(
        "ix_directory_reads_due",
        "directory_reads",
        ["connection_id", "rank", "wanted_at"],
        postgresql_where=_OPEN,
        sqlite_where=_OPEN,
    )
    if op.get_bind().dialect.name == "postgresql":
        # A row of either is written by every read.
        for table in ("directory_accesses", "directory_reads"):
            op.execute(
                f"ALTER TABLE {table} SET (autovacuum_vacuum_scale_factor = 0.01, "
                "autovacuum_vacuum_threshold = 200, autovacuum_analyze_scale_factor = 0.05)"
            )


def downgrade() -> None:
    """Take them away, with what was told and read."""
    op.drop_table("directory_reads")
    op.drop_table("directory_accesses")

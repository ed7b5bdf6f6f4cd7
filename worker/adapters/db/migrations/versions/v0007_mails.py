"""Mails in full: words of accounts, who is out of reach (E7), alerts, links that expire (E6).

New tables and columns without a default: nothing is rewritten, and the release before leaves them
alone. The index over open links is small; a million links are looked through in a second or so.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from worker.adapters.db.types import Moment

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make them."""
    op.add_column("links", sa.Column("answered_at", Moment))
    op.add_column("notices", sa.Column("content", sa.LargeBinary()))
    is_open = sa.text("state = 'open'")
    op.create_index(
        "ix_links_open", "links", ["expires_at"], postgresql_where=is_open, sqlite_where=is_open
    )
    op.create_table(
        "mail_templates",
        sa.Column("account_id", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("html", sa.Text()),
        sa.Column("language", sa.Text(), nullable=False),
        sa.Column("button", sa.Text(), nullable=False),
        sa.Column("changed_at", Moment, nullable=False),
        sa.PrimaryKeyConstraint("account_id", "kind", name="pk_mail_templates"),
    )
    op.create_table(
        "undeliverable",
        sa.Column("person_id", sa.Text(), nullable=False),
        sa.Column("account_id", sa.Text(), nullable=False),
        sa.Column("address", sa.Text(), nullable=False),
        sa.Column("why", sa.Text(), nullable=False),
        sa.Column("at", Moment, nullable=False),
        sa.PrimaryKeyConstraint("person_id", name="pk_undeliverable"),
    )
    op.create_index("ix_undeliverable_account", "undeliverable", ["account_id"])
    _make_alerts()


def _make_alerts() -> None:
    op.create_table(
        "alerts",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("account_id", sa.Text()),
        sa.Column("topic", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("headline", sa.Text(), nullable=False),
        sa.Column("details", sa.LargeBinary(), nullable=False),
        sa.Column("is_urgent", sa.Boolean(), nullable=False),
        sa.Column("count", sa.Integer(), nullable=False),
        sa.Column("first_at", Moment, nullable=False),
        sa.Column("last_at", Moment, nullable=False),
        sa.Column("due_at", Moment),
        sa.Column("told_at", Moment),
        sa.PrimaryKeyConstraint("id", name="pk_alerts"),
    )
    is_due = sa.text("due_at IS NOT NULL")
    op.create_index(
        "ix_alerts_due", "alerts", ["due_at"], postgresql_where=is_due, sqlite_where=is_due
    )


def downgrade() -> None:
    """Take them away."""
    for table in ("alerts", "undeliverable", "mail_templates"):
        op.drop_table(table)
    op.drop_index("ix_links_open", "links")
    op.drop_column("notices", "content")
    op.drop_column("links", "answered_at")

"""Operators' lists of events and of the audit are read page by page, each page through an index.

Two of them every event pays for: of its connection, and of what it changed. The others hold what
is rare: what waits for somebody, what has a reason, what people did. A million events take some
ten seconds, in which drains wait or come again.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None

#: Name, table, columns, what is rare.
MADE = (
    ("ix_events_connection", "events", ["connection_id", "id"], None),
    (
        "ix_events_stuck",
        "events",
        ["connection_id", "state", "id"],
        "state <> 'ended' AND state <> 'pending'",
    ),
    ("ix_events_reason", "events", ["connection_id", "reason", "id"], "reason IS NOT NULL"),
    ("ix_decisions_event", "decisions", ["event_id"], "event_id IS NOT NULL"),
    ("ix_audit_event", "audit", ["event_id"], "event_id IS NOT NULL"),
    ("ix_audit_by_hand", "audit", ["account_id", "id"], "event_id IS NULL"),
    ("ix_audit_by_anybody", "audit", ["id"], "event_id IS NULL"),
)


def upgrade() -> None:
    """Make them."""
    for name, table, columns, rare in MADE:
        where = sa.text(rare) if rare is not None else None
        op.create_index(name, table, columns, postgresql_where=where, sqlite_where=where)


def downgrade() -> None:
    """Take them away."""
    for name, table, _, _ in MADE:
        op.drop_index(name, table)

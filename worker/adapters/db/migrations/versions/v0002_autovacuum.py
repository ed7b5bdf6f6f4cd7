"""Tables whose rows change all the time are vacuumed after a fiftieth of them, not a fifth.

PostgreSQL's own default lets a fifth of a table die first. A claim reads past dead rows, and a
plan made by old statistics scans (RELIABILITY F25). SQLite has nothing of the kind. Each statement
takes a lock that neither readers nor writers wait for, and the version before notices nothing.
"""

from __future__ import annotations

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

#: Large, and each row is changed once or a few times in its life.
GROWING = (
    "events",
    "deliveries",
    "attempts",
    "users",
    "people",
    "addresses",
    "memberships",
    "notices",
    "links",
)
#: Small queues, all of whose rows go again: as soon as a few hundred are dead, whatever the share.
CHURNING = ("batch_markers", "waits", "workers")


def upgrade() -> None:
    """Set them; applied from the next round of autovacuum on."""
    if op.get_bind().dialect.name != "postgresql":
        return
    for table in GROWING:
        op.execute(
            f"ALTER TABLE {table} SET (autovacuum_vacuum_scale_factor = 0.02, "
            "autovacuum_analyze_scale_factor = 0.02)"
        )
    for table in CHURNING:
        op.execute(
            f"ALTER TABLE {table} SET (autovacuum_vacuum_scale_factor = 0.01, "
            "autovacuum_vacuum_threshold = 200, autovacuum_analyze_scale_factor = 0.05)"
        )


def downgrade() -> None:
    """Back to the server's settings."""
    if op.get_bind().dialect.name != "postgresql":
        return
    for table in (*GROWING, *CHURNING):
        op.execute(
            f"ALTER TABLE {table} RESET (autovacuum_vacuum_scale_factor, "
            "autovacuum_vacuum_threshold, autovacuum_analyze_scale_factor)"
        )

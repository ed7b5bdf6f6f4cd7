"""Lists of people and of a group's members are read page by page, each page through an index.

People by state, by role and by hand: partial indexes over what is rare. Members of a group in the
order of their external ids: in place of the index that found them in none. A million memberships
take about three seconds, in which drains that change any wait or come again.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

#: Of people: name, columns, what is rare.
RARE = (
    ("ix_people_state", ["account_id", "state", "id"], "state <> 'active'"),
    ("ix_people_role", ["account_id", "role", "id"], "role <> 'member'"),
    ("ix_people_by_hand", ["account_id", "id"], "connection_id IS NULL"),
)


def upgrade() -> None:
    """Make them; the one that is replaced goes last."""
    for name, columns, rare in RARE:
        op.create_index(
            name, "people", columns, postgresql_where=sa.text(rare), sqlite_where=sa.text(rare)
        )
    columns = ["connection_id", "group_key", "user_key"]
    op.create_index("ix_memberships_group_user", "memberships", columns)
    op.drop_index("ix_memberships_group", "memberships")


def downgrade() -> None:
    """Take them away."""
    op.create_index("ix_memberships_group", "memberships", ["connection_id", "group_key"])
    op.drop_index("ix_memberships_group_user", "memberships")
    for name, _, _ in RARE:
        op.drop_index(name, "people")

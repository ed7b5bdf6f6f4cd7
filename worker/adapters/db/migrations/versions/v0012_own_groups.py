"""Groups of the account's own: built in or made by hand, with permissions and members.

Two new tables, and two columns of `groups` that the release before neither reads nor writes. The
built-in groups of accounts that are there are made at once; Provision Managers where a connection
is or was active (G4).
"""

from __future__ import annotations

import json
import secrets

import sqlalchemy as sa
from alembic import op

from worker.adapters.db.types import Moment
from worker.adapters.db.uow import database_now

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

FIRST = ("Owners", "Administrators", "Team Members", "Security")
LATER = "Provision Managers"
GIVEN = {
    "Owners": ["manage_all_groups", "recover_accounts"],
    "Administrators": ["manage_all_groups", "recover_accounts"],
    LATER: ["open_private_space"],
}


def upgrade() -> None:
    """Make them."""
    own_groups = op.create_table(
        "own_groups",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("account_id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("name_key", sa.Text(), nullable=False),
        sa.Column("is_built_in", sa.Boolean(), nullable=False),
        sa.Column("permissions", sa.Text(), nullable=False),
        sa.Column("connection_id", sa.Text(), nullable=True),
        sa.Column("group_key", sa.Text(), nullable=True),
        sa.Column("is_managed", sa.Boolean(), nullable=False),
        sa.Column("released_at", Moment, nullable=True),
        sa.Column("created_at", Moment, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_own_groups")),
        sa.UniqueConstraint(
            "connection_id", "group_key", name=op.f("uq_own_groups_connection_id_group_key")
        ),
    )
    op.create_index(op.f("ix_own_groups_account_id"), "own_groups", ["account_id"])
    by_hand = sa.text("NOT is_managed")
    op.create_index(
        "ux_own_groups_name",
        "own_groups",
        ["account_id", "name_key"],
        unique=True,
        postgresql_where=by_hand,
        sqlite_where=by_hand,
    )
    op.create_table(
        "own_members",
        sa.Column("group_id", sa.Text(), nullable=False),
        sa.Column("person_id", sa.Text(), nullable=False),
        sa.Column("added_at", Moment, nullable=False),
        sa.PrimaryKeyConstraint("group_id", "person_id", name=op.f("pk_own_members")),
    )
    op.create_index(op.f("ix_own_members_person_id"), "own_members", ["person_id"])
    op.add_column("groups", sa.Column("own_id", sa.Text(), nullable=True))
    op.add_column("groups", sa.Column("barred", sa.Text(), nullable=True))
    _built_in(own_groups)


def _built_in(table: sa.Table) -> None:
    bind = op.get_bind()
    active = {
        row[0]
        for row in bind.execute(
            sa.text("SELECT DISTINCT account_id FROM connections WHERE state <> 'observing'")
        )
    }
    now = database_now(bind)
    made = [
        {
            "id": f"grp_{secrets.token_hex(8)}",
            "account_id": account,
            "name": name,
            "name_key": name.casefold(),
            "is_built_in": True,
            "permissions": json.dumps(GIVEN.get(name, [])),
            "is_managed": False,
            "created_at": now,
        }
        for (account,) in bind.execute(sa.text("SELECT id FROM accounts ORDER BY id"))
        for name in (*FIRST, *((LATER,) if account in active else ()))
    ]
    if made:
        op.bulk_insert(table, made)


def downgrade() -> None:
    """Take them away."""
    op.drop_column("groups", "barred")
    op.drop_column("groups", "own_id")
    op.drop_table("own_members")
    op.drop_table("own_groups")

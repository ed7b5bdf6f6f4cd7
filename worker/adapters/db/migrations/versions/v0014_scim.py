"""SCIM: what its feeds told of users and groups. Two tables that nothing before looks at."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from worker.adapters.db.types import Moment

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None

LIVE = sa.text("deleted_at IS NULL")
ALIASED = sa.text("alias IS NOT NULL")
RENAMED = sa.text("alias <> key")


def upgrade() -> None:
    """Make them."""
    op.create_table(
        "scim_resources",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("account_id", sa.Text(), nullable=False),
        sa.Column("connection_id", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("alias", sa.Text(), nullable=True),
        sa.Column("handle", sa.Text(), nullable=False),
        sa.Column("document", sa.Text(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("is_told", sa.Boolean(), nullable=False),
        sa.Column("created_at", Moment, nullable=False),
        sa.Column("modified_at", Moment, nullable=False),
        sa.Column("deleted_at", Moment, nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_scim_resources")),
        postgresql_with={"fillfactor": "80"},
    )
    whose = ["connection_id", "kind"]
    op.create_index("ix_scim_resources_handle", "scim_resources", [*whose, "handle", "id"])
    for name, columns, rows in (
        ("ix_scim_resources_key", [*whose, "key"], LIVE),
        ("ix_scim_resources_listed", [*whose, "id"], LIVE),
        ("ix_scim_resources_alias", [*whose, "alias"], ALIASED),
    ):
        op.create_index(
            name,
            "scim_resources",
            columns,
            unique=columns[-1] == "key",
            postgresql_where=rows,
            sqlite_where=rows,
        )
    op.create_index(
        "ix_scim_resources_renamed",
        "scim_resources",
        ["connection_id", "alias"],
        postgresql_where=RENAMED,
        sqlite_where=RENAMED,
    )
    op.create_table(
        "scim_values",
        sa.Column("resource_id", sa.Text(), nullable=False),
        sa.Column("path", sa.Text(), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("resource_id", "path", "value", name=op.f("pk_scim_values")),
    )
    op.create_index("ix_scim_values_value", "scim_values", ["path", "value", "resource_id"])
    if op.get_bind().dialect.name == "postgresql":
        op.execute(
            "ALTER TABLE scim_resources SET (autovacuum_vacuum_scale_factor = 0.02, "
            "autovacuum_analyze_scale_factor = 0.02)"
        )


def downgrade() -> None:
    """Take them away."""
    op.drop_table("scim_values")
    op.drop_table("scim_resources")

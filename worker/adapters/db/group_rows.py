"""The tables of groups by hand. An identity provider's own words are in `groups` (rows.py)."""

from __future__ import annotations

from sqlalchemy import Boolean, Column, Index, Table, Text, UniqueConstraint, text

from worker.adapters.db.rows import metadata
from worker.adapters.db.types import Moment

#: name_key: the form in which two names are the same. connection_id and group_key: the provider's
#: group that it stands for. released_at: when that one dropped out of management (G3).
own_groups = Table(
    "own_groups",
    metadata,
    Column("id", Text, primary_key=True),
    Column("account_id", Text, nullable=False, index=True),
    Column("name", Text, nullable=False),
    Column("name_key", Text, nullable=False),
    Column("is_built_in", Boolean, nullable=False),
    Column("permissions", Text, nullable=False),
    Column("connection_id", Text),
    Column("group_key", Text),
    Column("is_managed", Boolean, nullable=False),
    Column("released_at", Moment),
    Column("created_at", Moment, nullable=False),
    UniqueConstraint("connection_id", "group_key"),
)
BY_HAND = text("NOT is_managed")
#: While a provider manages a group its name is the provider's, and may be anybody's, too.
Index(
    "ux_own_groups_name",
    own_groups.c.account_id,
    own_groups.c.name_key,
    unique=True,
    postgresql_where=BY_HAND,
    sqlite_where=BY_HAND,
)

own_members = Table(
    "own_members",
    metadata,
    Column("group_id", Text, primary_key=True),
    Column("person_id", Text, primary_key=True, index=True),
    Column("added_at", Moment, nullable=False),
)

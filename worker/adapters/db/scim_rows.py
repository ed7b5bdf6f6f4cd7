"""The tables of SCIM: what an identity provider's SCIM feed last told, resource by resource.

Members of groups are not here: they are `memberships`, joined by (connection, kind, key).
"""

from __future__ import annotations

from sqlalchemy import Boolean, Column, Index, Integer, Table, Text, text

from worker.adapters.db.rows import metadata
from worker.adapters.db.types import Moment

#: `id`: what SCIM calls the resource, never used twice. `kind`: User or Group. `key`: the
#: subject's, as in `users` and `groups`. `alias`: externalId as last told. `handle`: lower-cased
#: userName, or displayName of a group. `document`: a JSON object without id, meta, members and
#: password. `is_told`: False while only other feeds of the connection told of the subject; the
#: document is then made of what they said, and kept up with it. Every subject that is somebody has
#: a row, so reading makes none. Rows of deleted resources stay: their id is 404 for ever.
scim_resources = Table(
    "scim_resources",
    metadata,
    Column("id", Text, primary_key=True),
    Column("account_id", Text, nullable=False),
    Column("connection_id", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("key", Text, nullable=False),
    Column("alias", Text),
    Column("handle", Text, nullable=False),
    Column("document", Text, nullable=False),
    Column("version", Integer, nullable=False),
    Column("is_told", Boolean, nullable=False),
    Column("created_at", Moment, nullable=False),
    Column("modified_at", Moment, nullable=False),
    Column("deleted_at", Moment),
    Index("ix_scim_resources_handle", "connection_id", "kind", "handle", "id"),
    postgresql_with={"fillfactor": "80"},
)
LIVE = text("deleted_at IS NULL")
#: A subject has one live resource at most, whoever finds it first.
Index(
    "ix_scim_resources_key",
    scim_resources.c.connection_id,
    scim_resources.c.kind,
    scim_resources.c.key,
    unique=True,
    postgresql_where=LIVE,
    sqlite_where=LIVE,
)
#: Lists go in the order of ids.
Index(
    "ix_scim_resources_listed",
    scim_resources.c.connection_id,
    scim_resources.c.kind,
    scim_resources.c.id,
    postgresql_where=LIVE,
    sqlite_where=LIVE,
)
ALIASED = text("alias IS NOT NULL")
Index(
    "ix_scim_resources_alias",
    scim_resources.c.connection_id,
    scim_resources.c.kind,
    scim_resources.c.alias,
    postgresql_where=ALIASED,
    sqlite_where=ALIASED,
)

#: Who is called otherwise than at first contact: few, and asked for in each batch of other feeds.
RENAMED = text("alias <> key")
Index(
    "ix_scim_resources_renamed",
    scim_resources.c.connection_id,
    scim_resources.c.alias,
    postgresql_where=RENAMED,
    sqlite_where=RENAMED,
)

#: What filters look for in multi-valued attributes: `path` as `emails.value`, `value` lower-cased.
scim_values = Table(
    "scim_values",
    metadata,
    Column("resource_id", Text, primary_key=True),
    Column("path", Text, primary_key=True),
    Column("value", Text, primary_key=True),
    Index("ix_scim_values_value", "path", "value", "resource_id"),
)

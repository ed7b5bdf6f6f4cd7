"""Resources of SCIM in SQL: found by id and by name, written with what they are found by."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any

import orjson
from sqlalchemy import (
    ColumnElement,
    Connection,
    RowMapping,
    and_,
    delete,
    exists,
    or_,
    select,
    text,
)

from domain.resources import Document, Resource, ResourceKind
from worker.adapters.db import bulk
from worker.adapters.db.rows import feeds
from worker.adapters.db.scim_rows import scim_resources, scim_values
from worker.adapters.sources.scim import NAME

_TABLE = scim_resources


def resource_from_row(row: RowMapping | Mapping[str, Any]) -> Resource:
    """The resource of a row of `scim_resources`."""
    return Resource(
        id=row["id"],
        account=row["account_id"],
        connection=row["connection_id"],
        kind=ResourceKind(row["kind"]),
        key=row["key"],
        alias=row["alias"],
        handle=row["handle"],
        document=orjson.loads(row["document"]),
        version=row["version"],
        is_told=row["is_told"],
        created_at=row["created_at"],
        modified_at=row["modified_at"],
        deleted_at=row["deleted_at"],
    )


def resource_to_row(resource: Resource) -> dict[str, Any]:
    """A resource as a row of `scim_resources`."""
    return {
        "id": resource.id,
        "account_id": resource.account,
        "connection_id": resource.connection,
        "kind": resource.kind.value,
        "key": resource.key,
        "alias": resource.alias,
        "handle": resource.handle,
        "document": orjson.dumps(resource.document).decode(),
        "version": resource.version,
        "is_told": resource.is_told,
        "created_at": resource.created_at,
        "modified_at": resource.modified_at,
        "deleted_at": resource.deleted_at,
    }


def is_of(connection: str, kind: ResourceKind) -> ColumnElement[bool]:
    """Resources of a connection, live or not."""
    return and_(_TABLE.c.connection_id == connection, _TABLE.c.kind == kind.value)


def live(connection: str, kind: ResourceKind) -> ColumnElement[bool]:
    """Resources that can be read."""
    return and_(is_of(connection, kind), _TABLE.c.deleted_at.is_(None))


def resource_by_id(
    sql: Connection,
    connection: str,
    kind: ResourceKind,
    id_: str,
    *,
    lock: bool = False,
    skip_locked: bool = False,
) -> Resource | None:
    """A resource of the connection, deleted ones included; None where it has none such.

    skip_locked: locked, too, but nobody is waited for: then it is None.
    """
    statement = select(_TABLE).where(_TABLE.c.id == id_, is_of(connection, kind))
    if lock or skip_locked:
        statement = statement.with_for_update(key_share=True, skip_locked=skip_locked)
    row = sql.execute(statement).mappings().first()
    return resource_from_row(row) if row is not None else None


def resources_named(
    sql: Connection, connection: str, kind: ResourceKind, handle: str, alias: str | None
) -> list[Resource]:
    """Resources with this handle, or with this externalId as alias or key; deleted ones, too."""
    names: ColumnElement[bool] = _TABLE.c.handle == handle
    if alias is not None:
        # A deleted one bears its key as alias, or was never called anything.
        by_key = and_(_TABLE.c.key == alias, _TABLE.c.deleted_at.is_(None))
        names = or_(names, _TABLE.c.alias == alias, by_key)
    statement = select(_TABLE).where(is_of(connection, kind), names).order_by(_TABLE.c.id)
    return [resource_from_row(row) for row in sql.execute(statement).mappings()]


def keys_of(
    sql: Connection, connection: str, kind: ResourceKind, ids: Collection[str]
) -> dict[str, str]:
    """Subject keys of live resources by SCIM id."""
    mine = bulk.among(_TABLE.c.id, sorted(ids), sql)
    found = sql.execute(select(_TABLE.c.id, _TABLE.c.key).where(mine, live(connection, kind)))
    return {row.id: row.key for row in found}


def keys_by_alias(sql: Connection, connection: str, names: Collection[str]) -> dict[str, str]:
    """Keys of live resources that are called otherwise by now, by that name."""
    table = _TABLE
    renamed = bulk.among(table.c.alias, sorted(names), sql) & (table.c.alias != table.c.key)
    found = sql.execute(
        select(table.c.alias, table.c.key).where(
            table.c.connection_id == connection, renamed, table.c.deleted_at.is_(None)
        )
    )
    return {row.alias: row.key for row in found}


def has_aliases(connection: ColumnElement[str]) -> ColumnElement[bool]:
    """Whether a resource of the connection of a row is called otherwise than at first contact."""
    table = _TABLE
    return exists().where(table.c.connection_id == connection, table.c.alias != table.c.key)


def speaks_scim(connection: ColumnElement[str]) -> ColumnElement[bool]:
    """Whether the connection of a row has a SCIM feed."""
    table = feeds
    mine = table.c.connection_id == connection
    return exists().where(mine, table.c.source == NAME, table.c.state != "retired")


def claim_names(
    sql: Connection, connection: str, kind: ResourceKind, names: Collection[str]
) -> None:
    """Whoever wants one of these names waits until this transaction ends."""
    if sql.dialect.name != "postgresql":
        return
    wait = text("SELECT pg_advisory_xact_lock(hashtextextended(:name, 0))")
    for name in sorted(set(names)):
        sql.execute(wait, {"name": f"scim:{connection}:{kind.value}:{name}"})


def put_resource(sql: Connection, before: Resource | None, after: Resource) -> None:
    """Write a resource with what filters find; reads nothing."""
    if before == after:
        return
    row = resource_to_row(after)
    had = values_of(before) if before is not None else set()
    has = values_of(after)
    if before is None:
        bulk.insert(sql, _TABLE, [row])
    else:
        kept = ("account_id", "connection_id", "kind", "key", "created_at")
        bulk.update(sql, _TABLE, [{name: row[name] for name in row if name not in kept}])
    if had - has:
        sql.execute(delete(scim_values).where(scim_values.c.resource_id == after.id))
        had = set()
    new = [
        {"resource_id": after.id, "path": path, "value": value} for path, value in sorted(has - had)
    ]
    bulk.insert(sql, scim_values, new, conflict="ON CONFLICT DO NOTHING")


def wanted_as(before: Resource | None, after: Resource) -> dict[str, Any]:
    """A resource as a refused request wanted it, for whoever applies it later."""
    return {
        "id": after.id,
        "kind": after.kind.value,
        "key": after.key,
        "alias": after.alias,
        "handle": after.handle,
        "document": after.document,
        "is_deleted": after.deleted_at is not None,
        "version": before.version if before is not None else 0,
    }


def keep_resource(
    sql: Connection, account: str, connection: str, wanted: Mapping[str, Any], *, now: datetime
) -> None:
    """Write a resource of `wanted_as`, unless SCIM has said something newer of it since."""
    kind, version = ResourceKind(wanted["kind"]), wanted["version"]
    names = [wanted["alias"]] if wanted["alias"] is not None else []
    found = [
        one
        for one in resources_named(sql, connection, kind, wanted["handle"], next(iter(names), None))
        if one.deleted_at is None and (one.is_told or one.key == wanted["key"])
    ]
    before = resource_by_id(sql, connection, kind, wanted["id"], skip_locked=True)
    if before is None and version == 0:
        before = next((one for one in found if not one.is_told), None)
        found = [one for one in found if one.is_told]
    elif before is None or before.version != version or before.deleted_at is not None:
        return
    if any(before is None or one.id != before.id for one in found):
        return
    after = Resource(
        id=wanted["id"] if before is None else before.id,
        account=account,
        connection=connection,
        kind=kind,
        key=wanted["key"] if before is None else before.key,
        alias=wanted["alias"],
        handle=wanted["handle"],
        document=wanted["document"],
        version=1 if before is None else before.version + 1,
        is_told=True,
        created_at=now if before is None else before.created_at,
        modified_at=now,
        deleted_at=now if wanted["is_deleted"] else None,
    )
    put_resource(sql, before, after)


def forget_resources(sql: Connection, connection: str, key: str) -> None:
    """Whoever was deleted for good has no resource any more, live or not (U5)."""
    named = or_(_TABLE.c.key == key, _TABLE.c.alias == key)
    mine = and_(is_of(connection, ResourceKind.USER), named)
    its = select(_TABLE.c.id).where(mine)
    sql.execute(delete(scim_values).where(scim_values.c.resource_id.in_(its)))
    sql.execute(delete(_TABLE).where(mine))


def values_of(resource: Resource) -> set[tuple[str, str]]:
    """What is looked for in multi-valued attributes, by path, lower-cased."""
    if resource.deleted_at is not None or resource.kind is not ResourceKind.USER:
        return set()
    return {("emails.value", value.lower()) for value in addresses_in(resource.document)}


def addresses_in(document: Document) -> list[str]:
    """The values of a user's `emails`."""
    found = document.get("emails") or ()
    values = (one.get("value") for one in found if isinstance(one, Mapping))
    return [value for value in values if isinstance(value, str)]

"""Resources of SCIM in SQL: found by id and by name, written with what they are found by."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import orjson
from sqlalchemy import ColumnElement, Connection, RowMapping, and_, delete, or_, select, text

from domain.resources import Document, Resource, ResourceKind
from worker.adapters.db import bulk
from worker.adapters.db.scim_rows import scim_resources, scim_values

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
    sql: Connection, connection: str, kind: ResourceKind, id_: str, *, lock: bool = False
) -> Resource | None:
    """A resource of the connection, deleted ones included; None where it has none such."""
    statement = select(_TABLE).where(_TABLE.c.id == id_, is_of(connection, kind))
    if lock:
        statement = statement.with_for_update(key_share=True)
    row = sql.execute(statement).mappings().first()
    return resource_from_row(row) if row is not None else None


def resources_named(
    sql: Connection, connection: str, kind: ResourceKind, handle: str, alias: str | None
) -> list[Resource]:
    """Resources with this handle, or with this externalId as alias or key; deleted ones, too."""
    names: ColumnElement[bool] = _TABLE.c.handle == handle
    if alias is not None:
        names = or_(names, _TABLE.c.alias == alias, _TABLE.c.key == alias)
    statement = select(_TABLE).where(is_of(connection, kind), names).order_by(_TABLE.c.id)
    return [resource_from_row(row) for row in sql.execute(statement).mappings()]


def keys_of(
    sql: Connection, connection: str, kind: ResourceKind, ids: Collection[str]
) -> dict[str, str]:
    """Subject keys of live resources by SCIM id."""
    mine = bulk.among(_TABLE.c.id, sorted(ids), sql)
    found = sql.execute(select(_TABLE.c.id, _TABLE.c.key).where(mine, live(connection, kind)))
    return {row.id: row.key for row in found}


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

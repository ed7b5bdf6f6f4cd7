"""Resources of SCIM in SQL: found by id and by name, written with what they are found by."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
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

from domain.resources import Document, Name, Resource, ResourceKind
from worker.adapters.db import bulk
from worker.adapters.db import direct_statements as asks
from worker.adapters.db.arrays import text_array
from worker.adapters.db.direct import Asked, direct_of
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
    direct = direct_of(sql)
    if direct is not None and not lock and not skip_locked:
        rows = direct.ask(asks.RESOURCE, id_, connection, kind.value)
        return resource_from_row(rows[0]) if rows else None
    statement = select(_TABLE).where(_TABLE.c.id == id_, is_of(connection, kind))
    if lock or skip_locked:
        statement = statement.with_for_update(key_share=True, skip_locked=skip_locked)
    row = sql.execute(statement).mappings().first()
    return resource_from_row(row) if row is not None else None


def resources_locked(
    sql: Connection, connection: str, ids: Collection[str], *, waits: bool
) -> dict[str, Resource]:
    """Live resources of the connection by id, locked in the order of their ids.

    waits: else those that somebody else has locked are left out.
    """
    if direct := direct_of(sql):
        (rows,) = direct.ask_all(ask_locked(connection, ids, waits=waits))
        return {row["id"]: resource_from_row(row) for row in rows}
    mine = bulk.among(_TABLE.c.id, sorted(ids), sql)
    statement = (
        select(_TABLE)
        .where(mine, _TABLE.c.connection_id == connection, _TABLE.c.deleted_at.is_(None))
        .order_by(_TABLE.c.id)
        .with_for_update(key_share=True, skip_locked=not waits)
    )
    return {row["id"]: resource_from_row(row) for row in sql.execute(statement).mappings()}


def ask_locked(connection: str, ids: Collection[str], *, waits: bool) -> Asked:
    """The statement of `resources_locked`."""
    ask = asks.RESOURCES_LOCKED if waits else asks.RESOURCES_FREE
    return Asked(ask, [text_array(sorted(ids)), connection])


def resources_claimed(
    sql: Connection,
    connection: str,
    claimed: Collection[tuple[ResourceKind, str]],
    names: Collection[Name],
) -> list[Resource]:
    """Whoever wants one of the claimed names waits until this transaction ends.

    Then as `resources_named`.
    """
    direct = direct_of(sql)
    if direct is None:
        claim_names(sql, connection, claimed)
        return resources_named(sql, connection, names)
    claim = Asked(asks.CLAIM, [text_array(_claims(connection, claimed))])
    kinds = sorted({name.kind for name in names})
    found = direct.ask_all(claim, *(_ask_named(connection, kind, names) for kind in kinds))
    return [resource_from_row(row) for rows in found[1:] for row in rows]


def _ask_named(connection: str, kind: ResourceKind, names: Collection[Name]) -> Asked:
    mine = [name for name in names if name.kind is kind]
    handles = text_array(sorted({name.handle for name in mine}))
    aliases = text_array(sorted({name.alias for name in mine if name.alias is not None}))
    return Asked(asks.RESOURCES_NAMED, [connection, kind.value, handles, aliases])


def resources_named(sql: Connection, connection: str, names: Collection[Name]) -> list[Resource]:
    """Resources with these handles, or these externalIds as alias or key; deleted ones, too."""
    found: list[Resource] = []
    for kind in sorted({name.kind for name in names}):
        mine = [name for name in names if name.kind is kind]
        bears = bulk.among(_TABLE.c.handle, sorted({name.handle for name in mine}), sql)
        aliases = sorted({name.alias for name in mine if name.alias is not None})
        if aliases:
            # A deleted one bears its key as alias, or was never called anything.
            key = and_(bulk.among(_TABLE.c.key, aliases, sql), _TABLE.c.deleted_at.is_(None))
            bears = or_(bears, bulk.among(_TABLE.c.alias, aliases, sql), key)
        statement = select(_TABLE).where(is_of(connection, kind), bears).order_by(_TABLE.c.id)
        found += [resource_from_row(row) for row in sql.execute(statement).mappings()]
    return found


def keys_of(
    sql: Connection, connection: str, kind: ResourceKind, ids: Collection[str]
) -> dict[str, str]:
    """Subject keys of live resources by SCIM id."""
    if direct := direct_of(sql):
        rows = direct.ask(asks.RESOURCE_KEYS, text_array(sorted(ids)), connection, kind.value)
        return {row["id"]: row["key"] for row in rows}
    mine = bulk.among(_TABLE.c.id, sorted(ids), sql)
    found = sql.execute(select(_TABLE.c.id, _TABLE.c.key).where(mine, live(connection, kind)))
    return {row.id: row.key for row in found}


def keys_by_alias(sql: Connection, connection: str, names: Collection[str]) -> dict[str, str]:
    """Keys of live resources that are called otherwise by now, by that name."""
    return dict(_renamed(sql, connection, _TABLE.c.alias, names))


def aliases_by_key(sql: Connection, connection: str, keys: Collection[str]) -> dict[str, str]:
    """The other way round: how live resources are called by now, by key."""
    return {key: alias for alias, key in _renamed(sql, connection, _TABLE.c.key, keys)}


def _renamed(
    sql: Connection, connection: str, by: ColumnElement[str], names: Collection[str]
) -> Iterator[tuple[str, str]]:
    """Alias and key of live resources whose two differ, with one of the names in that column."""
    table = _TABLE
    differ = bulk.among(by, sorted(names), sql) & (table.c.alias != table.c.key)
    found = sql.execute(
        select(table.c.alias, table.c.key).where(
            table.c.connection_id == connection, differ, table.c.deleted_at.is_(None)
        )
    )
    return ((row.alias, row.key) for row in found)


def has_aliases(connection: ColumnElement[str]) -> ColumnElement[bool]:
    """Whether a resource of the connection of a row is called otherwise than at first contact."""
    table = _TABLE
    return exists().where(table.c.connection_id == connection, table.c.alias != table.c.key)


def speaks_scim(connection: ColumnElement[str]) -> ColumnElement[bool]:
    """Whether the connection of a row has a SCIM feed."""
    table = feeds
    mine = table.c.connection_id == connection
    return exists().where(mine, table.c.source == NAME, table.c.state != "retired")


_CLAIM = text(
    "SELECT pg_advisory_xact_lock(hashtextextended(name, 0)) FROM "
    "(SELECT unnest(CAST(:names AS text[])) AS name ORDER BY 1) AS names"
)


def claim_names(
    sql: Connection, connection: str, names: Collection[tuple[ResourceKind, str]]
) -> None:
    """Whoever wants one of these names waits until this transaction ends."""
    if sql.dialect.name == "postgresql":
        sql.execute(_CLAIM, {"names": _claims(connection, names)})


def _claims(connection: str, names: Collection[tuple[ResourceKind, str]]) -> list[str]:
    return sorted(f"scim:{connection}:{kind.value}:{name}" for kind, name in names)


def put_resources(sql: Connection, resources: Collection[tuple[Resource | None, Resource]]) -> None:
    """Write resources, each as it was and as it is, with what filters find; reads nothing."""
    changed = [(before, after) for before, after in resources if before != after]
    new = [resource_to_row(after) for before, after in changed if before is None]
    bulk.insert(sql, _TABLE, new)
    kept = ("account_id", "connection_id", "kind", "key", "created_at")
    old = [resource_to_row(after) for before, after in changed if before is not None]
    old.sort(key=lambda row: str(row["id"]))
    bulk.update(sql, _TABLE, [{n: row[n] for n in row if n not in kept} for row in old])
    told = [
        (one.id, values_of(before) if before else set(), values_of(one)) for before, one in changed
    ]
    bulk.remove(sql, scim_values, [row for id_, had, has in told for row in _rows(id_, had - has)])
    added = [row for id_, had, has in told for row in _rows(id_, has - had)]
    bulk.insert(sql, scim_values, added, conflict="ON CONFLICT DO NOTHING")


def _rows(resource: str, values: Collection[tuple[str, str]]) -> list[dict[str, str]]:
    return [
        {"resource_id": resource, "path": path, "value": value} for path, value in sorted(values)
    ]


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
    name = Name(kind, wanted["handle"], wanted["alias"])
    found = [
        one
        for one in resources_named(sql, connection, [name])
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
    put_resources(sql, [(before, after)])


def forget_resources(sql: Connection, connection: str, key: str) -> int:
    """Whoever was deleted for good has no resource any more (U5); how many they had."""
    named = or_(_TABLE.c.key == key, _TABLE.c.alias == key)
    mine = and_(is_of(connection, ResourceKind.USER), named)
    its = select(_TABLE.c.id).where(mine)
    sql.execute(delete(scim_values).where(scim_values.c.resource_id.in_(its)))
    return sql.execute(delete(_TABLE).where(mine)).rowcount


def values_of(resource: Resource) -> set[tuple[str, str]]:
    """What is looked for beside columns, by path, lower-cased.

    Addresses; an externalId that another resource has as its alias.
    """
    if resource.deleted_at is not None:
        return set()
    found = {("emails.value", value.lower()) for value in addresses_in(resource.document)}
    told = resource.document.get("externalId")
    if resource.alias is None and isinstance(told, str):
        found.add(("externalId", told.lower()))
    return found


def addresses_in(document: Document) -> list[str]:
    """The values of a user's `emails`."""
    found = document.get("emails") or ()
    values = (one.get("value") for one in found if isinstance(one, Mapping))
    return [value for value in values if isinstance(value, str)]

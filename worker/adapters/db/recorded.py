"""Stored requests of one feed, with what became of them: what `rosterd record` disguises."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import orjson
from sqlalchemy import Connection, func, select

from worker.adapters.db import bulk, rows
from worker.adapters.vault import Vault

_SHOWN = ("type", "state", "outcome", "reason")


@dataclass(frozen=True, slots=True)
class Delivered:
    """One request as it is kept. events: of each its type, state, outcome and reason."""

    id: int
    received_at: datetime
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)
    is_cut: bool
    events: tuple[Mapping[str, Any], ...]


def newest_delivery(connection: Connection) -> int:
    """Id of the newest request of all; 0 where there is none."""
    return int(connection.execute(select(func.max(rows.deliveries.c.id))).scalar() or 0)


def delivered_since(
    connection: Connection, vault: Vault, feed: str, start: int, *, known: Collection[int]
) -> list[Delivered]:
    """Requests of this feed that came after that one, oldest first, without the known ones.

    A request with a smaller id may be seen later than one with a greater.
    """
    table = rows.deliveries
    wanted = select(table.c.id).where(table.c.id > start, table.c.feed_id == feed)
    ids = connection.execute(wanted.order_by(table.c.id)).scalars()
    return _of(connection, vault, [one for one in ids if one not in known])


def last_delivered(
    connection: Connection, vault: Vault, connection_id: str, feed: str, count: int
) -> list[Delivered]:
    """The last requests of this feed whose bodies are still kept, oldest first."""
    events = rows.events
    newest = (
        select(events.c.delivery_id)
        .where(events.c.connection_id == connection_id, events.c.feed_id == feed)
        .order_by(events.c.id.desc())
    )
    ids: dict[int, None] = {}
    for row in connection.execute(newest).yield_per(500):
        ids[row[0]] = None
        if len(ids) == count:
            break
    return _of(connection, vault, list(ids))


def _of(connection: Connection, vault: Vault, ids: list[int]) -> list[Delivered]:
    deliveries, events = rows.deliveries, rows.events
    told: dict[int, list[dict[str, Any]]] = {one: [] for one in ids}
    shown = select(events.c.delivery_id, *(events.c[name] for name in _SHOWN))
    mine = bulk.among(events.c.delivery_id, ids, connection)
    for row in connection.execute(shown.where(mine).order_by(events.c.ordinal)).mappings():
        told[row["delivery_id"]].append({name: row[name] for name in _SHOWN})
    found = connection.execute(
        select(deliveries)
        .where(bulk.among(deliveries.c.id, ids, connection))
        .order_by(deliveries.c.id)
    ).mappings()
    return [
        Delivered(
            row["id"],
            row["received_at"],
            orjson.loads(vault.open(row["headers"])),
            vault.open(row["body"]),
            row["is_cut"],
            tuple(told[row["id"]]),
        )
        for row in found
    ]

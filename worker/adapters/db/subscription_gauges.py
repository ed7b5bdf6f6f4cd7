"""How subscriptions at identity providers fare, for metrics, alerts and pages."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, select

from domain.subscribing import NEARLY_OVER
from worker.adapters.db import rows
from worker.adapters.db.directory_rows import accesses
from worker.adapters.db.subscription_rows import subscription_turns, subscriptions


@dataclass(frozen=True, slots=True)
class Subscribed:
    """A connection whose webhooks come by subscriptions.

    left: of the one that ends first, the part of its life that is left, 0 to 1; 0 where there is
    none. ends_at: when; None where there is none. failures: in a row; why: the last one's.
    """

    connection_id: str
    left: float
    ends_at: datetime | None
    failures: int
    why: str

    @property
    def is_endangered(self) -> bool:
        """Whether it should have been renewed long ago, or was never made and cannot be."""
        return self.left < NEARLY_OVER and self.failures > 0


def subscribed(sql: Connection, now: datetime) -> tuple[Subscribed, ...]:
    """All connections that are not retired."""
    turns, owners = subscription_turns, rows.connections
    found = sql.execute(
        select(turns.c.connection_id, turns.c.failures, turns.c.why)
        .join(owners, owners.c.id == turns.c.connection_id)
        .join(accesses, accesses.c.id == turns.c.connection_id)
        .where(owners.c.state != "retired")
        .order_by(turns.c.connection_id)
    ).all()
    lives: dict[str, list[tuple[datetime, datetime]]] = {}
    table = subscriptions
    for row in sql.execute(select(table.c.connection_id, table.c.ends_at, table.c.renewed_at)):
        lives.setdefault(row.connection_id, []).append((row.ends_at, row.renewed_at))
    return tuple(_told(row, lives.get(row.connection_id, []), now) for row in found)


def _told(row: Any, lives: list[tuple[datetime, datetime]], now: datetime) -> Subscribed:
    ends_at, begun = min(lives, default=(None, None))
    left = 0.0
    if ends_at is not None and begun is not None:
        whole = (ends_at - begun).total_seconds()
        left = max((ends_at - now).total_seconds(), 0.0) / whole if whole > 0 else 0.0
    return Subscribed(row.connection_id, min(left, 1.0), ends_at, row.failures, row.why)


def listed(sql: Connection, connection: str) -> dict[str, Any]:
    """Of one connection: each subscription, when they are looked after next, what keeps them.

    Nothing of it is secret: the secret that each bears is named by its id.
    """
    table, turns = subscriptions, subscription_turns
    mine = select(table).where(table.c.connection_id == connection)
    found = sql.execute(mine.order_by(table.c.topic, table.c.made_at, table.c.id)).mappings()
    shown = [{name: row[name] for name in SHOWN} for row in found]
    turn = sql.execute(select(turns).where(turns.c.connection_id == connection)).first()
    return {
        "connection": connection,
        "subscriptions": shown,
        "looked_after_at": turn.due_at if turn is not None else None,
        "failures": turn.failures if turn is not None else 0,
        "why": turn.why if turn is not None else "",
    }


SHOWN = (
    *("id", "topic", "key", "feed_id", "secret_id"),
    *("made_at", "renewed_at", "renew_at", "ends_at"),
)

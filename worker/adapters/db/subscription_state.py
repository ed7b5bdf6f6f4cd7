"""What is kept of subscriptions at identity providers: read for pages, and forgotten."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, delete, select, update

from domain.ports import Result
from domain.subscribing import Made, Subscription
from worker.adapters.db.reconciliation_rows import catch_ups
from worker.adapters.db.subscription_rows import subscription_turns, subscriptions

#: How the type of an event begins that is about a subscription.
LIFECYCLE = "lifecycle."


def renew_now(sql: Connection, connections: Iterable[str], now: datetime) -> None:
    """Have subscriptions renewed and logs read on at once; statements only, nothing is read."""
    for connection in sorted(set(connections)):
        mine = subscriptions.c.connection_id == connection
        sql.execute(update(subscriptions).where(mine).values(renew_at=now))
        for table in (subscription_turns, catch_ups):
            mine = table.c.connection_id == connection
            sql.execute(update(table).where(mine).values(due_at=now))


def heed(sql: Connection, results: Iterable[Result], now: datetime) -> None:
    """An IdP that speaks of its subscriptions wants them renewed, or has lost one or what it had.

    In the transaction that ends such an event.
    """
    told = [one.event for one in results if one.event.type.startswith(LIFECYCLE)]
    renew_now(sql, (event.connection for event in told), now)


def kept_subscriptions(sql: Connection, connection: str) -> tuple[Subscription, ...]:
    """All that are known of a connection, the oldest first."""
    table = subscriptions
    mine = select(table).where(table.c.connection_id == connection)
    found = sql.execute(mine.order_by(table.c.made_at, table.c.id))
    return tuple(_kept(row) for row in found)


def forget_subscriptions(sql: Connection, connection: str) -> None:
    """Nobody looks after them any more."""
    for table in (subscriptions, subscription_turns):
        sql.execute(delete(table).where(table.c.connection_id == connection))


def _kept(row: Row[Any]) -> Subscription:
    made = Made(row.key, row.ends_at, row.detail)
    return Subscription(row.id, row.topic, made, row.url, row.secret_id, row.renew_at)

"""What is kept of subscriptions at identity providers: read for pages, and forgotten."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Row, delete, select, update

from domain.intake import Submission
from domain.subscribing import Made, Subscription
from worker.adapters.db.reconciliation_rows import catch_ups
from worker.adapters.db.subscription_rows import subscription_turns, subscriptions

#: How the type of an event begins that is about a subscription.
LIFECYCLE = "lifecycle."
#: Whoever knows a feed's secret can say so; the provider is not to be asked by it all the time.
RESTED = timedelta(seconds=15)


def renew_now(
    sql: Connection, connections: Iterable[str], now: datetime, *, rested: timedelta = timedelta(0)
) -> None:
    """Have subscriptions renewed and logs read on at once; statements only, nothing is read.

    rested: what was renewed within this time is left alone. The turn is locked first, as whoever
    has it does.
    """
    for connection in sorted(set(connections)):
        for table in (subscription_turns, catch_ups):
            mine = table.c.connection_id == connection
            sql.execute(update(table).where(mine).values(due_at=now))
        mine = subscriptions.c.connection_id == connection
        old = subscriptions.c.renewed_at <= now - rested
        sql.execute(update(subscriptions).where(mine, old).values(renew_at=now))


def heed(sql: Connection, group: Iterable[Submission], now: datetime) -> None:
    """An IdP that speaks of its subscriptions wants them renewed, or has lost one or what it had.

    In the transaction that stores what it said: a connection that is paused or observes keeps its
    events, and not its IdP waiting; and what is said twice counts twice.
    """
    told = {
        one.feed.connection
        for one in group
        if any(event.type.startswith(LIFECYCLE) for event in one.events)
    }
    renew_now(sql, told, now, rested=RESTED)


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

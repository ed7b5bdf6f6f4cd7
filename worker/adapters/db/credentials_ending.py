"""Credentials that are about to stop being taken, from SQL (C3)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection, func, select

from worker.adapters.db import rows

#: From when on an end is told of.
AHEAD = timedelta(days=30)
#: Among so many newest deliveries the last one of a feed is looked for.
RECENT = 10_000


@dataclass(frozen=True, slots=True)
class Expiring:
    """A token, or a secret that a feed's last request still used. of: name, or the feed's id.

    account: its id; None for a token that belongs to none.
    """

    kind: str
    id: str
    of: str
    at: datetime
    account: str | None = None


def expiring(connection: Connection, now: datetime) -> tuple[Expiring, ...]:
    """Soonest first; a token that ended stays until it is revoked."""
    found = [*_tokens(connection, now), *_secrets(connection, now)]
    return tuple(sorted(found, key=lambda one: (one.at, one.id)))


def _tokens(connection: Connection, now: datetime) -> list[Expiring]:
    tokens = rows.tokens
    found = connection.execute(
        select(tokens.c.id, tokens.c.name, tokens.c.expires_at, tokens.c.account_id)
        .where(tokens.c.expires_at < now + AHEAD)
        .where(tokens.c.revoked_at.is_(None))
    )
    return [Expiring("token", row.id, row.name, row.expires_at, row.account_id) for row in found]


def _secrets(connection: Connection, now: datetime) -> list[Expiring]:
    """After a rotation the old secret ends: a matter only while the provider goes on using it."""
    secrets, feeds, connections = rows.feed_secrets, rows.feeds, rows.connections
    found = connection.execute(
        select(secrets.c.id, secrets.c.feed_id, secrets.c.expires_at, connections.c.account_id)
        .join(feeds, feeds.c.id == secrets.c.feed_id)
        .join(connections, connections.c.id == feeds.c.connection_id)
        .where(secrets.c.expires_at > now, secrets.c.expires_at < now + AHEAD)
        .where(feeds.c.state != "retired")
    ).all()
    return [
        Expiring("secret", row.id, row.feed_id, row.expires_at, row.account_id)
        for row in found
        if _last_used(connection, row.feed_id) == row.id
    ]


def _last_used(connection: Connection, feed: str) -> str | None:
    """The credential of the feed's last delivery, if that is recent."""
    table = rows.deliveries
    newest = select(func.max(table.c.id)).scalar_subquery()
    return connection.execute(
        select(table.c.credential_id)
        .where(table.c.id > newest - RECENT, table.c.feed_id == feed)
        .order_by(table.c.id.desc())
        .limit(1)
    ).scalar()

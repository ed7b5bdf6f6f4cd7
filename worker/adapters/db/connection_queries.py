"""Connections as operators look at them: feeds, what waits, who was heard first."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from sqlalchemy import Connection, func, select

from domain.errors import NothingFoundError
from worker.adapters.db import rows
from worker.adapters.db.names import connections_of
from worker.adapters.db.observing_rows import backfills, plans
from worker.adapters.db.uow import database_now

#: Of the event that a check sends through: it is no word of the provider.
CHECKED_TYPE = "rosterd.connection_check"
#: Plans that are listed, newest first.
PLANS = 5


def connections_listed(
    connection: Connection, accounts: Collection[str] | None
) -> list[dict[str, Any]]:
    """Connections of these accounts, or of all for None, each with when it was last heard."""
    feeds, table = rows.feeds, rows.connections
    heard = func.max(feeds.c.last_heard_at, type_=feeds.c.last_heard_at.type)
    statement = (
        select(table.c.id, heard, func.count(feeds.c.id))
        .outerjoin(feeds, feeds.c.connection_id == table.c.id)
        .group_by(table.c.id)
    )
    if accounts is not None:
        statement = statement.where(table.c.account_id.in_(sorted(accounts)))
    last = {row[0]: (row[1], row[2]) for row in connection.execute(statement)}
    filled = backfilled(connection)
    return [
        {
            **one,
            "heard_at": last.get(one["id"], (None, 0))[0],
            "feeds": last.get(one["id"], (None, 0))[1],
            "backfilled_at": filled.get(one["id"]),
        }
        for one in connections_of(connection, accounts)
    ]


def backfilled(connection: Connection) -> dict[str, Any]:
    """When the provider's list was read last, by connection; those without are not there."""
    newest = func.max(backfills.c.at, type_=backfills.c.at.type)
    found = connection.execute(
        select(backfills.c.connection_id, newest).group_by(backfills.c.connection_id)
    )
    return {row[0]: row[1] for row in found}


def connection_story(connection: Connection, id_: str) -> dict[str, Any]:
    """A connection with its account, feeds and plans; raises NothingFoundError."""
    table, accounts = rows.connections, rows.accounts
    row = (
        connection.execute(
            select(table, accounts.c.name.label("account"))
            .join(accounts, accounts.c.id == table.c.account_id)
            .where(table.c.id == id_)
        )
        .mappings()
        .first()
    )
    if row is None:
        raise NothingFoundError("connection", id_)
    made = select(plans.c.id, plans.c.made_at, plans.c.made_by, plans.c.scope, plans.c.applied_at)
    found = connection.execute(
        made.where(plans.c.connection_id == id_).order_by(plans.c.made_at.desc()).limit(PLANS)
    )
    return {
        **row,
        "feeds": _feeds(connection, id_),
        "plans": [dict(one) for one in found.mappings()],
        "backfilled_at": backfilled(connection).get(id_),
        "first": first_heard(connection, id_),
        "unended": _unended(connection, id_),
    }


def _feeds(connection: Connection, of: str) -> list[dict[str, Any]]:
    """Feeds, oldest first, each with how many credentials live and until when old ones do."""
    feeds, secrets, tokens = rows.feeds, rows.feed_secrets, rows.tokens
    now = database_now(connection)
    found = []
    for row in connection.execute(
        select(feeds).where(feeds.c.connection_id == of).order_by(feeds.c.created_at)
    ).mappings():
        ends = connection.execute(
            select(secrets.c.expires_at)
            .where(secrets.c.feed_id == row["id"])
            .where(secrets.c.expires_at.is_(None) | (secrets.c.expires_at > now))
        ).scalars()
        bearers = connection.execute(
            select(func.count())
            .select_from(tokens)
            .where(tokens.c.feed_id == row["id"], tokens.c.revoked_at.is_(None))
            .where(tokens.c.expires_at.is_(None) | (tokens.c.expires_at > now))
        ).scalar_one()
        live = list(ends)
        old = [one for one in live if one is not None]
        found.append({**row, "secrets": len(live), "old_until": max(old, default=None)})
        found[-1]["tokens"] = int(bearers)
    return found


def first_heard(connection: Connection, of: str) -> dict[str, Any] | None:
    """A word of the provider itself, as a sign that it speaks; None before there is one."""
    events = rows.events
    names = ("id", "type", "subject", "state", "outcome", "reason", "received_at")
    found = connection.execute(
        select(*(events.c[name] for name in names))
        .where(events.c.connection_id == of, events.c.type != CHECKED_TYPE)
        .order_by(events.c.connection_id, events.c.subject, events.c.id)
        .limit(1)
    ).mappings()
    return next((dict(row) for row in found), None)


def _unended(connection: Connection, of: str) -> dict[str, int]:
    """Events that have not ended, by state."""
    events = rows.events
    found = connection.execute(
        select(events.c.state, func.count())
        .where(events.c.connection_id == of, events.c.state != "ended")
        .group_by(events.c.state)
    )
    return {row[0]: int(row[1]) for row in found}

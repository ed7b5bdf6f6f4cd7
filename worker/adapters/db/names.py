"""Names behind ids: accounts and connections, as lists to choose from and to show."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from sqlalchemy import Connection, select

from worker.adapters.db import rows


def connections_of(
    connection: Connection, accounts: Collection[str] | None
) -> list[dict[str, Any]]:
    """Connections of these accounts, or of all for None, by account and name."""
    table, owners = rows.connections, rows.accounts
    statement = (
        select(
            *(table.c[name] for name in ("id", "account_id", "name", "source", "state")),
            owners.c.name.label("account"),
        )
        .join(owners, owners.c.id == table.c.account_id)
        .order_by(owners.c.name, table.c.name)
    )
    if accounts is not None:
        statement = statement.where(table.c.account_id.in_(sorted(accounts)))
    return [dict(row) for row in connection.execute(statement).mappings()]


def accounts_of(connection: Connection, accounts: Collection[str] | None) -> list[dict[str, Any]]:
    """These accounts, or all for None, by name."""
    table = rows.accounts
    statement = select(table).order_by(table.c.name)
    if accounts is not None:
        statement = statement.where(table.c.id.in_(sorted(accounts)))
    return [dict(row) for row in connection.execute(statement).mappings()]


def feed_source(connection: Connection, feed: str) -> str:
    """The kind of interface of a feed; "" for one that is gone."""
    table = rows.feeds
    return str(connection.execute(select(table.c.source).where(table.c.id == feed)).scalar() or "")

"""Announcements once more, in SQL: what a cursor or a moment chooses, in a lane of its own."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, func, literal, select
from sqlalchemy.dialects import postgresql, sqlite

from domain.inbox import Lane
from worker.adapters.db.engine import Changing
from worker.adapters.db.outbound_rows import announcements, dispatches
from worker.adapters.db.setup import SQLSetup
from worker.adapters.vault import Vault


class SQLReannounce:
    """`Reannounce` on both databases."""

    def __init__(self, database: Changing, vault: Vault) -> None:
        self._database = database
        self._vault = vault

    def again(
        self,
        endpoint: str,
        *,
        since: int | datetime,
        actor: str,
        reason: str,
        account: str | None,
        is_dry: bool,
    ) -> int:
        """See the port."""

        def write(connection: Connection) -> int:
            use = SQLSetup(connection, self._vault, actor=actor)
            found = use.endpoint(endpoint, account=account)
            chosen = _since(found["account_id"], since, found["types"])
            if is_dry:
                counted = select(func.count()).select_from(announcements).where(*chosen)
                return int(connection.execute(counted).scalar_one())
            count = _queue_again(connection, endpoint, chosen, use.now)
            told = {"since": str(since), "count": count}
            use.audit(found["account_id"], "endpoint.replay", endpoint, reason=reason, after=told)
            return count

        return self._database.change(write)


def _since(account: str, since: int | datetime, types: Sequence[str]) -> list[ColumnElement[bool]]:
    chosen = [announcements.c.account_id == account]
    if isinstance(since, datetime):
        chosen.append(announcements.c.made_at >= since)
    else:
        chosen.append(announcements.c.id > since)
    if types:
        chosen.append(announcements.c.type.in_(types))
    return chosen


def _queue_again(
    connection: Connection, endpoint: str, chosen: Sequence[ColumnElement[bool]], now: datetime
) -> int:
    is_postgres = connection.dialect.name == "postgresql"
    insert = postgresql.insert if is_postgres else sqlite.insert
    fresh = select(
        announcements.c.id,
        literal(endpoint),
        announcements.c.subject,
        announcements.c.sequence,
        literal(Lane.BULK.value),
        literal("pending"),
        literal(0),
        literal(0),
        literal(now, dispatches.c.due_at.type),
    ).where(*chosen)
    statement: Any = insert(dispatches).from_select(
        [
            "announcement_id",
            "endpoint_id",
            "subject",
            "sequence",
            "lane",
            "state",
            "attempts",
            "fence",
            "due_at",
        ],
        fresh,
    )
    done = connection.execute(
        statement.on_conflict_do_update(
            index_elements=["announcement_id", "endpoint_id"],
            set_={
                "state": "pending",
                "lane": Lane.BULK.value,
                "attempts": 0,
                "due_at": now,
                "ended_at": None,
                "fence": dispatches.c.fence + 1,
            },
            where=dispatches.c.due_at.is_(None),
        ).returning(dispatches.c.id)
    )
    return len(done.all())

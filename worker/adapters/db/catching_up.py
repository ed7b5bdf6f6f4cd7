"""Where the logs of IdPs are read on, in SQL: what is new and the cursor in one transaction."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Connection, exists, or_, select, update

from domain.breaker import parse_patience
from domain.catching_up import Turn
from domain.directories import Logged
from domain.intake import FeedView, StoredEvent, Submission
from domain.policy import CATCH_UP_EVERY
from worker.adapters.db import bulk, rows
from worker.adapters.db.alerts import tell_operators
from worker.adapters.db.directory_rows import accesses
from worker.adapters.db.engine import Database, translated
from worker.adapters.db.ingest import store_inside
from worker.adapters.db.reconciliation_rows import catch_ups
from worker.adapters.db.uow import database_now
from worker.adapters.vault import Vault

#: Longer than a request to the IdP may take.
LEASE = timedelta(minutes=1)
SETTING = "catch_up_every"


class SQLCatchUps:
    """`CatchUps` on both databases."""

    def __init__(self, database: Database, vault: Vault, worker: str) -> None:
        self._database = database
        self._vault = vault
        self._worker = worker

    def due(self) -> list[str]:
        """See the port."""
        table, owners, feeds = catch_ups, rows.connections, rows.feeds
        # Without a feed for what a log tells it is never taken, and would be due for ever.
        spoken_by = exists().where(
            feeds.c.connection_id == owners.c.id,
            feeds.c.source == accesses.c.kind,
            feeds.c.state != "retired",
        )
        with translated(), self._database.read() as sql:
            now = database_now(sql)
            ready = or_(table.c.connection_id.is_(None), _is_free(now) & (table.c.due_at <= now))
            found = sql.execute(
                select(owners.c.id, owners.c.settings)
                .join(accesses, accesses.c.id == owners.c.id)
                .outerjoin(table, table.c.connection_id == owners.c.id)
                .where(owners.c.state != "retired", ready, spoken_by)
                .order_by(table.c.due_at, owners.c.id)
            )
            return [row.id for row in found if _every(row.settings) is not None]

    def take(self, connection: str) -> Turn | None:
        """See the port."""

        def work(sql: Connection) -> Turn | None:
            feed = _feed_of(sql, connection)
            if feed is None:
                return None
            now, table = database_now(sql), catch_ups
            bulk.insert(
                sql,
                table,
                [_new(connection, now)],
                conflict="ON CONFLICT (connection_id) DO NOTHING",
            )
            held = {"lease_by": self._worker, "lease_until": now + LEASE}
            taken = (
                update(table)
                .where(table.c.connection_id == connection, _is_free(now), table.c.due_at <= now)
                .values(fence=table.c.fence + 1, **held)
                .returning(table.c.cursor, table.c.fence, table.c.failures)
            )
            row = sql.execute(taken).first()
            return (
                None if row is None else Turn(connection, row.cursor, row.fence, row.failures, feed)
            )

        return self._database.change(work)

    def keep(
        self, turn: Turn, logged: Logged, told: Sequence[Submission]
    ) -> list[StoredEvent] | None:
        """See the port. The lease is given back, whatever the next look is."""

        def work(sql: Connection) -> list[StoredEvent] | None:
            if not _is_mine(sql, turn):
                return None
            stored = store_inside(sql, self._vault, told) if told else []
            events = [event for one in stored for event in one.events]
            now, table = database_now(sql), catch_ups
            every = _every(_settings(sql, turn.connection)) or timedelta(0)
            read = {
                "cursor": logged.cursor,
                "is_all": logged.is_all,
                "read_at": now,
                "due_at": now + every if logged.is_all else now,
                "found": table.c.found + len(events),
                "known": table.c.known + sum(one.duplicates for one in stored),
                "failures": 0,
                "why": "",
                "lease_until": None,
            }
            sql.execute(update(table).where(_of(turn)).values(**read))
            if logged.gap:
                _tell_of_gap(sql, turn, logged.gap)
            return events

        return self._database.change(work)

    def put_off(self, turn: Turn, why: str, wait: timedelta) -> None:
        """See the port."""

        def work(sql: Connection) -> None:
            failed = {"failures": turn.failures + 1, "why": why, "lease_until": None}
            due = {"due_at": database_now(sql) + wait}
            sql.execute(update(catch_ups).where(_of(turn)).values(**failed, **due))

        self._database.change(work)


def _is_free(now: datetime) -> ColumnElement[bool]:
    return or_(catch_ups.c.lease_until.is_(None), catch_ups.c.lease_until < now)


def _of(turn: Turn) -> ColumnElement[bool]:
    table = catch_ups
    return (table.c.connection_id == turn.connection) & (table.c.fence == turn.fence)


def _is_mine(sql: Connection, turn: Turn) -> bool:
    mine = select(catch_ups.c.fence).where(_of(turn)).with_for_update()
    return sql.execute(mine).first() is not None


def _tell_of_gap(sql: Connection, turn: Turn, gap: str) -> None:
    """What a log does not hold any more is found by nobody unless somebody orders it."""
    tell_operators(
        sql,
        database_now(sql),
        topic="log.gap",
        subject=turn.connection,
        headline=f"the log of connection {turn.connection} has a gap",
        details=[gap],
        account=turn.feed.account,
    )


def _every(settings: str) -> timedelta | None:
    return parse_patience(json.loads(settings).get(SETTING, CATCH_UP_EVERY))


def _settings(sql: Connection, connection: str) -> str:
    table = rows.connections
    return str(sql.execute(select(table.c.settings).where(table.c.id == connection)).scalar_one())


def _new(connection: str, now: datetime) -> dict[str, Any]:
    return {
        "connection_id": connection,
        "cursor": "",
        "is_all": True,
        "made_at": now,
        "due_at": now,
        "failures": 0,
        "why": "",
        "found": 0,
        "known": 0,
        "fence": 0,
    }


def _feed_of(sql: Connection, connection: str) -> FeedView | None:
    """The live feed of the source whose log it is; its secrets prove nothing here."""
    feeds, owners = rows.feeds, rows.connections
    found = sql.execute(
        select(feeds.c.id, feeds.c.source, feeds.c.state, owners.c.account_id)
        .add_columns(owners.c.state.label("connection_state"))
        .join(owners, owners.c.id == feeds.c.connection_id)
        .join(accesses, accesses.c.id == owners.c.id)
        .where(owners.c.id == connection, feeds.c.source == accesses.c.kind)
        .where(feeds.c.state != "retired", owners.c.state != "retired")
        .order_by(feeds.c.created_at, feeds.c.id)
        .limit(1)
    ).first()
    if found is None:
        return None
    is_held = found.connection_state != "active" or found.state != "active"
    return FeedView(found.id, connection, found.account_id, found.source, is_held, ())

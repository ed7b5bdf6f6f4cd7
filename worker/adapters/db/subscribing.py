"""`Subscriptions` in SQL: one row each, and one a connection for whoever looks after them."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, Connection, delete, or_, select, update

from domain.subscribing import (
    Aim,
    Made,
    Step,
    Turn,
    look_at,
    renew_at,
)
from worker.adapters.db import bulk, rows
from worker.adapters.db.directory_rows import accesses
from worker.adapters.db.engine import Database, translated
from worker.adapters.db.setup import feed_view
from worker.adapters.db.subscription_rows import subscription_turns, subscriptions
from worker.adapters.db.subscription_state import kept_subscriptions, renew_now
from worker.adapters.db.uow import database_now
from worker.adapters.vault import Vault, new_id

#: Longer than a request to the IdP may take, with the question that it asks us meanwhile.
LEASE = timedelta(minutes=2)


class SQLSubscriptions:
    """`Subscriptions` on both databases. hooks: the address that feeds' ids are below.

    kinds: of access whose IdP can be subscribed to.
    """

    def __init__(
        self, database: Database, vault: Vault, worker: str, *, hooks: str, kinds: Collection[str]
    ) -> None:
        self._database = database
        self._vault = vault
        self._worker = worker
        self._hooks = hooks
        self._kinds = kinds

    def now(self) -> datetime:
        """See the port."""
        with translated(), self._database.read() as sql:
            return database_now(sql)

    def due(self) -> list[str]:
        """See the port."""
        table = subscription_turns
        with translated(), self._database.read() as sql:
            now = database_now(sql)
            ready = or_(table.c.connection_id.is_(None), _is_free(now) & (table.c.due_at <= now))
            found = sql.execute(
                select(accesses.c.id)
                .outerjoin(table, table.c.connection_id == accesses.c.id)
                .where(bulk.among(accesses.c.kind, sorted(self._kinds), sql), ready)
                .order_by(table.c.due_at, accesses.c.id)
            )
            return [row.id for row in found]

    def take(self, connection: str) -> Turn | None:
        """See the port."""

        def work(sql: Connection) -> Turn | None:
            if not self._can_subscribe(sql, connection):
                return None
            now, table = database_now(sql), subscription_turns
            new = {"connection_id": connection, "due_at": now, "failures": 0, "why": "", "fence": 0}
            conflict = "ON CONFLICT (connection_id) DO NOTHING"
            bulk.insert(sql, table, [new], conflict=conflict)
            held = {"lease_by": self._worker, "lease_until": now + LEASE}
            row = sql.execute(
                update(table)
                .where(table.c.connection_id == connection, _is_free(now), table.c.due_at <= now)
                .values(fence=table.c.fence + 1, **held)
                .returning(table.c.fence, table.c.failures)
            ).first()
            return None if row is None else self._turn(sql, connection, row.fence, row.failures)

        return self._database.change(work)

    def _can_subscribe(self, sql: Connection, connection: str) -> bool:
        kind = select(accesses.c.kind).where(accesses.c.id == connection)
        return sql.execute(kind).scalar() in self._kinds

    def keep(self, turn: Turn, step: Step, made: Made | None) -> Turn | None:
        """See the port. A life that begins anew is told by its ends, so nothing else is."""

        def work(sql: Connection) -> Turn | None:
            if not _is_mine(sql, turn):
                return None
            now = database_now(sql)
            self._note(sql, turn, step, made, now)
            begins = {"lease_until": now + LEASE}
            sql.execute(update(subscription_turns).where(_of(turn)).values(**begins))
            return self._turn(sql, turn.connection, turn.fence, turn.failures)

        return self._database.change(work)

    def _note(
        self, sql: Connection, turn: Turn, step: Step, made: Made | None, now: datetime
    ) -> None:
        table = subscriptions
        if step.kept is not None and made is None:
            sql.execute(delete(table).where(table.c.id == step.kept.id))
            return
        assert made is not None
        life = {
            "key": made.key,
            "ends_at": made.ends_at,
            "renewed_at": now,
            "renew_at": renew_at(made, now),
        }
        if step.kept is not None:
            sql.execute(update(table).where(table.c.id == step.kept.id).values(**life))
            return
        assert turn.aim is not None
        row = {
            "id": new_id("sub"),
            "connection_id": turn.connection,
            "feed_id": turn.aim.url.rpartition("/")[2],
            "topic": step.topic,
            "detail": made.detail,
            "url": turn.aim.url,
            "secret_id": turn.aim.bears,
            "made_at": now,
            **life,
        }
        bulk.insert(sql, table, [row])

    def let_go(self, turn: Turn) -> None:
        """See the port."""

        def work(sql: Connection) -> None:
            well = {"failures": 0, "why": "", "lease_until": None}
            due = {"due_at": look_at(turn.kept, database_now(sql))}
            sql.execute(update(subscription_turns).where(_of(turn)).values(**well, **due))

        self._database.change(work)

    def put_off(self, turn: Turn, why: str, wait: timedelta) -> None:
        """See the port."""

        def work(sql: Connection) -> None:
            failed = {"failures": turn.failures + 1, "why": why, "lease_until": None}
            due = {"due_at": database_now(sql) + wait}
            sql.execute(update(subscription_turns).where(_of(turn)).values(**failed, **due))

        self._database.change(work)

    def hurry(self, connection: str) -> None:
        """See the port."""

        def work(sql: Connection) -> None:
            renew_now(sql, [connection], database_now(sql))

        self._database.change(work)

    def _turn(self, sql: Connection, connection: str, fence: int, failures: int) -> Turn:
        aim = self._aim(sql, connection)
        return Turn(connection, fence, failures, aim, kept_subscriptions(sql, connection))

    def _aim(self, sql: Connection, connection: str) -> Aim | None:
        """The oldest live feed of the source whose directory is read, and its newest secret."""
        feeds = rows.feeds
        found = sql.execute(
            select(feeds.c.id)
            .join(accesses, accesses.c.id == feeds.c.connection_id)
            .where(feeds.c.connection_id == connection, feeds.c.source == accesses.c.kind)
            .where(feeds.c.state != "retired")
            .order_by(feeds.c.created_at, feeds.c.id)
            .limit(1)
        ).scalar()
        view = feed_view(sql, self._vault, found) if found is not None else None
        if view is None or not view.secrets:
            return None
        newest = view.secrets[0]
        return Aim(f"{self._hooks}/{view.id}", newest.id, newest.value)


def _is_free(now: datetime) -> ColumnElement[bool]:
    table = subscription_turns
    return or_(table.c.lease_until.is_(None), table.c.lease_until < now)


def _of(turn: Turn) -> ColumnElement[bool]:
    table = subscription_turns
    return (table.c.connection_id == turn.connection) & (table.c.fence == turn.fence)


def _is_mine(sql: Connection, turn: Turn) -> bool:
    mine = select(subscription_turns.c.fence).where(_of(turn)).with_for_update()
    return sql.execute(mine).first() is not None

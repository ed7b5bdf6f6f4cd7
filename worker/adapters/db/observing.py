"""Observing in SQL: a history decided whole and rolled back, and what came of it (S4)."""

from __future__ import annotations

import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any

import orjson
from sqlalchemy import ColumnElement, Connection, case, func, select, text, update

from domain.inbox import Kind, Lane, Reason, State
from domain.observing import Count, Person, Plan, does
from domain.policy import Scope
from domain.ports import ClaimedEvent
from worker.adapters.db import rows
from worker.adapters.db.engine import Database, translated
from worker.adapters.db.inbox import claimed_from_row, due_events
from worker.adapters.db.uow import SQLWork
from worker.adapters.vault import Vault

#: How PostgreSQL tells a rehearsal from a drain, whose session the sweep ends after 30 s.
REHEARSING = "rosterd plan"
#: People that are held in memory at once.
PAGE = 1000


class SQLRehearsal:
    """One transaction that applies the history of an observing connection, and is rolled back."""

    def __init__(self, work: SQLWork, connection: Connection) -> None:
        self.work = work
        self._sql = connection
        self._audit_from = newest_audit(connection)

    def stage(self, connection: str, scope: Scope | None) -> int:
        """Make everything that is held due, in the order in which it happened; how many."""
        if scope is not None:
            self._sql.execute(
                update(rows.connections)
                .where(rows.connections.c.id == connection)
                .values(scope_values(scope))
            )
        return release_in_order(self._sql, connection)

    def take(self, connection: str, limit: int) -> list[ClaimedEvent]:
        """The next events of it; empty at the end."""
        wanted = {
            "lane": Lane.BULK.value,
            "kind": Kind.SORT.value,
            "connection": connection,
            "now": self.work.now,
            "most": limit,
        }
        found = self._sql.execute(due_events(troubled=False), wanted)
        return [claimed_from_row(row) for row in found.mappings()]

    def sum_up(self, connection: str) -> Plan:
        """What came of it so far."""
        return sum_up(self._sql, connection, self._audit_from)

    def people(self, connection: str) -> Iterator[Person]:
        """Whom it changed, in the order of the history; a page in memory at a time."""
        return people_changed(self._sql, connection, self._audit_from)


@contextmanager
def rehearsal(
    database: Database, *, vault: Vault, worker: str, link_seconds: float
) -> Iterator[SQLRehearsal]:
    """A transaction that is never committed.

    SQLite has one writer, whom a long history would keep from all others: there it is a copy.
    """
    with translated(), _beside(database) as chosen, chosen.begin() as connection:
        if chosen.is_postgres:
            connection.execute(text("SET LOCAL statement_timeout = 0"))
        work = SQLWork(
            chosen,
            connection,
            vault=vault,
            worker=worker,
            link_seconds=link_seconds,
            name=REHEARSING,
        )
        try:
            yield SQLRehearsal(work, connection)
        finally:
            work.abandon()


@contextmanager
def _beside(database: Database) -> Iterator[Database]:
    if database.is_postgres:
        yield database
        return
    with tempfile.TemporaryDirectory(prefix="rosterd-plan-") as folder:
        path = Path(folder) / "copy.db"
        source = sqlite3.connect(f"file:{database.url.database}?mode=ro", uri=True)
        target = sqlite3.connect(path)
        try:
            source.backup(target)
        finally:
            target.close()
            source.close()
        copy = Database(f"sqlite:///{path}")
        try:
            yield copy
        finally:
            copy.dispose()


def scope_values(scope: Scope) -> dict[str, str]:
    """A scope as columns of `connections`."""
    keys = orjson.dumps(sorted(scope.keys)).decode()
    return {"scope_rule": scope.rule.value, "scope_keys": keys}


def newest_audit(sql: Connection) -> int:
    """The id of the newest audit row; 0 where there is none."""
    return int(sql.execute(select(func.max(rows.audit.c.id))).scalar() or 0)


def observed(connection: str) -> ColumnElement[bool]:
    """What an observing connection holds, but for what a paused feed of its own holds."""
    events, feeds = rows.events, rows.feeds
    paused = select(feeds.c.id).where(feeds.c.state == "paused")
    return (
        (events.c.connection_id == connection)
        & (events.c.state != State.ENDED.value)
        & (events.c.state == State.HELD.value)
        & (func.coalesce(events.c.reason, "") != Reason.BREAKER.value)
        & events.c.feed_id.not_in(paused)
    )


def release_in_order(sql: Connection, connection: str) -> int:
    """Due in the bulk lane, one after the other as they happened, all of one kind (S4).

    Kinds are queues of their own; in one queue no return overtakes the departure before it, so
    that what is shown and what happens are decided in the same order.
    """
    events = rows.events
    return sql.execute(
        update(events)
        .where(observed(connection))
        .values(
            state=State.PENDING.value,
            reason=None,
            lane=Lane.BULK.value,
            kind=Kind.SORT.value,
            due_at=events.c.occurred_at,
        )
    ).rowcount


def _mine(connection: str) -> ColumnElement[bool]:
    """The events that went live together."""
    events = rows.events
    return (
        (events.c.connection_id == connection)
        & (events.c.lane == Lane.BULK.value)
        & (events.c.kind == Kind.SORT.value)
    )


def sum_up(sql: Connection, connection: str, audit_from: int) -> Plan:
    """The numbers and the digest of what a history did, whether or not it is rolled back then."""
    counts = _counts(sql, connection)
    seal = sha256()
    people: dict[str, int] = {}
    for person in people_changed(sql, connection, audit_from):
        people[person.does] = people.get(person.does, 0) + 1
        seal.update(orjson.dumps([person.external_id, person.email, person.does, person.state]))
    groups, edges = rows.groups, rows.memberships
    number_of_groups = sql.execute(
        select(func.count())
        .select_from(groups)
        .where(groups.c.connection_id == connection, groups.c.is_seen)
    ).scalar_one()
    memberships = sql.execute(
        select(func.count())
        .select_from(edges)
        .where(edges.c.connection_id == connection, edges.c.is_member)
    ).scalar_one()
    told = [[c.outcome, c.reason, c.why, c.events] for c in counts]
    seal.update(orjson.dumps([told, number_of_groups, memberships]))
    return Plan(
        events=sum(count.events for count in counts),
        counts=tuple(counts),
        people=people,
        groups=int(number_of_groups),
        memberships=int(memberships),
        digest=seal.hexdigest(),
        newest=int(
            sql.execute(select(func.max(rows.events.c.id)).where(_mine(connection))).scalar() or 0
        ),
    )


def _counts(sql: Connection, connection: str) -> list[Count]:
    """By outcome and reason; what a domain was refused for, by domain. A few lines in all."""
    events, letters = rows.events, rows.dead_letters
    ended = func.coalesce(events.c.outcome, events.c.state).label("ended")
    reason = func.coalesce(events.c.reason, "").label("reason")
    is_domain = events.c.reason == Reason.DOMAIN_NOT_ALLOWED.value
    why = case((is_domain, letters.c.last_error), else_="").label("why")
    refused = (letters.c.event_id == events.c.id) & (letters.c.state == "open")
    each = (
        select(ended, reason, why)
        .select_from(events.outerjoin(letters, refused))
        .where(_mine(connection))
        .subquery()
    )
    names = (each.c.ended, each.c.reason, each.c.why)
    found = sql.execute(select(*names, func.count()).group_by(*names))
    return [Count(*row) for row in sorted(found, key=str)]


def people_changed(sql: Connection, connection: str, audit_from: int) -> Iterator[Person]:
    """Each person once, from how they were before the history to how it left them."""
    audit, events = rows.audit, rows.events
    spans = (
        select(
            audit.c.subject,
            func.min(audit.c.id).label("first"),
            func.max(audit.c.id).label("last"),
        )
        .join(events, events.c.id == audit.c.event_id)
        .where(audit.c.id > audit_from, _mine(connection))
        .group_by(audit.c.subject)
        .subquery()
    )
    one, other = audit.alias("one"), audit.alias("other")
    wanted = (
        select(one.c.before, other.c.after)
        .select_from(spans)
        .join(one, one.c.id == spans.c.first)
        .join(other, other.c.id == spans.c.last)
        .order_by(spans.c.first)
    )
    for row in sql.execute(wanted, execution_options={"yield_per": PAGE}):
        person = _person(orjson.loads(row.before), orjson.loads(row.after))
        if person is not None:
            yield person


def _person(before: Any, after: Any) -> Person | None:
    done = does(before, after)
    if done is None:
        return None
    external = after["external_id"] or (before or {}).get("external_id")
    return Person(external, str(after["email"]), done, str(after["state"]))

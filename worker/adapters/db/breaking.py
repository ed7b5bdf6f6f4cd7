"""Breakers in SQL, inside a drain's transaction: the window under a lock, marks, trips (C6)."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, delete, func, select, update

from domain.breaker import BreakerRule, BreakerWrites, HoldState, NewHold, Window
from domain.model import PersonState
from worker.adapters.db import bulk, rows
from worker.adapters.db import direct_statements as asks
from worker.adapters.db.arrays import text_array
from worker.adapters.db.breaker_rows import breaker_marks, breakers, holds
from worker.adapters.db.direct import Asked, Direct, direct_of

#: How old the figure of a connection's people may be: counting 100,000 takes some 50 ms.
FRESH = timedelta(seconds=60)
_IN = (PersonState.ACTIVE.value, PersonState.INVITED.value)


class SQLBreakers:
    """`BreakerStore` on both databases. SQLite has one writer, so its locks are all held."""

    def __init__(self, connection: Connection, now: datetime) -> None:
        self._connection = connection
        self._now = now
        self._people: dict[str, int] = {}

    def lock(
        self, rules: Mapping[str, BreakerRule], keys: Mapping[str, Collection[str]]
    ) -> dict[str, Window]:
        """See the port."""
        wanted = sorted(rules)
        direct = direct_of(self._connection)
        if direct is not None and len(wanted) == 1:
            window = self._asked(direct, wanted[0], rules[wanted[0]], keys.get(wanted[0], ()))
            if window is not None:
                return {wanted[0]: window}
        found = self._locked(wanted)
        if len(found) < len(wanted):
            new = [{"connection_id": c, "people": 0} for c in wanted if c not in found]
            bulk.insert(self._connection, breakers, new, conflict="ON CONFLICT DO NOTHING")
            found = self._locked(wanted)
        return {c: self._window(found[c], rules[c], keys.get(c, ())) for c in wanted}

    def _asked(
        self, direct: Direct, connection: str, rule: BreakerRule, keys: Collection[str]
    ) -> Window | None:
        """The window of one connection in one wait; None where it has no breaker yet."""
        since = self._now - rule.window
        locked, marks, known = direct.ask_all(
            Asked(asks.BREAKER_LOCKED, [connection]),
            Asked(asks.MARKS_COUNTED, [connection, since]),
            Asked(asks.MARKS_KNOWN, [connection, text_array(sorted(keys)), since]),
        )
        if not locked:
            return None
        return self._window_of(locked[0], rule, marks[0]["count"], {one["key"] for one in known})

    def _locked(self, ids: Collection[str]) -> dict[str, Any]:
        statement = (
            select(breakers)
            .where(bulk.among(breakers.c.connection_id, ids, self._connection))
            .order_by(breakers.c.connection_id)
            .with_for_update(key_share=True)
        )
        return {row["connection_id"]: row for row in self._connection.execute(statement).mappings()}

    def _window(self, row: Any, rule: BreakerRule, keys: Collection[str]) -> Window:
        connection = row["connection_id"]
        count = self._count(connection, rule)
        counted = self.counted(connection, keys, rule.window)
        return self._window_of(row, rule, count, counted)

    def _count(self, connection: str, rule: BreakerRule) -> int:
        since = self._now - rule.window
        count: int = self._connection.execute(
            select(func.count())
            .select_from(breaker_marks)
            .where(breaker_marks.c.connection_id == connection, breaker_marks.c.at > since)
        ).scalar_one()
        return count

    def _window_of(self, row: Any, rule: BreakerRule, count: int, counted: set[str]) -> Window:
        people = self._people_of(row, count)
        limit = rule.limit(people)
        if row["raised_until"] is not None and row["raised_until"] > self._now:
            limit = max(limit, row["raised_to"])
        return Window(count, people, limit, frozenset(counted), row["hold_id"])

    def _people_of(self, row: Any, count: int) -> int:
        """Who are in now, and who were before this window took them out."""
        known_at = row["people_at"]
        if known_at is not None and known_at > self._now - FRESH:
            return int(row["people"])
        people = rows.people
        account = (
            select(rows.connections.c.account_id)
            .where(rows.connections.c.id == row["connection_id"])
            .scalar_subquery()
        )
        here = self._connection.execute(
            select(func.count())
            .select_from(people)
            .where(people.c.account_id == account)
            .where(people.c.connection_id == row["connection_id"], people.c.state.in_(_IN))
        ).scalar_one()
        self._people[row["connection_id"]] = here + count
        return int(here + count)

    def counted(self, connection: str, keys: Collection[str], since: timedelta) -> set[str]:
        """See the port."""
        if not keys:
            return set()
        found = self._connection.execute(
            select(breaker_marks.c.key)
            .where(breaker_marks.c.connection_id == connection)
            .where(bulk.among(breaker_marks.c.key, sorted(keys), self._connection))
            .where(breaker_marks.c.at > self._now - since)
        )
        return {row.key for row in found}

    def save(self, writes: BreakerWrites) -> None:
        """See the port."""
        marks = [
            {"connection_id": connection, "key": key, "at": self._now}
            for connection, key in sorted(writes.marks)
        ]
        bulk.upsert(self._connection, breaker_marks, marks)
        bulk.insert(self._connection, holds, [self._hold_row(hold) for hold in writes.opened])
        for hold in writes.opened:
            self._set(hold.connection, hold_id=hold.id)
        for hold in writes.joined:
            self._wait_anew(hold)
        for connection, people in sorted(self._people.items()):
            self._set(connection, people=people, people_at=self._now)
            # Counted anew about once a minute, which is often enough to forget, too.
            self._forget(connection, writes.rules[connection])
        # A rehearsal goes on with the next batch, whose figures are its own.
        self._people.clear()
        self._note_held(writes)

    def _set(self, connection: str, **values: Any) -> None:
        mine = breakers.c.connection_id == connection
        self._connection.execute(update(breakers).where(mine).values(**values))

    def _forget(self, connection: str, rule: BreakerRule) -> None:
        mine = breaker_marks.c.connection_id == connection
        old = breaker_marks.c.at <= self._now - rule.window
        self._connection.execute(delete(breaker_marks).where(mine, old))

    def _hold_row(self, hold: NewHold) -> dict[str, Any]:
        patience = hold.rule.auto_approve
        return {
            "id": hold.id,
            "account_id": hold.account,
            "connection_id": hold.connection,
            "state": HoldState.OPEN.value,
            "opened_at": self._now,
            "counted": hold.window.count,
            "people": hold.window.people,
            "most": hold.window.limit,
            "window_seconds": int(hold.rule.window.total_seconds()),
            "auto_at": None if patience is None else self._now + patience,
            "reason": "",
        }

    def _wait_anew(self, hold: NewHold) -> None:
        """What joins a hold is not let go before somebody had the whole time to look at it."""
        if hold.rule.auto_approve is not None:
            mine = (holds.c.id == hold.id) & holds.c.auto_at.is_not(None)
            then = self._now + hold.rule.auto_approve
            self._connection.execute(update(holds).where(mine).values(auto_at=then))

    def _note_held(self, writes: BreakerWrites) -> None:
        """The event bears the id of what holds it where a replay's would stand."""
        held: dict[str, list[int]] = {}
        for event, hold in writes.held:
            held.setdefault(hold, []).append(event)
        events = rows.events
        for hold, ids in sorted(held.items()):
            self._connection.execute(
                update(events)
                .where(bulk.among(events.c.id, sorted(ids), self._connection))
                .values(replay_id=hold)
            )

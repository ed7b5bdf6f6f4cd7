"""Minute counts in SQL: processes add what they did, the sweep notes what there is (`minutes`)."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, case, delete, func, select

from domain.inbox import Kind, Lane, Outcome, Reason, State
from domain.minutes import KEPT, Minute, beside, bucket
from domain.ports import Result
from worker.adapters.db import bulk, rows
from worker.adapters.db.engine import Database, translated
from worker.adapters.db.minute_rows import COUNTED, EVERYBODY, LATENCIES, SEEN, minutes
from worker.adapters.db.uow import database_now

#: The mark of the minute that was noted last.
NOTED = "minute"
_OTHERS = frozenset(Outcome) - {Outcome.APPLIED, Outcome.DEAD}
_ADD = ", ".join(f"{name} = minutes.{name} + excluded.{name}" for name in COUNTED)
_SET = ", ".join(f"{name} = excluded.{name}" for name in SEEN)
_SAME = "ON CONFLICT (minute, account_id, lane) DO UPDATE SET"


class MinuteCounts:
    """What this process did since it last told; told again and again, so a kill loses little."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._lock = threading.Lock()
        self._counts: Counter[tuple[str, str, str]] = Counter()

    def count(self, results: Sequence[Result], *, now: datetime) -> None:
        """Count a committed batch."""
        found: Counter[tuple[str, str, str]] = Counter()
        for result in results:
            event = result.event
            name = _name(result)
            if name is not None:
                found[event.account, event.lane, name] += 1
            if result.outcome is not None and event.is_first_try:
                age = (now - event.received_at).total_seconds()
                found[event.account, event.lane, LATENCIES[bucket(age)]] += 1
        with self._lock:
            self._counts.update(found)

    def flush(self) -> None:
        """Add to the minute's rows; kept for the next time where the database is away."""
        with self._lock:
            counts, self._counts = self._counts, Counter()
        if not counts:
            return
        try:
            with translated(), self._database.begin() as connection:
                add_counts(connection, counts)
                connection.commit()
        except BaseException:
            with self._lock:
                self._counts.update(counts)
            raise


def _name(result: Result) -> str | None:
    if result.outcome is Outcome.APPLIED:
        return "applied"
    if result.outcome in _OTHERS:
        return "ended"
    if result.state is State.RETRYING:
        return "retrying"
    return "dead" if result.state is State.DEAD else None


def add_counts(connection: Connection, counts: Counter[tuple[str, str, str]]) -> None:
    """Counts by account, lane and column, to the minute that it is now, in the order of the key."""
    by_row: dict[tuple[str, str], dict[str, int]] = {}
    for (account, lane, name), count in counts.items():
        for whose in (account, EVERYBODY):
            row = by_row.setdefault((whose, lane), dict.fromkeys(COUNTED, 0))
            row[name] += count
    minute = _minute(database_now(connection))
    new = [
        {"minute": minute, "account_id": account, "lane": lane, **row}
        for (account, lane), row in sorted(by_row.items())
    ]
    bulk.insert(connection, minutes, new, conflict=f"{_SAME} {_ADD}")


def _minute(moment: datetime) -> datetime:
    return moment.replace(second=0, microsecond=0)


def note_minute(connection: Connection, now: datetime) -> None:
    """Once a minute: what there is to apply, held and dead, by account and lane; old minutes go."""
    minute, marks = _minute(now), rows.marks
    last = connection.execute(select(marks.c.at).where(marks.c.name == NOTED)).scalar()
    if last is not None and last >= minute:
        return
    bulk.upsert(connection, marks, [{"name": NOTED, "at": minute}])
    found = [_aged(dict(row), now) for row in connection.execute(_there_is()).mappings()]
    seen = {(row["account_id"], row["lane"]): row for row in found}
    for lane in Lane:
        mine = [row for row in found if row["lane"] == lane]
        seen[EVERYBODY, lane.value] = _all_of(mine, lane.value)
    new = [{"minute": minute, **seen[key]} for key in sorted(seen)]
    bulk.insert(connection, minutes, new, conflict=f"{_SAME} {_SET}")
    connection.execute(delete(minutes).where(minutes.c.minute < minute - KEPT))


def _all_of(found: Sequence[dict[str, Any]], lane: str) -> dict[str, Any]:
    told: dict[str, Any] = {"account_id": EVERYBODY, "lane": lane}
    for name in SEEN:
        values = [row[name] for row in found]
        told[name] = max(values, default=0) if name in ("oldest", "late") else sum(values)
    return told


def _aged(row: dict[str, Any], now: datetime) -> dict[str, Any]:
    """Times of receipt as whole seconds ago."""
    for name in ("oldest", "late"):
        at = row[name]
        row[name] = int((now - at).total_seconds()) if at is not None else 0
    return row


def _there_is() -> Select[Any]:
    """One look at the index of what has not ended."""
    events, connections = rows.events, rows.connections
    is_due = events.c.state.in_([State.PENDING.value, State.RETRYING.value])
    # What only observes keeps nobody's access open (S4).
    observes = func.coalesce(events.c.reason, "") == Reason.OBSERVING.value
    is_late = (
        (events.c.kind == Kind.USERS_SUSPEND.value)
        & (events.c.due_at.is_not(None) | (events.c.state == State.HELD.value))
        & ~observes
    )
    return (
        select(
            connections.c.account_id,
            events.c.lane,
            _many(is_due).label("backlog"),
            _many(events.c.state == State.HELD.value).label("held"),
            _many(events.c.state == State.DEAD.value).label("letters"),
            _oldest(is_due).label("oldest"),
            _oldest(is_late).label("late"),
        )
        .join(connections, connections.c.id == events.c.connection_id)
        .where(events.c.state != State.ENDED.value)
        .group_by(connections.c.account_id, events.c.lane)
    )


def _many(which: ColumnElement[bool]) -> ColumnElement[int]:
    return func.count(case((which, 1)))


def _oldest(which: ColumnElement[bool]) -> ColumnElement[datetime]:
    received = rows.events.c.received_at
    return func.min(case((which, received)), type_=received.type)


def noted_minutes(
    connection: Connection, accounts: Collection[str] | None, *, since: datetime
) -> dict[datetime, Minute]:
    """What was noted by minute, of these accounts, or of all for None; all lanes as one."""
    whose = [EVERYBODY] if accounts is None else sorted(accounts)
    summed = [func.sum(minutes.c[name]).label(name) for name in (*COUNTED, *SEEN[:3])]
    largest = [func.max(minutes.c[name]).label(name) for name in SEEN[3:]]
    found = connection.execute(
        select(minutes.c.minute, minutes.c.lane, *summed, *largest)
        .where(minutes.c.minute >= since, bulk.among(minutes.c.account_id, whose, connection))
        .group_by(minutes.c.minute, minutes.c.lane)
    ).mappings()
    by_minute: dict[datetime, list[Minute]] = {}
    for row in found:
        told = {name: int(row[name]) for name in ("applied", "ended", "retrying", "dead", *SEEN)}
        latencies = tuple(int(row[name]) for name in LATENCIES)
        by_minute.setdefault(row["minute"], []).append(Minute(latencies=latencies, **told))
    return {minute: beside(lanes) for minute, lanes in by_minute.items()}

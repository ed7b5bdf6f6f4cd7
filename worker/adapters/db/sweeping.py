"""What the sweep asks and repairs in SQL: due work, lost batches, heartbeats (D6, G6)."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import orjson
from sqlalchemy import (
    Connection,
    RowMapping,
    Select,
    and_,
    case,
    delete,
    literal,
    select,
    text,
    union_all,
    update,
)
from sqlalchemy.exc import SQLAlchemyError

from domain.inbox import Kind, Lane, State
from domain.retry import CRASH_CAP, SUSPECT_BATCHES
from worker.adapters.db import bulk, rows
from worker.adapters.db.alerts import mail_alerts
from worker.adapters.db.dispatches import due_endpoints
from worker.adapters.db.due import lanes_due
from worker.adapters.db.engine import Database, translated
from worker.adapters.db.expiring import expire_links
from worker.adapters.db.holding import approve_overdue, tell_of_holds
from worker.adapters.db.inbox import DRAINING
from worker.adapters.db.mending import mend_states
from worker.adapters.db.minutes import note_minute
from worker.adapters.db.uow import database_now

Report = Callable[[str, Mapping[str, object]], None]

SWEEP_LOCK = 727_401
#: A worker that has not been seen for this long, and whose process is gone, has crashed.
SILENCE = timedelta(seconds=20)
#: Crashes before an event is tried alone; each one alone after them counts towards the cap.
ALONE_FROM = len(SUSPECT_BATCHES)
#: No batch takes this long, with 10 s for a statement. Who does is frozen, and its locks are not: a
#: session in a pipeline is never idle, so that none of PostgreSQL's own time-outs ends it.
HELD_TOO_LONG = timedelta(seconds=30)


class SQLSweep:
    """`Sweeper` on both databases. One process sweeps at a time; the others go on at once."""

    def __init__(self, database: Database, worker: str, report: Report, *, hook: str = "") -> None:
        """hook: the address at which a program hears of alerts; empty for none."""
        self._database = database
        self._hook = hook
        self._worker = worker
        self._report = report

    def heartbeat(self, lanes: Sequence[str]) -> None:
        """Say that this worker lives."""
        host, pid, _ = self._worker.split(":", 2)
        with translated(), self._database.begin() as connection:
            now = database_now(connection)
            seen = {
                "id": self._worker,
                "host": host,
                "pid": int(pid),
                "lanes": ",".join(lanes),
                "started_at": now,
                "seen_at": now,
            }
            again = "ON CONFLICT (id) DO UPDATE SET seen_at = excluded.seen_at"
            bulk.insert(connection, rows.workers, [seen], conflict=again)
            connection.commit()

    def sweep(self) -> list[tuple[Kind, Lane]] | None:
        """Repair lost batches; what is due, by kind and lane. None: somebody else sweeps."""
        with translated(), self._database.begin() as connection:
            if not _got_lock(connection):
                return None
            now = database_now(connection)
            self._end_frozen(connection)
            self._repair(connection, now)
            mend_states(connection, now)
            _forget_workers(connection, now)
            approve_overdue(connection, now)
            tell_of_holds(connection, now)
            expire_links(connection, now)
            mail_alerts(connection, now, hook=self._hook)
            note_minute(connection, now)
            mark = {"name": "swept", "at": now}
            bulk.upsert(connection, rows.marks, [mark])
            due = lanes_due(connection, *Lane)
            connection.commit()
            return due

    def repair(self) -> None:
        """Repair lost batches, unless somebody else sweeps just now."""
        with translated(), self._database.begin() as connection:
            if _got_lock(connection):
                self._repair(connection, database_now(connection))
                connection.commit()

    def notices_due(self) -> bool:
        """Whether any mail waits to be sent."""
        table = rows.notices
        with translated(), self._database.read() as connection:
            now = database_now(connection)
            found = select(table.c.id).where(table.c.due_at.is_not(None), table.c.due_at <= now)
            return connection.execute(found.limit(1)).first() is not None

    def announcements_due(self) -> bool:
        """Whether any endpoint waits for something."""
        with translated(), self._database.read() as connection:
            return bool(due_endpoints(connection, database_now(connection)))

    def heads(self, lanes: Sequence[str]) -> dict[str, int]:
        """Lane -> an event that any drain of it would take first; lanes without one are absent."""
        with translated(), self._database.read() as connection:
            now = database_now(connection)
            found = connection.execute(
                union_all(*(_head(lane, kind, now) for lane in lanes for kind in Kind))
            )
            heads: dict[str, int] = {}
            for lane, event in found:
                heads.setdefault(lane, event)
            return heads

    def _end_frozen(self, connection: Connection) -> None:
        """A lease on what a drain has locked: its session is ended, whatever became of it (F38)."""
        if connection.dialect.name != "postgresql":
            return
        ended = connection.execute(_END_FROZEN, {"name": DRAINING, "longest": HELD_TOO_LONG})
        for pid, seconds in ended:
            self._report("session_ended", {"backend": pid, "seconds": round(seconds)})

    def _repair(self, connection: Connection, now: datetime) -> None:
        """Events of a batch whose process is gone become suspects (D6)."""
        markers = connection.execute(select(rows.batch_markers)).mappings().all()
        if not markers:
            return
        alive = _alive(connection, now)
        for marker in markers:
            if _lives(marker["worker"], marker["made_at"], alive, now):
                continue
            try:
                with connection.begin_nested():
                    _suspect_batch(connection, marker, now)
            except (SQLAlchemyError, ValueError) as error:
                # One that cannot be repaired must not stop the repair of all others (F36).
                fields = {"marker": marker["id"], "error": repr(error)}
                self._report("marker_unrepairable", fields)


#: Found first and ended then: in one condition PostgreSQL may well end sessions before it has asked
#: whose they are.
_END_FROZEN = text(
    "WITH frozen AS MATERIALIZED ("
    "SELECT pid, extract(epoch FROM clock_timestamp() - xact_start) AS seconds "
    "FROM pg_stat_activity "
    "WHERE datname = current_database() AND usename = current_user AND application_name = :name "
    "AND xact_start < clock_timestamp() - CAST(:longest AS interval)) "
    "SELECT pid, seconds FROM frozen WHERE pg_terminate_backend(pid)"
)


def _got_lock(connection: Connection) -> bool:
    if connection.dialect.name != "postgresql":
        return True
    return bool(
        connection.execute(
            text("SELECT pg_try_advisory_xact_lock(:key)"), {"key": SWEEP_LOCK}
        ).scalar()
    )


def _alive(connection: Connection, now: datetime) -> dict[str, datetime]:
    found = connection.execute(select(rows.workers.c.id, rows.workers.c.seen_at))
    return {row.id: row.seen_at for row in found if row.seen_at > now - SILENCE}


def _lives(worker: str, made_at: datetime, alive: dict[str, datetime], now: datetime) -> bool:
    """On this host the process itself answers; on another, its heartbeat or its youth does."""
    host, pid, _ = worker.split(":", 2)
    if host == socket.gethostname():
        return _is_running(int(pid))
    return worker in alive or made_at > now - SILENCE


def _is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return not _is_zombie(pid)


def _is_zombie(pid: int) -> bool:
    """A killed child that nobody has waited for yet is gone all the same."""
    try:
        status = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace")
        return status.rpartition(")")[2].split()[0] == "Z"
    except (OSError, IndexError):
        return False


def _suspect_batch(connection: Connection, marker: RowMapping, now: datetime) -> None:
    _suspect(connection, orjson.loads(marker["event_ids"]), now)
    table = rows.batch_markers
    connection.execute(delete(table).where(table.c.id == marker["id"]))


def _suspect(connection: Connection, ids: Sequence[int], now: datetime) -> None:
    """Count the crash; an event that crashed alone too often is a dead letter `worker_lost`."""
    events = rows.events
    is_alone = len(ids) == 1
    mine = and_(bulk.among(events.c.id, sorted(ids), connection), events.c.due_at.is_not(None))
    is_suspect = events.c.crashes < ALONE_FROM
    # A batch that took down one worker after the other before anybody swept: of each event in it
    # that says no more than that it is to be tried alone.
    together = case((is_suspect, events.c.crashes + 1), else_=events.c.crashes)
    alone = case((is_suspect, ALONE_FROM + 1), else_=events.c.crashes + 1)
    crashes = alone if is_alone else together
    connection.execute(update(events).where(mine).values(crashes=crashes))
    if is_alone:
        _bury(connection, ids, now)


def _bury(connection: Connection, ids: Sequence[int], now: datetime) -> None:
    events = rows.events
    lost = (
        connection.execute(
            select(events)
            .where(bulk.among(events.c.id, sorted(ids), connection))
            .where(events.c.crashes >= ALONE_FROM + CRASH_CAP, events.c.due_at.is_not(None))
        )
        .mappings()
        .all()
    )
    for event in lost:
        why = f"took its worker down {CRASH_CAP} times, alone"
        connection.execute(
            update(events)
            .where(events.c.id == event["id"])
            .values(
                state=State.DEAD.value,
                outcome="dead",
                reason="worker_lost",
                due_at=None,
                ended_at=now,
            )
        )
        letter: dict[str, Any] = {
            "event_id": event["id"],
            "account_id": event["account_id"],
            "connection_id": event["connection_id"],
            "state": "open",
            "reason": "worker_lost",
            "fingerprint": f"worker_lost:{event['type']}",
            "first_error": why,
            "last_error": why,
            "first_at": now,
            "last_at": now,
            "attempts": event["crashes"],
            "note": "",
        }
        again = (
            "ON CONFLICT (event_id) DO UPDATE SET state = 'open', reason = excluded.reason, "
            "last_error = excluded.last_error, last_at = excluded.last_at"
        )
        bulk.insert(connection, rows.dead_letters, [letter], conflict=again)


def _forget_workers(connection: Connection, now: datetime) -> None:
    connection.execute(delete(rows.workers).where(rows.workers.c.seen_at < now - 10 * SILENCE))


def _head(lane: str, kind: Kind, now: datetime) -> Select[Any]:
    """The first due event in the order of the index (D7), of a connection that is not paused."""
    events, connections = rows.events, rows.connections
    active = select(connections.c.id).where(connections.c.state == "active")
    first = (
        select(literal(lane).label("lane"), events.c.id.label("event"))
        .where(
            events.c.lane == lane,
            events.c.kind == kind.value,
            events.c.due_at.is_not(None),
            events.c.due_at <= now,
            events.c.connection_id.in_(active),
        )
        .order_by(events.c.connection_id, events.c.due_at, events.c.id)
        .limit(1)
        .subquery()
    )
    return select(first.c.lane, first.c.event)

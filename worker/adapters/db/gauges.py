"""A snapshot of the state of things from SQL: for the page, the metrics and the terminal."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Connection, RowMapping, func, literal, select

from domain.breaker import parse_patience
from domain.inbox import Kind, Reason
from domain.policy import SILENT_AFTER
from worker.adapters.db import rows
from worker.adapters.db.breaker_rows import holds
from worker.adapters.db.credentials_ending import Expiring, expiring
from worker.adapters.db.engine import Database, translated
from worker.adapters.db.observing_rows import backfills
from worker.adapters.db.outbound_rows import dispatches, endpoints
from worker.adapters.db.reading_gauges import CaughtUp, Reconciled, caught_up, reconciled
from worker.adapters.db.reading_state import Reading, readings, unread
from worker.adapters.db.scim_later_rows import scim_requests
from worker.adapters.db.standing import DroppedOut, dropped_out, openers
from worker.adapters.db.subscription_gauges import Subscribed, subscribed
from worker.adapters.db.uow import database_now
from worker.adapters.sources.reconciliation import NAME as OWN_WORDS

FRESH_SECONDS = 1.0
RECENT = 50
WORKER_SILENCE = timedelta(seconds=20)
OPEN_STATES = ("pending", "retrying", "waiting", "held", "dead")


@dataclass(frozen=True, slots=True)
class Named:
    """A connection as people know it: its name is unique in its account only."""

    connection_id: str
    account: str
    connection: str


@dataclass(frozen=True, slots=True)
class Backlog(Named):
    """Unended events of one connection, lane and state. oldest: seconds since receipt."""

    lane: str
    state: str
    count: int
    oldest: float


@dataclass(frozen=True, slots=True)
class Dead(Named):
    """Open dead letters of one connection and reason; of none for foreign messages."""

    reason: str
    count: int


@dataclass(frozen=True, slots=True)
class Heard(Named):
    """When a feed was last heard (at; None for never), and since when it is there (made_at).

    silent_after: seconds without a word that are too many; 0 for as many as it likes (C5).
    """

    feed: str
    source: str
    state: str
    at: datetime | None
    made_at: datetime
    silent_after: float = 0.0

    def silence(self, now: datetime) -> float:
        """Seconds since it was heard, or since it was made, if never."""
        return max((now - (self.at or self.made_at)).total_seconds(), 0.0)

    def is_silent(self, now: datetime) -> bool:
        """Whether that is longer than its connection allows."""
        return 0 < self.silent_after < self.silence(now)


@dataclass(frozen=True, slots=True)
class Listener:
    """An endpoint of an application. failing: seconds since it last took something, 0 if it does.

    waiting: announcements that are not delivered.
    """

    id: str
    account: str
    state: str
    failing: float
    waiting: int


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Everything at one moment. suspensions: connection's id -> age of the oldest unapplied one.

    tripped: ids of connections whose breaker is open. backfilled: of those whose
    provider's list was read once (S4).
    readings: connections whose IdP's directory can be read. unread: ids of those that cannot, and
    are believed by a shared secret alone (U8).
    states: connection's id -> active, paused, observing or retired (C2).
    openers: account's name -> how many may open private spaces (G4).
    dropped: groups that dropped out of management (G3).
    skew: seconds by which this process's clock is ahead of the database's.
    of: name of the account that it is narrowed to (C4), empty where it tells of all.
    """

    at: datetime
    of: str = ""
    skew: float = 0.0
    states: dict[str, str] = field(default_factory=dict)
    connections: tuple[Named, ...] = ()
    backlog: tuple[Backlog, ...] = ()
    suspensions: dict[str, float] = field(default_factory=dict)
    tripped: tuple[str, ...] = ()
    readings: tuple[Reading, ...] = ()
    unread: tuple[str, ...] = ()
    backfilled: tuple[str, ...] = ()
    dead: tuple[Dead, ...] = ()
    heard: tuple[Heard, ...] = ()
    listeners: tuple[Listener, ...] = ()
    expiring: tuple[Expiring, ...] = ()
    openers: dict[str, int] = field(default_factory=dict)
    dropped: tuple[DroppedOut, ...] = ()
    workers: int = 0
    #: Those that some worker alive takes work of.
    lanes: tuple[str, ...] = ()
    swept_at: datetime | None = None
    notices: dict[str, int] = field(default_factory=dict)
    caught_up: tuple[CaughtUp, ...] = ()
    reconciled: tuple[Reconciled, ...] = ()
    subscribed: tuple[Subscribed, ...] = ()
    recent: tuple[dict[str, Any], ...] = ()

    def count(self, *states: str) -> int:
        """Events in these states."""
        return sum(row.count for row in self.backlog if row.state in states)


class Gauges:
    """Snapshots, computed at most once a second whoever asks."""

    def __init__(self, database: Database, *, clock: Callable[[], datetime]) -> None:
        self._database = database
        self._clock = clock
        self._lock = threading.Lock()
        self._known: tuple[float, Snapshot] | None = None

    def snapshot(self) -> Snapshot:
        """The state of things, at most a second old; raises InfrastructureError."""
        with self._lock:
            if self._known is not None and time.monotonic() - self._known[0] < FRESH_SECONDS:
                return self._known[1]
            with translated(), self._database.read() as connection:
                found = take(connection)
                skew = (self._clock() - database_now(connection)).total_seconds()
                found = replace(found, skew=skew)
            self._known = (time.monotonic(), found)
            return found


def take(connection: Connection) -> Snapshot:
    """A snapshot in one reading transaction."""
    now = database_now(connection)
    known, workers = _connections(connection), _workers(connection, now)
    return Snapshot(
        at=now,
        states=_states(connection),
        connections=tuple(sorted(known.values(), key=lambda one: (one.account, one.connection))),
        backlog=_backlog(connection, known, now),
        suspensions=_suspensions(connection, now),
        tripped=_tripped(connection),
        readings=readings(connection),
        unread=unread(connection),
        backfilled=tuple(
            sorted(connection.execute(select(backfills.c.connection_id).distinct()).scalars())
        ),
        dead=_dead(connection, known),
        heard=_heard(connection, known),
        listeners=_listeners(connection, now),
        expiring=expiring(connection, now),
        openers=openers(connection),
        dropped=dropped_out(connection),
        workers=len(workers),
        lanes=tuple(sorted({lane for lanes in workers for lane in lanes.split(",")})),
        swept_at=connection.execute(
            select(rows.marks.c.at).where(rows.marks.c.name == "swept")
        ).scalar(),
        notices=unsent_notices(connection),
        caught_up=caught_up(connection),
        reconciled=reconciled(connection),
        subscribed=subscribed(connection, now),
        recent=recent_events(connection, known),
    )


def _connections(connection: Connection) -> dict[str, Named]:
    connections, accounts = rows.connections, rows.accounts
    found = connection.execute(
        select(connections.c.id, accounts.c.name, connections.c.name).join(
            accounts, accounts.c.id == connections.c.account_id
        )
    )
    return {row[0]: Named(*row) for row in found}


def _states(connection: Connection) -> dict[str, str]:
    table = rows.connections
    return {row.id: row.state for row in connection.execute(select(table.c.id, table.c.state))}


def _named(known: dict[str, Named], id_: str | None) -> tuple[str, str, str]:
    """Id, account and name; empty for what belongs to no connection."""
    found = known.get(id_ or "", Named("", "", ""))
    return found.connection_id, found.account, found.connection


def _backlog(connection: Connection, known: dict[str, Named], now: datetime) -> tuple[Backlog, ...]:
    """SCIM requests that are answered later wait beside the events that they will be."""
    found: dict[tuple[str, str, str], Backlog] = {}
    for row in [*_unended(connection), *_unanswered(connection)]:
        key = (row["connection_id"], row["lane"], row["state"])
        age = (now - row["oldest"]).total_seconds()
        if (other := found.get(key)) is not None:
            age, count = max(age, other.oldest), row["count"] + other.count
        else:
            count = row["count"]
        found[key] = Backlog(*_named(known, key[0]), key[1], key[2], count, age)
    return tuple(found.values())


def _unanswered(connection: Connection) -> Iterable[RowMapping]:
    waiting = scim_requests
    return connection.execute(
        select(
            waiting.c.connection_id,
            literal("bulk").label("lane"),
            literal("pending").label("state"),
            func.count().label("count"),
            func.min(waiting.c.made_at, type_=waiting.c.made_at.type).label("oldest"),
        )
        .where(waiting.c.due_at.is_not(None))
        .group_by(waiting.c.connection_id)
    ).mappings()


def _unended(connection: Connection) -> Iterable[RowMapping]:
    events = rows.events
    return connection.execute(
        select(
            events.c.connection_id,
            events.c.lane,
            events.c.state,
            func.count().label("count"),
            func.min(events.c.received_at, type_=events.c.received_at.type).label("oldest"),
        )
        .where(events.c.state != "ended")
        .group_by(events.c.connection_id, events.c.lane, events.c.state)
    ).mappings()


def _suspensions(connection: Connection, now: datetime) -> dict[str, float]:
    """What is due, or held by a pause: in both cases someone who left still has access."""
    events = rows.events
    found = connection.execute(
        select(
            events.c.connection_id,
            func.min(events.c.received_at, type_=events.c.received_at.type).label("oldest"),
        )
        .where(events.c.state != "ended")
        .where(events.c.due_at.is_not(None) | (events.c.state == "held"))
        # Who only observes keeps nobody's access open (S4).
        .where(func.coalesce(events.c.reason, "") != Reason.OBSERVING.value)
        # What was not read yet may be one.
        .where(events.c.kind.in_([Kind.USERS_SUSPEND.value, Kind.HYDRATE.value]))
        .group_by(events.c.connection_id)
    )
    return {row[0]: (now - row[1]).total_seconds() for row in found}


def _tripped(connection: Connection) -> tuple[str, ...]:
    """Connections whose breaker holds something back (C6); a retired one holds nothing."""
    connections = rows.connections
    found = connection.execute(
        select(holds.c.connection_id)
        .join(connections, connections.c.id == holds.c.connection_id)
        .where(holds.c.state == "open", connections.c.state != "retired")
    )
    return tuple(sorted(found.scalars()))


def _dead(connection: Connection, known: dict[str, Named]) -> tuple[Dead, ...]:
    letters = rows.dead_letters
    found = connection.execute(
        select(letters.c.connection_id, letters.c.reason, func.count())
        .where(letters.c.state == "open")
        .group_by(letters.c.connection_id, letters.c.reason)
        .order_by(func.count().desc())
    )
    return tuple(Dead(*_named(known, row[0]), row[1], row[2]) for row in found)


def _heard(connection: Connection, known: dict[str, Named]) -> tuple[Heard, ...]:
    feeds, connections = rows.feeds, rows.connections
    # What rosterd itself says is no sign of life of an identity provider.
    theirs = (
        select(feeds, connections.c.settings, connections.c.state.label("whole"))
        .join(connections, connections.c.id == feeds.c.connection_id)
        .where(feeds.c.source != OWN_WORDS)
        .order_by(feeds.c.created_at)
    )
    found = connection.execute(theirs).mappings()
    return tuple(
        Heard(
            *_named(known, row["connection_id"]),
            row["id"],
            row["source"],
            row["state"],
            row["last_heard_at"],
            row["created_at"],
            _silent_after(row),
        )
        for row in found
    )


def _listeners(connection: Connection, now: datetime) -> tuple[Listener, ...]:
    """Each with a count of its own: an index holds what waits, and nothing else."""
    waits = (
        select(func.count())
        .where(dispatches.c.endpoint_id == endpoints.c.id, dispatches.c.due_at.is_not(None))
        .scalar_subquery()
    )
    found = connection.execute(
        select(endpoints, rows.accounts.c.name.label("account"), waits.label("waiting"))
        .join(rows.accounts, rows.accounts.c.id == endpoints.c.account_id)
        .where(endpoints.c.state != "removed")
        .order_by(endpoints.c.id)
    ).mappings()
    return tuple(
        Listener(
            row["id"],
            row["account"],
            row["state"],
            (now - row["failing_since"]).total_seconds() if row["failing_since"] else 0.0,
            row["waiting"],
        )
        for row in found
    )


def _silent_after(row: RowMapping) -> float:
    """What is paused or retired on purpose may be silent."""
    if {row["state"], row["whole"]} & {"paused", "retired"}:
        return 0.0
    told = parse_patience(json.loads(row["settings"]).get("silent_after", SILENT_AFTER))
    return told.total_seconds() if told is not None else 0.0


def _workers(connection: Connection, now: datetime) -> Sequence[str]:
    """Of each worker alive its lanes."""
    workers = rows.workers
    alive = workers.c.seen_at > now - WORKER_SILENCE
    return connection.scalars(select(workers.c.lanes).where(alive)).all()


def unsent_notices(connection: Connection, *which: ColumnElement[bool]) -> dict[str, int]:
    """Mails that are not out, by state."""
    notices = rows.notices
    found = connection.execute(
        select(notices.c.state, func.count())
        .where(notices.c.state.in_(["pending", "failed"]), *which)
        .group_by(notices.c.state)
    )
    return {row[0]: row[1] for row in found}


def recent_events(
    connection: Connection, known: dict[str, Named], *which: ColumnElement[bool]
) -> tuple[dict[str, Any], ...]:
    """The last events, newest first."""
    events = rows.events
    shown = [
        "id",
        "received_at",
        "connection_id",
        "type",
        "subject",
        "lane",
        "state",
        "outcome",
        "reason",
    ]
    found = connection.execute(
        select(*(events.c[name] for name in shown))
        .where(*which)
        .order_by(events.c.id.desc())
        .limit(RECENT)
    ).mappings()
    return tuple(
        {
            **row,
            "account": _named(known, row["connection_id"])[1],
            "connection": _named(known, row["connection_id"])[2],
        }
        for row in found
    )

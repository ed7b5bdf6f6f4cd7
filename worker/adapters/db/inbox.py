"""Events in SQL: claimed in order and in fair turns, written back in bulk (D7, D8)."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from functools import cache
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    RowMapping,
    Select,
    and_,
    bindparam,
    delete,
    exists,
    func,
    select,
    text,
    update,
)

from domain.inbox import LIVE_SHARE, QUIET_SHARE, Kind, Lane, State
from domain.ports import ClaimedEvent, Result
from domain.values import stamp_key
from worker.adapters.db import bulk, rows

_CLAIMED = (
    "id",
    "account_id",
    "connection_id",
    "feed_id",
    "delivery_id",
    "ordinal",
    "digest",
    "type",
    "kind",
    "lane",
    "occurred_at",
    "received_at",
    "attempts",
    "crashes",
    "waiting_since",
    "state",
    "replay_id",
)


#: What ids of replays begin with; an approved hold's stands in the same column.
OF_REPLAYS = "rpl_"
#: How PostgreSQL tells the transactions of drains from all others.
DRAINING = "rosterd drain"
#: A batch takes a fraction of a second; one that takes longer waits for a lock, or is frozen.
_STUCK = text(
    "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE datname = current_database() "
    "AND usename = current_user AND application_name = :name AND pid <> pg_backend_pid() "
    "AND xact_start < clock_timestamp() - interval '2 seconds')"
)


def _turn(connection: ColumnElement[str]) -> ColumnElement[bool]:
    """Mark a connection as in hand until the transaction ends; False where another has it.

    Only whoever asks for it heeds it: it keeps nobody from anything.
    """
    return func.pg_try_advisory_xact_lock(func.hashtextextended("urgent " + connection, 0))


def claimed_from_row(row: RowMapping) -> ClaimedEvent:
    """The event of a row of `events`."""
    return ClaimedEvent(
        id=row["id"],
        account=row["account_id"],
        connection=row["connection_id"],
        feed=row["feed_id"],
        delivery=row["delivery_id"],
        ordinal=row["ordinal"],
        key=stamp_key(row["digest"]),
        type=row["type"],
        kind=Kind(row["kind"]),
        lane=row["lane"],
        occurred_at=row["occurred_at"],
        received_at=row["received_at"],
        attempts=row["attempts"],
        crashes=row["crashes"],
        waiting_since=row["waiting_since"],
        is_replayed=row["replay_id"] is not None,
        is_in_replay=(row["replay_id"] or "").startswith(OF_REPLAYS),
        is_first_try=row["state"] == State.PENDING.value and row["replay_id"] is None,
    )


@cache
def _due_connections(*, troubled: bool, takes_turns: bool) -> Select[Any]:
    """Connections that have something due of `:kind` in `:lane` at `:now`."""
    connections = rows.connections
    due = exists().where(_due(troubled=troubled), rows.events.c.connection_id == connections.c.id)
    found = select(connections.c.id).where(connections.c.state == "active", due)
    return found.add_columns(_turn(connections.c.id).label("is_free")) if takes_turns else found


@cache
def due_events(*, troubled: bool, lock: bool = True) -> Select[Any]:
    """The claim: one lane, kind and connection, in exactly the order of the index (D7).

    Asks for `:lane`, `:kind`, `:connection`, `:now`, and at `:most` how many. lock: False to see
    also what others have in hand.
    """
    events = rows.events
    found = (
        select(*(events.c[name] for name in _CLAIMED))
        .where(_due(troubled=troubled), events.c.connection_id == bindparam("connection"))
        .order_by(events.c.due_at, events.c.id)
        .limit(bindparam("most"))
    )
    return found.with_for_update(skip_locked=True, key_share=True) if lock else found


def _due(*, troubled: bool) -> ColumnElement[bool]:
    events = rows.events
    trouble = (events.c.crashes > 0) | (events.c.attempts > 0)
    return and_(
        events.c.lane == bindparam("lane"),
        events.c.kind == bindparam("kind"),
        events.c.due_at.is_not(None),
        events.c.due_at <= bindparam("now"),
        trouble if troubled else ~trouble,
    )


_SHARES = {Lane.URGENT.value: QUIET_SHARE, Lane.STANDARD.value: LIVE_SHARE}


class SQLInbox:
    """The events of one write transaction."""

    def __init__(self, connection: Connection, now: datetime) -> None:
        self._connection = connection
        self._now = now

    def claim(
        self, *, lane: str, kind: Kind, limit: int, troubled: bool, is_guest: bool = False
    ) -> list[ClaimedEvent]:
        """Up to `limit` due events, connections taking turns (D7: N/k of each, then filled up).

        What is live of several is not filled up: one of them may have thousands. troubled: only
        events that failed or were in a crashed batch, instead of only clean ones. is_guest: leave
        out connections that another worker is at work on in this lane.
        """
        waiting = self._waiting(lane, kind, troubled=troubled, is_guest=is_guest)
        if lane in _SHARES and len(waiting) > 1:
            limit = min(limit, _SHARES[lane] * len(waiting))
        claimed: list[ClaimedEvent] = []
        share = max(1, -(-limit // max(1, len(waiting))))
        fills_up = lane not in _SHARES
        while waiting and len(claimed) < limit:
            waiting = [
                connection
                for connection in waiting
                if self._take(claimed, lane, kind, connection, min(share, limit), troubled=troubled)
                and fills_up
            ]
            share = limit - len(claimed)
        return claimed

    def _waiting(self, lane: str, kind: Kind, *, troubled: bool, is_guest: bool) -> list[str]:
        """Connections of which something is due; the urgent lane's are marked as in hand."""
        has_turns = lane == Lane.URGENT.value and self._connection.dialect.name == "postgresql"
        statement = _due_connections(troubled=troubled, takes_turns=has_turns)
        found = self._connection.execute(statement, self._wanted(lane, kind)).all()
        busy = [row.id for row in found if has_turns and not row.is_free]
        if is_guest and busy and not self._is_somebody_stuck():
            return [row.id for row in found if row.id not in busy]
        return [row.id for row in found]

    def _wanted(self, lane: str, kind: Kind) -> dict[str, object]:
        return {"lane": lane, "kind": kind.value, "now": self._now}

    def _is_somebody_stuck(self) -> bool:
        """Whether a drain has been at work for so long that it may be at work on nothing."""
        return bool(self._connection.execute(_STUCK, {"name": DRAINING}).scalar())

    def _take(
        self,
        claimed: list[ClaimedEvent],
        lane: str,
        kind: Kind,
        connection: str,
        share: int,
        *,
        troubled: bool,
    ) -> bool:
        """Claim one connection's share; whether it may have more."""
        taken = {event.id for event in claimed}
        most = share + sum(1 for e in claimed if e.connection == connection)
        wanted = {**self._wanted(lane, kind), "connection": connection, "most": most}
        rows_due = self._connection.execute(due_events(troubled=troubled), wanted).mappings()
        found = [claimed_from_row(row) for row in rows_due if row["id"] not in taken]
        is_first = all(event.connection != connection for event in claimed)
        if found and is_first and self._is_behind_another(lane, kind, found[0], troubled=troubled):
            return False
        claimed += found[:share]
        return len(found) >= share

    def _is_behind_another(
        self, lane: str, kind: Kind, first: ClaimedEvent, *, troubled: bool
    ) -> bool:
        """S4: a history that went live is applied in its order, one batch after the other.

        The head is asked for after the lock: no commit between the two lets anybody pass.
        """
        if lane != Lane.BULK.value or kind is not Kind.SORT or troubled:
            return False
        wanted = {**self._wanted(lane, kind), "connection": first.connection, "most": 1}
        head = self._connection.execute(due_events(troubled=troubled, lock=False), wanted).first()
        return head is not None and head[0] != first.id

    def retake(self, ids: Collection[int]) -> list[ClaimedEvent]:
        """Lock these events if they are still open (SQLite's claim, bisection)."""
        events = rows.events
        statement = (
            select(*(events.c[name] for name in _CLAIMED))
            .where(bulk.among(events.c.id, sorted(ids), self._connection))
            .where(events.c.due_at.is_not(None))
            .order_by(events.c.id)
            .with_for_update(skip_locked=True, key_share=True)
        )
        return [
            claimed_from_row(row) for row in self._connection.execute(statement).mappings().all()
        ]

    def bodies(self, deliveries: Collection[int]) -> dict[int, tuple[str, bytes]]:
        """Source feed id and sealed body of each delivery."""
        table = rows.deliveries
        found = self._connection.execute(
            select(table.c.id, table.c.feed_id, table.c.body).where(
                bulk.among(table.c.id, sorted(deliveries), self._connection)
            )
        )
        return {row.id: (row.feed_id, row.body) for row in found.all()}

    def finish(self, results: Sequence[Result], *, worker: str) -> None:
        """Write what became of each event, its waits, attempts and dead letter."""
        ordered = sorted(results, key=lambda result: result.event.id)
        ended = [self._event_row(r) for r in ordered]
        # Behind what wakes waiting events, of which some may be of this batch.
        bulk.update(self._connection, rows.events, ended, is_apart=True)
        self._follow(ordered, worker)

    def record(
        self, results: Sequence[Result], columns: Sequence[dict[str, Any]], *, worker: str
    ) -> None:
        """Store events that are decided already, each with what became of it."""
        made = [
            {**more, **self._event_row(result)}
            for result, more in zip(results, columns, strict=True)
        ]
        bulk.insert(self._connection, rows.events, made)
        self._follow(results, worker)

    def repeat(self, number: int, result: Result, *, worker: str) -> None:
        """Note that an event which was refused or held came once more."""
        attempt = {**self._attempt_row(result, worker), "event_id": number}
        bulk.insert(self._connection, rows.attempts, [attempt])
        letters = rows.dead_letters
        self._connection.execute(
            update(letters)
            .where(letters.c.event_id == number)
            .values(
                attempts=letters.c.attempts + 1,
                last_error=result.detail,
                last_at=self._now,
                state="open",
            )
        )

    def _follow(self, ordered: Sequence[Result], worker: str) -> None:
        self._write_waits(ordered)
        notable = [r for r in ordered if _is_notable(r)]
        attempts = [self._attempt_row(r, worker) for r in notable]
        bulk.insert(self._connection, rows.attempts, attempts)
        self._write_dead([r for r in ordered if r.state is State.DEAD])
        self._close_dead(
            [r for r in ordered if r.state is State.ENDED and not r.event.is_first_try]
        )

    def _event_row(self, result: Result) -> dict[str, Any]:
        event = result.event
        is_waiting = result.state is State.WAITING
        is_over = result.state in (State.ENDED, State.DEAD)
        return {
            "id": event.id,
            "state": result.state.value,
            "outcome": result.outcome.value if result.outcome is not None else None,
            "reason": result.reason.value if result.reason is not None else None,
            "due_at": result.due_at,
            "attempts": result.attempts,
            "crashes": 0 if is_over else event.crashes,
            "waiting_since": (event.waiting_since or self._now) if is_waiting else None,
            "ended_at": self._now if is_over else None,
            "superseded_by": result.superseded_by,
        }

    def _write_waits(self, results: Sequence[Result]) -> None:
        stale = [r.event.id for r in results if not r.event.is_first_try]
        if stale:
            self._connection.execute(
                delete(rows.waits).where(bulk.among(rows.waits.c.event_id, stale, self._connection))
            )
        waits = [{"event_id": r.event.id, "key": key} for r in results for key in sorted(r.waits)]
        bulk.insert(self._connection, rows.waits, waits, conflict="ON CONFLICT DO NOTHING")

    def _attempt_row(self, result: Result, worker: str) -> dict[str, Any]:
        outcome = result.outcome.value if result.outcome is not None else result.state.value
        return {
            "event_id": result.event.id,
            "at": self._now,
            "outcome": outcome,
            "reason": result.reason.value if result.reason is not None else None,
            "detail": result.detail,
            "worker": worker,
        }

    def _write_dead(self, results: Sequence[Result]) -> None:
        letters = [
            {
                "event_id": r.event.id,
                "account_id": r.event.account,
                "connection_id": r.event.connection,
                "state": "open",
                "reason": str(r.reason or "error"),
                "fingerprint": r.fingerprint or f"{r.reason}:{r.event.type}",
                "first_error": r.detail,
                "last_error": r.detail,
                "first_at": self._now,
                "last_at": self._now,
                "attempts": r.attempts + 1,
                "applied_part": r.applied_part,
                "note": "",
                "payload": None,
            }
            for r in results
        ]
        again = (
            "ON CONFLICT (event_id) DO UPDATE SET state = 'open', reason = excluded.reason, "
            "fingerprint = excluded.fingerprint, last_error = excluded.last_error, "
            "last_at = excluded.last_at, attempts = dead_letters.attempts + 1, "
            "applied_part = excluded.applied_part"
        )
        bulk.insert(self._connection, rows.dead_letters, letters, conflict=again)

    def _close_dead(self, results: Sequence[Result]) -> None:
        """A replayed event that ended well is no dead letter any more; its history stays."""
        ids = [r.event.id for r in results]
        if ids:
            table = rows.dead_letters
            self._connection.execute(
                table.update()
                .where(bulk.among(table.c.event_id, ids, self._connection))
                .values(state="replayed")
            )


def _is_notable(result: Result) -> bool:
    """A first try that simply ended needs no row beside the event's own."""
    return (
        not result.event.is_first_try
        or result.event.attempts > 0
        or result.state in (State.DEAD, State.RETRYING, State.HELD)
    )

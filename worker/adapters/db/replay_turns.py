"""How a replay goes on: what was tried is noted, the next events are released (G8).

A turn is one short transaction under the row's lock, by whoever has the lease. Whose lease ran out
writes nothing any more: it finds the row with another's, or does not get it.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, RowMapping, case, func, or_, select, update

from domain.erasure import ERASED
from domain.inbox import Kind, Lane, State
from domain.pacing import Move, next_move
from domain.replays import ItemState, ReplayState, Skip
from worker.adapters.db import bulk, rows
from worker.adapters.db.engine import Database, translated
from worker.adapters.db.replay_moves import as_moment, course_of, move, pace_of
from worker.adapters.db.replay_rows import replay_items, replays
from worker.adapters.db.replay_traces import note_attempts
from worker.adapters.db.uow import database_now

#: A worker that has not taken its turn for so long is gone, and another goes on.
LEASE = timedelta(seconds=5)
#: What counts as failed of a first try.
FAILED = ("dead", "retrying")
ITSELF = "rosterd"


class SQLReplayTurns:
    """`ReplayTurns` on both databases."""

    def __init__(self, database: Database, worker: str) -> None:
        self._database = database
        self._worker = worker

    def at_work(self) -> list[tuple[str, ReplayState]]:
        """See the port."""
        with translated(), self._database.read() as sql:
            now = database_now(sql)
            mine = or_(
                replays.c.lease_until.is_(None),
                replays.c.lease_until < now,
                replays.c.lease_by == self._worker,
            )
            working = replays.c.state.in_(["planning", "running"])
            found = sql.execute(select(replays.c.id, replays.c.state).where(working, mine))
            return [(row.id, ReplayState(row.state)) for row in found]

    def turn(self, replay: str) -> int | None:
        """See the port."""

        def work(sql: Connection) -> int | None:
            row = self._leased(sql, replay, ReplayState.RUNNING)
            return move_on(sql, row) if row is not None else None

        return self._database.change(work, is_repeatable=True)

    def lease(self, replay: str) -> bool:
        """See the port."""

        def work(sql: Connection) -> bool:
            return self._leased(sql, replay, ReplayState.PLANNING) is not None

        return self._database.change(work, is_repeatable=True)

    def _leased(self, sql: Connection, replay: str, state: ReplayState) -> RowMapping | None:
        now = database_now(sql)
        free = or_(
            replays.c.lease_until.is_(None),
            replays.c.lease_until < now,
            replays.c.lease_by == self._worker,
        )
        mine = (replays.c.id == replay) & (replays.c.state == state.value)
        wanted = select(replays).where(mine, free).with_for_update(skip_locked=True)
        row = sql.execute(wanted).mappings().first()
        if row is not None:
            held = {"lease_by": self._worker, "lease_until": now + LEASE}
            sql.execute(update(replays).where(replays.c.id == replay).values(**held))
        return row


def move_on(sql: Connection, row: RowMapping) -> int:
    """One turn of a replay whose row is locked; how many events were released."""
    tried, failed = settle(sql, row["id"])
    now = database_now(sql)
    noted = {**row, "tried": row["tried"] + tried, "failed": row["failed"] + failed}
    course = course_of(noted, left=row["left_count"], open_=_count(sql, row["id"]))
    what = next_move(pace_of(row), course, now=now.timestamp())
    if what.is_over:
        if not _is_stirring(sql, row["id"]):
            _finish(sql, row, now)
        return 0
    if what.stop is not None:
        _stop(sql, row, what.stop)
        return 0
    released, skipped = release(sql, row, what.release, now)
    _keep(sql, noted, what, released=released, skipped=skipped)
    return released


def _keep(sql: Connection, row: dict[str, Any], what: Move, *, released: int, skipped: int) -> None:
    unused = (what.release - released) * (row["interval_us"] or 0) / 1e6
    before = 0 if what.is_new_step else row["step_released"]
    values = {
        "left_count": row["left_count"] - released - skipped,
        "step": what.step,
        "step_released": before + released,
        "tried": 0 if what.is_new_step else row["tried"],
        "failed": 0 if what.is_new_step else row["failed"],
        "paced_at": as_moment(what.paced_at - unused),
    }
    sql.execute(update(replays).where(replays.c.id == row["id"]).values(**values))


def settle(sql: Connection, replay: str) -> tuple[int, int]:
    """Note what became of what was released; how many were tried now, and failed."""
    found = _settle(sql, replay, ItemState.RELEASED)
    if not found:
        # What waits or is tried again by itself is asked for while there is nothing else to do.
        _settle(sql, replay, ItemState.TRIED)
    return len(found), sum(1 for row in found if row.outcome in FAILED)


def _settle(sql: Connection, replay: str, state: ItemState) -> Sequence[Any]:
    items, events = replay_items, rows.events
    became = func.coalesce(events.c.outcome, events.c.state)
    is_over = events.c.state.in_([State.ENDED.value, State.DEAD.value])
    known = items.c.outcome
    is_news = (
        events.c.state != State.PENDING.value
        if state is ItemState.RELEASED
        else (became != known) & (events.c.state != State.PENDING.value)
    )
    found = sql.execute(
        update(items)
        .where(items.c.replay_id == replay, items.c.state == state.value)
        .where(events.c.id == items.c.event_id, is_news)
        .values(
            state=case((is_over, ItemState.SETTLED.value), else_=ItemState.TRIED.value),
            outcome=became,
            reason=events.c.reason,
            settled_at=database_now(sql),
        )
        .returning(items.c.event_id, items.c.kind, items.c.outcome, items.c.state)
    ).all()
    over = [row for row in found if row.state == ItemState.SETTLED.value]
    # In the queue of replays they were of one kind; now they are what they are again.
    own = [{"id": r.event_id, "kind": r.kind} for r in over if r.kind != Kind.SORT.value]
    bulk.update(sql, rows.events, sorted(own, key=lambda row: int(row["id"])))
    return found


def _count(sql: Connection, replay: str) -> int:
    items = replay_items
    mine = (items.c.replay_id == replay) & (items.c.state == ItemState.RELEASED.value)
    return int(sql.execute(select(func.count()).select_from(items).where(mine)).scalar_one())


def _is_stirring(sql: Connection, replay: str) -> bool:
    """Whether something of it is still tried again by itself."""
    items = replay_items
    mine = (items.c.replay_id == replay) & (items.c.state == ItemState.TRIED.value)
    again = select(items.c.place).where(mine, items.c.outcome == State.RETRYING.value)
    return sql.execute(again.limit(1)).first() is not None


def release(sql: Connection, row: RowMapping, wanted: int, now: datetime) -> tuple[int, int]:
    """Make the next events due, in order, in the queue of replays; how many, and how many cannot.

    One queue, so that no event overtakes an earlier one of its subject: see `inbox`.
    """
    released = skipped = 0
    while released < wanted:
        found = _next(sql, row["id"], wanted - released)
        if not found:
            break
        skips = {one.place: skip for one in found if (skip := skip_of(one)) is not None}
        sound = [one for one in found if one.place not in skips]
        taken = _make_due(sql, row["id"], [one.event_id for one in sound], now)
        for one in sound:
            if one.event_id not in taken:
                skips[one.place] = Skip.ELSEWHERE
        _mark_released(sql, row["id"], [o.place for o in sound if o.place not in skips])
        mark_skipped(sql, row["id"], skips)
        note_attempts(sql, sorted(taken), "replayed", row["reason"], row["moved_by"])
        released, skipped = released + len(taken), skipped + len(skips)
    return released, skipped


def _next(sql: Connection, replay: str, limit: int) -> Sequence[Any]:
    frozen = (replay_items.c.replay_id == replay) & (replay_items.c.state == "frozen")
    wanted = looked_at().where(frozen).order_by(replay_items.c.place).limit(limit)
    return sql.execute(wanted).all()


def looked_at() -> Any:
    """Items with what `skip_of` asks about."""
    items, events = replay_items, rows.events
    deliveries, connections = rows.deliveries, rows.connections
    return select(
        items.c.place,
        items.c.event_id,
        events.c.id.label("kept"),
        events.c.state,
        events.c.outcome,
        events.c.subject,
        deliveries.c.id.label("body"),
        connections.c.state.label("connection"),
    ).select_from(
        items.outerjoin(events, events.c.id == items.c.event_id)
        .outerjoin(deliveries, deliveries.c.id == events.c.delivery_id)
        .outerjoin(connections, connections.c.id == events.c.connection_id)
    )


def skip_of(one: Any) -> Skip | None:
    """Why an event of the set cannot be tried any more; None if it can."""
    if one.kept is None:
        return Skip.GONE
    if one.subject == ERASED:
        return Skip.ERASED
    if one.outcome == "discarded":
        return Skip.DISCARDED
    if one.state != State.DEAD.value:
        return Skip.ELSEWHERE
    if one.body is None:
        return Skip.PURGED
    return Skip.RETIRED if one.connection == "retired" else None


def _make_due(sql: Connection, replay: str, ids: Sequence[int], now: datetime) -> set[int]:
    events = rows.events
    if not ids:
        return set()
    due = {
        "state": State.PENDING.value,
        "lane": Lane.BULK.value,
        "kind": Kind.SORT.value,
        "outcome": None,
        "reason": None,
        "ended_at": None,
        "attempts": 0,
        "crashes": 0,
        "waiting_since": None,
        "due_at": now,
        "replay_id": replay,
    }
    dead = bulk.among(events.c.id, ids, sql) & (events.c.state == State.DEAD.value)
    return set(sql.scalars(update(events).where(dead).values(**due).returning(events.c.id)))


def _mark_released(sql: Connection, replay: str, places: Sequence[int]) -> None:
    items = replay_items
    mine = (items.c.replay_id == replay) & bulk.among_neighbours(items.c.place, places, sql)
    sql.execute(update(items).where(mine).values(state=ItemState.RELEASED.value))


def mark_skipped(sql: Connection, replay: str, skips: dict[int, Skip]) -> None:
    """Note what cannot be tried, and why."""
    items, now = replay_items, database_now(sql)
    for skip in sorted(set(skips.values())):
        places = [place for place, its in skips.items() if its is skip]
        told = {"outcome": "skipped", "reason": skip.value, "settled_at": now}
        state = ItemState.SKIPPED.value
        mine = (items.c.replay_id == replay) & bulk.among_neighbours(items.c.place, places, sql)
        sql.execute(update(items).where(mine).values(state=state, **told))


def pull_back(sql: Connection, replay: str) -> int:
    """What was released and not tried yet is dead again, and frozen; how many."""
    events, items, letters = rows.events, replay_items, rows.dead_letters
    why = select(letters.c.reason).where(letters.c.event_id == events.c.id).scalar_subquery()
    its = (items.c.replay_id == replay) & (items.c.event_id == events.c.id)
    own = func.coalesce(select(items.c.kind).where(its).scalar_subquery(), events.c.kind)
    back = {"state": State.DEAD.value, "outcome": "dead", "reason": why, "kind": own}
    released = select(items.c.event_id).where(
        items.c.replay_id == replay, items.c.state == ItemState.RELEASED.value
    )
    ids = list(
        sql.scalars(
            update(events)
            .where(events.c.id.in_(released), events.c.replay_id == replay)
            .where(events.c.state == State.PENDING.value)
            .values(due_at=None, ended_at=database_now(sql), **back)
            .returning(events.c.id)
        )
    )
    mine = (items.c.replay_id == replay) & bulk.among(items.c.event_id, ids, sql)
    sql.execute(update(items).where(mine).values(state=ItemState.FROZEN.value))
    return len(ids)


def _stop(sql: Connection, row: RowMapping, why: str) -> None:
    left = row["left_count"] + pull_back(sql, row["id"])
    settle(sql, row["id"])
    told = {"why": why, "left": left}
    values = {"why": why, "left_count": left}
    move(sql, row, ReplayState.STOPPED, action="dead.stop", actor=ITSELF, told=told, **values)


def _finish(sql: Connection, row: RowMapping, now: datetime) -> None:
    items = replay_items
    ended = func.coalesce(items.c.outcome, items.c.state)
    mine = items.c.replay_id == row["id"]
    counted = select(ended, func.count()).where(mine).group_by(ended)
    told = {str(outcome): int(count) for outcome, count in sql.execute(counted)}
    move(
        sql, row, ReplayState.FINISHED, action="dead.finish", actor=ITSELF, told=told, ended_at=now
    )

"""Where a replay is, and how it gets from one state to the next: under its row's lock (G8)."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Connection, RowMapping, select, text, update

from domain.errors import NothingFoundError
from domain.pacing import Course, Pace, begun
from domain.replays import Order, ReplayState, ReplayStateError
from worker.adapters.db.auditing import Deed, audit
from worker.adapters.db.replay_rows import replays
from worker.adapters.db.uow import database_now

Within = Collection[str] | None
#: Two replays that start at once must not take the same event.
REPLAY_LOCK = 727_402


def take_turn(sql: Connection) -> None:
    """Wait for whoever starts a replay at this moment."""
    if sql.dialect.name == "postgresql":
        sql.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": REPLAY_LOCK})


def state_of(row: RowMapping | Mapping[str, Any]) -> ReplayState:
    """Those of the release before have none, and are over."""
    return ReplayState(row["state"]) if row["state"] is not None else ReplayState.FINISHED


def pace_of(row: RowMapping | Mapping[str, Any]) -> Pace:
    """The pace that was ordered."""
    interval = timedelta(microseconds=row["interval_us"] or 0)
    return Pace(interval, bool(row["has_ramp"]), row["stop_percent"])


def course_of(row: RowMapping | Mapping[str, Any], *, left: int, open_: int) -> Course:
    """Where it is, as the pace asks."""
    return Course(
        left=left,
        open=open_,
        step=row["step"],
        released=row["step_released"],
        tried=row["tried"],
        failed=row["failed"],
        paced_at=row["paced_at"].timestamp(),
    )


def as_moment(seconds: float) -> datetime:
    """A moment of `Course.paced_at`."""
    return datetime.fromtimestamp(seconds, UTC)


def locked(sql: Connection, replay: str, within: Within = None) -> RowMapping:
    """The replay's row, locked; another account's is unknown. Raises NothingFoundError."""
    wanted = select(replays).where(replays.c.id == replay).with_for_update()
    row = sql.execute(wanted).mappings().first()
    if row is None or not (within is None or row["account_id"] in within):
        raise NothingFoundError("replay", replay)
    return row


def insist(row: RowMapping, states: Collection[ReplayState], what: str) -> None:
    """Raise ReplayStateError unless it is in one of these states."""
    state = state_of(row)
    if state not in states:
        raise ReplayStateError(row["id"], state, row["moved_by"] or "", what)


def move(
    sql: Connection,
    row: RowMapping,
    state: ReplayState,
    *,
    action: str,
    actor: str,
    reason: str = "",
    told: Mapping[str, object] | None = None,
    **values: object,
) -> None:
    """Bring it into a state, and leave an audit row."""
    new = {"state": state.value, "moved_by": actor, "lease_by": None, "lease_until": None}
    sql.execute(update(replays).where(replays.c.id == row["id"]).values(**new, **values))
    before = state_of(row).value
    after = {"state": state.value, "was": before, **(told or {})}
    deed = Deed(action, row["id"], row["account_id"], actor, reason, after=after)
    audit(sql, database_now(sql), deed)


def begin(sql: Connection, replay: str, order: Order, *, actor: str) -> None:
    """Let it run: from here on workers go on with it."""
    row = locked(sql, replay)
    now, pace = database_now(sql), order.pace
    move(
        sql,
        row,
        ReplayState.RUNNING,
        action="dead.replay",
        actor=actor,
        reason=order.reason,
        told={"count": row["left_count"], **as_told(pace)},
        started_at=now,
        **_paced(pace, row["left_count"], now),
    )
    sql.execute(update(replays).where(replays.c.id == replay).values(reason=order.reason))


def go_on(sql: Connection, row: RowMapping, pace: Pace, *, actor: str, reason: str) -> None:
    """Let one that was paused or stopped run again: judged anew, a ramp from its first step."""
    now = database_now(sql)
    paced = _paced(pace, row["left_count"], now)
    told = {"left": row["left_count"], **as_told(pace)}
    state = ReplayState.RUNNING
    move(sql, row, state, action="dead.resume", actor=actor, reason=reason, told=told, **paced)


def _paced(pace: Pace, left: int, now: datetime) -> dict[str, object]:
    course = begun(pace, left=left, now=now.timestamp())
    return {
        "interval_us": pace.interval // timedelta(microseconds=1),
        "has_ramp": pace.has_ramp,
        "stop_percent": pace.stop_percent,
        "step": course.step,
        "step_released": course.released,
        "tried": course.tried,
        "failed": course.failed,
        "paced_at": as_moment(course.paced_at),
        "why": None,
    }


def as_told(pace: Pace) -> dict[str, object]:
    """A pace as audit and answers tell it. rate: events a second, None for as fast as it goes."""
    seconds = pace.interval.total_seconds()
    return {
        "rate": round(1 / seconds, 6) if seconds else None,
        "ramp": pace.has_ramp,
        "stop_percent": pace.stop_percent,
    }

"""What the page says, from a snapshot: numbers as people read them."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from datetime import datetime

from domain.inbox import Lane
from worker.adapters.db.gauges import OPEN_STATES, Snapshot

#: A suspension that is not applied after this many seconds is an alarm.
LATE_SUSPENSION = 10.0
_MINUTE, _HOUR, _DAY = 60, 3600, 86400


@dataclass(frozen=True, slots=True)
class LaneRow:
    """One connection in one lane."""

    account: str
    connection: str
    lane: str
    counts: dict[str, int]
    oldest: str


@dataclass(frozen=True, slots=True)
class Figures:
    """Everything that the page shows."""

    headline: str
    is_late: bool
    suspension: str
    workers: int
    swept: str
    lanes: list[LaneRow]
    snapshot: Snapshot
    heard: list[tuple[str, str, str, str, str]]
    warnings: list[tuple[str, str]]


def age(seconds: float) -> str:
    """A duration in the largest unit that says enough."""
    if seconds < _MINUTE:
        return f"{max(seconds, 0):.0f} s"
    if seconds < _HOUR:
        return f"{seconds / _MINUTE:.0f} min"
    return f"{seconds / _HOUR:.0f} h" if seconds < 2 * _DAY else f"{seconds / _DAY:.0f} days"


def figures(snapshot: Snapshot) -> Figures:
    """The page's content."""
    waiting = snapshot.count("pending", "retrying")
    oldest = max(
        (b.oldest for b in snapshot.backlog if b.state in ("pending", "retrying")), default=0.0
    )
    headline = (
        f"{waiting} to apply, the oldest for {age(oldest)}"
        if waiting
        else "The directory is up to date"
    )
    late = max(snapshot.suspensions.values(), default=0.0)
    return Figures(
        headline=headline,
        is_late=late > LATE_SUSPENSION,
        suspension=age(late) if snapshot.suspensions else "none waits",
        workers=snapshot.workers,
        swept=_since(snapshot, snapshot.swept_at),
        lanes=_lanes(snapshot),
        snapshot=snapshot,
        heard=[
            (
                h.account,
                h.connection,
                h.source,
                _since(snapshot, h.at),
                h.at.isoformat() if h.at else "",
            )
            for h in snapshot.heard
        ],
        warnings=_warnings(snapshot),
    )


def _warnings(snapshot: Snapshot) -> list[tuple[str, str]]:
    """G3, G4: by account, what stands until somebody does something about it."""
    may = [
        (account, f"{count} may open the private space of people who have not accepted")
        for account, count in snapshot.openers.items()
        if count
    ]
    out = [(one.account, f"group {one.name} dropped out of management") for one in snapshot.dropped]
    return [*may, *out]


def _since(snapshot: Snapshot, moment: datetime | None) -> str:
    if moment is None:
        return "never"
    seconds = (snapshot.at - moment).total_seconds()
    return "now" if seconds < _MINUTE else f"{age(seconds)} ago"


def _lanes(snapshot: Snapshot) -> list[LaneRow]:
    counts: dict[tuple[str, str], dict[str, int]] = defaultdict(
        lambda: dict.fromkeys(OPEN_STATES, 0)
    )
    oldest: dict[tuple[str, str], float] = defaultdict(float)
    for row in snapshot.backlog:
        place = (row.connection_id, row.lane)
        counts[place][row.state] += row.count
        if row.state in ("pending", "retrying"):
            oldest[place] = max(oldest[place], row.oldest)
    return [
        LaneRow(
            one.account,
            one.connection,
            lane.value,
            counts[one.connection_id, lane.value],
            age(oldest[one.connection_id, lane.value]),
        )
        for lane in Lane
        for one in snapshot.connections
        if (one.connection_id, lane.value) in counts or lane is Lane.URGENT
    ]

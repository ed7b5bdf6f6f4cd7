"""What Now says, from a snapshot: numbers as people read them, and what needs somebody."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import urlencode

from domain.inbox import Lane
from worker.adapters.db.gauges import OPEN_STATES, Heard, Snapshot
from worker.web.console.words import age, many, plain

#: A suspension that is not applied after this many seconds is an alarm.
LATE_SUSPENSION = 10.0
#: A sweep that was longer ago than this many seconds is late, whatever its interval.
LATE_SWEEP = 60.0
_MINUTE = 60
#: States of a connection in which nothing of it is applied: until when.
_KEEPS = {"paused": "to be applied once it resumes", "observing": "to be applied once it goes live"}


@dataclass(frozen=True, slots=True)
class LaneRow:
    """One connection in one lane."""

    account: str
    connection: str
    connection_id: str
    lane: str
    counts: dict[str, int]
    oldest: str


@dataclass(frozen=True, slots=True)
class Need:
    """Something that wants a person. is_bad: now; else when there is time."""

    title: str
    says: str
    href: str = ""
    link: str = ""
    is_bad: bool = False


@dataclass(frozen=True, slots=True)
class HeardRow:
    """One feed: when it was last heard, and whether that is too long ago.

    state: the connection's, where that keeps anything back; else the feed's own.
    """

    feed: Heard
    is_silent: bool
    state: str


@dataclass(frozen=True, slots=True)
class Figures:
    """Everything that the page shows of the state of things."""

    headline: str
    is_late: bool
    suspension: str
    oldest: str
    waiting: int
    workers: int
    swept: str
    lanes: list[LaneRow]
    snapshot: Snapshot
    heard: list[HeardRow]
    needs: list[Need]


def figures(snapshot: Snapshot) -> Figures:
    """The page's content."""
    waiting = snapshot.count("pending", "retrying")
    due = [b.oldest for b in snapshot.backlog if b.state in ("pending", "retrying")]
    oldest = age(max(due, default=0.0))
    late = max(snapshot.suspensions.values(), default=0.0)
    needs = list(_needs(snapshot))
    if late > LATE_SUSPENSION:
        headline = "Not everybody who left is out yet"
    elif waiting:
        headline = f"{many(waiting, 'event')} to apply, the oldest for {oldest}"
    elif needs:
        headline = "All that can be applied is applied"
    else:
        headline = "The directory is up to date"
    return Figures(
        headline=headline,
        is_late=late > LATE_SUSPENSION,
        suspension=age(late) if snapshot.suspensions else "none waits",
        oldest=oldest if waiting else "none",
        waiting=waiting,
        workers=snapshot.workers,
        swept=_since(snapshot, snapshot.swept_at),
        lanes=_lanes(snapshot),
        snapshot=snapshot,
        heard=[
            HeardRow(feed, feed.is_silent(snapshot.at), _state(snapshot, feed))
            for feed in snapshot.heard
        ],
        needs=needs,
    )


def _state(snapshot: Snapshot, feed: Heard) -> str:
    state = snapshot.states.get(feed.connection_id, feed.state)
    return feed.state if state == "active" else state


def _needs(snapshot: Snapshot) -> Iterator[Need]:
    """Worst first: who may still be inside, what has stopped, what waits for an answer."""
    yield from _late(snapshot)
    yield from _stopped(snapshot)
    yield from _to_answer(snapshot)
    yield from _to_mend(snapshot)


def _late(snapshot: Snapshot) -> Iterator[Need]:
    late = {k: v for k, v in snapshot.suspensions.items() if v > LATE_SUSPENSION}
    names = {one.connection_id: one for one in snapshot.connections}
    for connection, seconds in sorted(late.items(), key=lambda item: -item[1]):
        one = names.get(connection)
        state = snapshot.states.get(connection, "")
        why = f" The connection is {state}." if state == "paused" else ""
        where = f" of {one.account}, {one.connection}" if one is not None else ""
        yield Need(
            "Somebody may still be inside who should be out",
            f"The oldest suspension{where} is not applied for {age(seconds)}.{why}",
            _events(connection=connection, kind="users.suspend", state="open"),
            "Show the suspensions that wait",
            is_bad=True,
        )


def _stopped(snapshot: Snapshot) -> Iterator[Need]:
    if not snapshot.workers:
        yield Need(
            "No worker runs",
            "Events are taken in and kept, but none is applied until a worker runs: rosterd worker",
            is_bad=True,
        )
    since = (snapshot.at - snapshot.swept_at).total_seconds() if snapshot.swept_at else None
    if since is None or since > LATE_SWEEP:
        told = f"The last sweep was {age(since)} ago." if since is not None else "It never ran."
        yield Need("The sweep does not run", f"{told} Workers run it; look at their logs.")


def _to_answer(snapshot: Snapshot) -> Iterator[Need]:
    names = {one.connection_id: one for one in snapshot.connections}
    for connection in snapshot.tripped:
        if (one := names.get(connection)) is not None:
            yield Need(
                f"The breaker of {one.account}, {one.connection} holds something back",
                "It takes away from more people than usual. Only you know whether that is meant.",
                "/holds",
                "Look at the hold",
                is_bad=True,
            )
    by_reason: dict[str, int] = defaultdict(int)
    for one in snapshot.dead:
        by_reason[one.reason] += one.count
    if by_reason:
        parts = sorted(by_reason.items(), key=lambda item: -item[1])
        told = ", ".join(f"{number:,} {plain(reason)}" for reason, number in parts[:4])
        more = f" and {len(parts) - 4} more reasons" if len(parts) > 4 else ""  # noqa: PLR2004
        letters = many(sum(by_reason.values()), "dead letter")
        yield Need(letters, f"{told}{more}.", "/dead-letters", "Look at them by cause")


def _held_back(snapshot: Snapshot) -> Iterator[Need]:
    """C2, S4: connections of which nothing is applied, with how much waits for that."""
    held: dict[str, int] = defaultdict(int)
    for row in snapshot.backlog:
        held[row.connection_id] += row.count if row.state == "held" else 0
    for one in snapshot.connections:
        state = snapshot.states.get(one.connection_id, "")
        if state in _KEEPS:
            count = held[one.connection_id]
            yield Need(
                f"{one.account}, {one.connection} is {state}: what comes is held",
                f"{many(count, 'event') if count else 'Nothing'} so far, {_KEEPS[state]}.",
                f"/connections/{one.connection_id}",
                "Look at the connection",
            )


def _to_mend(snapshot: Snapshot) -> Iterator[Need]:
    yield from _held_back(snapshot)
    for feed in snapshot.heard:
        if feed.is_silent(snapshot.at):
            yield Need(
                f"{feed.account}, {feed.connection} is silent",
                f"Its feed {feed.source} was last heard {age(feed.silence(snapshot.at))} ago.",
                f"/connections/{feed.connection_id}",
                "Look at the connection",
            )
    for one in snapshot.expiring:
        left = (one.at - snapshot.at).total_seconds()
        ends = f"ends in {age(left)}" if left > 0 else f"ended {age(-left)} ago"
        what = f"The token {one.of}" if one.kind == "token" else f"The old secret of feed {one.of}"
        yield Need(f"{what} {ends}", "Give its holder a new one before that.")
    for listener in snapshot.listeners:
        if listener.state == "disabled":
            yield Need(
                f"An application of {listener.account} hears nothing",
                f"Endpoint {listener.id} is disabled, {listener.waiting:,} announcements wait: "
                f"rosterd endpoint resume {listener.id}",
            )
    if failed := snapshot.notices.get("failed", 0):
        yield Need(f"{many(failed, 'mail')} could not be sent", "rosterd mail list shows them.")
    yield from _standing(snapshot)


def _standing(snapshot: Snapshot) -> Iterator[Need]:
    """G3, G4: by account, what stands until somebody does something about it."""
    for account, number in snapshot.openers.items():
        if number:
            yield Need(
                f"{account}: {number} may open private spaces",
                "Normally nobody is in Provision Managers.",
            )
    for one in snapshot.dropped:
        yield Need(
            f"{one.account}: group {one.name} dropped out of management",
            "It may do what no provider may give away. Its members are by hand now.",
            f"/groups/{one.id}",
            "Look at the group",
        )


def _events(**filters: str) -> str:
    return f"/events?{urlencode(filters)}"


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
            one.connection_id,
            lane.value,
            counts[one.connection_id, lane.value],
            age(oldest[one.connection_id, lane.value]),
        )
        for lane in Lane
        for one in snapshot.connections
        if (one.connection_id, lane.value) in counts or lane is Lane.URGENT
    ]

"""Which dead letters an operator means, the set that a replay froze, and what became of it (G8)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import datetime, timedelta
from enum import StrEnum

from domain.errors import NothingFoundError, RefusedError, UsageError
from domain.inbox import Reason
from domain.pacing import Pace, PaceChange, changed_pace, seconds_left

#: Event ids in one selection, at most; more are a filter.
MOST_IDS = 10_000
#: Between two events at the slowest rate that there is.
SLOWEST_SECONDS = 3_600
_RATE = re.compile(r"(\d+(?:\.\d+)?)(?:/(s|m|h))?")
_SECONDS = {"s": 1, "m": 60, "h": 3600}


@dataclass(frozen=True, slots=True)
class Selection:
    """Which dead letters: by event ids, or by a filter; an empty one selects nothing (G8).

    domain: an entry of a list of domains; those that were refused for want of it (E4).
    """

    ids: tuple[int, ...] = ()
    account: str | None = None
    connection: str | None = None
    reason: str | None = None
    fingerprint: str | None = None
    type: str | None = None
    detail: str | None = None
    domain: str | None = None
    since: datetime | None = None
    until: datetime | None = None

    def insist(self) -> None:
        """Raise UsageError unless something narrows the selection."""
        if all(not getattr(self, one.name) for one in fields(self)):
            raise UsageError("name events, or a filter such as a reason or an account")
        if len(self.ids) > MOST_IDS:
            raise UsageError(f"at most {MOST_IDS} ids at once; more are chosen by a filter")


@dataclass(frozen=True, slots=True)
class Started:
    """A replay that was started: its events, in the order in which they came."""

    id: str
    ids: tuple[int, ...]


class LetterState(StrEnum):
    """What became of a dead letter."""

    OPEN = "open"
    REPLAYED = "replayed"
    DISCARDED = "discarded"


class ReplayState(StrEnum):
    """Where a replay is. A stopped one passed its failure ratio and waits for an operator."""

    PLANNING = "planning"
    PLANNED = "planned"
    RUNNING = "running"
    PAUSED = "paused"
    STOPPED = "stopped"
    CANCELLED = "cancelled"
    FINISHED = "finished"


#: Under way: its events are no other replay's meanwhile.
UNDER_WAY = frozenset({ReplayState.RUNNING, ReplayState.PAUSED, ReplayState.STOPPED})
OVER = frozenset({ReplayState.CANCELLED, ReplayState.FINISHED})


class ItemState(StrEnum):
    """Where one event of a replay is. tried: it waits, is held or is tried again by itself."""

    FROZEN = "frozen"
    RELEASED = "released"
    TRIED = "tried"
    SETTLED = "settled"
    SKIPPED = "skipped"
    CANCELLED = "cancelled"


class Skip(StrEnum):
    """Why an event of the frozen set was not tried: what happened to it since."""

    GONE = "gone"
    ERASED = "erased"
    PURGED = "purged"
    DISCARDED = "discarded"
    ELSEWHERE = "elsewhere"
    RETIRED = "retired"


SKIPS: Mapping[Skip, str] = {
    Skip.GONE: "the event is not kept any more",
    Skip.ERASED: "the person was deleted for good",
    Skip.PURGED: "its body was let go by retention",
    Skip.DISCARDED: "it was discarded since",
    Skip.ELSEWHERE: "another replay has it, or it ended since",
    Skip.RETIRED: "its connection was retired",
}


class Cause(StrEnum):
    """How a dead letter came to be."""

    #: Nothing was tried: it was not understood, or not believed.
    NEVER_ATTEMPTED = "never_attempted"
    #: It was understood, and a rule said no.
    REFUSED = "refused"
    #: It was tried until patience ended.
    FAILED = "failed"


_NEVER = frozenset(
    {Reason.FOREIGN_MESSAGE, Reason.UNPARSEABLE, Reason.CONFLICT, Reason.NEEDS_READING}
)
_FAILED = frozenset({Reason.ERROR, Reason.WORKER_LOST})


def cause_of(reason: str) -> Cause:
    """Of a dead letter by its reason."""
    if reason in _NEVER:
        return Cause.NEVER_ATTEMPTED
    return Cause.FAILED if reason in _FAILED else Cause.REFUSED


class NothingChosenError(NothingFoundError):
    """A selection that fits no dead letter which could be tried again."""

    def __init__(self) -> None:
        super().__init__("open dead letter", more="for this selection")


class ReplayStateError(RefusedError):
    """A replay is not where it would have to be; the message says where it is, and who brought it.

    state: where it is.
    """

    def __init__(self, replay: str, state: ReplayState, by: str, what: str) -> None:
        told = f"replay {replay} is {state}"
        super().__init__(
            f"{told}{f', by {by}' if by else ''}: it cannot be {what}", code="replay_state"
        )
        self.state = state


@dataclass(frozen=True, slots=True)
class Order:
    """How a plan is to be carried out, and why."""

    reason: str
    pace: Pace = field(default_factory=Pace)

    def check(self) -> None:
        """Raise UsageError for an order without a reason, or one that makes no sense."""
        if not self.reason.strip():
            raise UsageError("a replay needs a --reason for the audit")
        self.pace.check()


def parse_rate(text: str | None) -> timedelta:
    """Time between two events of `20/s`, `20` or `600/m`; zero without a rate."""
    if text is None:
        return timedelta(0)
    found = _RATE.fullmatch(text.strip())
    if found is None or float(found[1]) <= 0:
        raise UsageError(f"rate {text!r} is not understood: 20/s, 600/m or 1000/h")
    seconds = _SECONDS[found[2] or "s"] / float(found[1])
    if seconds > SLOWEST_SECONDS:
        raise UsageError(f"rate {text!r} is too slow: one event an hour is the least")
    return timedelta(seconds=seconds)


def parse_pace(rate: str | None, *, has_ramp: bool = False, stop_at: str | None = None) -> Pace:
    """A pace as operators write it; see `parse_pace_change`."""
    return changed_pace(Pace(), parse_pace_change(rate, has_ramp=has_ramp, stop_at=stop_at))


def parse_pace_change(
    rate: str | None, *, has_ramp: bool | None = None, stop_at: str | None = None
) -> PaceChange:
    """What operators write of a pace, None for what they leave out. Raises UsageError.

    rate: `20/s`, or `full` for as fast as it goes. stop_at: `20%`, `20`, or `never`.
    """
    change = PaceChange()
    if rate is not None:
        change["interval"] = parse_rate(None if rate.strip() == "full" else rate)
    if has_ramp is not None:
        change["has_ramp"] = has_ramp
    if stop_at is not None:
        change["stop_percent"] = _percent(stop_at)
    return change


def _percent(stop_at: str) -> int | None:
    text = stop_at.strip().removesuffix("%")
    if text == "never":
        return None
    if not text.isdigit():
        raise UsageError(f"{stop_at!r} is no share of failures to stop at: 20%, or never")
    return int(text)


@dataclass(frozen=True, slots=True)
class Unforeseen:
    """Events of a plan that nothing is predicted of yet: their places by id.

    skips: places of those that cannot be tried, with why.
    """

    places: Mapping[int, int]
    skips: Mapping[int, Skip]


@dataclass(frozen=True, slots=True)
class Foreseen:
    """What would become of the events at these places. does: to whom, in words of `observing`."""

    places: tuple[int, ...]
    outcome: str
    reason: str | None = None
    does: str | None = None


@dataclass(frozen=True, slots=True)
class ReplaySeen:
    """A replay as operators see it. account: None where its events are of several.

    counts: events by `frozen`, `released`, `cancelled`, `skipped` or what became of them.
    foretold: by what was predicted. waits_for: names of paused connections that it has to wait for.
    """

    id: str
    account: str | None
    state: ReplayState
    why: str | None
    made_by: str
    made_at: datetime
    reason: str
    moved_by: str | None
    started_at: datetime | None
    ended_at: datetime | None
    selection: Mapping[str, object]
    pace: Pace
    count: int
    counts: Mapping[str, int]
    foretold: tuple[Foretold, ...]
    waits_for: tuple[str, ...]
    at: datetime

    @property
    def left(self) -> int:
        """Events that were not tried yet."""
        return self.counts.get(ItemState.FROZEN, 0) + self.counts.get(ItemState.RELEASED, 0)

    @property
    def done(self) -> int:
        """Events that were tried, or cannot be."""
        return self.count - self.left

    @property
    def seconds_left(self) -> float | None:
        """About how long it goes on; None where that cannot be told."""
        if self.state is not ReplayState.RUNNING or self.started_at is None:
            return None
        since = (self.at - self.started_at).total_seconds()
        return seconds_left(self.pace, left=self.left, done=self.done, since=since)

    def as_dict(self) -> dict[str, object]:
        """For JSON."""
        interval = self.pace.interval.total_seconds()
        return {
            "id": self.id,
            "account": self.account,
            "state": self.state.value,
            "why": self.why,
            "made_by": self.made_by,
            "made_at": self.made_at,
            "reason": self.reason,
            "moved_by": self.moved_by,
            "started_at": self.started_at,
            "ended_at": self.ended_at,
            "selection": {name: value for name, value in self.selection.items() if value},
            "rate": round(1 / interval, 6) if interval else None,
            "ramp": self.pace.has_ramp,
            "stop_percent": self.pace.stop_percent,
            "count": self.count,
            "left": self.left,
            "seconds_left": self.seconds_left,
            "counts": dict(self.counts),
            "foretold": [
                {"outcome": f.outcome, "reason": f.reason, "does": f.does, "events": f.events}
                for f in self.foretold
            ],
            "waits_for": list(self.waits_for),
        }


@dataclass(frozen=True, slots=True)
class Foretold:
    """Events of which the same was predicted."""

    outcome: str
    reason: str | None
    does: str | None
    events: int


@dataclass(frozen=True, slots=True)
class ItemSeen:
    """One event of a replay: what was predicted, what became of it."""

    place: int
    event: int
    state: ItemState
    predicted: str | None
    predicted_reason: str | None
    does: str | None
    outcome: str | None
    reason: str | None
    settled_at: datetime | None


@dataclass(frozen=True, slots=True)
class Compared:
    """Events of which the same was predicted, and of which the same became."""

    predicted: str | None
    predicted_reason: str | None
    outcome: str
    reason: str | None
    events: int

    @property
    def is_as_predicted(self) -> bool:
        """Whether prediction and outcome are one."""
        return (self.predicted, self.predicted_reason) == (self.outcome, self.reason)


@dataclass(frozen=True, slots=True)
class Report:
    """What became of a replay's events against what was predicted."""

    rows: tuple[Compared, ...]

    @property
    def as_predicted(self) -> int:
        """Events of which became what was predicted."""
        return sum(row.events for row in self.rows if row.is_as_predicted)

    @property
    def otherwise(self) -> int:
        """Events that were tried, and of which something else became."""
        return sum(
            row.events
            for row in self.rows
            if not row.is_as_predicted and row.predicted and row.outcome not in _UNTRIED
        )


_UNTRIED = (ItemState.FROZEN, ItemState.RELEASED, ItemState.CANCELLED)


def reasons_of(cause: Cause) -> frozenset[str]:
    """Reasons of dead letters that came to be so."""
    return frozenset(reason.value for reason in Reason if cause_of(reason) is cause)


@dataclass(frozen=True, slots=True)
class GroupNote:
    """What an operator wrote on a group of dead letters."""

    id: int
    at: datetime
    actor: str
    text: str


@dataclass(frozen=True, slots=True)
class DeadGroup:
    """Open dead letters of one cause. example: the newest event's id, None for foreign messages.

    trend: how many came to be in each of the last 24 hours, the oldest hour first.
    """

    fingerprint: str
    reason: str
    count: int
    first_at: datetime
    last_at: datetime
    example: int | None
    last_error: str
    trend: tuple[int, ...]
    notes: int

    @property
    def cause(self) -> Cause:
        """Never attempted, refused by a rule, or failed."""
        return cause_of(self.reason)

    def as_dict(self) -> dict[str, object]:
        """For JSON."""
        return {
            "fingerprint": self.fingerprint,
            "reason": self.reason,
            "cause": self.cause.value,
            "count": self.count,
            "first_at": self.first_at,
            "last_at": self.last_at,
            "example": self.example,
            "last_error": self.last_error,
            "trend": list(self.trend),
            "notes": self.notes,
        }

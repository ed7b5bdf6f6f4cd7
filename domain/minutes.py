"""What happened minute by minute, as charts and figures tell it: counts, and latencies in buckets.

Latencies are kept as counts below a few bounds, which add up over processes, lanes and minutes
as percentiles do not. A percentile is read from them: exact to the bounds around it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, fields
from datetime import datetime, timedelta

#: Seconds from receipt to the commit that ended the event; what took longer is the last bucket.
BOUNDS = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 60.0, 600.0)
#: How long minutes are kept: a week, and the day to compare it with.
KEPT = timedelta(days=8)


@dataclass(frozen=True, slots=True)
class Minute:
    """One lane in one minute, or in several that were added up.

    applied, ended: events that changed something, that ended otherwise. retrying, dead: tries that
    failed. latencies: events by bucket of `BOUNDS`. backlog, held, letters: how many there were,
    oldest, late: the age in seconds of the oldest event to apply, and of the oldest suspension.
    """

    applied: int = 0
    ended: int = 0
    retrying: int = 0
    dead: int = 0
    latencies: tuple[int, ...] = field(default=(0,) * (len(BOUNDS) + 1))
    backlog: int = 0
    held: int = 0
    letters: int = 0
    oldest: int = 0
    late: int = 0

    def percentile(self, part: float) -> float | None:
        """Seconds within which this part (0 to 1) of the events ended; None where none did."""
        total = sum(self.latencies)
        if not total:
            return None
        wanted, below, seen = part * total, 0.0, 0
        for bound, count in zip(BOUNDS, self.latencies, strict=False):
            if count and seen + count >= wanted:
                return below + (bound - below) * max(wanted - seen, 0.0) / count
            seen, below = seen + count, bound
        return BOUNDS[-1]


def bucket(seconds: float) -> int:
    """In which bucket a latency is counted."""
    for number, bound in enumerate(BOUNDS):
        if seconds <= bound:
            return number
    return len(BOUNDS)


#: What adds up over lanes at one moment, and over time; of the others the largest counts.
_COUNTED = ("applied", "ended", "retrying", "dead")
_STATES = ("backlog", "held", "letters")


def beside(lanes: Iterable[Minute]) -> Minute:
    """Lanes of the same minute as one."""
    return _added(list(lanes), summed=(*_COUNTED, *_STATES))


def behind(minutes: Iterable[Minute]) -> Minute:
    """Minutes one after the other as one: counts add up, of what there was the most is told."""
    return _added(list(minutes), summed=_COUNTED)


def _added(all_: Sequence[Minute], *, summed: Sequence[str]) -> Minute:
    told: dict[str, int] = {}
    for one in fields(Minute):
        if one.name != "latencies":
            values = [getattr(minute, one.name) for minute in all_]
            told[one.name] = sum(values) if one.name in summed else max(values, default=0)
    buckets = zip(*(minute.latencies for minute in all_), strict=True)
    latencies = tuple(map(sum, buckets)) or Minute().latencies
    return Minute(latencies=latencies, **told)


@dataclass(frozen=True, slots=True)
class Span:
    """Part of a chart. minute: None where nothing was noted, as while no worker ran."""

    at: datetime
    minute: Minute | None


def spans(
    noted: dict[datetime, Minute], *, until: datetime, step: timedelta, count: int
) -> list[Span]:
    """The last `count` steps before `until`, oldest first, each with what was noted in it."""
    size = int(step.total_seconds())
    last = datetime.fromtimestamp(int(until.timestamp()) // size * size, until.tzinfo)
    by_step: dict[datetime, list[Minute]] = {}
    for at, minute in noted.items():
        start = datetime.fromtimestamp(int(at.timestamp()) // size * size, until.tzinfo)
        by_step.setdefault(start, []).append(minute)
    starts = [last - step * back for back in range(count - 1, -1, -1)]
    return [Span(at, behind(by_step[at]) if at in by_step else None) for at in starts]

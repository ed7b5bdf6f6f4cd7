"""How fast a replay goes and when it stops by itself (G8).

What was released, tried and failed goes in with the time; how many more may be released comes out.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TypedDict

from domain.errors import UsageError

#: Released in one transaction, at most.
SLICE = 500
#: Released and not tried yet, at most: what live traffic may find in front of it in the bulk lane.
WINDOW = 1_000
#: Time lost beyond this is not made up for: whoever asked for a rate does not want a flood.
CATCH_UP = timedelta(seconds=2)
#: A failure ratio of fewer tries than this says nothing, unless a step of the ramp is shorter.
SAMPLE = 20
#: By what a ramp grows: 1, 10, 100 ..
GROWTH = 10
#: The failure ratio at which a ramp stops where none is named, in percent.
USUAL_STOP = 20


@dataclass(frozen=True, slots=True)
class Pace:
    """What an operator asked for. interval: between two events, zero for as fast as it goes.

    has_ramp: in steps of 1, 10, 100 .., each begun when the one before was tried whole.
    stop_percent: failures above this stop it; None for never.
    """

    interval: timedelta = timedelta(0)
    has_ramp: bool = False
    stop_percent: int | None = None

    def check(self) -> None:
        """Raise UsageError for what makes no sense."""
        if self.interval < timedelta(0):
            raise UsageError("a rate is above zero")
        if self.stop_percent is not None and not 0 <= self.stop_percent < 100:  # noqa: PLR2004
            raise UsageError("a failure ratio to stop at is 0 to 99 percent")


class PaceChange(TypedDict, total=False):
    """What of a pace is to be otherwise; what is left out stays (see `Pace`)."""

    interval: timedelta
    has_ramp: bool
    stop_percent: int | None


def changed_pace(pace: Pace, change: PaceChange) -> Pace:
    """The pace with what is told; a ramp that begins has something to stop at. UsageError."""
    begins = change.get("has_ramp", False) and not pace.has_ramp
    usual = USUAL_STOP if begins and pace.stop_percent is None else pace.stop_percent
    after = replace(replace(pace, stop_percent=usual), **change)
    after.check()
    return after


@dataclass(frozen=True, slots=True)
class Course:
    """Where a replay is. left: not released yet; open: released and not tried yet.

    step: events in the ramp's step, 0 without one; released, tried, failed: of them, or of all
    since it was started or resumed. paced_at: up to which moment the rate was used up, in seconds.
    """

    left: int
    open: int
    step: int
    released: int
    tried: int
    failed: int
    paced_at: float


@dataclass(frozen=True, slots=True)
class Move:
    """What to do now: release so many, or stop because, or nothing more. The rest: to be kept.

    is_new_step: what was tried and failed before counts no more.
    """

    release: int
    step: int
    paced_at: float
    is_new_step: bool = False
    stop: str | None = None
    is_over: bool = False


def begun(pace: Pace, *, left: int, now: float) -> Course:
    """The course of a replay that is started or resumed now: its first event may go at once."""
    return Course(
        left=left,
        open=0,
        step=1 if pace.has_ramp else 0,
        released=0,
        tried=0,
        failed=0,
        paced_at=now - pace.interval.total_seconds(),
    )


def next_move(pace: Pace, course: Course, *, now: float) -> Move:
    """What follows. now: seconds of the clock that `paced_at` is of."""
    step, released, is_new_step = course.step, course.released, False
    if course.left == 0 and course.open == 0:
        return Move(0, step, course.paced_at, is_over=True)
    why = _too_many_failed(pace, course)
    if why is not None:
        return Move(0, step, course.paced_at, stop=why)
    if pace.has_ramp and released >= step and course.open == 0:
        step, released, is_new_step = step * GROWTH, 0, True
    room = min(SLICE, WINDOW - course.open, course.left)
    if pace.has_ramp:
        room = min(room, step - released)
    seconds = pace.interval.total_seconds()
    paced_at = max(course.paced_at, now - CATCH_UP.total_seconds() - seconds)
    if seconds:
        room = min(room, int((now - paced_at) / seconds))
    room = max(room, 0)
    return Move(room, step, paced_at + room * seconds, is_new_step=is_new_step)


def _too_many_failed(pace: Pace, course: Course) -> str | None:
    """Why it must not go on."""
    sample = min(SAMPLE, course.step) if pace.has_ramp else SAMPLE
    if pace.stop_percent is None or course.tried < max(sample, 1):
        return None
    if course.failed * 100 <= pace.stop_percent * course.tried:
        return None
    told = f"{course.failed} of {course.tried} failed"
    return f"{told}, more than the {pace.stop_percent} % at which it was to stop"


def seconds_left(pace: Pace, *, left: int, done: int, since: float) -> float | None:
    """About how long it goes on; None where nothing tells. since: seconds that it went so far."""
    if left == 0:
        return 0.0
    by_rate = left * pace.interval.total_seconds()
    by_course = left * since / done if done and since > 0 else None
    if by_course is None:
        return by_rate or None
    return max(by_rate, by_course)

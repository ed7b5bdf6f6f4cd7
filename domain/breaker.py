"""The breaker: how much one connection may take away before somebody looks (C6, D17)."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Protocol

from domain.errors import UsageError
from domain.inbox import Kind, Lane
from domain.model import Person, PersonState
from domain.values import normalise_address

_DURATION = re.compile(r"([0-9]{1,15})(s|m|h|d)")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
#: A thousand years: beyond them lies no date that a database could be asked for.
LONGEST = timedelta(days=365_000)
#: Of a count, in digits.
LONGEST_COUNT = 9
ALL = 100
OFF = "off"


@dataclass(frozen=True, slots=True)
class BreakerRule:
    """A connection's own limits: `max(least, percent of its people)` in any stretch of `window`.

    auto_approve: after so long a hold is let go without anybody; None for never.
    """

    least: int = 100
    percent: int = 10
    window: timedelta = timedelta(hours=1)
    auto_approve: timedelta | None = None

    def limit(self, people: int) -> int:
        """How many people and groups may lose something in a window. people: who are in."""
        return max(self.least, people * self.percent // ALL)


def parse_duration(text: str) -> timedelta:
    """`90s`, `10m`, `4h` or `2d`; raises UsageError."""
    found = _DURATION.fullmatch(text)
    if found is None or int(found[1]) == 0:
        raise UsageError(f"{text!r} is no duration: 90s, 10m, 4h or 2d")
    seconds = int(found[1]) * _SECONDS[found[2]]
    if seconds > LONGEST.total_seconds():
        raise UsageError(f"{text!r} is too long: {LONGEST.days}d is the most")
    return timedelta(seconds=seconds)


def parse_count(text: str) -> int:
    """A whole number from 0 on; raises UsageError."""
    if not text.isascii() or not text.isdigit():
        raise UsageError(f"{text!r} is no whole number")
    if len(text) > LONGEST_COUNT:
        raise UsageError(f"{text!r} is too large: a number of {LONGEST_COUNT} digits at most")
    return int(text)


def parse_percent(text: str) -> int:
    """A whole number from 0 to 100; raises UsageError."""
    number = parse_count(text)
    if number > ALL:
        raise UsageError(f"{text!r} is more than 100")
    return number


def parse_patience(text: str) -> timedelta | None:
    """`off`, or a duration; raises UsageError."""
    return None if text == OFF else parse_duration(text)


def rule_of(settings: Mapping[str, str]) -> BreakerRule:
    """The rule that a connection's settings name; they were checked when they were set."""
    usual = BreakerRule()
    given = settings.get
    return BreakerRule(
        least=int(given("breaker_min", usual.least)),
        percent=int(given("breaker_percent", usual.percent)),
        window=parse_duration(settings["breaker_window"])
        if "breaker_window" in settings
        else usual.window,
        auto_approve=parse_patience(given("breaker_auto_approve", OFF)),
    )


def takes_away(before: Person | None, after: Person) -> bool:
    """Whether somebody who was in is put out, or is given another address to be reached at."""
    if before is None or not _is_in(before):
        return False
    if not _is_in(after):
        return True
    has_moved = normalise_address(before.email) != normalise_address(after.email)
    return has_moved or (after.pending is not None and after.pending != before.pending)


def _is_in(person: Person) -> bool:
    return person.state in (PersonState.ACTIVE, PersonState.INVITED)


def person_key(user: str) -> str:
    """By what a person is counted: the subject, of one connection."""
    return f"u:{user}"


def group_key(group: str) -> str:
    """By what a group is counted, of one connection."""
    return f"g:{group}"


@dataclass(frozen=True, slots=True)
class Window:
    """What a connection has taken away in its window, as found under its lock.

    count: distinct people and groups. people: who are in, those counted included. limit: how
    many may be counted. counted: those of the keys asked for that are. hold: the open one.
    """

    count: int
    people: int
    limit: int
    counted: frozenset[str] = frozenset()
    hold: str | None = None


class HoldState(StrEnum):
    """What became of a trip of the breaker."""

    OPEN = "open"
    APPROVED = "approved"
    REJECTED = "rejected"
    RAISED = "raised"
    RETIRED = "retired"


#: What is due once a hold let go of it.
Released = list[tuple[Kind, Lane]]


@dataclass(frozen=True, slots=True)
class Answer:
    """How many events an answer moved, of which kinds; and the earlier answer that it undid."""

    events: int
    kinds: Released = field(default_factory=list)
    undid: str = ""


@dataclass(frozen=True, slots=True)
class NewHold:
    """A trip of the breaker, with what it was decided by (D1)."""

    id: str
    account: str
    connection: str
    window: Window
    rule: BreakerRule

    @property
    def why(self) -> str:
        """For the operator: what was let through, and what the limit comes from."""
        return why_held(self.window.count, self.window.people, self.window.limit, self.rule.window)


def why_held(count: int, people: int, limit: int, window: timedelta) -> str:
    """The sentence of a hold; counts as they were when it began."""
    minutes = f"{window.total_seconds() / 60:g} minutes"
    return (
        f"{count:,} people and groups of this connection lost something within {minutes}; "
        f"the limit is {limit:,} (of {people:,} people), and this would pass it"
    )


@dataclass(slots=True)
class BreakerWrites:
    """What a batch writes of breakers. marks: (connection, key) that were counted now.

    held: (event, hold). joined: holds that were open before. people: connection -> who are in,
    where it was counted anew.
    """

    marks: set[tuple[str, str]] = field(default_factory=set)
    opened: list[NewHold] = field(default_factory=list)
    joined: list[NewHold] = field(default_factory=list)
    held: list[tuple[int, str]] = field(default_factory=list)
    rules: dict[str, BreakerRule] = field(default_factory=dict)


class BreakerStore(Protocol):
    """The breakers inside one write transaction."""

    def lock(
        self, rules: Mapping[str, BreakerRule], keys: Mapping[str, Collection[str]]
    ) -> dict[str, Window]:
        """Lock the breakers of these connections, sorted, after everything else (D5).

        Whoever holds one waits for nothing more, so the order of all locks stays one. keys: by
        connection, of whom the window is to say whether they are counted.
        """
        ...

    def counted(self, connection: str, keys: Collection[str], since: timedelta) -> set[str]:
        """Those of the keys that the window holds already."""
        ...

    def save(self, writes: BreakerWrites) -> None:
        """Write marks, holds and which events they hold."""
        ...


@dataclass(frozen=True, slots=True)
class Weight:
    """What a hold keeps back, of one kind of change: distinct subjects and events."""

    kind: str
    subjects: int
    events: int


#: What a kind of event does to whom, as an operator reads it.
DOES: Mapping[str, tuple[str, str]] = {
    "users.suspend": ("suspend", "people"),
    "users.change_email": ("change the address of", "people"),
    "users.create": ("change", "people"),
    "users.update": ("change", "people"),
    "groups.delete": ("delete", "groups"),
    "groups.remove_members": ("remove members from", "groups"),
    "groups.add_members": ("replace the members of", "groups"),
    "groups.upsert": ("change", "groups"),
}


def explain(
    weights: Sequence[Weight],
    first: Sequence[str],
    *,
    people: int,
    opened_at: datetime,
    now: datetime,
) -> str:
    """`would suspend 8,000 of 20,000 people, within 10 minutes; first: ana@.., ..`."""
    done = [
        f"{does} {weight.subjects:,} {f'of {people:,} ' if whom == 'people' else ''}{whom}"
        for weight in weights
        for does, whom in [DOES.get(weight.kind, ("change", "subjects"))]
        if weight.subjects
    ]
    minutes = max(1, round((now - opened_at).total_seconds() / 60))
    told = f"would {', '.join(done)}" if done else "would change nothing any more"
    names = f"; first: {', '.join(first)}" if first else ""
    return f"{told}, within {minutes} min{names}" if done else told

"""Who had access to which group from when to when, on whose word: the history and how it is read.

The history holds turns: a membership began or ended, or what a person may do changed. Intervals
are made of them when they are asked for. Whatever lasts since before the history has no turn.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from domain.errors import UsageError
from domain.model import Person, PersonState

#: The group of turns of a person's own: whether they may sign in, and their role.
ONESELF = ""
#: What a turn of a membership says of before and after.
MEMBER, NO_MEMBER = "member", ""
#: What stands in the place of a person who was deleted for good, before their digest.
ERASED = "erased:"


@dataclass(frozen=True, slots=True)
class AccessTurn:
    """One turn, as it is written. group: an id, or ONESELF."""

    account: str
    person: str
    group: str
    was: str
    now: str


def of_membership(account: str, group: str, person: str, *, is_member: bool) -> AccessTurn:
    """A membership that began or ended."""
    said = (NO_MEMBER, MEMBER) if is_member else (MEMBER, NO_MEMBER)
    return AccessTurn(account, person, group, *said)


def of_person(before: Person | None, after: Person) -> AccessTurn | None:
    """What changed of somebody's own access; None where nothing did."""
    was, now = _own(before), _own(after)
    if was == now:
        return None
    return AccessTurn(after.account, after.id, ONESELF, was, now)


def own_word(state: str, role: str) -> str:
    """What a turn says of somebody: `active` or `out`, and the role; of nobody any more nothing."""
    if state == PersonState.WITHDRAWN:
        return ""
    return f"{'active' if state == PersonState.ACTIVE else 'out'}/{role}"


def _own(person: Person | None) -> str:
    return "" if person is None else own_word(person.state, person.role)


def may_sign_in(word: str) -> bool:
    """Whether a person's own word gives access."""
    return word.startswith("active/")


def role_in(roles: Iterable[str]) -> Callable[[str], bool]:
    """Whether a person's own word makes them a member of a group that follows roles (G5)."""
    wanted = frozenset(roles)
    return lambda word: word.partition("/")[2] in wanted


def is_member(word: str) -> bool:
    """Whether the word of a membership is "member"."""
    return word == MEMBER


@dataclass(frozen=True, slots=True)
class Turn:
    """A turn as it is read. at: by the database's clock. event, or actor with a reason: whose word.

    event: number of the event that asked for it; None where it was done by hand.
    """

    at: datetime
    was: str
    now: str
    actor: str
    reason: str = ""
    event: int | None = None


@dataclass(frozen=True, slots=True)
class Interval:
    """From a turn to a turn. began None: before the history. ended None: it lasts.

    is_lost: what is now contradicts the history, so that an end, or a beginning, was not recorded.
    """

    began: Turn | None
    ended: Turn | None = None
    is_lost: bool = False

    def covers(self, at: datetime) -> bool:
        """Whether it lasted at a moment: from its beginning on, at its end no more."""
        is_begun = self.began is None or self.began.at <= at
        return is_begun and (self.ended is None or at < self.ended.at)

    def meets(self, since: datetime | None, until: datetime | None) -> bool:
        """Whether any of it lies between two moments; None: no bound."""
        is_late = until is not None and self.began is not None and self.began.at >= until
        is_early = since is not None and self.ended is not None and self.ended.at <= since
        return not is_late and not is_early


@dataclass(frozen=True, slots=True)
class Window:
    """What a review looks at: one moment, or what lies between two; aware, None for no bound.

    Raises UsageError for both at once, and for an end before its beginning.
    """

    at: datetime | None = None
    since: datetime | None = None
    until: datetime | None = None

    def __post_init__(self) -> None:
        if self.at is not None and (self.since is not None or self.until is not None):
            raise UsageError("at is one moment: leave it out, or since and until")
        if self.since is not None and self.until is not None and self.since >= self.until:
            raise UsageError("since has to be before until")

    def wants(self, interval: Interval) -> bool:
        """Whether an interval belongs into the review."""
        if self.at is not None:
            return interval.covers(self.at)
        return interval.meets(self.since, self.until)


def intervals(
    turns: Sequence[Turn], holds: Callable[[str], bool], *, is_now: bool
) -> list[Interval]:
    """When something held, by its turns in their order. holds: what a word says of it.

    is_now: whether it holds at present, which the history is held against.
    """
    if not turns:
        return [Interval(None)] if is_now else []
    found: list[Interval] = []
    began: Turn | None = None
    is_in = holds(turns[0].was)
    for turn in turns:
        becomes = holds(turn.now)
        if becomes and not is_in:
            began = turn
        elif is_in and not becomes:
            found.append(Interval(began, turn))
        is_in = becomes
    if is_in:
        found.append(Interval(began, None, is_lost=not is_now))
    elif is_now:
        found.append(Interval(None, None, is_lost=True))
    return found


def common(one: Interval, others: Iterable[Interval]) -> list[Interval]:
    """The parts of an interval that lie in others: the later beginning to the earlier end."""
    found = []
    for other in others:
        began, ended = _later(one.began, other.began), _earlier(one.ended, other.ended)
        if began is None or ended is None or began.at < ended.at:
            found.append(Interval(began, ended, one.is_lost or other.is_lost))
    return found


def _later(one: Turn | None, other: Turn | None) -> Turn | None:
    if one is None or other is None:
        return one or other
    return max(one, other, key=lambda turn: turn.at)


def _earlier(one: Turn | None, other: Turn | None) -> Turn | None:
    if one is None or other is None:
        return one or other
    return min(one, other, key=lambda turn: turn.at)

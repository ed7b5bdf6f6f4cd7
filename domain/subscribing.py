"""Subscriptions at identity providers that end unless they are renewed: when what is done to them.

A subscription brings a feed its events. It bears the feed's secret, so a rotated secret asks for
another one; where a provider renews nothing, another is opened before the end of the former.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Protocol, runtime_checkable

from domain.retry import RetryPolicy

#: What fails is tried again within this; it is never given up.
WAITS = RetryPolicy(max_attempts=2**31, base=timedelta(seconds=10), cap=timedelta(minutes=15))
#: What only an operator can mend is tried so often.
UNTIL_MENDED = timedelta(minutes=30)
#: Whatever is due, a look is taken so often: a new secret, another address of ours.
LOOK_AGAIN = timedelta(minutes=5)
#: Half of a life is renewed; who has not this much of it left has failed for long.
NEARLY_OVER = 0.25


@dataclass(frozen=True, slots=True)
class Made:
    """A subscription as its provider knows it. key: its id there.

    detail: what else has to be told to end it, "" for nothing. ends_at: aware.
    """

    key: str
    ends_at: datetime
    detail: str = ""


class Subscriber(Protocol):
    """Makes and ends subscriptions at one IdP. Each call raises DirectoryError.

    topics: what there is to subscribe to, a subscription each. can_renew: False where another has
    to be made in time.
    """

    @property
    def topics(self) -> tuple[str, ...]:
        """All that rosterd wants to hear of."""
        ...

    @property
    def can_renew(self) -> bool:
        """Whether the same one can be given more time."""
        ...

    def subscribe(self, topic: str, *, url: str, secret: str) -> Made:
        """A new one; the IdP may ask url about it meanwhile. secret: it is to come with each."""
        ...

    def renew(self, made: Made) -> Made | None:
        """The same with another end; None where the IdP does not have it any more."""
        ...

    def unsubscribe(self, made: Made) -> None:
        """End it; one that is not there is ended."""
        ...


@runtime_checkable
class Subscribing(Protocol):
    """A directory whose IdP can be subscribed to."""

    @property
    def subscriptions(self) -> Subscriber:
        """The way to do it."""
        ...


def subscriber_of(directory: object) -> Subscriber | None:
    """The way to subscribe at a directory's IdP; None where there is none."""
    return directory.subscriptions if isinstance(directory, Subscribing) else None


@dataclass(frozen=True, slots=True)
class Subscription:
    """One that is kept. bears: id of the feed's secret that it bears. renew_at: its half-life."""

    id: str
    topic: str
    made: Made
    url: str
    bears: str
    renew_at: datetime


@dataclass(frozen=True, slots=True)
class Aim:
    """Where an IdP is to send to. bears, value: id and text of the feed's newest secret."""

    url: str
    bears: str
    value: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Turn:
    """A connection whose subscriptions are looked after by this process.

    aim: None where nothing is to be subscribed to any more: all that are left are to be ended.
    """

    connection: str
    fence: int
    failures: int
    aim: Aim | None
    kept: tuple[Subscription, ...]


class Do(StrEnum):
    """What is done to one."""

    OPEN = "open"
    RENEW = "renew"
    CLOSE = "close"


@dataclass(frozen=True, slots=True)
class Step:
    """The next thing to do. kept: which one; None where there is none yet."""

    do: Do
    topic: str
    kept: Subscription | None = None


def next_step(turn: Turn, topics: Sequence[str], now: datetime, *, can_renew: bool) -> Step | None:
    """What is to be done first; None where all is well. A new one is there before an old one goes.

    Each step makes the next call give another answer, so that calling again comes to an end.
    """
    for topic in topics if turn.aim is not None else ():
        fit = [one for one in turn.kept if one.topic == topic and _fits(one, turn, now)]
        fresh = [one for one in fit if one.renew_at > now]
        if fresh:
            continue
        if fit and can_renew:
            return Step(Do.RENEW, topic, fit[-1])
        return Step(Do.OPEN, topic)
    return next((Step(Do.CLOSE, one.topic, one) for one in _left(turn, topics, now)), None)


def _left(turn: Turn, topics: Sequence[str], now: datetime) -> list[Subscription]:
    """Those in whose place another is, or nobody wants any more."""
    best: dict[str, Subscription] = {}
    for one in turn.kept:
        if one.topic in topics and _fits(one, turn, now):
            before = best.get(one.topic)
            best[one.topic] = (
                one if before is None else max(before, one, key=lambda it: it.renew_at)
            )
    return [one for one in turn.kept if best.get(one.topic) is not one]


def _fits(one: Subscription, turn: Turn, now: datetime) -> bool:
    aim = turn.aim
    is_meant = aim is not None and (one.url, one.bears) == (aim.url, aim.bears)
    return is_meant and one.made.ends_at > now


def renew_at(made: Made, now: datetime) -> datetime:
    """Half of what is left of its life."""
    return now + (made.ends_at - now) / 2


def look_at(kept: Sequence[Subscription], now: datetime) -> datetime:
    """When the next look is taken."""
    return min([now + LOOK_AGAIN, *(one.renew_at for one in kept)])

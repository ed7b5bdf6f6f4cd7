"""Keep subscriptions at identity providers alive: a step a transaction, none open while one asks.

Whoever has the lease goes on; a fence keeps a late worker from noting what is another's by now. A
kill between the provider's yes and our note leaves one that nobody knows of: it ends by itself.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from domain.directories import Directory, DirectoryError
from domain.retry import RetryIn, decide_retry
from domain.subscribing import (
    UNTIL_MENDED,
    WAITS,
    Do,
    Made,
    Step,
    Subscriber,
    Subscription,
    Turn,
    next_step,
    subscriber_of,
)

#: More steps than any plan has: a provider that gives no time would be asked for ever.
MOST_STEPS = 30

#: connection, what was done (`open`, `renew`, `close`, `failed`), topic, why it failed.
Told = Callable[[str, str, str, str], None]


class Subscriptions(Protocol):
    """What is kept of them. Each method is one transaction; those of a turn insist on its lease.

    They give the turn as it is then; None where the lease is another's by now.
    """

    def due(self) -> list[str]:
        """Connections whose subscriptions nobody is at and are to be looked after now."""
        ...

    def take(self, connection: str) -> Turn | None:
        """The connection's turn, for one lease; None where another has it, or it is not due."""
        ...

    def keep(self, turn: Turn, step: Step, made: Made | None) -> Turn | None:
        """Note what a step came to. made: as the provider has it now; None for what is gone."""
        ...

    def let_go(self, turn: Turn) -> None:
        """All is well until the next one is due."""
        ...

    def put_off(self, turn: Turn, why: str, wait: timedelta) -> None:
        """Try again after this wait."""
        ...

    def hurry(self, connection: str) -> None:
        """Renew all of the connection's at once, and read its log on."""
        ...

    def now(self) -> datetime:
        """The database's clock."""
        ...


@dataclass(frozen=True, slots=True)
class Subscribe:
    """The use case. told: hears of each step and of what kept one from being taken."""

    store: Subscriptions
    directory_of: Callable[[str], Directory | None]
    random: Callable[[], float]
    told: Told

    def run(self, connection: str) -> str | None:
        """Do all that is due for this connection; why it was not done, None where it was."""
        turn = self.store.take(connection)
        if turn is None:
            return None
        try:
            left = self._steps(turn)
        except _FailedError as failed:
            self._put_off(failed.turn, failed.why)
            return str(failed.why)
        if left is not None:
            self.store.let_go(left)
        return None

    def _steps(self, turn: Turn) -> Turn | None:
        """The turn as it is when nothing is left to do; None where the lease was lost."""
        left = turn
        for _ in range(MOST_STEPS):
            try:
                subscriber = self._subscriber(left)
                step = next_step(
                    left, subscriber.topics, self.store.now(), can_renew=subscriber.can_renew
                )
                if step is None:
                    return left
                made = self._done(subscriber, left, step)
            except DirectoryError as error:
                raise _FailedError(left, error) from error
            self.told(turn.connection, step.do.value, step.topic, "")
            kept = self.store.keep(left, step, made)
            if kept is None:
                return None
            left = kept
        raise _FailedError(left, DirectoryError("it gives its subscriptions no time to live"))

    def _subscriber(self, turn: Turn) -> Subscriber:
        found = subscriber_of(self.directory_of(turn.connection))
        if found is None:
            raise DirectoryError("there is no way to subscribe at it", needs_operator=True)
        return found

    def _done(self, subscriber: Subscriber, turn: Turn, step: Step) -> Made | None:
        if step.do is Do.OPEN:
            assert turn.aim is not None
            return subscriber.subscribe(step.topic, url=turn.aim.url, secret=turn.aim.value)
        assert step.kept is not None
        if step.do is Do.RENEW:
            return subscriber.renew(step.kept.made)
        subscriber.unsubscribe(step.kept.made)
        return None

    def _put_off(self, turn: Turn, error: DirectoryError) -> None:
        self.told(turn.connection, "failed", "", str(error))
        if error.needs_operator:
            self.store.put_off(turn, str(error), UNTIL_MENDED)
            return
        answer = decide_retry(
            policy=WAITS,
            attempts=turn.failures + 1,
            random=self.random,
            retry_after=error.retry_after,
        )
        assert isinstance(answer, RetryIn)
        self.store.put_off(turn, str(error), answer.wait)


def unsubscribe(
    directory_of: Callable[[str], Directory | None],
    connection: str,
    kept: Sequence[Subscription],
    told: Told,
) -> None:
    """End them while there is a way to; what cannot be ended now ends by itself."""
    try:
        subscriber = subscriber_of(directory_of(connection))
        for one in kept if subscriber is not None else ():
            assert subscriber is not None
            subscriber.unsubscribe(one.made)
            told(connection, Do.CLOSE.value, one.topic, "")
    except DirectoryError as error:
        told(connection, "failed", "", str(error))


class _FailedError(Exception):
    """A step was not taken. turn: as it is after the steps before it."""

    def __init__(self, turn: Turn, why: DirectoryError) -> None:
        super().__init__(str(why))
        self.turn = turn
        self.why = why

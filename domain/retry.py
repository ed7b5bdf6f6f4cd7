"""Whether and when a failed piece of work is tried again: a value, which the worker obeys."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeVar

from domain.ports import InfrastructureError

Done = TypeVar("Done")

#: An event that crashed its worker alone this often is dead `worker_lost` (D6).
CRASH_CAP = 3
#: Batch sizes in which events that were in a crashed batch are tried again, by crash count (D6).
SUSPECT_BATCHES = (60, 8, 1)
#: Events that failed before are claimed apart, at most so many at once (D8).
FAILED_BATCH = 10
#: The largest batch of troubled events.
TROUBLED_BATCH = SUSPECT_BATCHES[0]
#: A transaction that met another, or lost its connection, is made so often in all (F24).
TRANSACTION_TRIES = 3
#: Up to so many seconds before the second try, twice as many before the third: what it met is
#: over in a moment, and somebody waits for the answer.
TRANSACTION_WAIT = 0.05


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """Full jitter between zero and a doubling, capped bound; finite by default."""

    max_attempts: int = 8
    base: timedelta = timedelta(seconds=2)
    cap: timedelta = timedelta(minutes=15)

    def ceiling(self, attempts: int) -> timedelta:
        """The longest wait after this many failed attempts (1 = the first failed)."""
        doublings = min(max(attempts, 1) - 1, 40)
        return min(self.cap, self.base * float(2**doublings))


@dataclass(frozen=True, slots=True)
class RetryIn:
    """Try again after this wait."""

    wait: timedelta


@dataclass(frozen=True, slots=True)
class GiveUp:
    """No further attempt: the work becomes a dead letter."""

    attempts: int


def decide_retry(
    *,
    policy: RetryPolicy,
    attempts: int,
    random: Callable[[], float],
    retry_after: timedelta | None = None,
) -> RetryIn | GiveUp:
    """What follows a failed attempt.

    attempts: failed attempts so far, this one included. random: a number in [0, 1).
    retry_after: what the other side asked for; a floor under the wait, capped at a day.
    """
    if attempts >= policy.max_attempts:
        return GiveUp(attempts)
    wait = policy.ceiling(attempts) * random()
    if retry_after is not None:
        wait = max(wait, min(max(retry_after, timedelta(0)), timedelta(days=1)))
    return RetryIn(wait)


def companions(*, attempts: int, crashes: int) -> int:
    """How many events may share a batch with one that failed or was in a crashed batch (D6, D8)."""
    if crashes > 0:
        return SUSPECT_BATCHES[min(crashes, len(SUSPECT_BATCHES)) - 1]
    return FAILED_BATCH if attempts > 0 else TROUBLED_BATCH


def again(
    unit: Callable[[], Done],
    *,
    random: Callable[[], float],
    sleep: Callable[[float], None],
    report: Callable[[str, Mapping[str, object]], None],
) -> Done:
    """Make a whole transaction; once or twice more where it met another or lost its connection.

    unit: opens, works and commits. It is called again only after it was rolled back, or where it
    finds out by itself that it is done: a connection lost while committing leaves that open.
    random: a number in [0, 1), for full jitter: two that met must not meet again. sleep: takes
    seconds. report: hears of every try that failed. Raises what the last try raised.
    """
    for tried in range(1, TRANSACTION_TRIES):
        try:
            return unit()
        except InfrastructureError as error:
            if not error.is_passing:
                raise
            if error.is_conflict:
                report("transactions_met", {"tried": tried})
            else:
                report("connection_lost", {"tried": tried})
            sleep(random() * TRANSACTION_WAIT * 2 ** (tried - 1))
    return unit()

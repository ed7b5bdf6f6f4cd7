"""Questions to an IdP: at a rate, few at a time, and none while it does not answer (G7).

One rule for all that reads a directory: hydration, catch-up, reconciliation.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from domain.directories import Found, Read
from domain.hydration import What
from domain.inbox import Kind, Lane
from domain.retry import RetryPolicy

#: How long a connection's IdP is left alone after so many failures in a row; then it is asked once.
REST = RetryPolicy(base=timedelta(seconds=1), cap=timedelta(minutes=2))
#: How long one question rests that got no answer, while others of its connection may get theirs.
PAUSE = RetryPolicy(base=timedelta(seconds=5), cap=timedelta(minutes=15))
#: Somebody has to change something first; it is asked now and then all the same.
UNTIL_CHANGED = timedelta(minutes=1)
#: An IdP that asks to be left alone for longer is asked once in this time.
LONGEST_REST = timedelta(minutes=15)
#: Questions to one IdP at a time, in all processes; one that fails is asked one.
AT_ONCE = 4
#: Between two questions: 300 a minute, half of what Okta's smallest paid limit of a path is.
INTERVAL = timedelta(seconds=0.2)
#: Questions that may follow each other at once after a while without any.
BURST = 10


@dataclass(frozen=True, slots=True)
class Question:
    """One question under a lease. fence: of this lease; attempts: before it, without an answer."""

    id: str
    connection: str
    what: What
    key: str
    fence: int
    attempts: int


@dataclass(frozen=True, slots=True)
class Later:
    """Nothing may be asked right now; something may after this time."""

    wait: timedelta


@dataclass(frozen=True, slots=True)
class Rest:
    """How long nothing is asked of an IdP. wait: from failures in a row, this one included."""

    wait: Callable[[int], timedelta]
    needs_operator: bool


class Questions(Protocol):
    """Open questions, claimed under leases: short transactions, and none while one is asked."""

    def due(self) -> list[str]:
        """Connections whose IdP may be asked something now."""
        ...

    def claim(self, connection: str, *, lease: timedelta) -> Question | Later | None:
        """The next one: possible suspensions first, the newest subject first (D10)."""
        ...

    def answered(self, question: Question, read: Read[Found]) -> list[tuple[Kind, Lane]] | None:
        """Keep the answer and wake who waits for it: kinds and lanes to ring. None: lease lost."""
        ...

    def unanswered(
        self, question: Question, why: str, *, wait: timedelta, rest: Rest | None
    ) -> bool:
        """Put it off and let the IdP rest, if it is at fault; False where the lease was lost."""
        ...


def rest_after(
    *, retry_after: timedelta | None, needs_operator: bool, random: Callable[[], float]
) -> Rest:
    """The one rule for an IdP that gave no answer; wait: from failures in a row, this included.

    Never less than it asked for (up to LONGEST_REST), spread, so that no two processes meet.
    """
    asked = min(retry_after, LONGEST_REST) if retry_after is not None else None

    def wait(failures: int) -> timedelta:
        backoff = REST.ceiling(failures) * (0.5 + random() / 2)
        floor = UNTIL_CHANGED if needs_operator else timedelta(0)
        return max(backoff, floor, asked or timedelta(0))

    return Rest(wait, needs_operator=needs_operator)


def pause_after(attempts: int, random: Callable[[], float]) -> timedelta:
    """How long one question rests. attempts: those without an answer, this one included."""
    return PAUSE.ceiling(attempts) * (0.5 + random() / 2)


def next_slot(next_at: datetime | None, now: datetime) -> tuple[timedelta, datetime]:
    """The rate: how long until the next question may be asked, and what is kept if it is.

    next_at: as it was kept. After a pause BURST questions may follow at once.
    """
    earliest = now - INTERVAL * (BURST - 1)
    slot = max(next_at, earliest) if next_at is not None else earliest
    return max(slot - now, timedelta(0)), slot + INTERVAL

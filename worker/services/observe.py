"""Plan what an observing connection would do: its history decided for real, and undone (S4)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

from domain.observing import Person, Plan
from domain.policy import Scope
from domain.ports import ClaimedEvent, DrainWork, Result


class RehearsingWork(DrainWork, Protocol):
    """A unit of work that goes on after a batch."""

    def rest(self) -> None:
        """Hear what was sent ahead, without a commit."""
        ...


class Rehearsal(Protocol):
    """A transaction over the history of one connection, which is always rolled back."""

    work: RehearsingWork

    def stage(self, connection: str, scope: Scope | None) -> int:
        """Make all that is held due, in order, under another scope if one is given."""
        ...

    def take(self, connection: str, limit: int) -> list[ClaimedEvent]:
        """The next events; empty at the end."""
        ...

    def sum_up(self, connection: str) -> Plan:
        """What came of it."""
        ...

    def people(self, connection: str) -> Iterator[Person]:
        """Whom it changed, one after the other."""
        ...


Write = Callable[[DrainWork, Sequence[ClaimedEvent]], list[Result]]
EachPerson = Callable[[Person], None]


@dataclass(frozen=True, slots=True)
class Observe:
    """The use case: nothing of it lasts. Memory holds one batch, whatever the history."""

    rehearsals: Callable[[], AbstractContextManager[Rehearsal]]
    write: Write
    batch_size: int = 500

    def plan(
        self,
        connection: str,
        *,
        scope: Scope | None = None,
        tell: EachPerson | None = None,
        done: Callable[[int], None] = lambda _count: None,
    ) -> Plan:
        """What going live would do; tell: hears of every person, in order.

        done: hears how many events were decided so far.
        """
        count = 0
        with self.rehearsals() as rehearsal:
            rehearsal.stage(connection, scope)
            while events := rehearsal.take(connection, self.batch_size):
                self.write(rehearsal.work, events)
                rehearsal.work.rest()
                count += len(events)
                done(count)
            plan = rehearsal.sum_up(connection)
            if tell is not None:
                for person in rehearsal.people(connection):
                    tell(person)
            return plan

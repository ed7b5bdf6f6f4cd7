"""Catch up: read an IdP's log for what its hooks did not bring, through the same inbox (G2)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Protocol

from domain.catching_up import UNTIL_MENDED, WAITS, Turn
from domain.directories import Directory, DirectoryError, Logged
from domain.intake import StoredEvent, Submission
from domain.ports import Source
from domain.retry import RetryIn, decide_retry
from worker.services.receive import as_logged


class CatchUps(Protocol):
    """Where logs are read on. Each method is one transaction."""

    def due(self) -> list[str]:
        """Connections whose log nobody is at and is to be read now."""
        ...

    def take(self, connection: str) -> Turn | None:
        """The connection's turn, for one lease; None where another has it, or it has no feed."""
        ...

    def keep(
        self, turn: Turn, logged: Logged, told: Sequence[Submission]
    ) -> list[StoredEvent] | None:
        """Store what is new and the cursor behind it, together; None where the lease is lost."""
        ...

    def put_off(self, turn: Turn, why: str, wait: timedelta) -> None:
        """Read on after this wait."""
        ...


@dataclass(frozen=True, slots=True)
class CatchUp:
    """The use case: a share of a log a step, its events stored before its cursor moves."""

    store: CatchUps
    directory_of: Callable[[str], Directory | None]
    source_named: Callable[[str], Source]
    ring: Callable[[Sequence[StoredEvent]], None]
    random: Callable[[], float]
    monotonic: Callable[[], float]

    def run(self, connection: str, *, budget: timedelta) -> int:
        """Read on until the log's end, or for about so long; how many events are new."""
        until, found = self.monotonic() + budget.total_seconds(), 0
        while True:
            turn = self.store.take(connection)
            if turn is None:
                return found
            try:
                logged = self._asked(turn)
            except DirectoryError as error:
                self._put_off(turn, error)
                return found
            events = self._kept(turn, logged)
            found += len(events or ())
            if events is None or logged.is_all or self.monotonic() >= until:
                return found

    def _asked(self, turn: Turn) -> Logged:
        directory = self.directory_of(turn.connection)
        if directory is None:
            raise DirectoryError("access to the directory was taken away", needs_operator=True)
        return directory.log(turn.cursor)

    def _kept(self, turn: Turn, logged: Logged) -> list[StoredEvent] | None:
        source = self.source_named(turn.feed.source)
        told = [as_logged(turn.feed, source, body) for body in logged.bodies]
        events = self.store.keep(turn, logged, told)
        if events:
            self.ring(events)
        return events

    def _put_off(self, turn: Turn, error: DirectoryError) -> None:
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

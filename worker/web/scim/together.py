"""Writes that come at the same time, of one connection, are made in one transaction.

A transaction costs some twenty questions to the database, whether it holds one write or thirty.
Whoever comes first does what waits by then; the others are told. Nobody waits for company.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from domain.ports import InfrastructureError
from domain.resources import Answer, Ask
from worker.services.provision import Provision
from worker.services.writing import Apart, Told

#: Writes in one transaction at most.
MOST = 30


@dataclass(slots=True)
class _Turn:
    """One write that waits. told: what came of it, once it is done."""

    ask: Ask
    told: Told = Apart.ALONE
    is_done: bool = False


@dataclass(slots=True)
class _Line:
    """What waits of one connection; one thread at a time holds the lock and works."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    waiting: deque[_Turn] = field(default_factory=deque)
    users: int = 0


class Together:
    """The use case for many threads. provision: made when it is needed first."""

    def __init__(self, provision: Callable[[], Provision]) -> None:
        self._provision = provision
        self._lines: dict[str, _Line] = {}
        self._guard = threading.Lock()

    def write(self, ask: Ask) -> Answer:
        """As `Provision.write`, which a write is left to that cannot be made with others."""
        turn = _Turn(ask)
        line = self._join(ask.speaker.connection, turn)
        try:
            with line.lock:
                while not turn.is_done:
                    self._work(line)
        finally:
            self._leave(ask.speaker.connection, line)
        if isinstance(turn.told, Exception):
            raise turn.told
        return turn.told if isinstance(turn.told, Answer) else self._provision().write(ask)

    def _join(self, connection: str, turn: _Turn) -> _Line:
        with self._guard:
            line = self._lines.setdefault(connection, _Line())
            line.users += 1
            line.waiting.append(turn)
            return line

    def _leave(self, connection: str, line: _Line) -> None:
        with self._guard:
            line.users -= 1
            if not line.users:
                del self._lines[connection]

    def _work(self, line: _Line) -> None:
        """Make what waits; who was left out is first in the next batch."""
        with self._guard:
            turns = [line.waiting.popleft() for _ in range(min(MOST, len(line.waiting)))]
        for turn, told in zip(turns, self._tell(turns), strict=True):
            turn.told, turn.is_done = told, told is not Apart.NEXT
        with self._guard:
            line.waiting.extendleft(turn for turn in reversed(turns) if not turn.is_done)

    def _tell(self, turns: Sequence[_Turn]) -> list[Told]:
        """What breaks the transaction of all is found by making each alone."""
        try:
            return self._provision().write_all([turn.ask for turn in turns])
        except InfrastructureError as error:
            is_final = len(turns) == 1 or not error.is_passing
            return [error if is_final else Apart.ALONE for _ in turns]
        except Exception as error:  # noqa: BLE001 - whoever waits has to be told
            return [error if len(turns) == 1 else Apart.ALONE for _ in turns]

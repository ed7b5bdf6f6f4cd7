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
    """One write. told: what came of it, once it is done. woken: locked until it is, or leads."""

    ask: Ask
    told: Told = Apart.ALONE
    is_done: bool = False
    woken: threading.Lock = field(default_factory=threading.Lock)


class Together:
    """The use case for many threads. provision: made when it is needed first.

    One thread at a time leads the writes of a connection: it makes what waits until its own is
    done, then lets the next that waits lead.
    """

    def __init__(self, provision: Callable[[], Provision]) -> None:
        self._provision = provision
        #: What waits, of each connection that somebody leads.
        self._waiting: dict[str, deque[_Turn]] = {}
        self._guard = threading.Lock()

    def write(self, ask: Ask) -> Answer:
        """As `Provision.write`, which a write is left to that cannot be made with others."""
        turn, connection = _Turn(ask), ask.speaker.connection
        turn.woken.acquire()
        if not self._is_first(connection, turn):
            turn.woken.acquire()
        if not turn.is_done:
            self._lead(connection, turn)
        if isinstance(turn.told, Exception):
            raise turn.told
        return turn.told if isinstance(turn.told, Answer) else self._provision().write(ask)

    def _is_first(self, connection: str, turn: _Turn) -> bool:
        with self._guard:
            is_first = connection not in self._waiting
            self._waiting.setdefault(connection, deque()).append(turn)
            return is_first

    def _lead(self, connection: str, mine: _Turn) -> None:
        waiting = self._waiting[connection]
        try:
            while not mine.is_done:
                self._work(waiting)
        finally:
            with self._guard:
                if waiting:
                    waiting[0].woken.release()
                else:
                    del self._waiting[connection]

    def _work(self, waiting: deque[_Turn]) -> None:
        """Make what waits; who was left out is first in the next batch."""
        with self._guard:
            turns = [waiting.popleft() for _ in range(min(MOST, len(waiting)))]
        for turn, told in zip(turns, self._tell(turns), strict=True):
            turn.told, turn.is_done = told, told is not Apart.NEXT
        with self._guard:
            waiting.extendleft(turn for turn in reversed(turns) if not turn.is_done)
        for turn in turns:
            if turn.is_done:
                turn.woken.release()

    def _tell(self, turns: Sequence[_Turn]) -> list[Told]:
        """What breaks the transaction of all is found by making each alone."""
        try:
            return self._provision().write_all([turn.ask for turn in turns])
        except InfrastructureError as error:
            is_final = len(turns) == 1 or not error.is_passing
            return [error if is_final else Apart.ALONE for _ in turns]
        except Exception as error:  # noqa: BLE001 - whoever waits has to be told
            return [error if len(turns) == 1 else Apart.ALONE for _ in turns]

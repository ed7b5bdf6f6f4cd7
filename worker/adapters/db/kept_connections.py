"""Connections that a process keeps for what somebody waits for: SCIM's writes, and drains.

Taking one from the pool asks the server whether it is alive, which costs as much as a question.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Connection

from worker.adapters.db.direct import Direct, DirectConnection, Keeps, direct_of
from worker.adapters.db.engine import Database

#: A group of 100,000 members takes longer than what a web process allows itself otherwise.
STATEMENT_MS = 10_000


class KeptConnections:
    """As many as threads use at once, each by one of them at a time; threads come and go."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._idle: list[DirectConnection] = []
        self._all: list[DirectConnection] = []
        self._keeps = Keeps()

    @contextmanager
    def begin(self) -> Iterator[Connection]:
        """A transaction that rolls back unless it is committed."""
        with self._taken() as kept, kept.begin() as sql:
            yield sql

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """To read by; on SQLite it waits for no writer."""
        if not self._database.is_postgres:
            with self._database.read() as sql:
                yield sql
            return
        with self._taken() as kept, kept.read() as sql:
            yield sql

    @contextmanager
    def beside(self) -> Iterator[Direct]:
        """Statements of their own beside a transaction; PostgreSQL only."""
        with self._taken() as kept, kept.read() as sql:
            direct = direct_of(sql)
            if direct is None:
                raise TypeError("a connection to PostgreSQL expected")
            yield direct

    @contextmanager
    def _taken(self) -> Iterator[DirectConnection]:
        try:
            # The one that was used last: the others' plans are let go of when their turn comes.
            kept = self._idle.pop()
        except IndexError:
            kept = DirectConnection(self._database, self._keeps, statement_ms=STATEMENT_MS)
            self._all.append(kept)
        try:
            yield kept
        finally:
            self._idle.append(kept)

    def close(self) -> None:
        """Let go of all of them; no thread may be using one."""
        for kept in self._all:
            kept.close()
        self._idle, self._all = [], []

"""The connections that each thread keeps for what somebody waits for: SCIM's writes, and drains.

Taking one from the pool asks the server whether it is alive, which costs as much as a question.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Connection

from worker.adapters.db.direct import Direct, DirectConnection, Keeps, direct_of
from worker.adapters.db.engine import Database

#: A group of 100,000 members takes longer than what a web process allows itself otherwise.
STATEMENT_MS = 10_000


class ThreadConnections:
    """Those of a thread are opened when they are first asked for, and used again by it alone."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._idle = threading.local()
        self._all: list[DirectConnection] = []
        self._keeps = Keeps()

    @contextmanager
    def begin(self) -> Iterator[Connection]:
        """A transaction of this thread that rolls back unless it is committed."""
        with self._taken() as kept, kept.begin() as sql:
            yield sql

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """For this thread to read by; on SQLite it waits for no writer."""
        if not self._database.is_postgres:
            with self._database.read() as sql:
                yield sql
            return
        with self._taken() as kept, kept.read() as sql:
            yield sql

    @contextmanager
    def beside(self) -> Iterator[Direct]:
        """Statements of their own beside the thread's transaction; PostgreSQL only."""
        with self._taken() as kept, kept.read() as sql:
            direct = direct_of(sql)
            if direct is None:
                raise TypeError("a connection to PostgreSQL expected")
            yield direct

    @contextmanager
    def _taken(self) -> Iterator[DirectConnection]:
        """An idle one of this thread; inside a transaction of its own that is another one."""
        idle: list[DirectConnection] = self._idle.__dict__.setdefault("kept", [])
        if idle:
            kept = idle.pop()
        else:
            kept = DirectConnection(self._database, self._keeps, statement_ms=STATEMENT_MS)
            self._all.append(kept)
        try:
            yield kept
        finally:
            idle.append(kept)

    def close(self) -> None:
        """Let go of all of them; no thread may be using one."""
        for kept in self._all:
            kept.close()
        self._idle, self._all = threading.local(), []

"""Connections that a process keeps for what somebody waits for: SCIM's writes, and drains.

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


class KeptConnections:
    """Each is one thread's; when that has ended, another's that has none."""

    def __init__(self, database: Database) -> None:
        self._database = database
        # By the thread that used it last: another would prepare its own statements there anew.
        self._idle: list[tuple[threading.Thread, DirectConnection]] = []
        self._taking = threading.Lock()
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
        kept = self._idle_one()
        if kept is None:
            kept = DirectConnection(self._database, self._keeps, statement_ms=STATEMENT_MS)
            self._all.append(kept)
        try:
            yield kept
        finally:
            self._idle.append((threading.current_thread(), kept))

    def _idle_one(self) -> DirectConnection | None:
        """One of this thread, else of a thread that has ended; None: it needs another."""
        with self._taking:
            me = threading.current_thread()
            mine = [n for n, (thread, _) in enumerate(self._idle) if thread is me]
            fit = mine or [n for n, (thread, _) in enumerate(self._idle) if not thread.is_alive()]
            return self._idle.pop(fit[-1])[1] if fit else None

    def close(self) -> None:
        """Let go of all of them; no thread may be using one."""
        for kept in self._all:
            kept.close()
        self._idle, self._all = [], []

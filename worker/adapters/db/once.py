"""Writes that happen once for a key, and are answered the same again for a day (Idempotency-Key).

The answer is a row of the transaction that did the work: both last, or neither does.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar

from sqlalchemy import Connection, delete, select, update
from sqlalchemy.dialects import postgresql, sqlite

from worker.adapters.db.api_rows import api_answers
from worker.adapters.db.engine import Database, translated
from worker.adapters.db.uow import database_now
from worker.adapters.vault import Vault

Done = TypeVar("Done")
KEPT = timedelta(hours=24)
#: Stands where a status stood once what was answered told of somebody deleted for good (U5).
NO_MORE = 404


@dataclass(frozen=True, slots=True)
class Answer:
    """What was answered, and the digest of what had been asked."""

    asked: bytes
    status: int
    body: bytes


class AnsweredError(Exception):
    """The key was used already; what was answered then goes with it."""

    def __init__(self, answer: Answer) -> None:
        super().__init__("answered already")
        self.answer = answer


@dataclass(frozen=True, slots=True)
class Key:
    """A key of whoever asks, and the digest of what they ask."""

    token: str
    key: str
    asked: bytes

    @property
    def id(self) -> str:
        """As it is stored; ids of tokens have one length."""
        return f"{self.token}:{self.key}"


class Once:
    """`Changing` for one request: its transaction makes the answer, and keeps it under a key.

    told: from a connection and what the work came to, to status and body. key: None keeps nothing.
    """

    def __init__(
        self,
        database: Database,
        vault: Vault,
        key: Key | None,
        told: Callable[[Connection, Any], tuple[int, bytes]],
    ) -> None:
        self._database = database
        self._vault = vault
        self._key = key
        self._told = told
        self.answer: Answer | None = None

    def change(self, work: Callable[[Connection], Done], *, is_repeatable: bool = False) -> Done:
        """Do work unless the key was used; raises AnsweredError, and what work raises."""
        key = self._key

        def unit(connection: Connection) -> Done:
            if key is not None:
                self._take(connection, key)
            done = work(connection)
            status, body = self._told(connection, done)
            if key is not None:
                self._keep(connection, key, status, body)
            self.answer = Answer(key.asked if key is not None else b"", status, body)
            return done

        # Made again after a commit that was not heard of, it finds its own answer.
        return self._database.change(unit, is_repeatable=is_repeatable or key is not None)

    def _take(self, connection: Connection, key: Key) -> None:
        """Whoever takes the same key at the same time waits here, then finds the answer."""
        table, now = api_answers, database_now(connection)
        new = {"id": key.id, "asked": key.asked, "status": 0, "answer": b"", "made_at": now}
        insert = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
        statement = insert(table).values(new)
        over = statement.on_conflict_do_update(
            index_elements=[table.c.id],
            set_={name: statement.excluded[name] for name in new},
            where=table.c.made_at <= now - KEPT,
        )
        if connection.execute(over.returning(table.c.id)).first() is None:
            row = connection.execute(select(table).where(table.c.id == key.id)).one()
            raise AnsweredError(Answer(row.asked, row.status, self._vault.open(row.answer)))

    def _keep(self, connection: Connection, key: Key, status: int, body: bytes) -> None:
        table = api_answers
        sealed = self._vault.seal(body)
        connection.execute(
            update(table).where(table.c.id == key.id).values(status=status, answer=sealed)
        )


def answered_before(database: Database, vault: Vault, key: Key) -> Answer | None:
    """What a key was answered, if it was; whoever asks at the same time finds out in `Once`."""
    table = api_answers
    with translated(), database.read() as connection:
        fresh = table.c.made_at > database_now(connection) - KEPT
        row = connection.execute(select(table).where(table.c.id == key.id, fresh)).first()
    return Answer(row.asked, row.status, vault.open(row.answer)) if row is not None else None


def forget_answers(database: Database) -> int:
    """Answers older than a day go; how many they were."""
    table = api_answers
    with translated(), database.begin() as connection:
        old = table.c.made_at <= database_now(connection) - KEPT
        gone = connection.execute(delete(table).where(old)).rowcount
        connection.commit()
        return gone

"""Questions to IdPs as a drain sees them: what was answered, and what is asked."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any

import orjson
from sqlalchemy import ColumnElement, Connection, Delete, RowMapping, delete, select

from domain.directories import ReadGroup, ReadPerson
from domain.hydration import Answer, Wanted, What
from domain.inbox import Lane
from worker.adapters.db import bulk
from worker.adapters.db.directory_rows import accesses, reads
from worker.adapters.vault import Vault

#: Possible suspensions first (D10).
RANKS = {Lane.URGENT: 0, Lane.STANDARD: 1, Lane.BULK: 2}
#: One that waits or is asked stays as it is: who is told of again and again is asked for once.
_AGAIN = (
    "ON CONFLICT (id) DO UPDATE SET wanted_at = excluded.wanted_at, "
    "rank = CASE WHEN directory_reads.due_at IS NULL OR excluded.rank < directory_reads.rank "
    "THEN excluded.rank ELSE directory_reads.rank END, "
    "due_at = coalesce(directory_reads.due_at, excluded.due_at)"
)


class SQLAnswers:
    """`Answers` of one drain's transaction."""

    def __init__(self, connection: Connection, now: datetime, vault: Vault) -> None:
        self._connection = connection
        self._now = now
        self._vault = vault

    def known(self, asked: Collection[str]) -> Mapping[str, Answer]:
        """See the port."""
        if not asked:
            return {}
        mine = bulk.among(reads.c.id, sorted(asked), self._connection)
        found = self._connection.execute(
            select(reads).where(mine, reads.c.answer.is_not(None))
        ).mappings()
        return {row["id"]: _opened(row, self._vault) for row in found}

    def want(self, wanted: Mapping[str, tuple[str, Wanted, Lane]]) -> None:
        """See the port."""
        asked = [
            {
                "id": read,
                "connection_id": connection,
                "what": one.what.value,
                "subject": one.key,
                "rank": RANKS[lane],
                "wanted_at": self._now,
                "due_at": self._now,
                "fence": 0,
                "attempts": 0,
            }
            for read, (connection, one, lane) in sorted(wanted.items())
        ]
        bulk.insert(self._connection, reads, asked, conflict=_AGAIN)


def _opened(row: RowMapping, vault: Vault) -> Answer:
    told = orjson.loads(vault.open(row["answer"]))
    return Answer(_thing(What(row["what"]), told), row["began_at"], row["true_at"])


def _thing(what: What, told: dict[str, Any] | None) -> ReadPerson | ReadGroup | None:
    if told is None:
        return None
    changed_at = told.pop("changed_at")
    moment = datetime.fromisoformat(changed_at) if changed_at is not None else None
    made = ReadPerson if what is What.PERSON else ReadGroup
    return made(**told, changed_at=moment)


def has_directory(connection: ColumnElement[str]) -> ColumnElement[bool]:
    """Whether rosterd has access to the directory of the connection with this id."""
    return select(accesses.c.id).where(accesses.c.id == connection).exists()


def answers_of(connection: str, key: str) -> Delete:
    """U5: lets go of what was read of a person who is deleted for good."""
    mine = (reads.c.connection_id == connection) & (reads.c.subject == key)
    return delete(reads).where(mine, reads.c.what == What.PERSON.value)

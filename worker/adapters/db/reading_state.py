"""How reading at IdPs goes, for whoever looks: by connection, and of one event's subject."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, func, select

from domain.hydration import Wanted, What, read_id, when_read
from worker.adapters.db import bulk, rows
from worker.adapters.db.directory_rows import accesses, reads

#: Sources whose senders prove themselves by a shared secret, and whose directory can be read (U8).
_UNPROVEN = ("entra", "google", "okta", "onelogin", "pingone")


@dataclass(frozen=True, slots=True)
class Reading:
    """One connection with access. questions: open ones; failures: in a row, 0 while it answers."""

    connection_id: str
    questions: int
    failures: int
    last_error: str


def readings(connection: Connection) -> tuple[Reading, ...]:
    """Every connection with access to its IdP's directory."""
    mine = (reads.c.connection_id == accesses.c.id) & reads.c.due_at.is_not(None)
    open_ = select(func.count()).select_from(reads).where(mine).scalar_subquery()
    found = connection.execute(
        select(accesses.c.id, open_, accesses.c.failures, accesses.c.last_error).order_by(
            accesses.c.id
        )
    )
    return tuple(Reading(row[0], row[1], row[2], row[3] or "") for row in found)


def unread(connection: Connection) -> tuple[str, ...]:
    """Ids of connections that are believed by a shared secret alone, though they could be read."""
    table = rows.connections
    found = connection.execute(
        select(table.c.id)
        .where(table.c.source.in_(_UNPROVEN), table.c.state != "retired")
        .where(~select(accesses.c.id).where(accesses.c.id == table.c.id).exists())
        .order_by(table.c.id)
    )
    return tuple(found.scalars())


def read_of(connection: Connection, of: str, subject: str, *, event: int) -> dict[str, Any] | None:
    """What an event waits for at the IdP, or what was last asked of its subject; None: nothing."""
    ids: Iterable[str] = sorted(read_id(of, what, subject) for what in What)
    waits = rows.waits
    awaited = select(waits.c.key).where(waits.c.event_id == event).order_by(waits.c.key)
    mark = when_read("")
    keys = [key for key in connection.scalars(awaited) if key.startswith(mark)]
    if keys:
        ids = [key.removeprefix(mark) for key in keys]
    found = connection.execute(
        select(reads).where(bulk.among(reads.c.id, ids, connection)).order_by(reads.c.wanted_at)
    ).mappings()
    rows_ = list(found)
    if not rows_ or not (subject or keys):
        return None
    row = rows_[-1]
    return {
        "what": row["what"],
        "question": Wanted(What(row["what"]), row["subject"]).words,
        "is_open": row["due_at"] is not None,
        "wanted_at": row["wanted_at"],
        "asked_at": row["asked_at"],
        "true_at": row["true_at"],
        "attempts": row["attempts"],
        "last_error": row["last_error"],
    }

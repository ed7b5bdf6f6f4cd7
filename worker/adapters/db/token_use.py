"""Bearer tokens as requests present them (C3, D18)."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from hmac import compare_digest

from sqlalchemy import select, update

from domain.ports import InfrastructureError
from worker.adapters.db import rows
from worker.adapters.db.engine import Database, translated
from worker.adapters.db.uow import database_now
from worker.adapters.vault import token_digest

#: That a token is in use is written this often at most.
TOLD_EVERY = timedelta(minutes=1)
_PREFIX = 12


@dataclass(frozen=True, slots=True)
class TokenInUse:
    """A live token. account: None where it is for all. is_use_untold: `note_use` is due."""

    id: str
    name: str
    account: str | None
    scopes: frozenset[str]
    is_use_untold: bool


def live_token(database: Database, bearer: str) -> TokenInUse | None:
    """The token, looked up anew each time; None if it is unknown, revoked, expired or a feed's."""
    table = rows.tokens
    if not bearer.isascii() or not bearer.isprintable():
        return None
    digest = token_digest(bearer)
    with translated(), database.read() as connection:
        now = database_now(connection)
        found = connection.execute(
            select(table)
            .where(table.c.prefix == bearer[:_PREFIX], table.c.revoked_at.is_(None))
            .where(table.c.feed_id.is_(None))
            .where(table.c.expires_at.is_(None) | (table.c.expires_at > now))
        ).mappings()
        row = next((row for row in found if compare_digest(row["hash"], digest)), None)
    if row is None:
        return None
    used = row["last_used_at"]
    return TokenInUse(
        id=row["id"],
        name=row["name"],
        account=row["account_id"],
        scopes=frozenset(row["scopes"].split()),
        is_use_untold=used is None or now - used >= TOLD_EVERY,
    )


def note_use(database: Database, token: str) -> None:
    """Write that a token is in use, unless somebody just did. Where it fails, the next use does."""
    table = rows.tokens
    with suppress(InfrastructureError), translated(), database.begin() as connection:
        now = database_now(connection)
        is_due = table.c.last_used_at.is_(None) | (table.c.last_used_at <= now - TOLD_EVERY)
        connection.execute(
            update(table).where(table.c.id == token, is_due).values(last_used_at=now)
        )
        connection.commit()

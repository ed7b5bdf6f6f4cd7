"""Notes on groups of dead letters, in SQL (G8)."""

from __future__ import annotations

from sqlalchemy import Connection

from domain.replays import GroupNote
from worker.adapters.db import bulk
from worker.adapters.db.auditing import Deed, audit
from worker.adapters.db.dead_queries import dead_group, notes_on
from worker.adapters.db.engine import Changing
from worker.adapters.db.replay_moves import Within
from worker.adapters.db.replay_rows import group_notes
from worker.adapters.db.uow import database_now


class SQLGroupNotes:
    """`GroupNotes` on both databases."""

    def __init__(self, database: Changing) -> None:
        self._database = database

    def add(
        self,
        fingerprint: str,
        text: str,
        *,
        actor: str,
        account: str | None,
        within: Within = None,
    ) -> list[GroupNote]:
        """See the port."""

        def work(sql: Connection) -> list[GroupNote]:
            dead_group(sql, fingerprint, within=within)
            row = {
                "account_id": account,
                "fingerprint": fingerprint,
                "at": database_now(sql),
                "actor": actor,
                "text": text,
            }
            bulk.insert(sql, group_notes, [row])
            audit(sql, database_now(sql), Deed("dead.note", fingerprint[:200], account, actor))
            return notes_on(sql, fingerprint, within=within)

        return self._database.change(work)

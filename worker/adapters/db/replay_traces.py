"""What replays, discards and restores leave in the stories of events."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection

from worker.adapters.db import bulk, rows
from worker.adapters.db.uow import database_now


def note_attempts(
    sql: Connection, ids: Sequence[int], outcome: str, detail: str, actor: str
) -> None:
    """What an operator did to these events, in their story."""
    now = database_now(sql)
    attempts = [
        {
            "event_id": number,
            "at": now,
            "outcome": outcome,
            "reason": None,
            "detail": detail,
            "worker": actor,
        }
        for number in ids
    ]
    bulk.insert(sql, rows.attempts, attempts)

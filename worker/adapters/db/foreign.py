"""Foreign messages: from the broker's dead queue into the table of dead letters (F12)."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

from celery import Celery

from worker.adapters.db import bulk, rows
from worker.adapters.db.engine import Database, translated
from worker.adapters.db.uow import database_now
from worker.adapters.redis_transport import DEAD_QUEUE
from worker.adapters.vault import Vault

AT_ONCE = 200


def collect_foreign(app: Celery, database: Database, vault: Vault) -> dict[str, int]:
    """Empty the dead queue; a message is acknowledged after its row is committed."""
    collected = 0
    with app.connection_for_read(connect_timeout=2) as broker:
        channel = broker.default_channel
        while collected < AT_ONCE:
            message = channel.basic_get(DEAD_QUEUE, no_ack=False)
            if message is None:
                break
            _keep(database, vault, message.body)
            channel.basic_ack(message.delivery_tag)
            collected += 1
    return {"collected": collected}


def _keep(database: Database, vault: Vault, body: Any) -> None:
    raw = body if isinstance(body, bytes) else str(body).encode("utf-8", "surrogatepass")
    why = _why(raw)
    with translated(), database.begin() as connection:
        letter = _letter(why, vault.seal(raw), database_now(connection))
        bulk.insert(connection, rows.dead_letters, [letter])
        connection.commit()


def _why(raw: bytes) -> str:
    try:
        told = json.loads(raw)
        return f"{told['why']}: {str(told['raw'])[:200]}"
    except (ValueError, KeyError, TypeError):
        return f"not understood: {raw[:200]!r}"


def _letter(why: str, sealed: bytes, now: datetime) -> dict[str, object]:
    return {
        "event_id": None,
        "account_id": None,
        "connection_id": None,
        "state": "open",
        "reason": "foreign_message",
        "fingerprint": f"foreign_message:{why.partition(':')[0][:60]}",
        "first_error": why,
        "last_error": why,
        "first_at": now,
        "last_at": now,
        "attempts": 1,
        "note": "",
        "payload": sealed,
    }

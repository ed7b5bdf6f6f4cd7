"""Foreign messages: from the broker's dead queue into the table of dead letters (F12)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from celery import Celery

from domain.inbox import Kind
from domain.ports import Ringer
from worker.adapters.broker.topology import DEAD_QUEUE, declare_dead_queue
from worker.adapters.db import bulk, rows
from worker.adapters.db.engine import Database, translated
from worker.adapters.db.uow import database_now
from worker.adapters.vault import Vault

AT_ONCE = 200


def collect_foreign(
    app: Celery, database: Database, vault: Vault, *, ring: Ringer
) -> dict[str, int]:
    """Empty the dead queue; a message is acknowledged after its row is committed.

    A ring of our own (a quorum queue gave up on it) is rung again: the rows know what is due.
    """
    told = {"collected": 0, "rung_again": 0}
    with app.connection_for_read(connect_timeout=2) as broker:
        declare_dead_queue(app, broker)
        channel = broker.default_channel
        for _ in range(AT_ONCE):
            message = channel.basic_get(DEAD_QUEUE, no_ack=False)
            if message is None:
                break
            if _ring_again(ring, message.headers or {}):
                told["rung_again"] += 1
            else:
                _keep(database, vault, message.body)
                told["collected"] += 1
            channel.basic_ack(message.delivery_tag)
    return told


def _ring_again(ring: Ringer, headers: Mapping[str, Any]) -> bool:
    """Whether the message was a ring of ours; tasks that beat sends will come again anyway."""
    task, lane = headers.get("task"), headers.get("x-first-death-queue")
    if lane is None or not isinstance(task, str):
        return False
    if task in list(Kind):
        ring.ring(Kind(task), str(lane), connection="", event_ids=())
        return True
    return task.startswith(("maintenance.", "notices."))


def _keep(database: Database, vault: Vault, body: Any) -> None:
    is_text = isinstance(body, str)
    raw = body.encode("utf-8", "surrogatepass") if is_text else bytes(body)
    why = _why(raw)
    with translated(), database.begin() as connection:
        letter = _letter(why, vault.seal(raw), database_now(connection))
        bulk.insert(connection, rows.dead_letters, [letter])
        connection.commit()


def _why(raw: bytes) -> str:
    """What is said of it in clear. What it holds is somebody else's: that is sealed with it."""
    try:
        told = json.loads(raw)
        return f"{str(told['why'])[:200]}: {len(str(told['raw']))} characters"
    except (ValueError, KeyError, TypeError):
        return f"not understood: {len(raw)} bytes"


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

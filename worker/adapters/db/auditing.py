"""One audit row: who did what, to what, why, and what it was before and is now."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import orjson
from sqlalchemy import Connection

from worker.adapters.db import bulk, rows


@dataclass(frozen=True, slots=True)
class Deed:
    """What was done. account: its id, None for what concerns none; actor: who did it.

    before, after: JSON as the audit shows it.
    """

    action: str
    subject: str
    account: str | None
    actor: str
    reason: str = ""
    before: object = None
    after: object = None


def audit(connection: Connection, now: datetime, deed: Deed) -> None:
    """Write it, in the transaction in which it was done."""
    entry = {
        "account_id": deed.account,
        "at": now,
        "actor": deed.actor,
        "action": deed.action,
        "subject": deed.subject,
        "event_id": None,
        "before": orjson.dumps(deed.before),
        "after": orjson.dumps(deed.after),
        "reason": deed.reason,
    }
    bulk.insert(connection, rows.audit, [entry])

"""What every set-up stands on: a transaction, its clock, and the audit."""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import Connection

from worker.adapters.db.auditing import Deed, audit
from worker.adapters.db.uow import database_now
from worker.adapters.vault import Vault

#: How long an invitation is good for where nothing else is set (E6): 14 days.
LINK_SECONDS = 14 * 86_400.0


class SetupPart:
    """One transaction of an operator; every change in it leaves an audit row."""

    def __init__(
        self,
        connection: Connection,
        vault: Vault,
        *,
        actor: str,
        link_seconds: float = LINK_SECONDS,
    ) -> None:
        self.sql = connection
        self.vault = vault
        self.actor = actor
        self.link_seconds = link_seconds
        self.now = database_now(connection)

    def in_days(self, days: int) -> datetime:
        """A moment from now by the database's clock."""
        return self.now + timedelta(days=days)

    def audit(
        self,
        account: str | None,
        action: str,
        subject: str,
        *,
        reason: str = "",
        before: object = None,
        after: object = None,
    ) -> None:
        """One row that says who did what, to what, why."""
        deed = Deed(action, subject, account, self.actor, reason, before, after)
        audit(self.sql, self.now, deed)

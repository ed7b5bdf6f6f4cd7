"""Access to identity providers' directories in SQL: what operators told, its secret sealed."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import delete, select

from domain.directory_access import DirectoryAccess
from domain.errors import NothingFoundError
from worker.adapters.db import bulk
from worker.adapters.db.directory_rows import accesses, reads
from worker.adapters.db.engine import Database, translated
from worker.adapters.db.setup_part import SetupPart
from worker.adapters.db.subscription_state import forget_subscriptions, renew_now
from worker.adapters.vault import Vault

_SHOWN = tuple(column.name for column in accesses.c if column.name != "ciphertext")


@dataclass(frozen=True, slots=True)
class KeptAccess:
    """An access as it is stored. changed_at: another one is another access."""

    access: DirectoryAccess
    changed_at: datetime


class SQLDirectoryAccesses:
    """What processes ask of it that speak to directories."""

    def __init__(self, database: Database, vault: Vault) -> None:
        self._database = database
        self._vault = vault

    def of(self, connection: str) -> KeptAccess | None:
        """The access of a connection by its id; None where it has none."""
        with translated(), self._database.read() as sql:
            row = sql.execute(select(accesses).where(accesses.c.id == connection)).first()
        if row is None:
            return None
        secret = self._vault.open(row.ciphertext).decode()
        access = DirectoryAccess(row.kind, row.url, json.loads(row.details), secret)
        return KeptAccess(access, row.changed_at)


class DirectoryAccessSetup(SetupPart):
    """Giving a connection access, and taking it away."""

    def give_access(
        self, connection: Mapping[str, Any], access: DirectoryAccess, *, reason: str
    ) -> dict[str, Any]:
        """Set or replace it; as it is shown. The secret is in no audit."""
        row = {
            "id": connection["id"],
            "kind": access.kind,
            "url": access.url,
            "details": json.dumps(dict(access.details), sort_keys=True),
            "ciphertext": self.vault.seal(access.secret.strip().encode()),
            "changed_at": self.now,
            # Whatever ailed the access before, this one is tried at once.
            "failures": 0,
            "rests_until": None,
            "next_at": None,
            "answered_at": None,
            "last_error": None,
            "needs_operator": False,
        }
        bulk.upsert(self.sql, accesses, [row])
        self._try_at_once(connection["id"])
        told = {"kind": access.kind, "url": access.url, **access.details}
        self.audit(
            connection["account_id"],
            "connection.access",
            connection["id"],
            reason=reason,
            after=told,
        )
        return self.access_shown(connection["id"])

    def _try_at_once(self, connection: str) -> None:
        mine = reads.c.connection_id == connection
        waits = mine & reads.c.due_at.is_not(None) & reads.c.leased_until.is_(None)
        self.sql.execute(reads.update().where(waits).values(due_at=self.now, attempts=0))

    def renew_subscriptions(self, connection: Mapping[str, Any], *, reason: str) -> None:
        """Have a worker renew what brings the webhooks, at once."""
        renew_now(self.sql, [connection["id"]], self.now)
        self.audit(
            connection["account_id"],
            "connection.subscriptions_renewed",
            connection["id"],
            reason=reason,
        )

    def take_access(self, connection: Mapping[str, Any], *, reason: str) -> None:
        """Forget it, and what it read; raises NothingFoundError where there is none."""
        before = self.access_shown(connection["id"])
        self.sql.execute(delete(accesses).where(accesses.c.id == connection["id"]))
        self.sql.execute(delete(reads).where(reads.c.connection_id == connection["id"]))
        forget_subscriptions(self.sql, connection["id"])
        told = {"kind": before["kind"], "url": before["url"], **before["details"]}
        self.audit(
            connection["account_id"],
            "connection.access_removed",
            connection["id"],
            reason=reason,
            before=told,
        )

    def access_shown(self, connection: str) -> dict[str, Any]:
        """All of it but the secret; raises NothingFoundError."""
        columns = (accesses.c[name] for name in _SHOWN)
        found = self.sql.execute(select(*columns).where(accesses.c.id == connection))
        row = found.mappings().first()
        if row is None:
            raise NothingFoundError("access to the directory of connection", connection)
        return {**row, "details": json.loads(row["details"])}

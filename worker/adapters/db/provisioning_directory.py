"""The directory of one SCIM write: as few questions as one request needs, on PostgreSQL.

A drain's statements are made for five hundred events; here each is a wait of somebody who asks
one thing. The locks and their order are the same (D5).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, RowMapping

from domain.model import Group, Person, Role, User
from domain.protection import Keeper, protected_ids
from domain.values import Stamp
from worker.adapters.db.directory import SQLDirectory
from worker.adapters.db.mapping import group_from_row, person_from_row, user_from_row
from worker.adapters.db.provisioning_context import Context
from worker.adapters.vault import Vault

_LOCK = "SELECT * FROM {} WHERE id = ANY(%(ids)s) ORDER BY id FOR {}"
_PEOPLE = (
    "SELECT * FROM people WHERE id = ANY(%(ids)s) "
    "OR (account_id = %(account)s AND (role = 'owner' OR is_break_glass))"
)
_WAITS = "SELECT 1 FROM waits LIMIT 1"


class ProvisioningDirectory(SQLDirectory):
    """`DirectoryStore` of one request on PostgreSQL; on SQLite it asks as a drain does."""

    def __init__(self, sql: Connection, now: datetime, *, vault: Vault, context: Context) -> None:
        super().__init__(sql, now, vault=vault)
        self._context = context
        self._keepers: list[Keeper] | None = None

    def lock_owners(self, accounts: Collection[str]) -> None:
        """See the port."""
        if self._context.has_managed_owner:
            super().lock_owners(accounts)

    def lock_groups(
        self,
        shared: Mapping[str, Group],
        exclusive: Mapping[str, Group],
        accounts: Mapping[str, str],
    ) -> dict[str, Group]:
        """See the port: what is there is only locked, nothing is tried to be made."""
        self._accounts.update(accounts)
        found = [*self._lock("groups", exclusive), *self._lock("groups", shared, is_shared=True)]
        if len(found) < len({**shared, **exclusive}):
            return super().lock_groups(shared, exclusive, accounts)
        return {row["id"]: group_from_row(row) for row in found}

    def lock_users(
        self, missing: Mapping[str, User], accounts: Mapping[str, str]
    ) -> dict[str, User]:
        """See the port: what is there is only locked, nothing is tried to be made."""
        self._accounts.update(accounts)
        found = self._lock("users", missing)
        if len(found) < len(missing):
            return super().lock_users(missing, accounts)
        return {row["id"]: user_from_row(row) for row in found}

    def buried(self, connections: Collection[str], users: Collection[str]) -> dict[str, Stamp]:
        """See the port; an accepted write is newer than any tombstone (D2)."""
        return super().buried(connections, users) if self._context.has_tombstones else {}

    def people(self, ids: Collection[str]) -> dict[str, Person]:
        """See the port. Who keeps the account open comes with them."""
        if self._keepers is not None or not ids:
            return super().people(ids)
        account = self._context.account
        found = self._ask(_PEOPLE, {"ids": sorted(ids), "account": account})
        people = {row["id"]: person_from_row(row) for row in found}
        self._keepers = [
            Keeper(p.id, p.account, p.role, p.state, p.is_break_glass)
            for p in people.values()
            if p.account == account and (p.role is Role.OWNER or p.is_break_glass)
        ]
        return {key: person for key, person in people.items() if key in ids}

    def protected(self, accounts: Collection[str], touched: Collection[str] = ()) -> frozenset[str]:
        """See the port."""
        keepers = self._keepers
        if keepers is None or any(one.id in touched for one in keepers):
            return super().protected(accounts, touched)
        return protected_ids(keepers)

    def wake(self, keys: Collection[str]) -> None:
        """See the port."""
        if keys and self._ask(_WAITS, {}):
            super().wake(keys)

    def _lock(
        self, table: str, ids: Collection[str], *, is_shared: bool = False
    ) -> list[RowMapping]:
        if not ids:
            return []
        how = "SHARE" if is_shared else "NO KEY UPDATE"
        return self._ask(_LOCK.format(table, how), {"ids": sorted(ids)})

    def _ask(self, statement: str, given: Mapping[str, Any]) -> list[RowMapping]:
        return list(self._connection.exec_driver_sql(statement, dict(given)).mappings().all())

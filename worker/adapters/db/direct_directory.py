"""The directory on PostgreSQL by statements of the driver's, asked together where they can be.

Each is a wait of somebody who asks for one thing, or was told of it. The locks and their order are
those of `SQLDirectory` (D5).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime

from sqlalchemy import Connection, Table

from domain.changes import Change, GroupChange
from domain.model import Edge, Group, Person, Role, User
from domain.ports import Writes
from domain.protection import Keeper
from domain.values import Stamp
from worker.adapters.db import direct_statements as asks
from worker.adapters.db import rows
from worker.adapters.db.arrays import text_array
from worker.adapters.db.direct import Asked, Direct, Row
from worker.adapters.db.direct_foresight import (
    Foreseen,
    ask_edges,
    ask_made_or_locked,
    foresight,
)
from worker.adapters.db.directory import SQLDirectory
from worker.adapters.db.mapping import (
    edge_from_row,
    group_from_row,
    group_to_row,
    person_from_row,
    user_from_row,
    user_to_row,
)
from worker.adapters.db.surroundings import Surroundings
from worker.adapters.vault import Vault


class DirectDirectory(SQLDirectory):
    """`DirectoryStore` of one transaction of SCIM or of a drain."""

    def __init__(self, sql: Connection, direct: Direct, now: datetime, *, vault: Vault) -> None:
        super().__init__(sql, now, vault=vault)
        self._direct = direct
        self._around = Surroundings()
        self._keepers: list[Keeper] | None = None
        self._stirred: Collection[str] = ()
        self._foreseen = Foreseen()
        self._turns: list[Asked] = []

    def know(self, around: Surroundings) -> None:
        """What need not be asked any more."""
        self._around = around

    def foresee(self, changes: Sequence[tuple[str, Change]]) -> None:
        """Lock and read in one wait what the changes name, in the order of D5.

        Left out where an owner's account, or groups, or all members of one come before. changes:
        each with its connection.
        """
        around = self._around
        is_plain = not any(isinstance(change, GroupChange) for _, change in changes)
        if is_plain and not around.is_by_groups and not around.has_managed_owner:
            self._foreseen = foresight(self._direct, changes, around.accounts)
            if self._foreseen.keepers is not None:
                self._keepers = _keepers(self._foreseen.keepers, self._open)

    @property
    def _open(self) -> set[str]:
        """Accounts that somebody has to keep open (U6)."""
        return set(self._around.accounts.values())

    def lock_owners(self, accounts: Collection[str]) -> None:
        """See the port."""
        if self._around.has_managed_owner:
            super().lock_owners(accounts)

    def lock_names(self, accounts: Collection[str], *, is_shared: bool) -> None:
        """See the port."""
        wanted = sorted(set(accounts) - self._serialised)
        if wanted:
            statement = asks.ACCOUNTS_SHARED if is_shared else asks.ACCOUNTS_LOCKED
            self._direct.ask(statement, text_array(wanted))
            self._serialised |= set(() if is_shared else wanted)

    def lock_groups(
        self,
        shared: Mapping[str, Group],
        exclusive: Mapping[str, Group],
        accounts: Mapping[str, str],
    ) -> dict[str, Group]:
        """See the port: what is there is locked, what is not is made, in one question."""
        self._accounts.update(accounts)
        if self._foreseen.groups.keys() >= {**shared, **exclusive}.keys():
            return {key: self._foreseen.groups[key] for key in {**shared, **exclusive}}
        found: list[Row] = []
        beside = {key: group for key, group in shared.items() if key not in exclusive}
        for groups, is_shared in ((exclusive, False), (beside, True)):
            made = [group_to_row(groups[k], accounts[groups[k].connection]) for k in sorted(groups)]
            found += self._made_or_locked(rows.groups, made, is_shared=is_shared)
        if len(found) < len({**shared, **exclusive}):
            return super().lock_groups(shared, exclusive, accounts)
        return {row["id"]: group_from_row(row) for row in found}

    def lock_users(
        self, missing: Mapping[str, User], accounts: Mapping[str, str]
    ) -> dict[str, User]:
        """See the port: what is there is locked, what is not is made, in one question."""
        self._accounts.update(accounts)
        if self._foreseen.users.keys() >= missing.keys():
            return {key: self._foreseen.users[key] for key in missing}
        made = [user_to_row(missing[k], accounts[missing[k].connection]) for k in sorted(missing)]
        found = self._made_or_locked(rows.users, made)
        if len(found) < len(missing):
            return super().lock_users(missing, accounts)
        return {row["id"]: user_from_row(row) for row in found}

    def lock_addresses(self, ids: Collection[str]) -> dict[str, str | None]:
        """See the port."""
        made = [{"id": key, "person_id": None} for key in sorted(ids)]
        found = self._made_or_locked(rows.addresses, made)
        if len(found) < len(made):
            return super().lock_addresses(ids)
        return {row["id"]: row["person_id"] for row in found}

    def edges(self, ids: Collection[str]) -> dict[str, Edge]:
        """See the port."""
        if self._foreseen.named >= set(ids):
            return {key: edge for key, edge in self._foreseen.edges.items() if key in ids}
        (found,) = self._direct.ask_all(ask_edges(ids))
        return {row["id"]: edge_from_row(row) for row in found}

    def linked(self, users: Collection[str]) -> dict[str, str | None]:
        """See the port."""
        found = self._direct.ask(asks.LINKED, text_array(sorted(users)))
        return {row["id"]: row["person_id"] for row in found}

    def take_turns(self, *, alone: Collection[str], beside: Collection[str]) -> None:
        """See the port. Who links subjects reads their memberships next: sent with that."""
        self._turns = [
            Asked(asks.TURN_ALONE if key in alone else asks.TURN_BESIDE, [key])
            for key in sorted({*alone, *beside})
        ]
        if alone:
            self._direct.ask_all(*self._turns)
            self._turns = []

    def edges_of_users(self, users: Collection[str]) -> list[Edge]:
        """See the port; each statement sees what was committed when its turn came."""
        by_connection: dict[str, list[str]] = {}
        for user in sorted(users):
            connection, _, key = user.partition(":")
            by_connection.setdefault(connection, []).append(key)
        wanted = [
            Asked(asks.EDGES_OF, [one, text_array(k)], is_kept=False)
            for one, k in by_connection.items()
        ]
        turns, self._turns = self._turns, []
        found = self._direct.ask_all(*turns, *wanted)[len(turns) :]
        return [edge_from_row(row) for one in found for row in one]

    def buried(self, connections: Collection[str], users: Collection[str]) -> dict[str, Stamp]:
        """See the port. What was foreseen was looked for behind the locks of these subjects."""
        if self._foreseen.is_nobody_buried and self._foreseen.users.keys() >= set(users):
            return {}
        return super().buried(connections, users)

    def people(self, ids: Collection[str]) -> dict[str, Person]:
        """See the port. Who keeps the account open comes with them."""
        if self._foreseen.people.keys() >= set(ids):
            return {key: self._foreseen.people[key] for key in ids}
        accounts = self._open
        given = text_array(sorted(ids)), text_array(sorted(accounts))
        people = [person_from_row(row) for row in self._direct.ask(asks.PEOPLE, *given)]
        if accounts:
            self._keepers = _keepers(people, accounts)
        return {person.id: person for person in people if person.id in ids}

    def keepers(self, accounts: Collection[str], touched: Collection[str] = ()) -> list[Keeper]:
        """See the port."""
        if self._keepers is None:
            found = self._direct.ask(asks.KEEPERS, text_array(sorted(accounts)))
            self._keepers = _keepers([person_from_row(row) for row in found], accounts)
        if any(one.id in touched for one in self._keepers):
            return super().keepers(accounts, touched)
        return self._keepers

    def wake(self, keys: Collection[str]) -> None:
        """See the port: sent with what is saved, without asking first."""
        self._stirred = keys

    def save(self, writes: Writes) -> None:
        """See the port."""
        if self._stirred:
            self._direct.tell(asks.WAKE, text_array(sorted(self._stirred)), self._now)
        super().save(writes)

    def _made_or_locked(
        self, table: Table, made: Sequence[Row], *, is_shared: bool = False
    ) -> list[Row]:
        if not made:
            return []
        (found,) = self._direct.ask_all(ask_made_or_locked(table, made, is_shared=is_shared))
        return found


def _keepers(people: Collection[Person], accounts: Collection[str]) -> list[Keeper]:
    return [
        Keeper(p.id, p.account, p.role, p.state, p.is_break_glass)
        for p in people
        if p.account in accounts and (p.role is Role.OWNER or p.is_break_glass)
    ]

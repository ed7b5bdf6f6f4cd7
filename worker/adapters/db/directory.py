"""The directory in SQL, inside one write transaction (D5). Every list is sorted before it locks."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, RowMapping, Table, func, select, update

from domain.errors import RefusedError
from domain.keys import user_id
from domain.model import Edge, Group, Person, PersonState, Role, User
from domain.own_groups import OwnGroup
from domain.ports import Writes
from domain.protection import Keeper
from domain.values import Stamp
from worker.adapters.db import bulk, rows
from worker.adapters.db.burying import stamps_of_buried
from worker.adapters.db.group_rows import own_members
from worker.adapters.db.letting_go import freed
from worker.adapters.db.mapping import (
    edge_from_row,
    edge_to_row,
    group_from_row,
    group_to_row,
    person_from_row,
    person_to_row,
    user_from_row,
    user_to_row,
)
from worker.adapters.db.own_groups import locked_own_groups, save_own_groups
from worker.adapters.vault import Vault

NOTHING_ON_CONFLICT = "ON CONFLICT DO NOTHING"


class SQLDirectory:
    """`DirectoryStore` on PostgreSQL and SQLite. Locks are PostgreSQL's; SQLite has one writer."""

    def __init__(
        self, connection: Connection, now: datetime, *, vault: Vault | None = None
    ) -> None:
        self._vault = vault
        self._connection = connection
        self._now = now
        self._accounts: dict[str, str] = {}
        self._serialised: set[str] = set()

    def lock_owners(self, accounts: Collection[str]) -> None:
        """See the port."""
        people = rows.people
        managed = self._all(
            select(people.c.account_id)
            .distinct()
            .where(people.c.role == Role.OWNER.value, people.c.connection_id.is_not(None))
            .where(bulk.among(people.c.account_id, sorted(accounts), self._connection))
        )
        touched = sorted(row["account_id"] for row in managed)
        if touched:
            self._locked(rows.accounts, touched)
            self._serialised |= set(touched)

    def lock_names(self, accounts: Collection[str], *, is_shared: bool) -> None:
        """See the port."""
        wanted = sorted(set(accounts) - self._serialised)
        self._locked(rows.accounts, wanted, share=is_shared)
        if not is_shared:
            self._serialised |= set(wanted)

    def lock_groups(
        self,
        shared: Mapping[str, Group],
        exclusive: Mapping[str, Group],
        accounts: Mapping[str, str],
    ) -> dict[str, Group]:
        """See the port."""
        self._accounts.update(accounts)
        missing = {**shared, **exclusive}
        created = [
            group_to_row(missing[key], self._accounts[missing[key].connection])
            for key in sorted(missing)
        ]
        bulk.insert(self._connection, rows.groups, created, conflict=NOTHING_ON_CONFLICT)
        found = self._locked(rows.groups, sorted(exclusive))
        found += self._locked(rows.groups, sorted(set(shared) - set(exclusive)), share=True)
        return {row["id"]: group_from_row(row) for row in found}

    def own_groups(
        self, ids: Collection[str], names: Collection[tuple[str, str]]
    ) -> list[OwnGroup]:
        """See the port."""
        found = locked_own_groups(self._connection, ids, names)
        return [
            freed(self._connection, group, self._now) if is_nobodys else group
            for group, is_nobodys in found
        ]

    def by_hand(self, groups: Collection[str]) -> dict[str, frozenset[str]]:
        """See the port."""
        table = own_members
        mine = bulk.among(table.c.group_id, sorted(groups), self._connection)
        found: dict[str, set[str]] = {group: set() for group in groups}
        for row in self._all(select(table.c.group_id, table.c.person_id).where(mine)):
            found[row["group_id"]].add(row["person_id"])
        return {group: frozenset(people) for group, people in found.items()}

    def lock_users(
        self, missing: Mapping[str, User], accounts: Mapping[str, str]
    ) -> dict[str, User]:
        """See the port."""
        self._accounts.update(accounts)
        created = [
            user_to_row(missing[key], self._accounts[missing[key].connection])
            for key in sorted(missing)
        ]
        found: list[RowMapping] = []
        while len(found) < len(missing):
            # Once more where one was deleted for good while we waited for it (U5).
            bulk.insert(self._connection, rows.users, created, conflict=NOTHING_ON_CONFLICT)
            found = self._locked(rows.users, sorted(missing))
        return {row["id"]: user_from_row(row) for row in found}

    def buried(self, connections: Collection[str], users: Collection[str]) -> dict[str, Stamp]:
        """See the port."""
        return stamps_of_buried(self._connection, self._vault, connections, users)

    def try_users(self, ids: Collection[str]) -> dict[str, User]:
        """See the port."""
        found = self._locked(rows.users, sorted(ids), skip_locked=True)
        for row in found:
            self._accounts[row["connection_id"]] = row["account_id"]
        return {row["id"]: user_from_row(row) for row in found}

    def try_or_lock(self, key: str) -> User:
        """One known subject, waited for; raises RefusedError if it is gone by then."""
        found = self.lock_subject(key)
        if found is None:
            raise RefusedError("this person was deleted meanwhile")
        return found

    def lock_subject(self, key: str) -> User | None:
        """One subject, waited for; None if it is gone by then."""
        found = self._locked(rows.users, [key])
        return user_from_row(found[0]) if found else None

    def lock_addresses(self, ids: Collection[str]) -> dict[str, str | None]:
        """See the port."""
        wanted = sorted(ids)
        reserved = [{"id": key, "person_id": None} for key in wanted]
        bulk.insert(self._connection, rows.addresses, reserved, conflict=NOTHING_ON_CONFLICT)
        return {row["id"]: row["person_id"] for row in self._locked(rows.addresses, wanted)}

    def holders(self, ids: Collection[str]) -> dict[str, str]:
        """See the port."""
        table = rows.addresses
        found = self._all(
            select(table.c.id, table.c.person_id)
            .where(bulk.among(table.c.id, sorted(ids), self._connection))
            .where(table.c.person_id.is_not(None))
        )
        return {row["id"]: row["person_id"] for row in found}

    def people(self, ids: Collection[str]) -> dict[str, Person]:
        """See the port."""
        if not ids:
            return {}
        found = self._all(
            select(rows.people).where(bulk.among(rows.people.c.id, sorted(ids), self._connection))
        )
        return {row["id"]: person_from_row(row) for row in found}

    def keepers(self, accounts: Collection[str], touched: Collection[str] = ()) -> list[Keeper]:
        """See the port."""
        keepers = keepers_of(self._connection, accounts)
        unlocked = {
            one.account
            for one in keepers
            if one.role is Role.OWNER and one.id in touched and one.account not in self._serialised
        }
        if unlocked:
            # An owner is about to be adopted: nobody may change another one meanwhile.
            self._locked(rows.accounts, sorted(unlocked))
            self._serialised |= unlocked
            keepers = keepers_of(self._connection, accounts)
        return keepers

    def edges(self, ids: Collection[str]) -> dict[str, Edge]:
        """See the port."""
        found = self._locked(rows.memberships, sorted(ids))
        return {row["id"]: edge_from_row(row) for row in found}

    def edges_of(self, group: Group) -> list[Edge]:
        """See the port."""
        table = rows.memberships
        found = self._all(
            select(table).where(
                table.c.connection_id == group.connection, table.c.group_key == group.key
            )
        )
        return [edge_from_row(row) for row in found]

    def edges_of_users(self, users: Collection[str]) -> list[Edge]:
        """See the port."""
        table = rows.memberships
        by_connection: dict[str, list[str]] = {}
        for user in sorted(users):
            connection, _, key = user.partition(":")
            by_connection.setdefault(connection, []).append(key)
        found: list[RowMapping] = []
        for connection, keys in by_connection.items():
            mine = bulk.among(table.c.user_key, keys, self._connection)
            found += self._all(select(table).where(table.c.connection_id == connection, mine))
        return [edge_from_row(row) for row in found]

    def groups(self, ids: Collection[str]) -> dict[str, Group]:
        """See the port."""
        table = rows.groups
        found = self._all(
            select(table).where(bulk.among(table.c.id, sorted(ids), self._connection))
        )
        return {row["id"]: group_from_row(row) for row in found}

    def linked(self, users: Collection[str]) -> dict[str, str | None]:
        """See the port."""
        table = rows.users
        mine = bulk.among(table.c.id, sorted(users), self._connection)
        found = self._all(select(table.c.id, table.c.person_id).where(mine))
        return {row["id"]: row["person_id"] for row in found}

    def take_turns(self, *, alone: Collection[str], beside: Collection[str]) -> None:
        """See the port; SQLite has one writer."""
        if self._connection.dialect.name != "postgresql":
            return
        for account in sorted({*alone, *beside}):
            how = "pg_advisory_xact_lock" + ("" if account in alone else "_shared")
            key = func.hashtextextended(f"announcing {account}", 0)
            self._connection.execute(select(getattr(func, how)(key)))

    def save(self, writes: Writes) -> None:
        """See the port."""
        account = self._accounts
        save = bulk.upsert
        save(
            self._connection,
            rows.groups,
            [
                group_to_row(writes.groups[k], account[writes.groups[k].connection])
                for k in sorted(writes.groups)
            ],
        )
        save(
            self._connection,
            rows.users,
            [
                user_to_row(writes.users[k], account[writes.users[k].connection])
                for k in sorted(writes.users)
            ],
        )
        save_own_groups(self._connection, writes.own.values(), self._now)
        people = [person_to_row(writes.people[key]) for key in sorted(writes.people)]
        save(self._connection, rows.people, people)
        self._save_addresses(writes.addresses)
        edges = [edge_to_row(writes.edges[key]) for key in sorted(writes.edges)]
        save(self._connection, rows.memberships, edges)

    def _save_addresses(self, addresses: Mapping[str, str | None]) -> None:
        held = [{"id": k, "person_id": v} for k, v in sorted(addresses.items()) if v is not None]
        bulk.upsert(self._connection, rows.addresses, held)
        free = sorted(key for key, person in addresses.items() if person is None)
        bulk.remove(self._connection, rows.addresses, [{"id": key} for key in free])

    def wake(self, keys: Collection[str]) -> None:
        """See the port."""
        table = rows.waits
        if not keys or self._connection.execute(select(table.c.event_id).limit(1)).first() is None:
            return
        found = self._all(
            select(table.c.event_id)
            .distinct()
            .where(bulk.among(table.c.key, sorted(keys), self._connection))
        )
        waiting = sorted(row["event_id"] for row in found)
        if not waiting:
            return
        events = rows.events
        # An event that another worker holds is being decided right now, behind our locks.
        free = (
            select(events.c.id)
            .where(bulk.among(events.c.id, waiting, self._connection))
            .where(events.c.state == "waiting")
            .with_for_update(skip_locked=True)
        )
        ids = [row["id"] for row in self._all(free)]
        self._connection.execute(
            update(events)
            .where(bulk.among(events.c.id, ids, self._connection))
            .values(due_at=self._now)
        )

    def _locked(
        self, table: Table, ids: Collection[str], *, share: bool = False, skip_locked: bool = False
    ) -> list[RowMapping]:
        if not ids:
            return []
        wanted: ColumnElement[bool] = bulk.among(table.c.id, ids, self._connection)
        statement = select(table).where(wanted).order_by(table.c.id)
        return self._all(
            statement.with_for_update(read=share, key_share=not share, skip_locked=skip_locked)
        )

    def _all(self, statement: Any) -> list[RowMapping]:
        return list(self._connection.execute(statement).mappings().all())


def keepers_of(connection: Connection, accounts: Collection[str]) -> list[Keeper]:
    """Owners and break-glass people of these accounts, whatever their state (U6)."""
    people = rows.people
    found = connection.execute(
        select(
            people.c.id,
            people.c.account_id,
            people.c.role,
            people.c.state,
            people.c.is_break_glass,
        )
        .where(bulk.among(people.c.account_id, sorted(accounts), connection))
        .where(rows.KEEPS_OPEN)
    )
    return [
        Keeper(row.id, row.account_id, Role(row.role), PersonState(row.state), row.is_break_glass)
        for row in found
    ]


def subject_of(person: Person) -> str | None:
    """Id of the subject that a managed person is linked to."""
    if person.connection is None or person.user is None:
        return None
    return user_id(person.connection, person.user)

"""People by hand in SQL: `HandWork` over one write transaction of an operator."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TypeVar

import orjson
from sqlalchemy import Connection, delete, select

from domain.announcements import of_person
from domain.consequences import Consequence, LinkKind, audit_view, link_of
from domain.errors import NothingFoundError, RefusedError
from domain.holding import addresses_of, freed
from domain.keys import user_id
from domain.model import Person
from domain.overriding import by_hand
from domain.protection import Keeper
from worker.adapters.db import access_history, bulk, rows
from worker.adapters.db.account_lock import lock_account
from worker.adapters.db.announcing import announce
from worker.adapters.db.directory import NOTHING_ON_CONFLICT, SQLDirectory, keepers_of
from worker.adapters.db.engine import Changing
from worker.adapters.db.erasing import erase
from worker.adapters.db.mapping import person_from_row, person_to_row
from worker.adapters.db.uow import database_now, save_consequences
from worker.adapters.vault import Vault

Done = TypeVar("Done")


def locked_person(connection: Connection, person: str) -> Person:
    """A person behind the locks that a drain takes before it touches them (D5).

    The subject of whoever is governed, else the addresses. Raises NothingFoundError.
    """
    directory = SQLDirectory(connection, database_now(connection))
    while True:
        before = _read(connection, person)
        if before.connection is not None and before.user is not None:
            directory.lock_subject(user_id(before.connection, before.user))
        _lock_addresses(connection, addresses_of(before))
        found = _read(connection, person)
        # Linked, freed or moved while the locks were waited for: those of then are not enough.
        is_same = (before.connection, before.user) == (found.connection, found.user)
        if is_same and addresses_of(found) <= addresses_of(before):
            return found


def _read(connection: Connection, person: str) -> Person:
    table = rows.people
    found = connection.execute(select(table).where(table.c.id == person)).mappings().first()
    if found is None:
        raise NothingFoundError("person", person)
    return person_from_row(found)


def _lock_addresses(connection: Connection, ids: set[str]) -> None:
    table = rows.addresses
    connection.execute(
        select(table.c.id)
        .where(bulk.among(table.c.id, sorted(ids), connection))
        .order_by(table.c.id)
        .with_for_update(key_share=True)
    )


class SQLHandWork:
    """One write transaction of an operator."""

    def __init__(
        self, connection: Connection, vault: Vault, *, actor: str, link_seconds: float
    ) -> None:
        self._connection = connection
        self._vault = vault
        self._actor = actor
        self._link_seconds = link_seconds
        self._now = database_now(connection)

    def insist_account(self, account: str) -> None:
        """See the port."""
        lock_account(self._connection, account)

    def locked(self, person: str, *, account: str | None = None) -> Person:
        """See the port."""
        known = _read(self._connection, person)
        if account is not None and known.account != account:
            raise NothingFoundError("person", person)
        self.insist_account(known.account)
        return locked_person(self._connection, person)

    def keepers(self, account: str) -> list[Keeper]:
        """See the port."""
        return keepers_of(self._connection, [account])

    def save(self, before: Person | None, after: Person, *, action: str, reason: str) -> None:
        """See the port."""
        after = by_hand(after)
        self._move_addresses(before, after)
        bulk.upsert(self._connection, rows.people, [person_to_row(after)])
        wanted = link_of(after)
        if wanted != link_of(before):
            changes = wanted is not None and wanted.kind is LinkKind.EMAIL_CHANGE
            save_consequences(
                self._connection,
                [Consequence(after, wanted, after.email if changes else None)],
                vault=self._vault,
                now=self._now,
                link_seconds=self._link_seconds,
            )
        SQLDirectory(self._connection, self._now).wake(freed(before, after))
        announce(self._connection, of_person(before, after), now=self._now)
        deed = access_history.Deed(self._now, self._actor, reason)
        access_history.note_people(self._connection, [(before, after)], deed)
        self.log(before, after, action=action, reason=reason)

    def erase(self, person: Person, *, reason: str) -> str:
        """See the port."""
        deed = access_history.Deed(self._now, self._actor, reason)
        proof = erase(self._connection, self._vault, person, deed)
        bare = replace(person, email="", requested="", pending=None, profile={}, user=None)
        self.log(None, bare, action="user.delete", reason=reason)
        return proof

    def log(self, before: Person | None, after: Person, *, action: str, reason: str) -> None:
        """The audit row: who did what, to whom, why."""
        entry = {
            "account_id": after.account,
            "at": self._now,
            "actor": self._actor,
            "action": action,
            "subject": after.id,
            "event_id": None,
            "before": orjson.dumps(_seen(before)),
            "after": orjson.dumps(_seen(after)),
            "reason": reason,
        }
        bulk.insert(self._connection, rows.audit, [entry])

    def _move_addresses(self, before: Person | None, after: Person) -> None:
        had = set() if before is None else addresses_of(before)
        has = addresses_of(after)
        self._claim(after, sorted(has - had))
        table = rows.addresses
        mine = table.c.person_id == after.id
        for key in sorted(had - has):
            self._connection.execute(delete(table).where(table.c.id == key, mine))

    def _claim(self, person: Person, keys: list[str]) -> None:
        """E8: an address belongs to one person of an account at most."""
        table = rows.addresses
        new = [{"id": key, "person_id": person.id} for key in keys]
        bulk.insert(self._connection, table, new, conflict=NOTHING_ON_CONFLICT)
        _lock_addresses(self._connection, set(keys))
        for key in keys:
            holder = self._connection.execute(
                select(table.c.person_id).where(table.c.id == key)
            ).scalar()
            if holder is not None and holder != person.id:
                address = key.partition(":")[2]
                raise RefusedError(
                    f"{address} belongs to person {holder} of this account already (E8)",
                    code="address_taken",
                )
        bulk.upsert(self._connection, table, new)


def _seen(person: Person | None) -> dict[str, str | bool | None] | None:
    """As the audit shows a person, with what only operators change."""
    view = audit_view(person)
    if view is None or person is None:
        return None
    return {**view, "role": person.role.value, "break_glass": person.is_break_glass}


class SQLHandStore:
    """Transactions of operators; made again where they met another."""

    def __init__(self, database: Changing, vault: Vault, *, link_seconds: float) -> None:
        self._database = database
        self._vault = vault
        self._link_seconds = link_seconds

    def change(self, work: Callable[[SQLHandWork], Done], *, actor: str) -> Done:
        """Do work in one transaction, committed unless it raises."""

        def unit(connection: Connection) -> Done:
            return work(
                SQLHandWork(connection, self._vault, actor=actor, link_seconds=self._link_seconds)
            )

        return self._database.change(unit)

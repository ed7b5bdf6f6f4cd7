"""Whose addresses a member's yes may move: the member's own, and on along a ring (E8)."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection, delete

from domain.exchange import Party
from domain.holding import address_in_force, addresses_of
from domain.keys import address_id, user_id, when_free
from domain.model import Person
from domain.overriding import as_told
from worker.adapters.db import bulk, rows
from worker.adapters.db.directory import SQLDirectory


class Circle:
    """Looked up as the rule asks. before: everybody who was found, as they were, by id.

    A subject that somebody else has in hand is not waited for: two members of a ring may answer at
    once. Who finds the other busy only promises; the events that wait for the addresses are woken.
    """

    def __init__(self, directory: SQLDirectory, first: Person) -> None:
        self._directory = directory
        self._account = first.account
        self._known: dict[str, Party | None] = {}
        self.before: dict[str, Person] = {first.id: first}

    def holder_of(self, address: str) -> Person | None:
        """Who holds the address that is being proven, which is locked from here on."""
        key = address_id(self._account, address)
        holder = self._directory.lock_addresses([key])[key]
        if holder is None:
            return None
        return self.before.get(holder) or self._directory.people([holder]).get(holder)

    def party_of(self, address: str) -> Party | None:
        """Who holds an address, behind the lock of their subject; None where that is busy."""
        key = address_id(self._account, address)
        if key not in self._known:
            self._known[key] = self._find(key)
        return self._known[key]

    def _find(self, key: str) -> Party | None:
        holder = self._directory.holders([key]).get(key)
        person = None if holder is None else self._directory.people([holder]).get(holder)
        if person is None or person.connection is None or person.user is None:
            return None
        subject = user_id(person.connection, person.user)
        user = self._directory.try_users([subject]).get(subject)
        # As they are behind the lock.
        person = self._directory.people([person.id]).get(person.id)
        if user is None or person is None or person.id in self.before:
            return None
        self.before[person.id] = person
        return Party(as_told(person), user)


def move_addresses(
    connection: Connection,
    directory: SQLDirectory,
    changed: Sequence[tuple[Person, Person]],
) -> None:
    """E8: what everybody has in force is theirs; what nobody of them has any more is free."""
    if all(addresses_of(before) == addresses_of(after) for before, after in changed):
        return
    held = {key: after.id for _, after in changed for key in address_in_force(after)}
    bulk.upsert(
        connection,
        rows.addresses,
        [{"id": key, "person_id": person} for key, person in sorted(held.items())],
    )
    table = rows.addresses
    kept = {key for _, after in changed for key in addresses_of(after)}
    gone = sorted({key for before, _ in changed for key in addresses_of(before)} - kept)
    if gone:
        theirs = table.c.person_id.in_([after.id for _, after in changed])
        connection.execute(delete(table).where(bulk.among(table.c.id, gone, connection), theirs))
    directory.wake({when_free(key) for key in (*gone, *held)})

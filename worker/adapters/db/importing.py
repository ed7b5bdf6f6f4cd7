"""An import in SQL: what a batch may meet is locked and loaded at once; additions go in bulk."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson
from sqlalchemy import Connection, delete, select

from domain import access
from domain.announcements import Announcement, GroupView, of_group, of_membership, of_person
from domain.consequences import Consequence, audit_view, link_of
from domain.domains import listed_by
from domain.errors import NothingFoundError
from domain.importing import Additions, Entry
from domain.keys import address_id
from domain.model import Person
from domain.own_groups import OwnGroup, known_as, name_key
from domain.values import domain_of
from worker.adapters.db import access_history, bulk, rows
from worker.adapters.db.announcing import announce
from worker.adapters.db.directory import SQLDirectory
from worker.adapters.db.engine import Database, translated
from worker.adapters.db.group_rows import own_groups, own_members
from worker.adapters.db.import_trial import ImportTrial
from worker.adapters.db.mapping import person_to_row
from worker.adapters.db.own_groups import own_group_from_row, own_group_to_row
from worker.adapters.db.uow import database_now, save_consequences
from worker.adapters.vault import Vault


@dataclass(frozen=True, slots=True)
class ImportOrder:
    """What an operator asked for. invites: mail who comes in as invited. any_domain: E4 aside."""

    account: str
    actor: str
    reason: str
    invites: bool = False
    any_domain: bool = False


class SQLImportWork:
    """One batch. trial: a dry run, which reads only and remembers there."""

    def __init__(
        self, connection: Connection, order: ImportOrder, trial: ImportTrial | None
    ) -> None:
        self._connection = connection
        self._order = order
        self._trial = trial
        self.now = database_now(connection)
        self._directory = SQLDirectory(connection, self.now)
        self._domains: frozenset[str] = frozenset()
        self._holders: dict[str, Person | None] = {}
        self._groups: dict[str, OwnGroup | None] = {}
        self._members: set[tuple[str, str]] = set()
        self.added: list[Additions] = []

    def learn(self, entries: Sequence[Entry]) -> None:
        """See the port."""
        self._lock_account()
        table = rows.domains
        self._domains = frozenset(
            self._connection.execute(
                select(table.c.domain).where(table.c.account_id == self._order.account)
            ).scalars()
        )
        self._learn_holders({entry.email for entry in entries if entry.email})
        self._learn_groups({name_key(entry.group) for entry in entries if entry.group})
        if any(entry.group and entry.email for entry in entries):
            self._learn_members()

    def _lock_account(self) -> None:
        table = rows.accounts
        mine = select(table.c.id).where(table.c.id == self._order.account)
        if self._trial is None:
            mine = mine.with_for_update(key_share=True)
        if self._connection.execute(mine).first() is None:
            raise NothingFoundError("account", self._order.account)

    def _learn_holders(self, emails: Collection[str]) -> None:
        keys = {address_id(self._order.account, email) for email in emails}
        if self._trial is None:
            held: Mapping[str, str | None] = self._directory.lock_addresses(keys)
        else:
            table = rows.addresses
            found = self._connection.execute(
                select(table).where(bulk.among(table.c.id, sorted(keys), self._connection))
            )
            held = {row.id: row.person_id for row in found}
        people = self._directory.people({one for one in held.values() if one is not None})
        self._holders = {key: people.get(held.get(key) or "") for key in keys}

    def _learn_groups(self, names: Collection[str]) -> None:
        table = own_groups
        found = self._connection.execute(
            select(table)
            .where(table.c.account_id == self._order.account, ~table.c.is_managed)
            .where(bulk.among(table.c.name_key, sorted(names), self._connection))
        ).mappings()
        self._groups = dict.fromkeys(names)
        for row in found:
            self._groups[row["name_key"]] = own_group_from_row(row)
        if any(group is None for group in self._groups.values()):
            self._learn_provided()

    def _learn_provided(self) -> None:
        """Identity providers' groups by name; an account has hundreds, and no index of names."""
        table = rows.groups
        found = self._connection.execute(
            select(table.c.id, table.c.name, table.c.key, table.c.connection_id).where(
                table.c.account_id == self._order.account, table.c.is_seen
            )
        )
        for row in found:
            key = name_key(row.name or "")
            if key in self._groups and self._groups[key] is None:
                self._groups[key] = OwnGroup(
                    row.id,
                    self._order.account,
                    row.name,
                    connection=row.connection_id,
                    key=row.key,
                    is_managed=True,
                )

    def _learn_members(self) -> None:
        table = own_members
        people = sorted({person.id for person in self._holders.values() if person is not None})
        groups = sorted({group.id for group in self._groups.values() if group is not None})
        found = self._connection.execute(
            select(table.c.group_id, table.c.person_id)
            .where(bulk.among(table.c.person_id, people, self._connection))
            .where(bulk.among(table.c.group_id, groups, self._connection))
        )
        self._members = {(row.group_id, row.person_id) for row in found}

    # -- what is known ---------------------------------------------------------------------

    def holder(self, email: str) -> Person | None:
        """See the port."""
        found = self._holders[address_id(self._order.account, email)]
        if found is None and self._trial is not None:
            return self._trial.holder(self._order.account, email)
        return found

    def group(self, name: str) -> OwnGroup | None:
        """See the port."""
        found = self._groups[name_key(name)]
        if found is None and self._trial is not None:
            return self._trial.group(self._order.account, name)
        return found

    def is_member(self, group: OwnGroup, person: Person) -> bool:
        """See the port."""
        if (group.id, person.id) in self._members:
            return True
        return self._trial is not None and self._trial.is_member(group.id, person.id)

    def allows(self, email: str) -> bool:
        """See the port."""
        is_listed = listed_by(domain_of(email), self._domains) is not None
        return self._order.any_domain or is_listed

    def add(self, new: Additions) -> None:
        """See the port."""
        if new.is_nothing:
            return
        self.added.append(new)
        if new.person is not None:
            self._holders[address_id(self._order.account, new.person.email)] = new.person
        if new.group is not None:
            self._groups[name_key(new.group.name)] = new.group
        if new.member is not None:
            group, person = new.member
            self._members.add((group.id, person.id))

    # -- writing ---------------------------------------------------------------------------

    def write(self, vault: Vault, link_seconds: float) -> None:
        """Everything that was added, with its audit and its mails; unused reservations go."""
        people = [one.person for one in self.added if one.person is not None]
        groups = [one.group for one in self.added if one.group is not None]
        members = [one.member for one in self.added if one.member is not None]
        sql = self._connection
        bulk.insert(sql, rows.people, [person_to_row(person) for person in people])
        self._save_addresses(people)
        bulk.insert(sql, own_groups, [own_group_to_row(group, self.now) for group in groups])
        new = [
            {"group_id": group.id, "person_id": person.id, "added_at": self.now}
            for group, person in members
        ]
        bulk.insert(sql, own_members, new)
        self._log(people, groups, members)
        self._note_access(people, members)
        announce(sql, self._announcements(people, groups, members), now=self.now)
        if self._order.invites:
            follow = [Consequence(person, link_of(person)) for person in people]
            save_consequences(sql, follow, vault=vault, now=self.now, link_seconds=link_seconds)

    def _note_access(
        self, people: Sequence[Person], members: Sequence[tuple[OwnGroup, Person]]
    ) -> None:
        turns = [access.of_person(None, person) for person in people]
        for group, person in members:
            key = known_as(group)
            turns.append(access.of_membership(group.account, key, person.id, is_member=True))
        deed = access_history.Deed(self.now, self._order.actor, self._order.reason)
        access_history.note(self._connection, turns, deed)

    def _announcements(
        self,
        people: Sequence[Person],
        groups: Sequence[OwnGroup],
        members: Sequence[tuple[OwnGroup, Person]],
    ) -> list[Announcement]:
        return [
            *(told for person in people for told in of_person(None, person)),
            *(told for group in groups for told in of_group(None, _view(group))),
            *(of_membership(person, _view(group), is_member=True) for group, person in members),
        ]

    def _save_addresses(self, people: Sequence[Person]) -> None:
        table = rows.addresses
        held = [{"id": address_id(p.account, p.email), "person_id": p.id} for p in people]
        bulk.upsert(self._connection, table, sorted(held, key=lambda row: row["id"]))
        free = sorted(key for key, person in self._holders.items() if person is None)
        if free:
            self._connection.execute(
                delete(table)
                .where(bulk.among(table.c.id, free, self._connection))
                .where(table.c.person_id.is_(None))
            )

    def _log(
        self,
        people: Sequence[Person],
        groups: Sequence[OwnGroup],
        members: Sequence[tuple[OwnGroup, Person]],
    ) -> None:
        entries = [
            *(self._entry("user.import", p.id, _seen(p)) for p in people),
            *(self._entry("group.import", g.id, {"name": g.name}) for g in groups),
            *(self._entry("group.member_add", g.id, {"person": p.id}) for g, p in members),
        ]
        bulk.insert(self._connection, rows.audit, entries)

    def _entry(self, action: str, subject: str, after: object) -> dict[str, Any]:
        return {
            "account_id": self._order.account,
            "at": self.now,
            "actor": self._order.actor,
            "action": action,
            "subject": subject,
            "event_id": None,
            "before": b"null",
            "after": orjson.dumps(after),
            "reason": self._order.reason,
        }


def _view(group: OwnGroup) -> GroupView:
    return GroupView(group.id, group.account, group.name)


def _seen(person: Person) -> dict[str, Any]:
    return {**(audit_view(person) or {}), "role": person.role.value}


class SQLImportStore:
    """A real import: each batch a transaction, made again where it met another."""

    def __init__(
        self, database: Database, vault: Vault, order: ImportOrder, *, link_seconds: float
    ) -> None:
        self._database = database
        self._vault = vault
        self._order = order
        self._link_seconds = link_seconds

    def change(self, work: Callable[[SQLImportWork], None]) -> None:
        """See the port."""

        def unit(connection: Connection) -> None:
            opened = SQLImportWork(connection, self._order, None)
            work(opened)
            opened.write(self._vault, self._link_seconds)

        # Committed without our hearing of it, it finds everything there and adds nothing.
        self._database.change(unit, is_repeatable=True)


class TrialImportStore:
    """A dry run: nothing is locked or written, and later batches know of earlier ones."""

    def __init__(self, database: Database, order: ImportOrder, trial: ImportTrial) -> None:
        self._database = database
        self._order = order
        self._trial = trial

    def change(self, work: Callable[[SQLImportWork], None]) -> None:
        """See the port."""
        with translated(), self._database.read() as connection:
            opened = SQLImportWork(connection, self._order, self._trial)
            work(opened)
        self._trial.keep(opened.added)

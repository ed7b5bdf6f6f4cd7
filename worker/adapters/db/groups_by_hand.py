"""Groups by hand in SQL: `GroupWork` over one write transaction of an operator."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, TypeVar

import orjson
from sqlalchemy import Connection, delete, select, update

from domain import access
from domain.announcements import of_group, of_membership, view_of_own
from domain.errors import NothingFoundError
from domain.keys import group_id
from domain.model import Group, Person
from domain.own_groups import OwnGroup, Permission, built_in, known_as, name_key
from worker.adapters.db import access_history, bulk, rows
from worker.adapters.db.account_lock import lock_account
from worker.adapters.db.announcing import announce
from worker.adapters.db.engine import Changing
from worker.adapters.db.group_alerts import tell_of_drop_out, tell_of_openers
from worker.adapters.db.group_rows import own_groups, own_members
from worker.adapters.db.letting_go import let_go
from worker.adapters.db.mapping import group_from_row, group_to_row, person_from_row
from worker.adapters.db.own_groups import own_group_from_row, own_group_to_row, save_own_groups
from worker.adapters.db.uow import database_now
from worker.adapters.vault import new_id

Done = TypeVar("Done")
NOTHING_ON_CONFLICT = "ON CONFLICT DO NOTHING"


class SQLGroupWork:
    """One write transaction of an operator over groups of one account."""

    def __init__(self, connection: Connection, *, actor: str) -> None:
        self._connection = connection
        self._actor = actor
        self._now = database_now(connection)

    def insist_account(self, account: str) -> None:
        """See the port."""
        lock_account(self._connection, account)

    def locked(self, group: str, *, account: str | None = None) -> OwnGroup:
        """See the port."""
        found = self._own(group)
        provided = None if found is not None else self._provided(group)
        owner = found.account if found else provided["account_id"] if provided else None
        if owner is None or (account is not None and owner != account):
            raise NothingFoundError("group", group)
        self.insist_account(owner)
        if found is not None and found.connection is not None and found.key is not None:
            self._lock_provided(group_id(found.connection, found.key))
        if found is not None:
            return self._unretired(self._own(group, locks=True) or found)
        self._lock_provided(group)
        row = self._provided(group)
        if row is None or not group_from_row(row).is_seen:
            raise NothingFoundError("group", group)
        known = self._own(row["own_id"], locks=True) if row["own_id"] else None
        return self._unretired(known or self._stand_in(row))

    def _unretired(self, group: OwnGroup) -> OwnGroup:
        """C7: what a retired connection managed is by hand from the first touch on."""
        if not group.is_managed or not _is_retired(self._connection, group.connection):
            return group
        freed = replace(group, is_managed=False)
        self._write(group, freed, barred="its connection is retired")
        return freed

    def _stand_in(self, row: Any) -> OwnGroup:
        return OwnGroup(
            new_id("grp"),
            row["account_id"],
            row["name"] or row["key"],
            connection=row["connection_id"],
            key=row["key"],
            is_managed=True,
        )

    def _own(self, id_: str, *, locks: bool = False) -> OwnGroup | None:
        statement = select(own_groups).where(own_groups.c.id == id_)
        if locks:
            statement = statement.with_for_update(key_share=True)
        row = self._connection.execute(statement).mappings().first()
        if row is None:
            return None
        group = own_group_from_row(row)
        if not group.is_managed or group.connection is None or group.key is None:
            return group
        provided = self._provided(group_id(group.connection, group.key))
        if provided is None or not group_from_row(provided).is_seen:
            return None
        return replace(group, name=provided["name"] or group.name)

    def _provided(self, id_: str) -> Any:
        statement = select(rows.groups).where(rows.groups.c.id == id_)
        return self._connection.execute(statement).mappings().first()

    def _lock_provided(self, id_: str) -> None:
        table = rows.groups
        self._connection.execute(
            select(table.c.id).where(table.c.id == id_).with_for_update(key_share=True)
        )

    def member(self, person: str, account: str) -> Person:
        """See the port."""
        table = rows.people
        row = (
            self._connection.execute(
                select(table).where(table.c.id == person, table.c.account_id == account)
            )
            .mappings()
            .first()
        )
        if row is None:
            raise NothingFoundError("person", person)
        return person_from_row(row)

    def name_taken(self, account: str, name: str) -> str | None:
        """See the port."""
        own = self._connection.execute(
            select(own_groups.c.id).where(
                own_groups.c.account_id == account,
                own_groups.c.name_key == name_key(name),
                ~own_groups.c.is_managed,
            )
        ).scalar()
        if own is not None:
            return str(own)
        table = rows.groups
        provided = self._connection.execute(
            select(table.c.id, table.c.name).where(table.c.account_id == account, table.c.is_seen)
        )
        return next((r.id for r in provided if name_key(r.name or "") == name_key(name)), None)

    def save(self, before: OwnGroup | None, after: OwnGroup, *, action: str, reason: str) -> None:
        """See the port."""
        held = ", ".join(sorted(after.permissions))
        barred = f"group {after.name!r} ({after.id}) dropped out of management: it holds {held}"
        self._write(before, after, barred=barred)
        if before is not None and before.is_managed and not after.is_managed:
            tell_of_drop_out(self._connection, after, self._now)
        if before is not None and before.permissions != after.permissions:
            tell_of_openers(self._connection, after.account, self._now)
        self._log(after, action, reason, before=before)
        was = view_of_own(before) if before is not None else None
        announce(self._connection, of_group(was, view_of_own(after)), now=self._now)

    def _write(self, before: OwnGroup | None, after: OwnGroup, *, barred: str) -> None:
        """The group, and its provider's side, which is barred once it is let go (G3, C7)."""
        if self._own_exists(after.id):
            save_own_groups(self._connection, [after], self._now)
        else:
            bulk.insert(self._connection, own_groups, [own_group_to_row(after, self._now)])
        if after.connection is None or after.key is None:
            return
        is_let_go = before is not None and before.is_managed and not after.is_managed
        if is_let_go:
            let_go(self._connection, after, self._now)
        row = self._provided(group_id(after.connection, after.key))
        group: Group = group_from_row(row)
        changed = replace(group, own=after.id, barred=barred if is_let_go else group.barred)
        bulk.upsert(self._connection, rows.groups, [group_to_row(changed, after.account)])

    def _own_exists(self, id_: str) -> bool:
        found = select(own_groups.c.id).where(own_groups.c.id == id_)
        return self._connection.execute(found).first() is not None

    def delete(self, group: OwnGroup, *, reason: str) -> int:
        """See the port."""
        access_history.note_of_group(self._connection, group, self._deed(reason))
        gone = self._connection.execute(
            delete(own_members).where(own_members.c.group_id == group.id)
        ).rowcount
        self._connection.execute(delete(own_groups).where(own_groups.c.id == group.id))
        if group.connection is not None:
            # Barred it stays until its provider describes it again: nothing returns by itself.
            table = rows.groups
            self._connection.execute(
                update(table).where(table.c.own_id == group.id).values(own_id=None)
            )
        self._log(group, "group.delete", reason)
        announce(self._connection, of_group(view_of_own(group), None), now=self._now)
        return gone

    def join(self, group: OwnGroup, person: Person, *, is_member: bool, reason: str) -> bool:
        """See the port."""
        table = own_members
        key = (table.c.group_id == group.id) & (table.c.person_id == person.id)
        was = self._connection.execute(select(table.c.person_id).where(key)).first() is not None
        if was is is_member:
            return False
        if is_member:
            new = {"group_id": group.id, "person_id": person.id, "added_at": self._now}
            bulk.insert(self._connection, table, [new])
        else:
            self._connection.execute(delete(table).where(key))
        if Permission.OPEN_PRIVATE_SPACE in group.permissions:
            tell_of_openers(self._connection, group.account, self._now)
        action = "group.member_add" if is_member else "group.member_remove"
        self._log(group, action, reason, person=person.id)
        history = known_as(group)
        turn = access.of_membership(group.account, history, person.id, is_member=is_member)
        access_history.note(self._connection, [turn], self._deed(reason))
        told = of_membership(person, view_of_own(group), is_member=is_member)
        announce(self._connection, [told], now=self._now)
        return True

    def _deed(self, reason: str) -> access_history.Deed:
        return access_history.Deed(self._now, self._actor, reason)

    def _log(
        self,
        group: OwnGroup,
        action: str,
        reason: str,
        *,
        before: OwnGroup | None = None,
        person: str | None = None,
    ) -> None:
        after = _seen(group) | ({"person": person} if person else {})
        entry = {
            "account_id": group.account,
            "at": self._now,
            "actor": self._actor,
            "action": action,
            "subject": group.id,
            "event_id": None,
            "before": orjson.dumps(None if before is None else _seen(before)),
            "after": orjson.dumps(after),
            "reason": reason,
        }
        bulk.insert(self._connection, rows.audit, [entry])


def _seen(group: OwnGroup) -> dict[str, Any]:
    return {
        "name": group.name,
        "permissions": sorted(group.permissions),
        "managed": group.is_managed,
    }


def _is_retired(connection: Connection, id_: str | None) -> bool:
    table = rows.connections
    state = connection.execute(select(table.c.state).where(table.c.id == id_)).scalar()
    return state == "retired"


def make_built_in(connection: Connection, account: str, names: tuple[str, ...]) -> list[str]:
    """G4, G5: those of the built-in groups that are not there yet; the ids of the new ones."""
    now = database_now(connection)
    there = select(own_groups.c.name).where(
        own_groups.c.account_id == account, own_groups.c.is_built_in
    )
    known = {row.name for row in connection.execute(there)}
    made = [built_in(new_id("grp"), account, name) for name in names if name not in known]
    bulk.insert(
        connection,
        own_groups,
        [own_group_to_row(group, now) for group in made],
        conflict=NOTHING_ON_CONFLICT,
    )
    return [group.id for group in made]


class SQLGroupStore:
    """Transactions of operators over groups; made again where they met another."""

    def __init__(self, database: Changing) -> None:
        self._database = database

    def change(self, work: Callable[[SQLGroupWork], Done], *, actor: str) -> Done:
        """Do work in one transaction, committed unless it raises."""
        return self._database.change(lambda connection: work(SQLGroupWork(connection, actor=actor)))

"""Links moved between connections in SQL, in one transaction with the audit (C1)."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import orjson
from sqlalchemy import select

from domain.announcements import Announcement, of_group, of_membership, of_person, view_of
from domain.consequences import audit_view
from domain.errors import RefusedError
from domain.groups import is_current
from domain.keys import (
    address_id,
    group_id,
    user_id,
    when_group_seen,
    when_settled,
    when_user_seen,
)
from domain.model import Edge, Group, Person, User, UserFacts
from domain.moving import Verdict, Wanted, group_taken_over, member_taken_over, taken_over, why_not
from domain.policy import Policy
from domain.protection import protected_ids
from worker.adapters.db import access_history, bulk, rows
from worker.adapters.db.announcing import announce
from worker.adapters.db.directory import SQLDirectory, keepers_of, subject_of
from worker.adapters.db.mapping import edge_to_row, group_to_row, person_to_row, user_to_row
from worker.adapters.db.mirroring import fill
from worker.adapters.db.retiring import RetireSetup
from worker.adapters.db.uow import policies_of


@dataclass(frozen=True, slots=True)
class Taking:
    """Who takes over, from whom, and why.

    taken_from: connections whose people and groups may be taken besides what is nobody's; None
    for any. keeps: connections that are (to be) retired, whose links stay readable.
    """

    connection: Mapping[str, Any]
    taken_from: frozenset[str] | None
    keeps: frozenset[str]
    reason: str


class TakeOverSetup(RetireSetup):
    """Taking people and groups over."""

    def take_over(self, taking: Taking, wanted: Sequence[Wanted]) -> list[Verdict]:
        """Link each line's person or group to its external id; nobody is mailed, let in or out.

        Lines that cannot be are left out and say why. Raises RefusedError for a connection that
        is retired.
        """
        if self.lock_connection(taking.connection["id"]) == "retired":
            raise RefusedError(
                f"connection {taking.connection['name']} is retired: it takes nobody over"
            )
        people = [one for one in wanted if one.kind == "user"]
        groups = [one for one in wanted if one.kind == "group"]
        # D5: groups first, then subjects, then addresses.
        taking_groups = _Groups(self, taking, groups)
        taking_people = _People(self, taking, people)
        found = [*taking_people.run(), *taking_groups.run()]
        if taking_people.policy.mirrors:
            account = str(taking.connection["account_id"])
            fill(self.sql, str(taking.connection["id"]), account, now=self.now)
        announce(self.sql, [*taking_people.told, *taking_groups.told], now=self.now)
        return sorted(found, key=lambda verdict: verdict.wanted.line)

    def retired_of(self, account: str) -> frozenset[str]:
        """Connections of an account whose people and groups are nobody's."""
        table = rows.connections
        mine = (table.c.account_id == account) & (table.c.state == "retired")
        return frozenset(self.sql.execute(select(table.c.id).where(mine)).scalars())

    def links(self, connection: str) -> Iterator[dict[str, Any]]:
        """Who is whom: users, then groups, by external id; of a retired connection, too."""
        users, people, groups = rows.users, rows.people, rows.groups
        found = self.sql.execute(
            select(users.c.key, users.c.person_id, people.c.email)
            .join(people, people.c.id == users.c.person_id)
            .where(users.c.connection_id == connection)
            .order_by(users.c.key)
        )
        for row in found:
            yield {
                "kind": "user",
                "external_id": row.key,
                "email": row.email,
                "person": row.person_id,
            }
        seen = select(groups.c.id, groups.c.key, groups.c.name).where(
            groups.c.connection_id == connection, groups.c.is_seen
        )
        for row in self.sql.execute(seen.order_by(groups.c.key)):
            yield {"kind": "group", "external_id": row.key, "group": row.id, "name": row.name}


class _People:
    """The people of one run, locked when it is made."""

    def __init__(self, use: TakeOverSetup, taking: Taking, wanted: Sequence[Wanted]) -> None:
        self._use, self._taking, self._wanted = use, taking, wanted
        self._sql, self._account = use.sql, str(taking.connection["account_id"])
        self._directory = SQLDirectory(use.sql, use.now, vault=use.vault)
        self.policy = _policy(use, taking)
        self.told: list[Announcement] = []

    def run(self) -> list[Verdict]:
        """Lock, judge line by line, write."""
        if not self._wanted:
            return []
        self._lock()
        protected = protected_ids(keepers_of(self._sql, [self._account]))
        verdicts: list[Verdict] = []
        taken: dict[str, tuple[Person, User, Person]] = {}
        lines: dict[str, int] = {}
        for one in self._wanted:
            verdict = self._judge(one, lines, protected)
            verdicts.append(verdict)
            if not verdict.problem:
                before = self._people[verdict.subject]
                user = self._users[self._key(one)]
                taken[before.id] = (before, *taken_over(user, before, self.policy))
        self._write(list(taken.values()))
        return verdicts

    def _key(self, one: Wanted) -> str:
        return user_id(str(self._taking.connection["id"]), one.external_id)

    def _lock(self) -> None:
        """Subjects of both connections in one order, then the people as they are behind them."""
        mine = str(self._taking.connection["id"])
        self._named = self._find()
        first = self._directory.people(set(self._named.values()))
        subjects = {self._key(one): User(mine, one.external_id) for one in self._wanted}
        for person in first.values():
            if person.connection is not None and person.user is not None:
                subject = User(person.connection, person.user)
                subjects[user_id(subject.connection, subject.key)] = subject
        accounts = {user.connection: self._account for user in subjects.values()}
        self._users = with_floors(self._directory.lock_users(subjects, accounts), self._directory)
        addresses = [address_id(self._account, person.email) for person in first.values()]
        self._sql.execute(
            select(rows.addresses.c.id)
            .where(bulk.among(rows.addresses.c.id, sorted(addresses), self._sql))
            .order_by(rows.addresses.c.id)
            .with_for_update(key_share=True)
        )
        now = self._directory.people(set(first))
        # Linked to another subject while the locks were waited for: not behind our locks.
        self._people = {
            key: person
            for key, person in now.items()
            if subject_of(person) is None or subject_of(person) in self._users
        }

    def _find(self) -> dict[int, str]:
        """Line -> id of the person it means, of this account only."""
        addresses, people = rows.addresses, rows.people
        wanted = {
            address_id(self._account, one.email): one.line
            for one in self._wanted
            if one.person is None and one.email is not None
        }
        held = self._sql.execute(
            select(addresses.c.id, addresses.c.person_id).where(
                bulk.among(addresses.c.id, sorted(wanted), self._sql),
                addresses.c.person_id.is_not(None),
            )
        )
        by_key = {row.id: row.person_id for row in held}
        ids = [one.person for one in self._wanted if one.person is not None]
        known = set(
            self._sql.execute(
                select(people.c.id).where(
                    bulk.among(people.c.id, sorted(ids), self._sql),
                    people.c.account_id == self._account,
                )
            ).scalars()
        )
        named = {one.line: one.person for one in self._wanted if one.person in known}
        for one in self._wanted:
            key = address_id(self._account, one.email or "")
            if one.person is None and key in by_key:
                named[one.line] = by_key[key]
        return {line: person for line, person in named.items() if person is not None}

    def _judge(self, one: Wanted, lines: dict[str, int], protected: Collection[str]) -> Verdict:
        person = self._people.get(self._named.get(one.line, ""))
        for what in (self._key(one), person.id if person is not None else ""):
            earlier = lines.setdefault(what, one.line) if what else one.line
            if earlier != one.line:
                return Verdict(one, "duplicate", f"line {earlier} names the same")
        problem, says = why_not(
            person,
            self._users[self._key(one)],
            taken_from=self._taking.taken_from,
            protected=protected,
        )
        return Verdict(one, problem, says, person.id if person is not None else "")

    def _write(self, taken: Sequence[tuple[Person, User, Person]]) -> None:
        users = [(user_id(user.connection, user.key), user) for _, user, _ in taken]
        former = [
            (key, replace(self._users[key], person=None, pinned=None))
            for before, _, _ in taken
            if (key := subject_of(before)) is not None
            and before.connection not in self._taking.keeps
        ]
        written = sorted([*users, *former])
        subjects = {key for key, _ in written}
        was = access_history.in_effect(self._directory, subjects)
        user_rows = [user_to_row(user, self._account) for _, user in written]
        bulk.upsert(self._sql, rows.users, user_rows)
        after = sorted((after for _, _, after in taken), key=lambda person: person.id)
        bulk.upsert(self._sql, rows.people, [person_to_row(person) for person in after])
        now = access_history.in_effect(self._directory, subjects)
        access_history.note_difference(
            self._sql, self._account, was, now, _deed(self._use, self._taking)
        )
        for before, user, person in taken:
            self._log(before, user, person)
            self.told += of_person(before, person)
        keys = {when_settled(key) for key, _ in written} | {when_user_seen(key) for key, _ in users}
        self._directory.wake(keys)

    def _log(self, before: Person, user: User, after: Person) -> None:
        use = self._use
        use.audit(
            self._account,
            "user.moved",
            after.id,
            reason=self._taking.reason,
            before={**(audit_view(before) or {}), "connection": before.connection},
            after={**(audit_view(after) or {}), "connection": after.connection},
        )
        entry = {
            "account_id": self._account,
            "connection_id": user.connection,
            "user_key": user.key,
            "person_id": after.id,
            "kind": "moved",
            "inputs": orjson.dumps({"from": before.connection, "external_id": before.user}),
            "event_id": None,
            "made_at": use.now,
            "made_by": use.actor,
        }
        bulk.insert(self._sql, rows.decisions, [entry])


def with_floors(users: dict[str, User], directory: SQLDirectory) -> dict[str, User]:
    """U5: of whom nothing is known, because what was known was erased, the floor at least."""
    fresh = {key for key, user in users.items() if user.facts == UserFacts()}
    if not fresh:
        return users
    buried = directory.buried({users[key].connection for key in fresh}, fresh)
    floors = {
        key: replace(users[key], facts=UserFacts(floor=stamp)) for key, stamp in buried.items()
    }
    return {**users, **floors}


class _Groups:
    """The groups of one run, locked when it is made; their members are those of the people."""

    def __init__(self, use: TakeOverSetup, taking: Taking, wanted: Sequence[Wanted]) -> None:
        self._use, self._taking, self._wanted = use, taking, wanted
        self._sql, self._account = use.sql, str(taking.connection["account_id"])
        self._directory = SQLDirectory(use.sql, use.now)
        self._policy = _policy(use, taking)
        self._mine = str(taking.connection["id"])
        self.told: list[Announcement] = []
        self._locked = self._lock()

    def _key(self, one: Wanted) -> str:
        return group_id(self._mine, one.external_id)

    def _lock(self) -> dict[str, Group]:
        table = rows.groups
        named = [one.group for one in self._wanted if one.group is not None]
        found = self._sql.execute(
            select(table.c.id, table.c.connection_id, table.c.key).where(
                bulk.among(table.c.id, sorted(named), self._sql),
                table.c.account_id == self._account,
            )
        )
        groups = {row.id: Group(row.connection_id, row.key) for row in found}
        groups |= {self._key(one): Group(self._mine, one.external_id) for one in self._wanted}
        if not groups:
            return {}
        accounts = {group.connection: self._account for group in groups.values()}
        return self._directory.lock_groups({}, groups, accounts)

    def run(self) -> list[Verdict]:
        """Judge line by line, write each with its members."""
        lines: dict[str, int] = {}
        return [self._take(one, lines) for one in self._wanted]

    def _take(self, one: Wanted, lines: dict[str, int]) -> Verdict:
        for what in (self._key(one), one.group or ""):
            earlier = lines.setdefault(what, one.line) if what else one.line
            if earlier != one.line:
                return Verdict(one, "duplicate", f"line {earlier} names the same")
        former = self._locked.get(one.group or "")
        if former is None or not former.is_seen:
            return Verdict(one, "nobody", "no such group: first contact makes it")
        if one.group == self._key(one):
            return Verdict(one, "unchanged", "linked already", one.group)
        if former.own is not None:
            says = (
                f"it stands for the account's own group {former.own}, which is linked by its name"
            )
            return Verdict(one, "by_hand", f"{says} (G2)")
        allowed = self._taking.taken_from
        if allowed is not None and former.connection not in allowed:
            says = f"group {one.group} belongs to connection {former.connection}"
            return Verdict(one, "owned_elsewhere", f"{says}: `rosterd group move` takes it over")
        here, gone = group_taken_over(self._locked[self._key(one)], former, self._policy)
        self._write(one, here, former, gone)
        return Verdict(one, subject=self._key(one))

    def _write(self, one: Wanted, here: Group, former: Group, gone: Group) -> None:
        members = list(self._members(here, former))
        was = access_history.members_in_effect(self._directory, former)
        was |= access_history.members_in_effect(self._directory, self._locked[self._key(one)])
        saved = [group_to_row(group, self._account) for group in (here, gone)]
        bulk.upsert(self._sql, rows.groups, sorted(saved, key=lambda row: str(row["id"])))
        edges = [edge_to_row(edge) for edge in members]
        # A word of the new connection on the membership stands.
        bulk.insert(self._sql, rows.memberships, edges, conflict="ON CONFLICT (id) DO NOTHING")
        now = access_history.members_in_effect(self._directory, here)
        deed = _deed(self._use, self._taking)
        access_history.note_difference(self._sql, self._account, was, now, deed)
        self._directory.wake({when_group_seen(self._key(one))})
        self._tell(here, former, members)
        self._use.audit(
            self._account,
            "group.moved",
            self._key(one),
            reason=self._taking.reason,
            before={"group": one.group, "connection": former.connection},
            after={"group": self._key(one), "members": len(members)},
        )

    def _tell(self, here: Group, former: Group, members: Sequence[Edge]) -> None:
        """The group is another one to an application, and so are its memberships."""
        if here.is_seen:
            after = view_of(here, self._account)
            self.told += of_group(None, after)
            keys = [user_id(edge.connection, edge.user) for edge in members]
            linked = sorted(p for p in self._directory.linked(keys).values() if p is not None)
            found = self._directory.people(linked)
            self.told += [of_membership(found[p], after, is_member=True) for p in linked]
        self.told += of_group(view_of(former, self._account), None)

    def _members(self, here: Group, former: Group) -> Iterator[Edge]:
        """Whoever was a member and is a person of the new connection now."""
        edges = [edge for edge in self._directory.edges_of(former) if is_current(edge, former)]
        users = rows.users
        keys = [user_id(edge.connection, edge.user) for edge in edges]
        was = self._sql.execute(
            select(users.c.id, users.c.person_id).where(bulk.among(users.c.id, keys, self._sql))
        )
        people = {row.id: row.person_id for row in was if row.person_id is not None}
        linked = self._sql.execute(
            select(users.c.key, users.c.person_id).where(
                users.c.connection_id == self._mine,
                bulk.among(users.c.person_id, sorted(set(people.values())), self._sql),
            )
        )
        now = {row.person_id: row.key for row in linked}
        for person in sorted(set(people.values())):
            if person in now:
                yield member_taken_over(here, now[person])


def _deed(use: TakeOverSetup, taking: Taking) -> access_history.Deed:
    return access_history.Deed(use.now, use.actor, taking.reason)


def _policy(use: TakeOverSetup, taking: Taking) -> Policy:
    mine = str(taking.connection["id"])
    return policies_of(use.sql, {mine})[mine]

"""What was read of an IdP's directory held against ours, a page a transaction."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

import orjson
from sqlalchemy import Connection, RowMapping, Table, select, update

from domain.directories import Read, ReadGroup, ReadPerson
from domain.inbox import State
from domain.intake import printable
from domain.keys import edge_id, group_id, user_id
from domain.model import Edge, Group, PersonState
from domain.ordering import names_scope, standing
from domain.policy import Policy, ScopeRule
from domain.reconciliation import Phase, Purpose, Run, Suspect
from domain.reconciling import (
    NOBODY,
    Difference,
    KnownPerson,
    Thing,
    Wait,
    What,
    compare_absent_group,
    compare_absent_member,
    compare_absent_person,
    compare_group,
    compare_member,
    compare_person,
)
from worker.adapters.db import bulk, rows
from worker.adapters.db.burying import stamps_of_buried
from worker.adapters.db.mapping import edge_from_row, facts_from_bytes, group_from_row
from worker.adapters.db.reading import member_id, members_among, person_of, read_by_key
from worker.adapters.db.reconciliation_rows import (
    differences,
    read_groups,
    read_members,
    read_people,
)
from worker.adapters.db.scim_store import aliases_by_key, keys_by_alias
from worker.adapters.sources.reconciliation import READS
from worker.adapters.vault import Vault

#: Rows that one step compares.
AT_ONCE = 500
_OUT = {PersonState.SUSPENDED.value, PersonState.INVITED_SUSPENDED.value}
#: Events that may still say what the difference is about.
_UNENDED = (State.PENDING.value, State.RETRYING.value, State.HELD.value)
_DESTRUCTIVE = {Phase.OUR_PEOPLE: "people", Phase.OUR_GROUPS: "groups"}


def compare_page(
    sql: Connection, vault: Vault, run: Run, policy: Policy
) -> tuple[str | None, Mapping[str, int]]:
    """Compare what comes behind the run's cursor; the next cursor, None at the end, and counts."""
    comparing = _Comparing(sql, vault, run, policy)
    found, cursor = comparing.pages[run.phase]()
    doubt = run.doubts.get(_DESTRUCTIVE.get(run.phase, ""), "")
    if doubt:
        found = [one.waiting(Wait.UNPROVEN) if one.what is What.EXTRA else one for one in found]
    return cursor, keep(sql, run, _without_unended(sql, run.connection, found))


class _Comparing:
    """One page of one phase."""

    def __init__(self, sql: Connection, vault: Vault, run: Run, policy: Policy) -> None:
        self._sql = sql
        self._vault = vault
        self._run = run
        self._policy = policy
        self.pages: Mapping[Phase, Callable[[], tuple[list[Difference], str | None]]] = {
            Phase.THEIR_PEOPLE: self._their_people,
            Phase.OUR_PEOPLE: self._our_people,
            Phase.THEIR_GROUPS: self._their_groups,
            Phase.OUR_GROUPS: self._our_groups,
            Phase.THEIR_MEMBERS: self._their_members,
            Phase.OUR_MEMBERS: self._our_members,
        }

    def _ours(self, theirs: Iterable[str]) -> Mapping[str, str]:
        """Keys here by the IdP's: of first contact, where it calls somebody otherwise by now."""
        return self._translated(theirs, keys_by_alias)

    def _theirs(self, ours: Iterable[str]) -> Mapping[str, str]:
        """The IdP's names by the keys here."""
        return self._translated(ours, aliases_by_key)

    def _translated(
        self,
        names: Iterable[str],
        renamed: Callable[[Connection, str, Sequence[str]], Mapping[str, str]],
    ) -> Mapping[str, str]:
        known = sorted(set(names))
        found: Mapping[str, str] = {}
        if self._policy.has_aliases:
            found = renamed(self._sql, self._run.connection, known)
        return {name: found.get(name, name) for name in known}

    def _known(self, theirs: Sequence[str]) -> dict[str, KnownPerson]:
        """Subjects by the IdP's names."""
        ours = self._ours(theirs)
        keys = sorted(set(ours.values()))
        known = known_people(self._sql, self._vault, self._run.connection, keys)
        return {name: known[key] for name, key in ours.items() if key in known}

    def _their_people(self) -> tuple[list[Difference], str | None]:
        page, cursor = self._read_page(read_people, "key")
        keys = [row["key"] for row in page]
        known = self._known(keys)
        scoped = self._in_scope(keys, known)
        compared = (
            compare_person(
                person_of(row),
                row["at"],
                known.get(row["key"], NOBODY),
                policy=self._policy,
                is_in_scope=row["key"] in scoped,
            )
            for row in page
        )
        return [one for one in compared if one is not None], cursor

    def _in_scope(self, keys: Sequence[str], known: Mapping[str, KnownPerson]) -> set[str]:
        """S1: whom the scope lets in by what was read; by an assignment, by what is known.

        A directory that is taken in is told of whole, like a list that is given as a file.
        """
        scope = self._policy.scope
        is_all = scope.is_open or scope.rule is ScopeRule.UNSET
        if is_all or self._run.purpose is Purpose.BACKFILL:
            return set(keys)
        if scope.rule is ScopeRule.GROUPS:
            named = {member_id(g, key): key for g in scope.keys for key in keys}
            return {named[id_] for id_ in members_among(self._sql, self._run.id, named)}
        return {k for k in keys if k in known and standing(known[k].facts, scope).in_scope}

    def _our_people(self) -> tuple[list[Difference], str | None]:
        users = rows.users
        page, cursor = self._own_page(users, users.c.id, select(users.c.id, users.c.key))
        names = self._theirs(row["key"] for row in page)
        read = read_by_key(self._sql, read_people, self._run.id, names.values())
        absent = {key: name for key, name in names.items() if name not in read}
        known = known_people(self._sql, self._vault, self._run.connection, list(absent))
        began = self._run.first["people"].at
        found = (
            compare_absent_person(name, began, known[key])
            for key, name in absent.items()
            if key in known
        )
        return [one for one in found if one is not None], cursor

    def _their_groups(self) -> tuple[list[Difference], str | None]:
        page, cursor = self._read_page(read_groups, "key")
        ours = self._ours(row["key"] for row in page)
        known = self._groups(ours.values())
        compared = (
            compare_group(
                ReadGroup(row["key"], row["name"]),
                row["at"],
                known.get(ours[row["key"]]),
                policy=self._policy,
            )
            for row in page
        )
        return [one for one in compared if one is not None], cursor

    def _our_groups(self) -> tuple[list[Difference], str | None]:
        groups = rows.groups
        page, cursor = self._own_page(groups, groups.c.id, select(groups))
        names = self._theirs(row["key"] for row in page)
        read = read_by_key(self._sql, read_groups, self._run.id, names.values())
        began = self._run.first["groups"].at
        found = []
        for group in map(group_from_row, page):
            name = names[group.key]
            provisions = self._provisions(group.key, name)
            extra = compare_absent_group(group, began, provisions=provisions)
            if extra is not None and name not in read:
                found.append(replace(extra, key=name))
        return found, cursor

    def _provisions(self, *names: str) -> bool:
        """S1: whether the group of these names says who is in scope."""
        return any(names_scope(self._policy.scope, ScopeRule.GROUPS, name) for name in names)

    def _their_members(self) -> tuple[list[Difference], str | None]:
        page, cursor = self._read_page(read_members, "id")
        page = self._of_known(page)
        connection = self._run.connection
        ours = self._ours(row[name] for row in page for name in ("group_key", "user_key"))
        groups = self._groups(ours[row["group_key"]] for row in page)
        ids = {
            row["id"]: edge_id(connection, ours[row["group_key"]], ours[row["user_key"]])
            for row in page
        }
        edges = self._edges(ids.values())
        compared = (
            compare_member(
                row["user_key"],
                row["at"],
                edges.get(ids[row["id"]]),
                groups.get(ours[row["group_key"]], Group(connection, ours[row["group_key"]])),
            )
            for row in page
        )
        return [one for one in compared if one is not None], cursor

    def _of_known(self, page: Sequence[RowMapping]) -> list[RowMapping]:
        """Of people whom we have, or are missing here and read; a membership waits for no other."""
        keys = sorted({row["user_key"] for row in page})
        known = self._known(keys)
        read = read_by_key(self._sql, read_people, self._run.id, keys)
        scoped = self._in_scope(keys, known)
        sound = {k for k, one in known.items() if one.facts.is_described}
        for key in read.keys() & scoped:
            one = person_of(read[key])
            missing = compare_person(
                one, read[key]["at"], known.get(key, NOBODY), policy=self._policy, is_in_scope=True
            )
            if missing is not None and missing.what is What.MISSING:
                sound.add(key)
        return [row for row in page if row["user_key"] in sound]

    def _our_members(self) -> tuple[list[Difference], str | None]:
        table = rows.memberships
        page, cursor = self._own_page(table, table.c.id, select(table).where(table.c.is_member))
        edges = [edge_from_row(row) for row in page]
        names = self._theirs(name for edge in edges for name in (edge.group, edge.user))
        asked = read_by_key(self._sql, read_groups, self._run.id, (names[e.group] for e in edges))
        groups = self._groups(edge.group for edge in edges)
        ids = {
            member_id(names[edge.group], names[edge.user]): edge
            for edge in edges
            if names[edge.group] in asked
        }
        read = members_among(self._sql, self._run.id, ids)
        found = []
        for id_, edge in ids.items():
            row = asked[names[edge.group]]
            # Of one that is not kept nothing else may be known here than who is in it.
            group = groups.get(edge.group, Group(edge.connection, edge.group))
            if id_ in read or row["began_at"] is None:
                continue
            provisions = self._provisions(edge.group, row["key"])
            extra = compare_absent_member(edge, group, row["began_at"], provisions=provisions)
            if extra is not None and row["doubt"] and extra.what is What.EXTRA:
                extra = extra.waiting(Wait.UNPROVEN)
            found.append(extra)
        return [one for one in found if one is not None], cursor

    def _read_page(self, table: Table, key: str) -> tuple[list[RowMapping], str | None]:
        column = table.c[key]
        wanted = select(table).where(table.c.run_id == self._run.id)
        return self._page(wanted, column, key)

    def _own_page(
        self, table: Table, column: Any, wanted: Any
    ) -> tuple[list[RowMapping], str | None]:
        return self._page(wanted.where(table.c.connection_id == self._run.connection), column, "id")

    def _page(self, wanted: Any, column: Any, name: str) -> tuple[list[RowMapping], str | None]:
        if self._run.cursor is not None:
            wanted = wanted.where(column > self._run.cursor)
        found = list(self._sql.execute(wanted.order_by(column).limit(AT_ONCE)).mappings())
        return found, str(found[-1][name]) if len(found) == AT_ONCE else None

    def _groups(self, keys: Iterable[str]) -> dict[str, Group]:
        ids = sorted({group_id(self._run.connection, key) for key in keys})
        found = select(rows.groups).where(bulk.among(rows.groups.c.id, ids, self._sql))
        return {row["key"]: group_from_row(row) for row in self._sql.execute(found).mappings()}

    def _edges(self, ids: Iterable[str]) -> dict[str, Edge]:
        table = rows.memberships
        found = select(table).where(bulk.among(table.c.id, sorted(ids), self._sql))
        return {row["id"]: edge_from_row(row) for row in self._sql.execute(found).mappings()}


def known_people(
    sql: Connection, vault: Vault, connection: str, keys: Sequence[str]
) -> dict[str, KnownPerson]:
    """Subjects of the connection by external id; one deleted for good is known as that."""
    users, people = rows.users, rows.people
    is_governed = (people.c.connection_id == connection) & (people.c.user_key == users.c.key)
    ids = {user_id(connection, key): key for key in keys}
    found = sql.execute(
        select(users.c.key, users.c.facts, people.c.state, is_governed.label("is_governed"))
        .select_from(users.outerjoin(people, people.c.id == users.c.person_id))
        .where(bulk.among(users.c.id, sorted(ids), sql))
    )
    known = {
        row.key: KnownPerson(facts_from_bytes(row.facts), bool(row.is_governed), row.state in _OUT)
        for row in found
    }
    unheard = [user_id(connection, key) for key in keys if key not in known]
    if unheard:
        for id_ in stamps_of_buried(sql, vault, {connection}, unheard):
            known[ids[id_]] = KnownPerson(is_deleted=True)
    return known


def _without_unended(
    sql: Connection, connection: str, found: Sequence[Difference]
) -> list[Difference]:
    """What an event that has not ended may be about is left to the next run."""
    events = rows.events
    named = {printable(key) for one in found for key in (one.key, one.group) if key}
    if not named:
        return list(found)
    mine = (events.c.connection_id == connection) & bulk.among(events.c.subject, named, sql)
    live = events.c.state.in_(_UNENDED)
    # What a rule refused of an earlier run would be refused again, and be one dead letter more.
    dead = (events.c.state == State.DEAD.value) & events.c.type.in_(sorted(READS))
    asked = select(events.c.subject, events.c.state).where(mine, live | dead)
    states: dict[str, set[str]] = {}
    for row in sql.execute(asked.distinct()):
        states.setdefault(row.subject, set()).add(row.state)
    return [_held_back(one, states) for one in found]


def _held_back(one: Difference, states: Mapping[str, set[str]]) -> Difference:
    of_it = states.get(printable(one.key), set()) | states.get(printable(one.group), set())
    if one.what is What.WAITING or not of_it:
        return one
    is_dead_only = of_it == {State.DEAD.value}
    return one.waiting(Wait.DEAD if is_dead_only else Wait.UNENDED)


def keep(sql: Connection, run: Run, found: Sequence[Difference]) -> Mapping[str, int]:
    """Write differences down; how many there are of each kind by now."""
    counts = dict(run.counts)
    place = counts.get("found", 0)
    new = []
    for number, one in enumerate(found, start=place):
        name = f"{one.thing.value}.{one.what.value}"
        counts[name] = counts.get(name, 0) + 1
        new.append(_row(run.id, number, one))
    counts["found"] = place + len(found)
    bulk.upsert(sql, differences, new)
    return counts


def _row(run: str, place: int, one: Difference) -> dict[str, Any]:
    is_said = one.what in (What.MISSING, What.DIFFERING) and one.told
    return {
        "run_id": run,
        "place": place,
        "thing": one.thing.value,
        "what": one.what.value,
        "key": one.key,
        "group_key": one.group,
        "fields": ",".join(one.fields),
        "why": one.why,
        "at": one.at,
        "told": orjson.dumps(dict(one.told)) if is_said else None,
        "state": "found",
    }


def suspects(sql: Connection, run: str, limit: int) -> list[Suspect]:
    """People and groups that would be put out and that the IdP was not asked after yet."""
    table = differences
    wanted = (
        select(table.c.place, table.c.thing, table.c.key)
        .where(table.c.run_id == run, table.c.what == What.EXTRA.value)
        .where(table.c.thing != Thing.MEMBERSHIP.value, table.c.state == "found")
        .order_by(table.c.place)
        .limit(limit)
    )
    return [Suspect(row.place, row.thing, row.key) for row in sql.execute(wanted)]


def confirm(
    sql: Connection,
    vault: Vault,
    run: Run,
    policy: Policy,
    suspect: Suspect,
    read: Read[ReadPerson] | Read[ReadGroup] | None,
) -> Mapping[str, int]:
    """The IdP says of one that it has none, or how it has it; how many differences there are."""
    table = differences
    mine = (table.c.run_id == run.id) & (table.c.place == suspect.place)
    if read is not None and read.found is None:
        sql.execute(update(table).where(mine).values(state="confirmed"))
        return run.counts
    at = sql.execute(select(table.c.at).where(mine)).scalar_one() if read is None else read.at
    was = Difference(Thing(suspect.thing), What.EXTRA, suspect.key, at)
    now = was.waiting(Wait.UNASKABLE)
    if read is not None and read.found is not None:
        now = _as_read(sql, vault, run, policy, read.found, at) or was.waiting(Wait.FOUND_AFTER_ALL)
    sql.execute(update(table).where(mine).values(_row(run.id, suspect.place, now)))
    counts = dict(run.counts)
    for what, more in ((was.what, -1), (now.what, 1)):
        name = f"{was.thing.value}.{what.value}"
        counts[name] = counts.get(name, 0) + more
    return counts


def _as_read(
    sql: Connection,
    vault: Vault,
    run: Run,
    policy: Policy,
    found: ReadPerson | ReadGroup,
    at: datetime,
) -> Difference | None:
    """A list may leave out who is deactivated: asked for by name they are told as out."""
    if isinstance(found, ReadGroup):
        return None
    ours = keys_by_alias(sql, run.connection, [found.key]).get(found.key, found.key)
    one = known_people(sql, vault, run.connection, [ours]).get(ours, NOBODY)
    return compare_person(found, at, one, policy=policy, is_in_scope=True)

"""The part of the directory that one batch touches: loaded and locked once, written once."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from domain.changes import (
    AddMember,
    AssignUser,
    Change,
    ChangeEmail,
    DeleteGroup,
    EdgeChange,
    GroupChange,
    ProvisionUser,
    PutGroup,
    RemoveMember,
    ReplaceMembers,
)
from domain.exchange import Party, is_settled
from domain.groups import is_current
from domain.holding import address_in_force, addresses_of, pending_address
from domain.inbox import Reason
from domain.keys import address_id, edge_id, group_id, user_id
from domain.model import Edge, Group, Person, User, UserFacts
from domain.overriding import as_told
from domain.own_groups import OwnGroup, name_key
from domain.policy import Policy, ScopeRule
from domain.ports import ClaimedEvent, DirectoryStore, Writes
from domain.protection import Keeper, protected_ids
from domain.values import Stamp, normalise_address

_ABSENT = object()
UNHEARD = UserFacts()


@dataclass(frozen=True, slots=True)
class Work:
    """One event with what it asks for and under which policy.

    undoes: reasons for which an event that is answered at once is undone whole, where one of the
    inbox would wait or be kept as ignored (SCIM: E8, S2). keeps: see `Parsed`.
    """

    event: ClaimedEvent
    changes: tuple[Change, ...]
    policy: Policy
    undoes: frozenset[Reason] = frozenset()
    keeps: Mapping[str, Any] | None = None


#: How many people a ring of addresses may have that change hands at once.
LONGEST_RING = 50


class BusyHolderError(Exception):
    """The holder of a wanted address is being changed by somebody else right now."""


@dataclass(slots=True)
class World:
    """Values by id, as they become while the events of a batch are decided one by one.

    `touched` remembers at which event a wait key was last stirred; `stored` the memberships of
    whole groups as they were before the batch, by group; `causes` by which event of the batch,
    the how-manieth, a membership, a group or a subject last changed.
    """

    store: DirectoryStore
    users: dict[str, User] = field(default_factory=dict)
    people: dict[str, Person] = field(default_factory=dict)
    groups: dict[str, Group] = field(default_factory=dict)
    edges: dict[str, Edge] = field(default_factory=dict)
    addresses: dict[str, str | None] = field(default_factory=dict)
    keepers: tuple[Keeper, ...] = ()
    buried: dict[str, Stamp] = field(default_factory=dict)
    own: dict[str, OwnGroup] = field(default_factory=dict)
    writes: Writes = field(default_factory=Writes)
    touched: dict[str, int] = field(default_factory=dict)
    stored: dict[str, dict[str, Edge]] = field(default_factory=dict)
    causes: dict[Any, tuple[int, ClaimedEvent]] = field(default_factory=dict)
    _journal: list[tuple[dict[Any, Any], Any, Any]] = field(default_factory=list)

    @property
    def protected(self) -> frozenset[str]:
        """Whom provisioning may not touch now: an earlier event may have put another owner out."""
        return protected_ids(
            one._replace(state=self.people[one.id].state) if one.id in self.people else one
            for one in self.keepers
        )

    def put(self, values: dict[str, Any], written: dict[str, Any], key: str, value: Any) -> None:
        """Set a value and mark it to be written; undone if the event is refused."""
        self._journal.append((values, key, values.get(key, _ABSENT)))
        self._journal.append((written, key, written.get(key, _ABSENT)))
        values[key] = value
        written[key] = value

    def blame(self, what: str, key: str, index: int, event: ClaimedEvent) -> None:
        """Note by which event something changed; undone if the event is refused."""
        named = (what, key)
        self._journal.append((self.causes, named, self.causes.get(named, _ABSENT)))
        self.causes[named] = (index, event)

    def changed(self, values: dict[str, Any]) -> list[tuple[Any, Any]]:
        """What was put since the trial began: as it was before (None if absent), as it is."""
        first: dict[str, Any] = {}
        for where, key, was in self._journal:
            if where is values:
                first.setdefault(key, None if was is _ABSENT else was)
        return [(was, values[key]) for key, was in first.items()]

    @contextmanager
    def trial(self) -> Iterator[_Trial]:
        """Everything put inside is undone if the trial is told to fail."""
        self._journal.clear()
        marks = (len(self.writes.effects), len(self.writes.decisions), dict(self.touched))
        trial = _Trial()
        try:
            yield trial
        finally:
            if trial.has_failed:
                self._undo(marks)

    def _undo(self, marks: tuple[int, int, dict[str, int]]) -> None:
        for values, key, before in reversed(self._journal):
            if before is _ABSENT:
                values.pop(key, None)
            else:
                values[key] = before
        del self.writes.effects[marks[0] :]
        del self.writes.decisions[marks[1] :]
        self.touched = marks[2]

    def edges_of(self, group: Group) -> dict[str, Edge]:
        """All membership words of a locked group as they are stored, by id; read once."""
        key = group_id(group.connection, group.key)
        if key not in self.stored:
            found = self.store.edges_of(group)
            self.stored[key] = {edge_id(e.connection, e.group, e.user): e for e in found}
        return self.stored[key]

    def touch(self, key: str, index: int) -> None:
        """Note that what waits for this key should be tried again."""
        self.touched[key] = index

    def holder_of(self, account: str, address: str) -> Person | None:
        """Who holds a normalised address; raises BusyHolderError where that is in flux."""
        key = address_id(account, address)
        if key not in self.addresses:
            raise BusyHolderError
        person = self.addresses[key]
        if person is None:
            return None
        holder = self.people.get(person)
        if holder is None:
            raise BusyHolderError
        return holder

    def party_of(self, account: str, address: str) -> Party | None:
        """Who holds an address, as told, with their subject; None where that is not loaded."""
        key = address_id(account, address)
        holder = self.holder_of(account, address) if key in self.addresses else None
        if holder is None or holder.connection is None or holder.user is None:
            return None
        user = self.users.get(user_id(holder.connection, holder.user))
        return None if user is None else Party(as_told(holder), user)

    def put_person(self, person: Person) -> None:
        """Set a person and move the addresses that follow from it.

        A pending address of which somebody else is the holder is promised only (E8).
        """
        before = self.people.get(person.id)
        self.put(self.people, self.writes.people, person.id, person)
        held = addresses_of(before) if before is not None else set()
        had = {key for key in held if self.addresses.get(key, person.id) == person.id}
        has = address_in_force(person)
        has |= {k for k in pending_address(person) if self.addresses.get(k) in (None, person.id)}
        for key in sorted(had - has):
            self.put(self.addresses, self.writes.addresses, key, None)
        for key in sorted(has - had):
            self.put(self.addresses, self.writes.addresses, key, person.id)


@dataclass(slots=True)
class _Trial:
    has_failed: bool = False

    def fail(self) -> None:
        """Undo what was put since the trial began."""
        self.has_failed = True


def load(store: DirectoryStore, batch: Collection[Work]) -> World:
    """Lock and read all that the batch can touch, in the order of D5."""
    world = World(store=store)
    accounts = {work.policy.connection: work.event.account for work in batch}
    store.lock_owners(set(accounts.values()))
    _lock_names(store, batch)
    _load_groups(world, batch, accounts)
    _load_users(world, batch, accounts)
    _load_buried(world, batch)
    _load_addresses(world, batch, accounts)
    world.keepers = tuple(store.keepers(set(accounts.values()), world.people.keys()))
    _load_edges(world, batch)
    return world


def _lock_names(store: DirectoryStore, batch: Collection[Work]) -> None:
    """G2: of a group described here and one made by hand at this moment the later meets the other.

    Neither sees a row that is not committed, so they take turns by their account.
    """
    naming = {
        work.event.account
        for work in batch
        for change in work.changes
        if isinstance(change, PutGroup) and change.name is not None
    }
    if naming:
        # Who may adopt an owner locks the account later (U6): two sharers would block each other.
        are_groups_only = all(isinstance(c, PutGroup) for work in batch for c in work.changes)
        store.lock_names(naming, is_shared=are_groups_only)


def _load_groups(world: World, batch: Iterable[Work], accounts: Mapping[str, str]) -> None:
    shared: dict[str, Group] = {}
    exclusive: dict[str, Group] = {}
    for work in batch:
        for change in work.changes:
            if isinstance(change, EdgeChange):
                group = Group(work.policy.connection, change.group)
                shared[group_id(group.connection, group.key)] = group
            elif isinstance(change, GroupChange):
                group = Group(work.policy.connection, change.group)
                exclusive[group_id(group.connection, group.key)] = group
    if shared or exclusive:
        world.groups = world.store.lock_groups(shared, exclusive, accounts)
        _load_own_groups(world, batch)


def _load_own_groups(world: World, batch: Iterable[Work]) -> None:
    """Lock the groups that the batch's descriptions may meet; no statement without one."""
    ids: set[str] = set()
    names: set[tuple[str, str]] = set()
    for work in batch:
        for change in work.changes:
            if not isinstance(change, PutGroup):
                continue
            group = world.groups[group_id(work.policy.connection, change.group)]
            if group.own is not None:
                ids.add(group.own)
            if change.name is not None:
                names.add((work.event.account, name_key(change.name)))
    if ids or names:
        world.own = {own.id: own for own in world.store.own_groups(ids, names)}


def _load_users(world: World, batch: Iterable[Work], accounts: Mapping[str, str]) -> None:
    missing: dict[str, User] = {}
    for work in batch:
        for key in _users_of(world, work):
            missing[user_id(work.policy.connection, key)] = User(work.policy.connection, key)
    if missing:
        world.users = world.store.lock_users(missing, accounts)


def _load_buried(world: World, batch: Collection[Work]) -> None:
    """U5: ask after subjects of whom nothing is known, and after who is in a list of members."""
    fresh = {key for key, user in world.users.items() if user.facts == UNHEARD}
    listed = {
        user_id(work.policy.connection, user)
        for work in batch
        for change in work.changes
        if isinstance(change, ReplaceMembers)
        for user in change.users
    }
    if not fresh and not listed:
        return
    connections = {work.policy.connection for work in batch}
    world.buried = world.store.buried(connections, fresh | listed)
    for key in fresh & world.buried.keys():
        facts = UserFacts(floor=world.buried[key])
        world.users[key] = replace(world.users[key], facts=facts)


def _users_of(world: World, work: Work) -> set[str]:
    """Whom an event can touch; a whole group only where the scope hangs on it (S1)."""
    keys: set[str] = set()
    for change in work.changes:
        if isinstance(change, PutGroup):
            continue
        if not isinstance(change, DeleteGroup | ReplaceMembers):
            keys.add(change.user)
        elif counts_for_scope(work.policy, change.group):
            group = world.groups[group_id(work.policy.connection, change.group)]
            keys.update(edge.user for edge in world.edges_of(group).values())
            keys.update(change.users if isinstance(change, ReplaceMembers) else ())
    return keys


def counts_for_scope(policy: Policy, group: str) -> bool:
    """Whether membership of this group decides who is provisioned (S1)."""
    return policy.scope.rule is ScopeRule.GROUPS and group in policy.scope.keys


def _load_addresses(world: World, batch: Iterable[Work], accounts: Mapping[str, str]) -> None:
    own = {user.person for user in world.users.values()}
    own |= {user.pinned.person for user in world.users.values() if user.pinned is not None}
    world.people = world.store.people({person for person in own if person is not None})
    wanted = _wanted_addresses(world, batch, accounts)
    if not wanted:
        return
    world.addresses = world.store.lock_addresses(wanted)
    held_by = {p for p in world.addresses.values() if p is not None and p not in world.people}
    if held_by:
        _load_holders(world, held_by)
    for key, person in world.addresses.items():
        if person is None:
            world.writes.addresses[key] = None
    _load_rings(world)


def _load_rings(world: World) -> None:
    """Who holds what the holders were given, and so on: a ring is seen only whole (E8).

    These addresses are only read: whoever holds one gives it up behind the lock of their subject,
    which is taken here; one that is free stays unknown, so that nobody claims it unreserved.
    """
    asked: set[str] = set()
    for _ in range(LONGEST_RING):
        given = {
            address_id(person.account, person.requested)
            for person in world.people.values()
            if person.is_managed and not is_settled(person)
        }
        wanted = given - world.addresses.keys() - asked
        if not wanted:
            return
        asked |= wanted
        found = world.store.holders(wanted)
        world.addresses.update(found)
        unknown = set(found.values()) - world.people.keys()
        if unknown:
            _load_holders(world, unknown)


def _load_holders(world: World, ids: Collection[str]) -> None:
    """Holders from outside the batch, with their subjects; a busy one is left out."""
    holders = world.store.people(ids)
    subjects = {
        user_id(p.connection, p.user): p.id
        for p in holders.values()
        if p.connection is not None and p.user is not None
    }
    unknown = [key for key in subjects if key not in world.users]
    world.users.update(world.store.try_users(unknown))
    current = world.store.people(ids)
    for person in current.values():
        subject = None
        if person.connection is not None and person.user is not None:
            subject = user_id(person.connection, person.user)
        if subject is None or subject in world.users:
            world.people[person.id] = person


def _wanted_addresses(world: World, batch: Iterable[Work], accounts: Mapping[str, str]) -> set[str]:
    """Every address that a decision of this batch may ask the holder of."""
    wanted: set[str] = set()
    for user in world.users.values():
        person = world.people.get(user.person or "")
        for word in user.facts.emails[-1:]:
            if person is None or _differs(person, str(word.value)):
                wanted.add(address_id(accounts[user.connection], str(word.value)))
    told: dict[str, int] = {}
    emails: list[tuple[str, str, str]] = []
    for work in batch:
        for change in work.changes:
            if isinstance(change, ProvisionUser | ChangeEmail | AssignUser) and change.email:
                key = user_id(work.policy.connection, change.user)
                told[key] = told.get(key, 0) + 1
                emails.append((key, work.event.account, change.email))
    for key, account, email in emails:
        person = world.people.get(world.users[key].person or "")
        if person is None or told[key] > 1 or _differs(person, email):
            wanted.add(address_id(account, email))
    return wanted


def _differs(person: Person, address: str) -> bool:
    return normalise_address(person.email) != normalise_address(address)


def _load_edges(world: World, batch: Iterable[Work]) -> None:
    ids = {
        edge_id(work.policy.connection, change.group, change.user)
        for work in batch
        for change in work.changes
        if isinstance(change, AddMember | RemoveMember)
    }
    if ids:
        world.edges = world.store.edges(ids)


def members_of(world: World, group: Group) -> list[Edge]:
    """Edges whose newest word is "member", the batch's own changes included."""
    known = dict(world.edges_of(group))
    known.update(
        {
            key: edge
            for key, edge in world.edges.items()
            if edge.connection == group.connection and edge.group == group.key
        }
    )
    return [edge for edge in known.values() if is_current(edge, group) or edge.stamp > group.floor]

"""What a batch changed, as the application is to hear of it: net, like its mails.

Only for accounts whose application listens; for all others nothing is read and nothing is kept.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from domain.announcements import (
    Announcement,
    GroupView,
    of_group,
    of_membership,
    of_person,
    view_of,
)
from domain.groups import is_current
from domain.keys import edge_id, group_id, user_id
from domain.model import Edge, Group, Person, User
from worker.services.world import Work, World


@dataclass(frozen=True, slots=True)
class Former:
    """What the directory held before a batch. accounts: by connection, those that listen."""

    accounts: Mapping[str, str]
    users: Mapping[str, User]
    groups: Mapping[str, Group]
    edges: Mapping[str, Edge]


def remember(world: World, batch: Collection[Work]) -> Former | None:
    """Keep what is about to change; None where no application listens."""
    accounts = {w.policy.connection: w.event.account for w in batch if w.policy.announces}
    if not accounts:
        return None
    return Former(accounts, dict(world.users), dict(world.groups), dict(world.edges))


def announced(world: World, former: Former | None) -> list[Announcement]:
    """People first, then groups, then memberships; read before anything is written."""
    if former is None:
        return []
    return [
        *_people(world, set(former.accounts.values())),
        *_groups(world, former),
        *_Memberships(world, former).told(),
    ]


def _people(world: World, accounts: Collection[str]) -> list[Announcement]:
    first: dict[str, Person | None] = {}
    last: dict[str, Person] = {}
    for effect in world.writes.effects:
        if effect.after.account in accounts:
            first.setdefault(effect.after.id, effect.before)
            last[effect.after.id] = effect.after
    return [told for key, before in first.items() for told in of_person(before, last[key])]


def _groups(world: World, former: Former) -> list[Announcement]:
    found: list[Announcement] = []
    for key, group in sorted(world.writes.groups.items()):
        account = former.accounts.get(group.connection)
        if account is not None:
            found += of_group(_seen(former.groups.get(key), account), _seen(group, account))
    return found


def _seen(group: Group | None, account: str) -> GroupView | None:
    return view_of(group, account) if group is not None and group.is_seen else None


class _Memberships:
    """Memberships that took effect or ended: by a word, or because an end came or changed."""

    def __init__(self, world: World, former: Former) -> None:
        self._world = world
        self._former = former
        self._groups: dict[str, Group] = {}
        self._links: dict[str, str | None] = {}
        self._people: dict[str, Person] = {}

    def told(self) -> list[Announcement]:
        """What is to be said of them; a group that is gone says it for all of its own."""
        touched = self._touched()
        self._load(touched)
        ends = [self._ends(key, edge) for key, edge in sorted(touched.items())]
        changed = [(edge, was, now) for edge, was, now in ends if was != now]
        self._load_people({p for _, was, now in changed for p in (was, now) if p is not None})
        return [told for edge, was, now in changed for told in self._of(edge, was, now)]

    def _touched(self) -> dict[str, Edge]:
        """Edges by id, as they are now: written, or with a member or group that changed."""
        world, found = self._world, dict(self._world.writes.edges)
        moved = {
            key
            for key, user in world.writes.users.items()
            if user.person != self._person_before(key) and self._listens(user.connection)
        }
        self._wait_for_others(moved)
        unwritten = world.store.edges_of_users(moved) if moved else []
        for key, group in world.writes.groups.items():
            if self._listens(group.connection) and self._is_stirred(key, group):
                unwritten += world.edges_of(group).values()
        for edge in unwritten:
            found.setdefault(edge_id(edge.connection, edge.group, edge.user), edge)
        return {key: edge for key, edge in found.items() if self._listens(edge.connection)}

    def _wait_for_others(self, moved: Collection[str]) -> None:
        """Two batches may each bring one end of a membership, and neither see the other's.

        Whoever wrote a group, and so looks at people it has no lock of, goes alone; whoever gave
        subjects their persons may do so beside each other.
        """
        world, accounts = self._world, self._former.accounts
        beside = {accounts[world.users[key].connection] for key in moved}
        alone = {
            accounts[group.connection]
            for group in world.writes.groups.values()
            if self._listens(group.connection)
        }
        if beside or alone:
            world.store.take_turns(alone=alone, beside=beside - alone)

    def _listens(self, connection: str) -> bool:
        return connection in self._former.accounts

    def _is_stirred(self, key: str, group: Group) -> bool:
        before = self._former.groups.get(key)
        if not group.is_seen or before is None:
            return group.is_seen
        return not before.is_seen or before.cleared != group.cleared

    def _load(self, touched: Mapping[str, Edge]) -> None:
        """Groups and subjects that no event of the batch spoke of; nobody changes them here."""
        world = self._world
        groups = {group_id(edge.connection, edge.group) for edge in touched.values()}
        unknown = groups - world.groups.keys()
        self._groups = world.store.groups(unknown) if unknown else {}
        users = {user_id(edge.connection, edge.user) for edge in touched.values()}
        strange = users - world.users.keys()
        self._links = dict(world.store.linked(strange)) if strange else {}

    def _load_people(self, ids: set[str]) -> None:
        known = self._world.people
        missing = ids - known.keys()
        self._people = self._world.store.people(missing) if missing else {}
        self._people.update({key: known[key] for key in ids if key in known})

    def _ends(self, key: str, edge: Edge) -> tuple[Edge, str | None, str | None]:
        """Whose membership it was, and whose it is; None while it has no effect (G7)."""
        group, user = group_id(edge.connection, edge.group), user_id(edge.connection, edge.user)
        was = self._effective(
            self._edge_before(key, edge), self._group_before(group), self._person_before(user)
        )
        now = self._effective(edge, self._group_now(group), self._person_now(user))
        return edge, was, now

    def _effective(self, edge: Edge | None, group: Group | None, person: str | None) -> str | None:
        if group is None or not group.is_seen or not is_current(edge, group):
            return None
        return person

    def _edge_before(self, key: str, edge: Edge) -> Edge | None:
        if key not in self._world.writes.edges:
            return edge
        stored = self._world.stored.get(group_id(edge.connection, edge.group), {})
        return self._former.edges.get(key) or stored.get(key)

    def _group_before(self, key: str) -> Group | None:
        return self._former.groups.get(key) or self._groups.get(key)

    def _group_now(self, key: str) -> Group | None:
        return self._world.groups.get(key) or self._groups.get(key)

    def _person_before(self, key: str) -> str | None:
        user = self._former.users.get(key)
        return user.person if user is not None else self._links.get(key)

    def _person_now(self, key: str) -> str | None:
        user = self._world.users.get(key)
        return user.person if user is not None else self._links.get(key)

    def _of(self, edge: Edge, was: str | None, now: str | None) -> list[Announcement]:
        key = group_id(edge.connection, edge.group)
        account = self._former.accounts[edge.connection]
        group = self._group_now(key)
        if group is None or not group.is_seen:
            return []
        view = view_of(group, account)
        ends = ((was, False), (now, True))
        return [
            of_membership(self._people[person], view, is_member=is_member)
            for person, is_member in ends
            if person is not None
        ]

"""Memberships that a batch made or ended: by a word, or because an end came or changed (G7)."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from domain.groups import is_current
from domain.keys import edge_id, group_id, user_id
from domain.model import Edge, Group, User
from domain.own_groups import OwnGroup
from domain.values import BEGINNING
from worker.services.world import Work, World


@dataclass(frozen=True, slots=True)
class Former:
    """What the directory held before a batch.

    accounts: by connection. listening: those of them whose application listens.
    """

    accounts: Mapping[str, str]
    listening: frozenset[str]
    users: Mapping[str, User]
    groups: Mapping[str, Group]
    edges: Mapping[str, Edge]
    own: Mapping[str, OwnGroup]


def remember(world: World, batch: Collection[Work]) -> Former:
    """Keep what is about to change."""
    accounts = {work.policy.connection: work.event.account for work in batch}
    listening = frozenset(work.event.account for work in batch if work.policy.announces)
    return Former(
        accounts,
        listening,
        users=dict(world.users),
        groups=dict(world.groups),
        edges=dict(world.edges),
        own=dict(world.own),
    )


class Turned(NamedTuple):
    """A membership in effect: whose it was, and whose it is; None for nobody's."""

    edge: Edge
    was: str | None
    now: str | None


def _net(turned: list[Turned]) -> list[Turned]:
    """Who goes over to another subject of the same group (a rehire, E8) stays in it."""
    was = {(one.edge.connection, one.edge.group, one.was) for one in turned}
    stays = was & {(one.edge.connection, one.edge.group, one.now) for one in turned}

    def ends(one: Turned) -> Turned:
        left, came = (
            None if (one.edge.connection, one.edge.group, person) in stays else person
            for person in (one.was, one.now)
        )
        return Turned(one.edge, left, came)

    return [one for one in map(ends, turned) if one.was != one.now]


def _lasts(group: Group | None) -> bool:
    """Whether those who are in it by hand still are: until the whole list is told, or its end."""
    return (
        group is not None and group.own is not None and group.is_seen and group.floor == BEGINNING
    )


class Memberships:
    """Memberships as they were before a batch and are after it; read before anything is written."""

    def __init__(self, world: World, former: Former) -> None:
        self._world = world
        self._former = former
        self._groups: dict[str, Group] = {}
        self._links: dict[str, str | None] = {}
        self._by_hand: Mapping[str, frozenset[str]] = {}

    def turned(self) -> list[Turned]:
        """Those that took effect, ended or went over to somebody else."""
        touched = self._touched()
        self._load(touched)
        ends = [self._ends(key, edge) for key, edge in sorted(touched.items())]
        ends = self._with_by_hand(touched, ends)
        return _net([turned for turned in ends if turned.was != turned.now])

    def taken_over(self) -> dict[str, tuple[OwnGroup, frozenset[str]]]:
        """Groups of the accounts' own that a provider took over, and who was in them by hand.

        By id of the provider's group; each as it was before (G2). To be asked after `turned`.
        """
        former, found = self._former, {}
        for key, group in self._world.writes.groups.items():
            before = former.groups.get(key)
            own = former.own.get(group.own or "")
            if own is not None and (before is None or before.own != own.id):
                found[key] = (own, self._by_hand.get(own.id, frozenset()))
        return found

    def group(self, edge: Edge) -> Group | None:
        """The group of a membership, as it is after the batch."""
        return self._group_now(group_id(edge.connection, edge.group))

    def _with_by_hand(self, touched: Mapping[str, Edge], ends: list[Turned]) -> list[Turned]:
        """Who is in a managed group by hand stays until its provider says otherwise (G2)."""
        keys = {group_id(edge.connection, edge.group) for edge in touched.values()}
        keys |= self._world.writes.groups.keys()
        own = {key: group.own for key in keys if (group := self._group_now(key)) and group.own}
        if own:
            self._by_hand = self._world.store.by_hand(set(own.values()))
        staying = {key: people for key, id_ in own.items() if (people := self._by_hand[id_])}
        if not staying:
            return ends
        told = [self._told(end, staying) for end in ends]
        for key in sorted(staying.keys() & self._world.writes.groups.keys()):
            told += self._untold(key, staying[key])
        return told

    def _told(self, end: Turned, staying: Mapping[str, Collection[str]]) -> Turned:
        """A word on somebody who was in the group by hand before it."""
        edge, key = end.edge, group_id(end.edge.connection, end.edge.group)
        user = user_id(edge.connection, edge.user)
        person, before = self._person_now(user), self._person_before(user)
        was_told = before == person and self._edge_before(
            edge_id(edge.connection, edge.group, edge.user), edge
        )
        if was_told or person not in staying.get(key, ()):
            return end
        return Turned(edge, person if _lasts(self._group_before(key)) else end.was, end.now)

    def _untold(self, key: str, people: Collection[str]) -> list[Turned]:
        """Those whom the provider has said nothing of, as it changed their group."""
        group = self._world.groups[key]
        was, now = _lasts(self._group_before(key)), _lasts(group)
        if was == now:
            return []
        words = {**self._world.edges_of(group), **self._world.edges}.values()
        users = {
            user_id(edge.connection, edge.user)
            for edge in words
            if (edge.connection, edge.group) == (group.connection, group.key)
        }
        links = self._world.store.linked(users - self._world.users.keys())
        told = {*links.values(), *(self._person_now(user) for user in users)}
        nobody = Edge(group.connection, group.key, "", BEGINNING, is_member=False)
        return [
            Turned(nobody, person if was else None, person if now else None)
            for person in sorted(set(people) - told)
        ]

    def _touched(self) -> dict[str, Edge]:
        """Edges by id, as they are now: written, or with a member or group that changed."""
        world, found = self._world, dict(self._world.writes.edges)
        moved = {
            key
            for key, user in world.writes.users.items()
            if user.person != self._person_before(key) and user.connection in self._former.accounts
        }
        self._wait_for_others(moved)
        unwritten = world.store.edges_of_users(moved) if moved else []
        for key, group in world.writes.groups.items():
            if self._is_stirred(key, group):
                unwritten += world.edges_of(group).values()
        for edge in unwritten:
            found.setdefault(edge_id(edge.connection, edge.group, edge.user), edge)
        return found

    def _wait_for_others(self, moved: Collection[str]) -> None:
        """Two batches may each bring one end of a membership, and neither see the other's.

        Whoever wrote a group, and so looks at people it has no lock of, goes alone; whoever gave
        subjects their persons may do so beside each other.
        """
        world, accounts = self._world, self._former.accounts
        beside = {accounts[world.users[key].connection] for key in moved}
        alone = {accounts[group.connection] for group in world.writes.groups.values()}
        if beside or alone:
            world.store.take_turns(alone=alone, beside=beside - alone)

    def _is_stirred(self, key: str, group: Group) -> bool:
        before = self._former.groups.get(key)
        if before is None or not before.is_seen:
            return group.is_seen
        return not group.is_seen or before.cleared != group.cleared

    def _load(self, touched: Mapping[str, Edge]) -> None:
        """Groups and subjects that no event of the batch spoke of; nobody changes them here."""
        world = self._world
        groups = {group_id(edge.connection, edge.group) for edge in touched.values()}
        unknown = groups - world.groups.keys()
        self._groups = world.store.groups(unknown) if unknown else {}
        users = {user_id(edge.connection, edge.user) for edge in touched.values()}
        strange = users - world.users.keys()
        self._links = dict(world.store.linked(strange)) if strange else {}

    def _ends(self, key: str, edge: Edge) -> Turned:
        """Whose membership it was, and whose it is; None while it has no effect (G7)."""
        group, user = group_id(edge.connection, edge.group), user_id(edge.connection, edge.user)
        was = self._effective(
            self._edge_before(key, edge), self._group_before(group), self._person_before(user)
        )
        now = self._effective(edge, self._group_now(group), self._person_now(user))
        return Turned(edge, was, now)

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

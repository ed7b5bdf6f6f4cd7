"""What the directory held before a batch, and what it holds after it; nothing is written yet."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from domain.groups import is_current
from domain.keys import group_id, user_id
from domain.model import Edge, Group, User
from domain.own_groups import OwnGroup
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


class Compared:
    """Memberships and their ends, before a batch and after it; keys are ids of the directory."""

    def __init__(self, world: World, former: Former) -> None:
        self._world = world
        self._former = former
        self._groups: dict[str, Group] = {}
        self._links: dict[str, str | None] = {}

    def load(self, touched: Mapping[str, Edge]) -> None:
        """Groups and subjects that no event of the batch spoke of; nobody changes them here."""
        world = self._world
        groups = {group_id(edge.connection, edge.group) for edge in touched.values()}
        unknown = groups - world.groups.keys()
        self._groups = world.store.groups(unknown) if unknown else {}
        users = {user_id(edge.connection, edge.user) for edge in touched.values()}
        strange = users - world.users.keys()
        self._links = dict(world.store.linked(strange)) if strange else {}

    def turned(self, key: str, edge: Edge) -> Turned:
        """Whose membership it was, and whose it is; None while it has no effect (G7)."""
        group, user = group_id(edge.connection, edge.group), user_id(edge.connection, edge.user)
        was = self._effective(
            self.edge_before(key, edge), self.group_before(group), self.person_before(user)
        )
        now = self._effective(edge, self.group_now(group), self.person_now(user))
        return Turned(edge, was, now)

    def edge_before(self, key: str, edge: Edge) -> Edge | None:
        """A membership as it was; edge: as it is now."""
        if key not in self._world.writes.edges:
            return edge
        stored = self._world.stored.get(group_id(edge.connection, edge.group), {})
        return self._former.edges.get(key) or stored.get(key)

    def group_before(self, key: str) -> Group | None:
        """A group as it was."""
        return self._former.groups.get(key) or self._groups.get(key)

    def group_now(self, key: str) -> Group | None:
        """A group as it is."""
        return self._world.groups.get(key) or self._groups.get(key)

    def person_before(self, key: str) -> str | None:
        """Who a subject was; None for nobody."""
        user = self._former.users.get(key)
        return user.person if user is not None else self._links.get(key)

    def person_now(self, key: str) -> str | None:
        """Who a subject is; None for nobody."""
        user = self._world.users.get(key)
        return user.person if user is not None else self._links.get(key)

    def _effective(self, edge: Edge | None, group: Group | None, person: str | None) -> str | None:
        if group is None or not group.is_seen or not is_current(edge, group):
            return None
        return person

"""Who is by hand in a group that a provider manages: until the provider says otherwise (G2)."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from domain.keys import edge_id, group_id, user_id
from domain.model import Edge, Group
from domain.own_groups import OwnGroup
from domain.values import BEGINNING
from worker.services.compared import Compared, Former, Turned
from worker.services.world import World


def _lasts(group: Group | None) -> bool:
    """Whether those who are in it by hand still are: until the whole list is told, or its end."""
    return (
        group is not None and group.own is not None and group.is_seen and group.floor == BEGINNING
    )


class ByHand:
    """Members by hand of the groups that a batch is about."""

    def __init__(self, world: World, former: Former, compared: Compared) -> None:
        self._world = world
        self._former = former
        self._compared = compared
        self._people: Mapping[str, frozenset[str]] = {}

    def taken_over(self) -> dict[str, tuple[OwnGroup, frozenset[str]]]:
        """Groups of the accounts' own that a provider took over, and who was in them by hand.

        By id of the provider's group; each as it was before (G2). To be asked after `staying`.
        """
        former, found = self._former, {}
        for key, group in self._world.writes.groups.items():
            before = former.groups.get(key)
            own = former.own.get(group.own or "")
            if own is not None and (before is None or before.own != own.id):
                found[key] = (own, self._people.get(own.id, frozenset()))
        return found

    def staying(self, touched: Mapping[str, Edge], ends: list[Turned]) -> list[Turned]:
        """Who is in a managed group by hand stays until its provider says otherwise (G2)."""
        now = self._compared.group_now
        keys = {group_id(edge.connection, edge.group) for edge in touched.values()}
        keys |= self._world.writes.groups.keys()
        own = {key: group.own for key in keys if (group := now(key)) and group.own}
        if own:
            self._people = self._world.store.by_hand(set(own.values()))
        staying = {key: people for key, id_ in own.items() if (people := self._people[id_])}
        if not staying:
            return ends
        told = [self._told(end, staying) for end in ends]
        for key in sorted(staying.keys() & self._world.writes.groups.keys()):
            told += self._untold(key, staying[key])
        return told

    def _told(self, end: Turned, staying: Mapping[str, Collection[str]]) -> Turned:
        """A word on somebody who was in the group by hand before it."""
        edge, compared = end.edge, self._compared
        key, user = group_id(edge.connection, edge.group), user_id(edge.connection, edge.user)
        person, before = compared.person_now(user), compared.person_before(user)
        was_told = before == person and compared.edge_before(
            edge_id(edge.connection, edge.group, edge.user), edge
        )
        if was_told or person not in staying.get(key, ()):
            return end
        return Turned(edge, person if _lasts(compared.group_before(key)) else end.was, end.now)

    def _untold(self, key: str, people: Collection[str]) -> list[Turned]:
        """Those whom the provider has said nothing of, as it changed their group."""
        group = self._world.groups[key]
        was, now = _lasts(self._compared.group_before(key)), _lasts(group)
        if was == now:
            return []
        words = {**self._world.edges_of(group), **self._world.edges}.values()
        users = {
            user_id(edge.connection, edge.user)
            for edge in words
            if (edge.connection, edge.group) == (group.connection, group.key)
        }
        links = self._world.store.linked(users - self._world.users.keys())
        told = {*links.values(), *(self._compared.person_now(user) for user in users)}
        nobody = Edge(group.connection, group.key, "", BEGINNING, is_member=False)
        return [
            Turned(nobody, person if was else None, person if now else None)
            for person in sorted(set(people) - told)
        ]

"""Memberships that a batch made or ended: by a word, or because an end came or changed (G7)."""

from __future__ import annotations

from collections.abc import Collection

from domain.keys import edge_id, group_id
from domain.model import Edge, Group
from worker.services.by_hand import ByHand
from worker.services.compared import Compared, Former, Turned
from worker.services.world import World


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


class Memberships:
    """Memberships as they were before a batch and are after it; read before anything is written."""

    def __init__(self, world: World, former: Former) -> None:
        self._world = world
        self._former = former
        self._compared = Compared(world, former)
        self.by_hand = ByHand(world, former, self._compared)

    def turned(self) -> list[Turned]:
        """Those that took effect, ended or went over to somebody else."""
        touched = self._touched()
        self._compared.load(touched)
        ends = [self._compared.turned(key, edge) for key, edge in sorted(touched.items())]
        ends = self.by_hand.staying(touched, ends)
        return _net([turned for turned in ends if turned.was != turned.now])

    def group(self, edge: Edge) -> Group | None:
        """The group of a membership, as it is after the batch."""
        return self._compared.group_now(group_id(edge.connection, edge.group))

    def _touched(self) -> dict[str, Edge]:
        """Edges by id, as they are now: written, or with a member or group that changed."""
        world, found = self._world, dict(self._world.writes.edges)
        before, mine = self._compared.person_before, self._former.accounts
        moved = {
            key
            for key, user in world.writes.users.items()
            if user.person != before(key) and user.connection in mine
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

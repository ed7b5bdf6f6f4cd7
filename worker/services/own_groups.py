"""The account's own groups in a batch: looked up where a provider's group is described (G2, G3)."""

from __future__ import annotations

from domain.changes import PutGroup
from domain.decision import Decision
from domain.groups import OwnGroups
from domain.keys import group_id
from domain.model import Group
from domain.own_groups import name_key
from worker.services.world import Work, World


def met_by(world: World, work: Work, group: Group, change: PutGroup) -> OwnGroups:
    """What a description meets, as the events before it in the batch left it."""
    linked = world.own.get(group.own or "")
    if change.name is None:
        return OwnGroups(linked)
    wanted = (work.event.account, name_key(change.name))
    namesake = next(
        (
            own
            for own in world.own.values()
            if not own.is_managed
            and own.id != group.own
            and (own.account, name_key(own.name)) == wanted
        ),
        None,
    )
    return OwnGroups(linked, namesake)


def put_own_group(world: World, work: Work, decision: Decision) -> None:
    """Keep what a decision made of the account's own group, and that it was made."""
    if decision.own is None or decision.group is None:
        return
    world.put(world.own, world.writes.own, decision.own.id, decision.own)
    key = group_id(decision.group.connection, decision.group.key)
    world.writes.decisions += [(work.event, key, made) for made in decision.made]

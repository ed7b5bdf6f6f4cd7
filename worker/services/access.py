"""What a batch changed of who has access to what, for access reviews (domain/access.py)."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

from domain.access import of_membership, of_person
from domain.keys import edge_id, group_id, user_id
from domain.model import Edge, Person
from domain.own_groups import OwnGroup, known_as
from domain.ports import AccessNote, ClaimedEvent
from worker.services.compared import Turned
from worker.services.world import World


def access_notes(
    world: World,
    turned: Iterable[Turned],
    taken_over: Mapping[str, tuple[OwnGroup, Collection[str]]],
) -> list[AccessNote]:
    """People's own turns, then those of memberships; each with the event that made it.

    taken_over: by a provider's group, what it was before and who was in that by hand.
    """
    return [*_people(world), *_left(world, taken_over), *_memberships(world, turned)]


def _left(
    world: World, taken_over: Mapping[str, tuple[OwnGroup, Collection[str]]]
) -> list[AccessNote]:
    """Who was in a group by hand is in it under its provider's id, or not at all (G2)."""
    found = []
    for key, (own, people) in sorted(taken_over.items()):
        _, event = world.causes["group", key]
        for person in sorted(people):
            turn = of_membership(own.account, known_as(own), person, is_member=False)
            found.append(AccessNote(turn, event))
    return found


def _people(world: World) -> list[AccessNote]:
    """Net, as a batch commits at once: whoever is out and in again within it was never out."""
    first: dict[str, Person | None] = {}
    last: dict[str, tuple[Person, ClaimedEvent]] = {}
    for effect in world.writes.effects:
        first.setdefault(effect.after.id, effect.before)
        last[effect.after.id] = (effect.after, effect.event)
    turns = ((of_person(before, last[key][0]), last[key][1]) for key, before in first.items())
    return [AccessNote(turn, event) for turn, event in turns if turn is not None]


def _memberships(world: World, turned: Iterable[Turned]) -> list[AccessNote]:
    found = []
    for edge, was, now in turned:
        event = _cause(world, edge)
        if event is None:
            continue
        group = group_id(edge.connection, edge.group)
        for person, is_member in ((was, False), (now, True)):
            if person is not None:
                turn = of_membership(event.account, group, person, is_member=is_member)
                found.append(AccessNote(turn, event))
    return found


def _cause(world: World, edge: Edge) -> ClaimedEvent | None:
    """The last event of the batch that changed the membership, its group or its subject."""
    causes = world.causes
    keys = (
        ("edge", edge_id(edge.connection, edge.group, edge.user)),
        ("group", group_id(edge.connection, edge.group)),
        ("user", user_id(edge.connection, edge.user)),
    )
    named = [causes[key] for key in keys if key in causes]
    return max(named, key=lambda cause: cause[0])[1] if named else None

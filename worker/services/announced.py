"""What a batch changed, as the application is to hear of it: net, like its mails.

Only for accounts whose application listens.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

from domain.announcements import (
    Announcement,
    GroupView,
    of_group,
    of_membership,
    of_person,
    view_of,
    view_of_own,
)
from domain.model import Group, Person
from domain.own_groups import OwnGroup
from worker.services.access import access_notes
from worker.services.compared import Former, Turned
from worker.services.memberships import Memberships
from worker.services.world import World


def note_changes(world: World, former: Former) -> None:
    """Set what is told of the batch: to applications, and to the history of who had access."""
    memberships = Memberships(world, former)
    turned = memberships.turned()
    taken_over = memberships.by_hand.taken_over()
    world.writes.access = access_notes(world, turned, taken_over)
    told = _announced(world, former, memberships, turned)
    world.writes.announcements = [*_gone(former, taken_over.values()), *told]


def _announced(
    world: World, former: Former, memberships: Memberships, turned: Sequence[Turned]
) -> list[Announcement]:
    """People first, then groups, then memberships."""
    if not former.listening:
        return []
    return [
        *_people(world, former.listening),
        *_groups(world, former),
        *_memberships(world, former, memberships, turned),
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
        account = former.accounts[group.connection]
        if account in former.listening:
            found += of_group(_seen(former.groups.get(key), account), _seen(group, account))
    return found


def _gone(
    former: Former, taken_over: Iterable[tuple[OwnGroup, Collection[str]]]
) -> list[Announcement]:
    """What was a group of the account's own goes on under its provider's id (G2)."""
    gone = [own for own, _ in taken_over if own.account in former.listening]
    return [told for own in gone for told in of_group(view_of_own(own), None)]


def _seen(group: Group | None, account: str) -> GroupView | None:
    return view_of(group, account) if group is not None and group.is_seen else None


def _memberships(
    world: World, former: Former, memberships: Memberships, turned: Sequence[Turned]
) -> list[Announcement]:
    """A group that is gone says it for all of its members."""
    heard = [one for one in turned if former.accounts[one.edge.connection] in former.listening]
    people = _who(world, {p for one in heard for p in (one.was, one.now) if p is not None})
    found: list[Announcement] = []
    for edge, was, now in heard:
        group = memberships.group(edge)
        if group is None or not group.is_seen:
            continue
        view = view_of(group, former.accounts[edge.connection])
        ends = ((was, False), (now, True))
        found += [
            of_membership(people[person], view, is_member=is_member)
            for person, is_member in ends
            if person is not None
        ]
    return found


def _who(world: World, ids: set[str]) -> dict[str, Person]:
    known = world.people
    missing = ids - known.keys()
    found = world.store.people(missing) if missing else {}
    return {**found, **{key: known[key] for key in ids if key in known}}

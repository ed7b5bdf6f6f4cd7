"""The breaker at work in a batch: what an event takes away, and whether it may (C6, D17)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta

from domain.breaker import (
    BreakerRule,
    BreakerStore,
    BreakerWrites,
    NewHold,
    Window,
    group_key,
    person_key,
    takes_away,
)
from domain.changes import (
    Change,
    DeleteGroup,
    PutGroup,
    ReactivateUser,
    RemoveMember,
    ReplaceMembers,
    UpdateProfile,
)
from domain.groups import is_current
from domain.keys import group_id, user_id
from domain.model import Edge, Group
from domain.ports import Effect
from worker.services.world import Work, World, members_of

#: What takes nothing from anybody, whatever comes of it.
_HARMLESS = (UpdateProfile, ReactivateUser)
_OF_GROUPS = (RemoveMember, ReplaceMembers, DeleteGroup, PutGroup)


class HeldError(Exception):
    """The event would pass the limit: nothing of it may stay. why: for the operator."""

    def __init__(self, hold: str, why: str) -> None:
        super().__init__(f"hold {hold}: {why}")
        self.hold = hold


@dataclass(slots=True)
class _Counting:
    """A window while a batch adds to it. asked: keys of which the window knows."""

    window: Window
    count: int
    counted: set[str]
    asked: set[str]
    hold: NewHold | None = None


@dataclass(slots=True)
class Gate:
    """The breakers of the connections of one batch; locked only once something is taken away."""

    store: BreakerStore
    batch: Sequence[Work]
    new_hold_id: Callable[[], str]
    writes: BreakerWrites = field(default_factory=BreakerWrites)
    _windows: dict[str, _Counting] = field(default_factory=dict)

    def insist(self, work: Work, losses: set[str]) -> None:
        """Count whom an event takes something from; raises HeldError where it may not.

        Replays and what an operator approved are not counted (D17).
        """
        if not losses or work.event.is_replayed:
            return
        counting = self._counting(work)
        connection = work.policy.connection
        fresh = losses - self._known(work, counting, losses)
        if counting.count + len(fresh) > counting.window.limit:
            raise self._held(work, counting)
        counting.count += len(fresh)
        counting.counted |= fresh
        self.writes.marks |= {(connection, key) for key in losses}

    def _counting(self, work: Work) -> _Counting:
        if work.policy.connection not in self._windows:
            self._lock({work.policy.connection: work.policy.breaker})
        return self._windows[work.policy.connection]

    def _lock(self, rules: dict[str, BreakerRule]) -> None:
        """All that this batch may need at once, so that no two wait for each other (D5)."""
        keys: dict[str, set[str]] = {}
        for work in self.batch:
            connection = work.policy.connection
            is_harmless = all(isinstance(change, _HARMLESS) for change in work.changes)
            if is_harmless or connection in self._windows:
                continue
            rules[connection] = work.policy.breaker
            mine = keys.setdefault(connection, set())
            mine.update(key for change in work.changes for key in _named(change))
        self.writes.rules.update(rules)
        for connection, window in self.store.lock(rules, keys).items():
            asked = keys.get(connection, set())
            counted = set(window.counted)
            self._windows[connection] = _Counting(window, window.count, counted, asked)

    def _known(self, work: Work, counting: _Counting, losses: set[str]) -> set[str]:
        """Whom the window holds; asked again only for whom no change names (a group's members)."""
        unknown = losses - counting.asked
        if unknown:
            counting.asked |= unknown
            rule: timedelta = work.policy.breaker.window
            counting.counted |= self.store.counted(work.policy.connection, unknown, rule)
        return counting.counted

    def _held(self, work: Work, counting: _Counting) -> HeldError:
        known = counting.window.hold
        reached = Window(counting.count, counting.window.people, counting.window.limit)
        if counting.hold is None:
            event, policy = work.event, work.policy
            counting.hold = NewHold(
                known or self.new_hold_id(),
                event.account,
                policy.connection,
                reached,
                policy.breaker,
            )
            of_whom = self.writes.opened if known is None else self.writes.joined
            of_whom.append(counting.hold)
        self.writes.held.append((work.event.id, counting.hold.id))
        return HeldError(counting.hold.id, counting.hold.why)


def _named(change: Change) -> Iterable[str]:
    """Keys of whom a change names."""
    user = getattr(change, "user", None)
    group = getattr(change, "group", None)
    if user is not None:
        yield person_key(user)
    if group is not None:
        yield group_key(group)


def losses(world: World, changes: Sequence[Change], effects: Sequence[Effect]) -> set[str]:
    """Whom the changes of one event have taken something from, inside the world's trial.

    effects: what the event did to people.
    """
    found = {_key_of(effect) for effect in effects if takes_away(effect.before, effect.after)}
    if any(isinstance(change, _OF_GROUPS) for change in changes):
        found |= _lost_memberships(world)
        found |= _lost_groups(world)
    return found


def _key_of(effect: Effect) -> str:
    """A person who leaves management is counted as the subject that they were."""
    before = effect.before.user if effect.before is not None else None
    return person_key(effect.after.user or before or effect.after.id)


def _lost_memberships(world: World) -> set[str]:
    """People whom the event's own words took out of a group."""
    lost = set()
    for was, edge in world.changed(world.edges):
        group = world.groups[group_id(edge.connection, edge.group)]
        if isinstance(was, Edge) and is_current(was, group) and not is_current(edge, group):
            user = world.users.get(user_id(edge.connection, edge.user))
            if user is None or user.person is not None:
                lost.add(person_key(edge.user))
    return lost


def _lost_groups(world: World) -> set[str]:
    """Groups that are gone, or kept no more, each with everybody who was in it."""
    lost = set()
    for was, group in world.changed(world.groups):
        if isinstance(was, Group) and was.is_seen and not group.is_seen:
            lost.add(group_key(was.key))
            lost |= {person_key(e.user) for e in members_of(world, was) if is_current(e, was)}
    return lost

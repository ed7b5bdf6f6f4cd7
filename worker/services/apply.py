"""Apply a batch of events to the directory: decide one by one, in memory, under locks.

One use case for every trigger: the drain calls it for a batch, SCIM for a single request.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from domain.changes import (
    AddMember,
    Change,
    DeleteGroup,
    EdgeChange,
    GroupChange,
    PutGroup,
    RemoveMember,
    ReplaceMembers,
    SuspendUser,
    UserChange,
    is_destructive,
)
from domain.decide import decide
from domain.decision import Decided, Decision
from domain.groups import (
    EdgeState,
    decide_delete,
    decide_edge,
    decide_put,
    decide_replace,
)
from domain.holding import freed
from domain.inbox import Outcome, Reason, State
from domain.keys import (
    address_id,
    edge_id,
    group_id,
    user_id,
    when_free,
    when_group_seen,
    when_settled,
    when_user_seen,
)
from domain.model import Edge, Group, Person, User
from domain.ordering import standing
from domain.policy import Policy, ScopeRule
from domain.ports import Effect, Result
from domain.record import has_word, say_scope
from domain.settle import UserState, settle
from domain.values import BEGINNING, HORIZON, Stamp
from worker.services.breaking import Gate, HeldError, losses
from worker.services.own_groups import met_by, put_own_group
from worker.services.results import belongs, result_of, strongest
from worker.services.world import (
    BusyHolderError,
    Work,
    World,
    counts_for_scope,
    load,
    members_of,
)

#: How soon an event is tried again whose rival was being changed by another worker.
BUSY_WAIT = timedelta(milliseconds=200)

NewId = Callable[[], str]


def apply_batch(
    world: World,
    batch: Sequence[Work],
    *,
    now: datetime,
    new_id: NewId,
    gate: Gate | None = None,
) -> list[Result]:
    """Decide every event of the batch in order; the world's writes are then to be saved.

    gate: the breaker (C6); without one nothing is held.
    """
    applying = _Applying(world, now, new_id, gate)
    results = [applying.one(index, work) for index, work in enumerate(batch)]
    return [applying.rung(index, result) for index, result in enumerate(results)]


class _Applying:
    """The events of one batch, one after the other, over one world."""

    def __init__(self, world: World, now: datetime, new_id: NewId, gate: Gate | None) -> None:
        self._gate = gate
        self._world = world
        self._now = now
        self._new_id = new_id
        self._index = 0

    def one(self, index: int, work: Work) -> Result:
        """Decide one event whole: what is refused in it leaves only its suspension behind."""
        self._index = index
        event = work.event
        if event.occurred_at < event.received_at - HORIZON:
            return Result(
                event,
                State.DEAD,
                Outcome.DEAD,
                Reason.TOO_OLD,
                f"happened at {event.occurred_at.isoformat()}, more than 30 days before receipt",
            )
        try:
            decided = self._all_of(work)
        except BusyHolderError:
            return Result(
                event, State.WAITING, None, Reason.ADDRESS_TAKEN, due_at=self._now + BUSY_WAIT
            )
        except HeldError as held:
            return Result(event, State.HELD, None, Reason.BREAKER, str(held))
        return result_of(self._world, work, decided, self._now)

    def rung(self, index: int, result: Result) -> Result:
        """Let an event that waits be tried at once if a later one of its batch stirred its key."""
        is_stirred = any(self._world.touched.get(key, -1) > index for key in result.waits)
        return replace(result, due_at=self._now) if is_stirred else result

    def _all_of(self, work: Work) -> Decision:
        with self._world.trial() as trial:
            begun = len(self._world.writes.effects)
            try:
                decisions = [self._change(work, change) for change in work.changes]
                refused, is_undone = self._refusal(work, decisions)
                if not is_undone:
                    self._pass_gate(work, work.changes, begun)
            except (BusyHolderError, HeldError):
                trial.fail()
                raise
            if is_undone:
                trial.fail()
        if refused is None or not is_undone:
            return strongest(decisions)
        if refused.outcome is not Outcome.DEAD:
            return refused
        return replace(refused, applied_part=self._destructive_part(work))

    def _refusal(self, work: Work, decisions: Sequence[Decision]) -> tuple[Decision | None, bool]:
        """What keeps the event out, if anything does; whether all of it has to be undone."""
        dead = next((d for d in decisions if d.outcome is Outcome.DEAD), None)
        if dead is not None:
            return dead, len(decisions) > 1
        stopped = (d for d in decisions if d.outcome is not Outcome.APPLIED)
        unfit = next((d for d in stopped if d.reason in work.undoes), None)
        if unfit is None or unfit.outcome is not None:
            return unfit, unfit is not None
        taken = belongs(self._world, work.event.account, unfit.waits_for or "")
        return Decision(outcome=Outcome.DEAD, reason=unfit.reason, detail=taken), True

    def _pass_gate(self, work: Work, changes: Sequence[Change], begun: int) -> None:
        """C6: count whom this took something from; raises HeldError beyond the limit."""
        if self._gate is not None:
            effects = self._world.writes.effects[begun:]
            self._gate.insist(work, losses(self._world, changes, effects))

    def _destructive_part(self, work: Work) -> str | None:
        """D10: a suspension or removal is applied even if the rest of its event is refused."""
        applied = None
        for change in work.changes:
            if not is_destructive(change):
                continue
            part = _suspension_in(change)
            with self._world.trial() as trial:
                begun = len(self._world.writes.effects)
                decided = self._change(work, part)
                if decided.outcome is Outcome.DEAD:
                    trial.fail()
                    continue
                try:
                    self._pass_gate(work, (part,), begun)
                except HeldError:
                    trial.fail()
                    raise
                applied = "removal" if isinstance(change, RemoveMember) else "suspension"
        return applied

    def _change(self, work: Work, change: Change) -> Decision:
        stamp = work.event.stamp
        if isinstance(change, UserChange):
            return self._user_change(work, change, stamp)
        if isinstance(change, EdgeChange):
            return self._edge_change(work, change, stamp)
        return self._group_change(work, change, stamp)

    # -- people ------------------------------------------------------------------------

    def _user_change(self, work: Work, change: UserChange, stamp: Stamp) -> Decision:
        state = self._state_of(work, user_id(work.policy.connection, change.user))
        decision = decide(state, change, stamp=stamp, feed=work.event.feed, policy=work.policy)
        if decision.user is not None:
            self._put_user(work, state.user, decision)
        return decision

    def _state_of(self, work: Work, key: str) -> UserState:
        world = self._world
        user = world.users[key]
        account = work.event.account
        return UserState(
            account=account,
            user=user,
            person=world.people[user.person] if user.person is not None else None,
            pinned=world.people[user.pinned.person] if user.pinned is not None else None,
            holder_of=lambda address: world.holder_of(account, address),
            fresh_id=self._new_id(),
            protected=world.protected,
            party_of=lambda address: world.party_of(account, address),
        )

    def _put_user(self, work: Work, before: User, decision: Decision | Decided) -> None:
        world = self._world
        user = decision.user
        if user is None:
            return
        key = user_id(user.connection, user.key)
        if user != before:
            world.put(world.users, world.writes.users, key, user)
            world.touch(when_settled(key), self._index)
        if user.person is not None and before.person is None:
            world.touch(when_user_seen(key), self._index)
        if user.person != before.person:
            world.blame("user", key, self._index, work.event)
        for former in decision.users:
            self._unlink(work, *former)
        for moved in decision.moved:
            self._put_moved(moved)
        for person in decision.people:
            self._put_person(work, person)
        for made in decision.made:
            world.writes.decisions.append((work.event, key, made))

    def _unlink(self, work: Work, connection: str, key: str) -> None:
        world = self._world
        former = user_id(connection, key)
        world.blame("user", former, self._index, work.event)
        world.put(
            world.users,
            world.writes.users,
            former,
            replace(world.users[former], person=None, pinned=None),
        )
        world.touch(when_settled(former), self._index)

    def _put_moved(self, user: User) -> None:
        """E8: another subject of a ring; what waits for them is tried again."""
        world = self._world
        key = user_id(user.connection, user.key)
        world.put(world.users, world.writes.users, key, user)
        world.touch(when_settled(key), self._index)

    def _put_person(self, work: Work, person: Person) -> None:
        world = self._world
        before = world.people.get(person.id)
        if before == person:
            return
        for key in freed(before, person):
            world.touch(key, self._index)
        world.put_person(person)
        world.writes.effects.append(Effect(work.event, before, person))

    # -- groups ------------------------------------------------------------------------

    def _group_change(self, work: Work, change: GroupChange, stamp: Stamp) -> Decision:
        world = self._world
        key = group_id(work.policy.connection, change.group)
        group = world.groups[key]
        match change:
            case PutGroup():
                own = met_by(world, work, group, change)
                decision = decide_put(group, change, stamp=stamp, policy=work.policy, own=own)
            case DeleteGroup():
                decision = decide_delete(group, stamp=stamp)
            case ReplaceMembers():
                known = _all_edges(world, group)
                # Whoever asks what this took away has to find what was.
                world.edges.update({edge_id(e.connection, e.group, e.user): e for e in known})
                change = replace(change, users=_alive(world, work, change, stamp))
                decision = decide_replace(group, known, change.users, stamp=stamp)
        waits_for = None
        if counts_for_scope(work.policy, change.group) and not isinstance(change, PutGroup):
            waits_for = self._rescope_group(work, group, change, stamp)
        self._put_group(work, group, decision)
        if waits_for is None:
            return decision
        return replace(decision, outcome=None, reason=Reason.ADDRESS_TAKEN, waits_for=waits_for)

    def _put_group(self, work: Work, before: Group, decision: Decision) -> None:
        world = self._world
        put_own_group(world, work, decision)
        after = decision.group
        if after is not None and after != before:
            key = group_id(after.connection, after.key)
            world.put(world.groups, world.writes.groups, key, after)
            world.blame("group", key, self._index, work.event)
            if (after.is_seen and not before.is_seen) or after.barred != before.barred:
                world.touch(when_group_seen(key), self._index)
        for edge in decision.edges:
            self._put_edge(work, edge)

    def _put_edge(self, work: Work, edge: Edge) -> None:
        world = self._world
        key = edge_id(edge.connection, edge.group, edge.user)
        world.put(world.edges, world.writes.edges, key, edge)
        world.blame("edge", key, self._index, work.event)

    def _rescope_group(
        self, work: Work, group: Group, change: DeleteGroup | ReplaceMembers, stamp: Stamp
    ) -> str | None:
        """S1: everybody whom a deletion or replacement takes out of, or into, the scope.

        The address of one who is in and has no person yet, because it is taken.
        """
        stays = set(change.users) if isinstance(change, ReplaceMembers) else set()
        gone = {edge.user for edge in members_of(self._world, group)} - stays
        taken = [
            self._rescope_member(work, user, group, stamp, is_in=True) for user in sorted(stays)
        ]
        for user in sorted(gone):
            self._rescope(work, user, change.group, stamp, is_in=False)
        return next((address for address in taken if address is not None), None)

    def _rescope(
        self, work: Work, user: str, group: str, stamp: Stamp, *, is_in: bool
    ) -> str | None:
        """Record a scope word for a subject and settle anew who it is.

        The address that keeps it from having a person, if one does.
        """
        key = user_id(work.policy.connection, user)
        before = self._world.users[key]
        facts = say_scope(
            before.facts, ScopeRule.GROUPS, group, stamp, work.policy.scope, is_in=is_in
        )
        settled = settle(self._state_of(work, key), facts, policy=work.policy)
        if not isinstance(settled, Decided):
            return None
        self._put_user(work, before, settled)
        return settled.waits_for if settled.user.person is None else None

    # -- memberships -------------------------------------------------------------------

    def _edge_change(self, work: Work, change: EdgeChange, stamp: Stamp) -> Decision:
        world = self._world
        connection = work.policy.connection
        group = world.groups[group_id(connection, change.group)]
        known = world.edges.get(edge_id(connection, change.group, change.user))
        floor = world.users[user_id(connection, change.user)].facts.floor
        if stamp <= floor:
            return Decision(outcome=Outcome.SUPERSEDED, superseded_by=floor)
        waits_for = None
        if counts_for_scope(work.policy, change.group):
            is_in = isinstance(change, AddMember)
            waits_for = self._rescope_member(work, change.user, group, stamp, is_in=is_in)
        user = world.users[user_id(connection, change.user)]
        state = EdgeState(
            group=group,
            edge=known,
            user_is_seen=user.person is not None,
            user_out_of_scope=_out_of_scope(user, work.policy),
        )
        decision = decide_edge(state, change, stamp=stamp)
        for edge in decision.edges:
            self._put_edge(work, edge)
        if waits_for is None or decision.outcome is not None:
            return decision
        free = when_free(address_id(work.event.account, waits_for))
        return replace(decision, unseen=(*decision.unseen, free))

    def _rescope_member(
        self, work: Work, user: str, group: Group, stamp: Stamp, *, is_in: bool
    ) -> str | None:
        """S1: the word is kept even where the edge is superseded; a floor speaks after it.

        Whoever the floor's replacement names has a word of it: all others were out then.
        """
        waits_for = self._rescope(work, user, group.key, stamp, is_in=is_in)
        facts = self._world.users[user_id(work.policy.connection, user)].facts
        if stamp < group.floor and not has_word(facts, group.key, group.floor):
            waits_for = self._rescope(work, user, group.key, group.floor, is_in=False)
        return waits_for


def _suspension_in(change: Change) -> Change:
    """What of a destructive change takes away; the word of a register of its own stays that."""
    if isinstance(change, SuspendUser | RemoveMember) or not hasattr(change, "user"):
        return change
    return SuspendUser(change.user)


def _alive(world: World, work: Work, change: ReplaceMembers, stamp: Stamp) -> tuple[str, ...]:
    """Of a list of members those who were not deleted for good after it (U5)."""
    if not world.buried:
        return change.users
    connection = work.policy.connection
    floors = world.buried
    return tuple(u for u in change.users if stamp > floors.get(user_id(connection, u), BEGINNING))


def _all_edges(world: World, group: Group) -> list[Edge]:
    known = dict(world.edges_of(group))
    known.update({k: e for k, e in world.edges.items() if k in known or _belongs(e, group)})
    return list(known.values())


def _belongs(edge: Edge, group: Group) -> bool:
    return edge.connection == group.connection and edge.group == group.key


def _out_of_scope(user: User, policy: Policy) -> Reason | None:
    """Why a described subject has no person, if that is why."""
    if user.person is not None or not user.facts.is_described:
        return None
    stands = standing(user.facts, policy.scope)
    if stands.was_in_scope:
        return None
    return Reason.GUEST if stands.is_guest else Reason.OUT_OF_SCOPE


__all__ = ["NewId", "Work", "apply_batch", "load"]

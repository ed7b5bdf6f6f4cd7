"""What a change makes of a group and its memberships (G1, G5, G7, D13)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from domain.changes import AddMember, EdgeChange, PutGroup, RemoveMember
from domain.decision import Decision
from domain.inbox import Outcome, Reason
from domain.keys import group_id, user_id, when_group_seen, when_user_seen
from domain.model import Edge, Group
from domain.policy import BUILT_IN_GROUPS, Policy
from domain.values import BEGINNING, Stamp

_BUILT_IN = frozenset(name.casefold() for name in BUILT_IN_GROUPS)


def decide_put(group: Group, change: PutGroup, *, stamp: Stamp, policy: Policy) -> Decision:
    """G1: create or rename, keeping the id. A built-in name is refused (G5)."""
    if change.name is not None and change.name.strip().casefold() in _BUILT_IN:
        return Decision(
            outcome=Outcome.DEAD,
            reason=Reason.PROTECTED_GROUP,
            detail=f"{change.name!r} is a built-in group; no identity provider manages it",
        )
    after = group
    if change.name is not None and stamp > group.name[0]:
        after = replace(after, name=(stamp, change.name))
    if stamp > group.exists[0]:
        after = replace(after, exists=(stamp, True))
    after = replace(after, is_kept=policy.keeps_group(after.key, after.name[1]))
    return _group_decision(group, after)


def _group_decision(before: Group, after: Group) -> Decision:
    if not after.is_kept and after.exists[1]:
        return Decision(outcome=Outcome.IGNORED, reason=Reason.OUT_OF_SCOPE, group=after)
    looks = (after.name[1], after.exists[1], after.is_kept)
    if (
        looks != (before.name[1], before.exists[1], before.is_kept)
        or after.cleared != before.cleared
    ):
        return Decision(outcome=Outcome.APPLIED, group=after)
    if after == before:
        newest = max(before.name[0], before.exists[0])
        return Decision(outcome=Outcome.SUPERSEDED, superseded_by=newest)
    return Decision(outcome=Outcome.UNCHANGED, group=after)


def decide_delete(group: Group, *, stamp: Stamp) -> Decision:
    """G1: the group and its memberships end; people stay. Sets the floor (D13)."""
    stamp = stamp.destructive()
    after = group
    if stamp > group.exists[0]:
        after = replace(after, exists=(stamp, False))
    if stamp > group.floor:
        after = replace(after, floor=stamp, cleared=stamp)
    return _group_decision(group, after)


def is_current(edge: Edge | None, group: Group) -> bool:
    """Whether the newest word on the edge is "member" and no deletion ended it since."""
    return edge is not None and edge.is_member and edge.stamp > group.cleared


@dataclass(frozen=True, slots=True)
class EdgeState:
    """What is known when a membership is decided.

    user_is_seen: the person exists. user_out_of_scope: described, but never in scope.
    """

    group: Group
    edge: Edge | None
    user_is_seen: bool
    user_out_of_scope: Reason | None = None


def decide_edge(state: EdgeState, change: EdgeChange, *, stamp: Stamp) -> Decision:
    """G7: the edge is kept at once; it takes effect when both ends exist."""
    is_member = isinstance(change, AddMember)
    if isinstance(change, RemoveMember):
        stamp = stamp.destructive()
    known = state.edge
    if stamp < state.group.floor:
        return Decision(outcome=Outcome.SUPERSEDED, superseded_by=state.group.floor)
    if known is not None and known.stamp > stamp:
        return Decision(outcome=Outcome.SUPERSEDED, superseded_by=known.stamp)
    was_member = is_current(known, state.group)
    edge = Edge(state.group.connection, change.group, change.user, stamp, is_member)
    written = () if edge == known else (edge,)
    if is_member and state.group.exists[1] and not state.group.is_kept:
        return Decision(outcome=Outcome.IGNORED, reason=Reason.OUT_OF_SCOPE, edges=written)
    if is_member and state.user_out_of_scope is not None:
        return Decision(outcome=Outcome.IGNORED, reason=state.user_out_of_scope, edges=written)
    if is_member and not (state.user_is_seen and state.group.is_seen):
        return _waiting(state, change, written)
    has_changed = was_member is not is_member
    outcome = Outcome.APPLIED if has_changed or known is None else Outcome.UNCHANGED
    if edge == known and is_member:
        outcome = Outcome.APPLIED
    return Decision(outcome=outcome, edges=written)


def _waiting(state: EdgeState, change: EdgeChange, written: tuple[Edge, ...]) -> Decision:
    missing = []
    if not state.user_is_seen:
        missing.append(when_user_seen(user_id(state.group.connection, change.user)))
    if not state.group.is_seen:
        missing.append(when_group_seen(group_id(state.group.connection, change.group)))
    return Decision(
        outcome=None,
        reason=Reason.NOT_SEEN,
        detail="kept; takes effect when both the person and the group have been seen",
        edges=written,
        unseen=tuple(missing),
    )


def decide_replace(
    group: Group, known: Iterable[Edge], users: tuple[str, ...], *, stamp: Stamp
) -> Decision:
    """D13: exactly these members. Sets the floor; only differences are written."""
    if stamp <= group.floor:
        return Decision(outcome=Outcome.SUPERSEDED, superseded_by=group.floor)
    wanted = set(users)
    edges: list[Edge] = []
    spoken_for: set[str] = set()
    for edge in known:
        if edge.stamp > stamp:
            spoken_for.add(edge.user)
        elif is_current(edge, group):
            spoken_for.add(edge.user)
            if edge.user not in wanted:
                gone = Edge(edge.connection, edge.group, edge.user, stamp.destructive(), False)
                edges.append(gone)
    edges += [
        Edge(group.connection, group.key, user, stamp, True) for user in sorted(wanted - spoken_for)
    ]
    after = replace(group, floor=max(group.floor, stamp))
    outcome = Outcome.APPLIED if edges or group.floor == BEGINNING else Outcome.UNCHANGED
    return Decision(outcome=outcome, group=after, edges=tuple(edges))

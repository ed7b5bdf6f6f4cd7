"""What a change makes of a group and its memberships (G1, G5, G7, D13)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from domain.changes import AddMember, EdgeChange, PutGroup, RemoveMember
from domain.decision import Decision, Made
from domain.inbox import Outcome, Reason
from domain.keys import group_id, user_id, when_group_seen, when_user_seen
from domain.model import Edge, Group
from domain.own_groups import PROTECTING, OwnGroup, is_built_in_name
from domain.policy import ExistingGroups, Policy
from domain.values import BEGINNING, Stamp


@dataclass(frozen=True, slots=True)
class OwnGroups:
    """The account's groups that a change of a provider's group meets.

    linked: the one that it stands for. namesake: another that has the name and that no provider
    manages.
    """

    linked: OwnGroup | None = None
    namesake: OwnGroup | None = None


def decide_put(
    group: Group, change: PutGroup, *, stamp: Stamp, policy: Policy, own: OwnGroups | None = None
) -> Decision:
    """G1: create or rename, keeping the id. What G2, G3 and G5 refuse keeps no fact."""
    own = own or OwnGroups()
    refusal = _refusal(group, change, stamp, policy, own)
    if refusal is not None:
        return refusal
    after = replace(group, barred=None)
    if change.name is not None and stamp > group.name[0]:
        after = replace(after, name=(stamp, change.name))
    if stamp > group.exists[0]:
        after = replace(after, exists=(stamp, True))
    after = replace(after, is_kept=policy.keeps_group(after.key, after.name[1]))
    return _with_own(_group_decision(group, after), after, own)


def _with_own(decision: Decision, after: Group, own: OwnGroups) -> Decision:
    """G2: link the account's group of this name, or return one to management."""
    target = own.linked or (own.namesake if after.is_kept else None)
    if target is None or decision.group is None:
        return decision
    if target.is_managed and after.own == target.id:
        return decision
    managed = replace(target, connection=after.connection, key=after.key, is_managed=True)
    linked = replace(after, own=target.id)
    made = Made("link_group", {"group": target.id, "external_id": after.key})
    return replace(decision, outcome=Outcome.APPLIED, group=linked, own=managed, made=(made,))


def _refusal(
    group: Group, change: PutGroup, stamp: Stamp, policy: Policy, own: OwnGroups
) -> Decision | None:
    """Why the IdP may not have this group under this name, if it may not."""
    if own.linked is not None and own.linked.is_protected:
        return _barred(group, _holds(own.linked))
    if change.name is None or stamp <= group.name[0]:
        return _barred(group, group.barred) if group.barred is not None else None
    namesake = own.namesake
    if is_built_in_name(change.name):
        why = f"{change.name!r} is a built-in group; no identity provider manages it"
        return _refused_name(group, why)
    if namesake is None:
        return None
    if namesake.is_protected:
        return _refused_name(group, _holds(namesake))
    if own.linked is None and policy.existing_groups is ExistingGroups.MANAGE:
        return None
    return Decision(
        outcome=Outcome.DEAD,
        reason=Reason.GROUP_EXISTS,
        detail=f"there is a group {namesake.name!r} ({namesake.id}) that this connection does not "
        "manage: rename or delete it, or set existing_groups=manage, then replay",
    )


def _holds(own: OwnGroup) -> str:
    """G3 in words."""
    if own.is_built_in:
        return f"{own.name!r} is a built-in group; no identity provider manages it"
    held = ", ".join(sorted(own.permissions & PROTECTING))
    return f"group {own.name!r} ({own.id}) holds {held}; no identity provider manages it"


def _refused_name(group: Group, why: str) -> Decision:
    """G3, G5: a group that is there under another name stays as it is."""
    refused = _barred(group, why)
    return replace(refused, group=None) if group.is_seen else refused


def _barred(group: Group, why: str | None) -> Decision:
    """G3: refused, and its memberships will be, until it is told again under another name."""
    return Decision(
        outcome=Outcome.DEAD,
        reason=Reason.PROTECTED_GROUP,
        detail=why or "",
        group=replace(group, barred=why),
    )


def _group_decision(before: Group, after: Group) -> Decision:
    if not after.is_kept and after.exists[1]:
        return Decision(outcome=Outcome.IGNORED, reason=Reason.OUT_OF_SCOPE, group=after)
    looks = (after.name[1], after.exists[1], after.is_kept, after.barred)
    if (
        looks != (before.name[1], before.exists[1], before.is_kept, before.barred)
        or after.cleared != before.cleared
    ):
        return Decision(outcome=Outcome.APPLIED, group=after)
    if after == before:
        newest = max(before.name[0], before.exists[0])
        return Decision(outcome=Outcome.SUPERSEDED, superseded_by=newest)
    return Decision(outcome=Outcome.UNCHANGED, group=after)


def decide_delete(group: Group, *, stamp: Stamp) -> Decision:
    """G1: the group and its memberships end; people stay. Sets the floor (D13)."""
    if group.barred is not None:
        return _barred(group, group.barred)
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
    if state.group.barred is not None:
        return replace(_barred(state.group, state.group.barred), group=None)
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
    if group.barred is not None:
        return _barred(group, group.barred)
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

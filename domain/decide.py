"""What becomes of one change of a subject, and what its event is told (D10, D15)."""

from __future__ import annotations

from dataclasses import replace

from domain.changes import SuspendUser, UserChange, is_destructive
from domain.decision import Decided, Decision, Refused
from domain.inbox import Outcome, Reason
from domain.model import UserFacts
from domain.ordering import standing
from domain.policy import Policy
from domain.record import record
from domain.settle import UserState, settle
from domain.values import Stamp


def decide(
    state: UserState, change: UserChange, *, stamp: Stamp, feed: str, policy: Policy
) -> Decision:
    """Fold the change into the subject, then settle who that makes the person.

    A refusal keeps no fact but a suspension inside the change (D10).
    """
    if stamp <= state.user.facts.floor:
        return Decision(
            outcome=Outcome.SUPERSEDED,
            detail="the person was deleted for good after this",
            superseded_by=state.user.facts.floor,
        )
    facts = record(state.user.facts, change, stamp=stamp, feed=feed, scope=policy.scope)
    settled = settle(state, facts, policy=policy)
    if not isinstance(settled, Refused):
        return _with_outcome(state, settled, change, stamp=stamp, policy=policy)
    if not is_destructive(change) or isinstance(change, SuspendUser):
        return Decision(outcome=Outcome.DEAD, reason=settled.reason, detail=settled.detail)
    part = SuspendUser(change.user)
    applied = decide(state, part, stamp=stamp, feed=feed, policy=policy)
    return replace(
        applied,
        outcome=Outcome.DEAD,
        reason=settled.reason,
        detail=settled.detail,
        applied_part="suspension" if applied.outcome is not Outcome.DEAD else None,
    )


def _with_outcome(
    state: UserState, settled: Decided, change: UserChange, *, stamp: Stamp, policy: Policy
) -> Decision:
    """Name what happened: applied, unchanged, superseded, ignored or waiting (D15)."""
    facts = settled.user.facts
    waits = settled.waits_for is not None and _has_stake(settled, change, stamp, policy)
    made = Decision(
        outcome=Outcome.APPLIED,
        reason=settled.reason,
        detail=settled.detail,
        user=settled.user,
        people=settled.people,
        users=settled.users,
        made=settled.made,
        moved=settled.moved,
        waits_for=settled.waits_for if waits else None,
        is_promised=settled.is_promised and waits,
    )
    if waits:
        return replace(made, outcome=None, reason=Reason.ADDRESS_TAKEN)
    if settled.has_visible_change:
        return made
    if not _has_won(facts, stamp):
        return replace(made, outcome=Outcome.SUPERSEDED, superseded_by=_winner(facts, stamp))
    if settled.reason is not None:
        return replace(made, outcome=Outcome.IGNORED)
    if settled.user.person is None and facts != state.user.facts:
        return made
    return replace(made, outcome=Outcome.UNCHANGED)


def _has_stake(settled: Decided, change: UserChange, stamp: Stamp, policy: Policy) -> bool:
    """Whether this event waits for the address: it gave it, brought back, or nobody is there yet.

    While the subject has no person, whatever lets it in waits: the event that gave the address
    may have ended long ago, as news of one who was not described, or not in scope.
    """
    facts = settled.user.facts
    if settled.user.person is None and not is_destructive(change):
        return True
    newest = facts.emails[-1].value
    gave = any(_is_of(w.stamp, stamp) and w.value == newest for w in facts.emails)
    absences = standing(facts, policy.scope).absences
    return gave or any(a.back is not None and _is_of(a.back, stamp) for a in absences)


def _is_of(one: Stamp, other: Stamp) -> bool:
    """Whether two stamps are of the same event, whatever their ranks."""
    return one.at == other.at and one.event == other.event


def _newest(facts: UserFacts) -> list[Stamp]:
    """The stamp that now wins each register."""
    last_by_feed = {word.by: word.stamp for word in facts.actives}
    last_by_scope = {word.by: word.stamp for word in facts.scopes}
    return [
        *(stamp for stamp, _ in facts.profile.values()),
        *(word.stamp for word in facts.emails[-1:]),
        *last_by_feed.values(),
        *last_by_scope.values(),
    ]


def _has_won(facts: UserFacts, stamp: Stamp) -> bool:
    return any(_is_of(newest, stamp) for newest in _newest(facts))


def _winner(facts: UserFacts, stamp: Stamp) -> Stamp | None:
    newer = [s for s in _newest(facts) if s > stamp]
    return min(newer, default=None)

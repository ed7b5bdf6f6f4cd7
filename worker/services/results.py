"""What an event is told of a decision about it: ended, dead, or waiting and for what (D15)."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from domain.changes import UserChange
from domain.decision import Decision
from domain.inbox import Outcome, Reason, State
from domain.keys import address_id, user_id, when_free, when_settled
from domain.ports import ClaimedEvent, Result, UnparseableError
from worker.services.world import Work, World

#: How long a claim to an address of somebody else waits before it dies (E8).
ADDRESS_PATIENCE = timedelta(hours=24)


def result_of(world: World, work: Work, decision: Decision, now: datetime) -> Result:
    """The result of an event of which this was decided."""
    event = work.event
    if decision.outcome is None:
        return _waiting(world, work, decision, now)
    by = decision.superseded_by
    return Result(
        event,
        State.DEAD if decision.outcome is Outcome.DEAD else State.ENDED,
        decision.outcome,
        decision.reason,
        decision.detail,
        superseded_by=by.event if by is not None else None,
        applied_part=decision.applied_part,
    )


def unparseable(event: ClaimedEvent, error: UnparseableError) -> Result:
    """A dead letter that says where it could not be understood."""
    return Result(
        event,
        State.DEAD,
        Outcome.DEAD,
        Reason.UNPARSEABLE,
        str(error),
        fingerprint=f"unparseable:{event.type}:{error.place}",
    )


def _waiting(world: World, work: Work, decision: Decision, now: datetime) -> Result:
    """D1: waits visibly; a taken address has a deadline, an unseen end has none."""
    event = work.event
    keys = list(decision.unseen)
    deadline = None
    if decision.waits_for is not None:
        address = address_id(event.account, decision.waits_for)
        keys = [when_free(address), *_subjects(work)]
        # What a ring promises is looked at again, and dies only once that is broken.
        since = now if decision.is_promised else event.waiting_since or now
        deadline = since + ADDRESS_PATIENCE
        if deadline <= now:
            return _given_up(world, work, decision.waits_for)
    return Result(
        event,
        State.WAITING,
        None,
        decision.reason,
        decision.detail or _taken(decision),
        due_at=deadline,
        waits=tuple(keys),
    )


def _subjects(work: Work) -> list[str]:
    return [
        when_settled(user_id(work.policy.connection, change.user))
        for change in work.changes
        if isinstance(change, UserChange)
    ]


def _given_up(world: World, work: Work, address: str) -> Result:
    told = f"{belongs(world, work.event.account, address)}, for 24 hours now"
    return Result(work.event, State.DEAD, Outcome.DEAD, Reason.ADDRESS_TAKEN, told)


def belongs(world: World, account: str, address: str) -> str:
    """Whose address it is, for the operator."""
    holder = world.holder_of(account, address)
    who = "somebody else" if holder is None else f"person {holder.id}"
    return f"{address} belongs to {who}"


def _taken(decision: Decision) -> str:
    if decision.is_promised:
        return f"{decision.waits_for} changes hands once everybody in the exchange has confirmed"
    return f"{decision.waits_for} is taken"


def needs_reading(event: ClaimedEvent) -> Result:
    """A dead letter: its source says that something changed, not how, and nobody may be asked."""
    return Result(
        event,
        State.DEAD,
        Outcome.DEAD,
        Reason.NEEDS_READING,
        "it says that something changed, not how: give rosterd access to the directory (`rosterd "
        "connection access`), then replay it",
        fingerprint=f"needs_reading:{event.type}",
    )


#: Of several changes of one event the first of these names its outcome.
_STRENGTH = (None, Outcome.APPLIED, Outcome.UNCHANGED, Outcome.IGNORED, Outcome.SUPERSEDED)


def strongest(decisions: Sequence[Decision]) -> Decision:
    """The decision that names the outcome of an event with several changes (D15)."""
    dead = [d for d in decisions if d.outcome is Outcome.DEAD]
    if dead:
        return dead[0]
    return min(decisions, key=lambda d: _STRENGTH.index(d.outcome))

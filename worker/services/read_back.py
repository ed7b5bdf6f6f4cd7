"""Events that say too little, in a drain: decided by what was read, or left to wait until it is.

A question is asked in the drain's own transaction, so that nothing waits for what nobody asks.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from domain.addressing import readdressed
from domain.hydration import LOOK_AGAIN, Answer, Answers, Wanted, changes_of, read_id, when_read
from domain.inbox import Kind, Lane, Reason, State
from domain.ports import ClaimedEvent, Result, UnparseableError
from worker.services.results import unparseable
from worker.services.world import Work

#: By what is wanted of it an event is of a kind, once it is known; the drain's own peek knew less.
UNSORTED = frozenset({Kind.SORT, Kind.HYDRATE})


@dataclass(frozen=True, slots=True)
class Thin:
    """An event of a connection whose directory can be read. work: without changes."""

    work: Work
    wants: Wanted

    @property
    def id(self) -> str:
        """The question that it waits for."""
        return read_id(self.work.event.connection, self.wants.what, self.wants.key)


def read_back(
    answers: Answers, thin: Sequence[Thin], now: datetime
) -> tuple[list[Work], list[Result]]:
    """Those that were answered, with their changes; what becomes of the others."""
    known = answers.known({one.id for one in thin})
    batch: list[Work] = []
    done: list[Result] = []
    asked: dict[str, tuple[str, Wanted, Lane]] = {}
    for one in thin:
        event, answer = one.work.event, known.get(one.id)
        if answer is None or not answer.is_after(event.received_at):
            done.append(_waiting(event, one, now))
            asked[one.id] = _more_urgent(asked.get(one.id), one)
            continue
        try:
            batch.append(_answered(one, answer))
        except UnparseableError as error:
            done.append(unparseable(event, error))
    answers.want(asked)
    return batch, done


def _answered(one: Thin, answer: Answer) -> Work:
    """U8: what was read may let in. No record tells of an assignment, which keeps its own time."""
    event, policy = one.work.event, replace(one.work.policy, let_in=True)
    changes = readdressed(changes_of(one.wants, answer), policy.address)
    if not one.wants.app:
        event = replace(event, occurred_at=answer.stamp(event.occurred_at, event.received_at))
    return replace(one.work, event=event, changes=changes, policy=policy)


def _waiting(event: ClaimedEvent, one: Thin, now: datetime) -> Result:
    why = f"{one.wants.what} {one.wants.key} is read at the identity provider first"
    return Result(
        event,
        State.WAITING,
        None,
        Reason.READING,
        why,
        due_at=now + LOOK_AGAIN,
        waits=(when_read(one.id),),
    )


def _more_urgent(before: tuple[str, Wanted, Lane] | None, one: Thin) -> tuple[str, Wanted, Lane]:
    event = one.work.event
    lanes = [Lane(event.lane), *([before[2]] if before is not None else [])]
    return event.connection, one.wants, min(lanes, key=list(Lane).index)

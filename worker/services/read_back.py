"""Events that say too little, in a drain: decided by what was read, or left to wait until it is.

A question is asked in the drain's own transaction, so that nothing waits for what nobody asks.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from domain.addressing import readdressed
from domain.hydration import (
    LOOK_AGAIN,
    Answer,
    Answers,
    Wanted,
    What,
    changes_of,
    onward,
    read_id,
    when_read,
)
from domain.inbox import Kind, Lane, Outcome, Reason, State
from domain.keys import address_id
from domain.model import Person
from domain.ports import ClaimedEvent, DirectoryStore, Result, UnparseableError
from worker.services.find import holders_of
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


@dataclass(slots=True)
class _Told:
    """What becomes of the events, and what has to be asked for them."""

    now: datetime
    batch: list[Work] = field(default_factory=list)
    done: list[Result] = field(default_factory=list)
    asked: dict[str, tuple[str, Wanted, Lane]] = field(default_factory=dict)

    def take(self, one: Thin, answer: Answer | None) -> bool:
        """Put an event where it belongs; False where the answer is that nobody has the address."""
        event = one.work.event
        if answer is None or not answer.is_after(event.received_at):
            self.done.append(_waiting(event, one, self.now))
            self.asked[one.id] = _more_urgent(self.asked.get(one.id), one)
            return True
        if answer.found is None and one.wants.what in _ADDRESSED:
            return False
        try:
            self.batch.append(_answered(one, answer))
        except UnparseableError as error:
            self.done.append(unparseable(event, error))
        return True


_ADDRESSED = frozenset({What.PERSON_AT, What.GROUP_AT, What.MEMBERSHIP_AT})


def read_back(
    answers: Answers, store: DirectoryStore, thin: Sequence[Thin], now: datetime
) -> tuple[list[Work], list[Result]]:
    """Those that were answered, with their changes; what becomes of the others.

    An address that nobody has any more leads on to whoever had it, who is asked for by id.
    """
    told = _Told(now)
    while thin:
        known = answers.known({one.id for one in thin})
        nowhere = [one for one in thin if not told.take(one, known.get(one.id))]
        holders = _holders(store, nowhere)
        thin = []
        for one in nowhere:
            wants = _instead(one, known[one.id], holders)
            if wants is None:
                told.done.append(_nobody(one))
            else:
                thin.append(replace(one, wants=wants))
    answers.want(told.asked)
    return told.batch, told.done


def _holders(store: DirectoryStore, thin: Sequence[Thin]) -> Mapping[str, Person]:
    people = [one for one in thin if one.wants.what is What.PERSON_AT]
    return holders_of(store, {_address(one) for one in people})


def _address(one: Thin) -> str:
    return address_id(one.work.event.account, one.wants.key)


def _instead(one: Thin, answer: Answer, holders: Mapping[str, Person]) -> Wanted | None:
    """Whoever has the address here is meant, else whoever had it when it was asked before."""
    holder = holders.get(_address(one)) if one.wants.what is What.PERSON_AT else None
    if holder is not None and holder.connection == one.work.policy.connection and holder.user:
        return Wanted(What.PERSON, holder.user)
    return onward(one.wants, answer)


def _nobody(one: Thin) -> Result:
    why = f"nobody is known as {one.wants.key}, neither here nor at the identity provider"
    reason = Reason.NO_DIRECTORY_CHANGE
    return Result(one.work.event, State.ENDED, Outcome.IGNORED, reason, why)


def _answered(one: Thin, answer: Answer) -> Work:
    """U8: what was read may let in. No record tells of an assignment, which keeps its own time."""
    event, policy = one.work.event, replace(one.work.policy, let_in=True)
    changes = readdressed(changes_of(one.wants, answer), policy.address)
    if not one.wants.app:
        event = replace(event, occurred_at=answer.stamp(event.occurred_at, event.received_at))
    return replace(one.work, event=event, changes=changes, policy=policy)


def _waiting(event: ClaimedEvent, one: Thin, now: datetime) -> Result:
    why = f"{one.wants.words} is read at the identity provider first"
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

"""Events that say too little, in a drain: decided by what was read, or left to wait until it is.

A question is asked in the drain's own transaction, so that nothing waits for what nobody asks.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from domain.addressing import readdressed
from domain.directories import ReadGroup, ReadMembership, ReadPerson
from domain.hydration import (
    LOOK_AGAIN,
    MEMBERSHIPS,
    Answer,
    Answers,
    Wanted,
    What,
    changes_of,
    onward,
    pair_of,
    read_id,
    when_read,
)
from domain.inbox import Kind, Lane, Outcome, Reason, State
from domain.keys import address_id, group_id
from domain.model import Person
from domain.ports import ClaimedEvent, DirectoryStore, Result, UnparseableError
from worker.services.find import holders_of
from worker.services.results import unparseable
from worker.services.world import Work

#: By what is wanted of it an event is of a kind, once it is known; the drain's own peek knew less.
UNSORTED = frozenset({Kind.SORT, Kind.HYDRATE})


@dataclass(frozen=True, slots=True)
class Thin:
    """An event of a connection whose directory can be read. work: without changes.

    first: what was found under an address that somebody else had, who is asked for, too.
    """

    work: Work
    wants: Wanted
    first: tuple[Wanted, Answer] | None = None

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

    def wait(self, one: Thin) -> None:
        """It is asked for, or asked for again."""
        self.done.append(_waiting(one.work.event, one, self.now))
        self.asked[one.id] = _more_urgent(self.asked.get(one.id), one)

    def take(self, one: Thin, answer: Answer) -> None:
        """Decide it by the answer."""
        try:
            work = _answered(one, answer)
        except UnparseableError as error:
            self.done.append(unparseable(one.work.event, error))
            return
        if work.changes:
            self.batch.append(work)
        else:
            self.end(one)

    def end(self, one: Thin) -> None:
        """Nobody is meant."""
        key = pair_of(one.wants.key)[1] if one.wants.what in MEMBERSHIPS else one.wants.key
        why = f"nobody is known as {key}, neither here nor at the identity provider"
        reason = Reason.NO_DIRECTORY_CHANGE
        self.done.append(Result(one.work.event, State.ENDED, Outcome.IGNORED, reason, why))


def read_back(
    answers: Answers, store: DirectoryStore, thin: Sequence[Thin], now: datetime
) -> tuple[list[Work], list[Result]]:
    """Those that were answered, with their changes; what becomes of the others.

    An address that nobody has any more, or another has, leads on to whoever had it, who is asked
    for by id.
    """
    told = _Told(now)
    while thin:
        known = answers.known({one.id for one in thin})
        fresh = {
            one.work.event.id: known[one.id]
            for one in thin
            if one.id in known and known[one.id].is_after(one.work.event.received_at)
        }
        holders = _holders(store, [one for one in thin if one.work.event.id in fresh])
        formers = _formers(store, thin, fresh)
        following: list[tuple[Thin, Wanted | None]] = []
        for one in thin:
            answer = fresh.get(one.work.event.id)
            if answer is None:
                told.wait(one)
            elif answer.found is None and one.wants.what in _ADDRESSED:
                following.append((one, _instead(one, answer, holders)))
            elif (former := _before(one, answer, holders, formers)) is not None:
                following.append((replace(one, first=(one.wants, answer)), former))
            else:
                told.take(one, _named(one, answer, holders))
        for one, wants in following:
            if wants is None:
                told.end(one)
        thin = [replace(one, wants=wants) for one, wants in following if wants is not None]
    answers.want(told.asked)
    return told.batch, told.done


_ADDRESSED = frozenset({What.PERSON_AT, What.GROUP_AT, What.MEMBERSHIP_AT})


def _holders(store: DirectoryStore, thin: Sequence[Thin]) -> Mapping[str, Person]:
    people = [one for one in thin if one.wants.what in (What.PERSON_AT, What.MEMBERSHIP_AT)]
    return holders_of(store, {_address(one) for one in people})


def _address(one: Thin) -> str:
    key = one.wants.key
    address = pair_of(key)[1] if one.wants.what is What.MEMBERSHIP_AT else key
    return address_id(one.work.event.account, address)


def _holder(one: Thin, holders: Mapping[str, Person]) -> str:
    """The external id of whoever has the address here, by this connection; "" of anybody else."""
    found = holders.get(_address(one))
    if found is None or found.connection != one.work.policy.connection:
        return ""
    return found.user or ""


def _formers(
    store: DirectoryStore, thin: Sequence[Thin], fresh: Mapping[int, Answer]
) -> frozenset[str]:
    """Groups that are here and had an address which another has by now (`domain.keys.group_id`)."""
    wanted = {
        group_id(one.work.event.connection, fresh[one.work.event.id].former)
        for one in thin
        if one.wants.what is What.GROUP_AT and one.work.event.id in fresh
    }
    known = store.groups(wanted) if wanted else {}
    return frozenset(key for key, group in known.items() if group.is_seen)


def _before(
    one: Thin, answer: Answer, holders: Mapping[str, Person], formers: frozenset[str]
) -> Wanted | None:
    """Whoever has the address here, where the IdP tells of somebody else: they may be gone."""
    found = answer.found
    if one.wants.what is What.PERSON_AT and isinstance(found, ReadPerson):
        person = holders.get(_address(one))
        key = _holder(one, holders)
        if person is not None and key not in ("", found.key) and not person.is_suspended:
            return Wanted(What.PERSON, key)
    is_group = one.wants.what is What.GROUP_AT and isinstance(found, ReadGroup)
    if is_group and group_id(one.work.event.connection, answer.former) in formers:
        return Wanted(What.GROUP, answer.former)
    return None


def _instead(one: Thin, answer: Answer, holders: Mapping[str, Person]) -> Wanted | None:
    """Whoever has the address here is meant, else whoever had it when it was asked before."""
    holder = _holder(one, holders) if one.wants.what is What.PERSON_AT else ""
    return Wanted(What.PERSON, holder) if holder else onward(one.wants, answer)


def _named(one: Thin, answer: Answer, holders: Mapping[str, Person]) -> Answer:
    """The same with the id of who is no member, where the IdP does not know them any more."""
    found = answer.found
    if not isinstance(found, ReadMembership) or found.user or found.is_member:
        return answer
    return replace(answer, found=replace(found, user=_holder(one, holders)))


def _answered(one: Thin, answer: Answer) -> Work:
    """U8: what was read may let in. No record tells of an assignment, which keeps its own time."""
    event, policy = one.work.event, replace(one.work.policy, let_in=True)
    told = [(one.wants, answer), *([one.first] if one.first is not None else ())]
    asked = (change for wants, answered in told for change in changes_of(wants, answered))
    changes = readdressed(tuple(asked), policy.address)
    if not one.wants.app:
        stamps = (a.stamp(event.occurred_at, event.received_at) for _, a in told)
        event = replace(event, occurred_at=min(stamps))
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

"""Find the person whom an event means, where it names them by an address, or asks nothing of them.

Reads only, and without a lock: an address belongs to one person of an account at most (E8), and
whoever it leads to is locked afterwards like anybody an event names by id.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from domain.announcements import Announcement
from domain.changes import UserChange
from domain.inbox import Outcome, Reason, State
from domain.keys import address_id, user_id
from domain.model import Person
from domain.ports import ClaimedEvent, DirectoryStore, Result
from domain.signals import Signal, of_signal
from worker.services.world import Work

#: What is said of an address before anybody has it may belong to somebody who is under way.
PATIENCE = timedelta(hours=24)
LOOK_AGAIN = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class Unnamed:
    """An event whose changes name nobody yet: who has this address is meant."""

    work: Work
    address: str


@dataclass(frozen=True, slots=True)
class Heard:
    """A security signal of an account whose application listens."""

    event: ClaimedEvent
    signal: Signal


def by_address(
    store: DirectoryStore, unnamed: Sequence[Unnamed], *, now: datetime
) -> tuple[list[Work], list[Result]]:
    """The same events with the id of the person in place, and those of whom nobody is meant."""
    holders = holders_of(store, {_address(one) for one in unnamed})
    batch: list[Work] = []
    done: list[Result] = []
    for one in unnamed:
        person = holders.get(_address(one))
        if person is None:
            done.append(_nobody(one, now))
        elif person.connection != one.work.policy.connection or person.user is None:
            done.append(_somebody_elses(one, person))
        else:
            batch.append(_named(one.work, person.user))
    return batch, done


def signalled(store: DirectoryStore, heard: Sequence[Heard]) -> list[Announcement]:
    """Signals as the application hears of them, with whom they are about where that is known."""
    if not heard:
        return []
    by_id = {user_id(one.event.connection, one.signal.user) for one in heard if one.signal.user}
    links = store.linked(by_id) if by_id else {}
    linked = {person for person in links.values() if person is not None}
    people = store.people(linked) if linked else {}
    addressed = {_told_address(one) for one in heard if not one.signal.user and one.signal.address}
    holders = holders_of(store, addressed)
    return [_announced(one, _meant(one, links, people, holders)) for one in heard]


def _announced(one: Heard, person: Person | None) -> Announcement:
    event = one.event
    return of_signal(
        one.signal,
        person,
        account=event.account,
        connection=event.connection,
        occurred_at=event.occurred_at,
    )


def _meant(
    one: Heard,
    links: Mapping[str, str | None],
    people: Mapping[str, Person],
    holders: Mapping[str, Person],
) -> Person | None:
    if one.signal.user:
        return people.get(links.get(user_id(one.event.connection, one.signal.user)) or "")
    return holders.get(_told_address(one))


def _told_address(one: Heard) -> str:
    return address_id(one.event.account, one.signal.address)


def _address(one: Unnamed) -> str:
    return address_id(one.work.event.account, one.address)


def holders_of(store: DirectoryStore, addresses: Collection[str]) -> dict[str, Person]:
    """Who has these addresses (`domain.keys.address_id`), of those that somebody has."""
    held = store.holders(addresses) if addresses else {}
    people = store.people(set(held.values())) if held else {}
    return {key: people[person] for key, person in held.items() if person in people}


def _named(work: Work, user: str) -> Work:
    told = (
        replace(change, user=user) if isinstance(change, UserChange) else change
        for change in work.changes
    )
    return replace(work, changes=tuple(told))


def _nobody(one: Unnamed, now: datetime) -> Result:
    event = one.work.event
    if (event.waiting_since or now) + PATIENCE <= now:
        why = f"nobody had {one.address} within 24 hours"
        return Result(event, State.ENDED, Outcome.IGNORED, Reason.NO_DIRECTORY_CHANGE, why)
    why = f"nobody has {one.address}"
    return Result(event, State.WAITING, None, Reason.NOT_SEEN, why, due_at=now + LOOK_AGAIN)


def _somebody_elses(one: Unnamed, person: Person) -> Result:
    event = one.work.event
    if person.connection is None:
        why = f"person {person.id} is governed by no identity provider"
        return Result(event, State.ENDED, Outcome.IGNORED, Reason.OUT_OF_SCOPE, why)
    why = f"person {person.id} is governed by another connection"
    return Result(event, State.DEAD, Outcome.DEAD, Reason.OWNED_ELSEWHERE, why)

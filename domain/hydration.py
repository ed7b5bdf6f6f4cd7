"""What an event that says too little waits for: its subject, read at the IdP (D2, D10, U8).

The event stays the unit. Of each person or group there is one question however many events ask it;
the answer stands beside them, and each is decided by what it says.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Protocol

from domain.changes import (
    AssignUser,
    Change,
    DeleteGroup,
    ProvisionUser,
    PutGroup,
    ReactivateUser,
    SuspendUser,
    UpdateProfile,
    is_destructive,
    kind_of,
)
from domain.directories import ReadGroup, ReadPerson
from domain.inbox import Kind, Lane, lane_of
from domain.values import FUTURE_TOLERANCE, HORIZON

#: An event that waits is looked at again after so long, whatever becomes of its question.
LOOK_AGAIN = timedelta(hours=1)
#: An answer was given within so long after the time that is taken for when it was true.
WITHIN = timedelta(seconds=2)


class What(StrEnum):
    """What is read."""

    PERSON = "person"
    GROUP = "group"


@dataclass(frozen=True, slots=True)
class Wanted:
    """What an event needs to be read. key: external id.

    app: the event assigns the person to this application, which a person's record does not tell.
    """

    what: What
    key: str
    app: str = ""


def read_id(connection: str, what: What, key: str) -> str:
    """The question about one person or group; connection ids have one length."""
    return f"{connection}:{what[0]}:{key}"


def when_read(read: str) -> str:
    """Wait key: the question with this id was answered."""
    return f"r:{read}"


@dataclass(frozen=True, slots=True)
class Answer:
    """What was read. found: None where the IdP says that there is none.

    began_at: by our clock, before it was asked; at: by the IdP's, when it was true.
    """

    found: ReadPerson | ReadGroup | None
    began_at: datetime
    at: datetime

    def is_after(self, received_at: datetime) -> bool:
        """D2: whether it tells of an event received then; one that began before causes another."""
        return self.began_at > received_at

    def stamp(self, occurred_at: datetime, received_at: datetime) -> datetime:
        """D2: the IdP's own time of the version that was read, else when the answer was true.

        A version from before the horizon is as true as its answer: it is not too old to count.
        occurred_at, received_at: of the event that asked. What bears no version is no older than
        the event, which was told of before it was asked; and no newer than the answer.
        """
        told = self.found.changed_at if self.found is not None else None
        if told is None or told < received_at - HORIZON or told > self.at + FUTURE_TOLERANCE:
            return min(max(self.at, occurred_at), self.at + WITHIN)
        return told


def changes_of(wanted: Wanted, answer: Answer) -> tuple[Change, ...]:
    """What the answer asks of the directory. Who is gone at the IdP is out (U3)."""
    match answer.found:
        case None if wanted.what is What.GROUP:
            return (DeleteGroup(wanted.key),)
        case None:
            return (SuspendUser(wanted.key),)
        case ReadGroup():
            return (PutGroup(wanted.key, answer.found.name),)
        case ReadPerson() if wanted.app:
            return _assigned(wanted, answer.found)
        case _:
            return _described(wanted.key, answer.found)


def _described(key: str, person: ReadPerson) -> tuple[Change, ...]:
    attributes = dict(person.attributes)
    if person.email or not person.is_active:
        kind = person.kind
        return (ProvisionUser(key, person.email, attributes, person.is_active, kind),)
    return (UpdateProfile(key, attributes), ReactivateUser(key))


def _assigned(wanted: Wanted, person: ReadPerson) -> tuple[Change, ...]:
    assigned = AssignUser(wanted.key, wanted.app, person.email or None, dict(person.attributes))
    return (assigned,) if person.is_active else (assigned, SuspendUser(wanted.key))


def sorted_by(changes: Sequence[Change], kind: Kind, lane: Lane) -> tuple[Kind, Lane]:
    """D10: kind and lane of an event that turned out to ask this; bulk work stays bulk work.

    kind, lane: as they were. What takes nothing away keeps the kind that its type gave it.
    """
    if kind in {Kind.SORT, Kind.HYDRATE} or any(map(is_destructive, changes)):
        kind = kind_of(changes)
    return kind, lane if lane is Lane.BULK else lane_of(kind)


class Answers(Protocol):
    """Questions and answers inside one drain's transaction."""

    def known(self, asked: Collection[str]) -> Mapping[str, Answer]:
        """The newest answer to each of these questions that has one."""
        ...

    def want(self, wanted: Mapping[str, tuple[str, Wanted, Lane]]) -> None:
        """Ask: by question id the connection, what is wanted, and how urgently."""
        ...

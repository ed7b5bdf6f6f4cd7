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
    AddMember,
    AssignUser,
    Change,
    DeleteGroup,
    ProvisionUser,
    PutGroup,
    ReactivateUser,
    RemoveMember,
    SuspendUser,
    UpdateProfile,
    is_destructive,
    kind_of,
)
from domain.directories import Found, ReadGroup, ReadMembership, ReadPerson
from domain.inbox import Kind, Lane, lane_of
from domain.values import FUTURE_TOLERANCE, HORIZON

#: An event that waits is looked at again after so long, whatever becomes of its question.
LOOK_AGAIN = timedelta(hours=1)
#: An answer was given within so long after the time that is taken for when it was true.
WITHIN = timedelta(seconds=2)
#: Between two questions about one membership: answers bear whole seconds, and no version, so that
#: the later one could not be told from the earlier.
APART = timedelta(seconds=1)


class What(StrEnum):
    """What is read. `.._at`: by addresses, of an IdP whose events tell no ids."""

    PERSON = "person"
    GROUP = "group"
    MEMBERSHIP = "membership"
    PERSON_AT = "person_at"
    GROUP_AT = "group_at"
    MEMBERSHIP_AT = "membership_at"


MEMBERSHIPS = frozenset({What.MEMBERSHIP, What.MEMBERSHIP_AT})
#: Questions are locked in the order of their ids: a membership before its group.
_MARKS = {
    What.PERSON: "p",
    What.GROUP: "g",
    What.MEMBERSHIP: "e",
    What.PERSON_AT: "q",
    What.GROUP_AT: "h",
    What.MEMBERSHIP_AT: "f",
}


@dataclass(frozen=True, slots=True)
class Wanted:
    """What an event needs to be read. key: external id, address, or those of group and person.

    app: the event assigns the person to this application, which a person's record does not tell.
    """

    what: What
    key: str
    app: str = ""

    @staticmethod
    def member(group: str, user: str, *, by_address: bool = False) -> Wanted:
        """Whether this one belongs to that group; the length keeps pairs apart."""
        what = What.MEMBERSHIP_AT if by_address else What.MEMBERSHIP
        return Wanted(what, f"{len(group)}:{group}:{user}")

    @property
    def words(self) -> str:
        """For whoever looks why an event waits."""
        if self.what in MEMBERSHIPS:
            group, user = pair_of(self.key)
            return f"whether {user} belongs to {group}"
        return f"{self.what.removesuffix('_at')} {self.key}"


def pair_of(key: str) -> tuple[str, str]:
    """Group and person of a membership's key."""
    length, _, rest = key.partition(":")
    return rest[: int(length)], rest[int(length) + 1 :]


def read_id(connection: str, what: What, key: str) -> str:
    """The question about one person, group or membership; connection ids have one length."""
    return f"{connection}:{_MARKS[what]}:{key}"


def when_read(read: str) -> str:
    """Wait key: the question with this id was answered."""
    return f"r:{read}"


@dataclass(frozen=True, slots=True)
class Answer:
    """What was read. found: None where the IdP says that there is none.

    began_at: by our clock, before it was asked; at: by the IdP's, when it was true. former: the id
    of whoever else had the address, when somebody was found there.
    """

    found: Found | None
    began_at: datetime
    at: datetime
    former: str = ""

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
    """What the answer asks of the directory. Who is gone at the IdP is out (U3).

    That nobody has an address asks nothing: whoever had it may have another now (`onward`).
    """
    match answer.found:
        case None:
            return _gone(wanted)
        case ReadGroup(key, name):
            return (PutGroup(key, name),)
        case ReadMembership():
            return _belongs(answer.found)
        case ReadPerson() if wanted.app:
            return _assigned(wanted, answer.found)
        case ReadPerson(key):
            return _described(key, answer.found)


def onward(wanted: Wanted, answer: Answer) -> Wanted | None:
    """What is asked next where nobody has an address: of whoever had it, by id. None: of nobody."""
    if answer.found is not None:
        return None
    match wanted.what:
        case What.MEMBERSHIP_AT:
            return Wanted(What.GROUP_AT, pair_of(wanted.key)[0])
        case What.PERSON_AT if answer.former:
            return Wanted(What.PERSON, answer.former)
        case What.GROUP_AT if answer.former:
            return Wanted(What.GROUP, answer.former)
    return None


def _gone(wanted: Wanted) -> tuple[Change, ...]:
    match wanted.what:
        case What.PERSON:
            return (SuspendUser(wanted.key),)
        case What.GROUP:
            return (DeleteGroup(wanted.key),)
        case What.MEMBERSHIP:
            return (DeleteGroup(pair_of(wanted.key)[0]),)
    return ()


def _belongs(told: ReadMembership) -> tuple[Change, ...]:
    """An answer tells of the group, too, whose own event may not have come."""
    group, user = told.group, told.user
    if not user:
        return ()
    if told.is_member:
        return (PutGroup(group.key, group.name), AddMember(group.key, user))
    return (RemoveMember(group.key, user),)


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

    kind, lane: as they were. What takes nothing away keeps the kind that its type gave it; what
    asks nothing yet keeps its place, for more is read.
    """
    if not changes:
        return kind, lane
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

"""What an identity provider's own directory says when it is asked: the clients' port, and answers.

Hydration asks it for one person or group, reconciliation for everybody, catch-up for its log.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Generic, Protocol, TypeVar

T_co = TypeVar("T_co", covariant=True)


@dataclass(frozen=True, slots=True)
class ReadPerson:
    """A person as the IdP has them now. key: external id, as webhooks tell it.

    email: "" where the IdP has none. attributes: by the names that events use (`given_name`, ..).
    kind: `member` or `guest`. changed_at: the IdP's own time of the last change, None if it tells
    none.
    """

    key: str
    email: str
    attributes: Mapping[str, str] = field(default_factory=dict)
    is_active: bool = True
    kind: str = "member"
    changed_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class ReadGroup:
    """A group as the IdP has it now. changed_at: as of a person."""

    key: str
    name: str
    changed_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class ReadMembership:
    """Whether somebody belongs to a group, directly.

    user: external id, "" where the IdP has nobody of that name. changed_at: as of a person.
    """

    group: ReadGroup
    user: str
    is_member: bool
    changed_at: datetime | None = None


#: What is found out of one person, group or membership.
Found = ReadPerson | ReadGroup | ReadMembership


@dataclass(frozen=True, slots=True)
class Read(Generic[T_co]):
    """One thing that was asked for. found: None where the IdP says that there is none (a 404).

    at: when it was true: the answer's `Date` minus a second, or our clock before we asked if the
    answer has none (D1).
    """

    found: T_co | None
    at: datetime


@dataclass(frozen=True, slots=True)
class Page(Generic[T_co]):
    """Some of a list. after: pass it for the next page; None on the last.

    total: how many the IdP says there are in all; None if it says nothing. at: as of `Read`.
    is_torn: the list moved since the page before: it ends here, and proves nothing of absence.
    """

    items: tuple[T_co, ...]
    at: datetime
    after: str | None = None
    total: int | None = None
    is_torn: bool = False


@dataclass(frozen=True, slots=True)
class Logged:
    """Some of a log. bodies: requests as the source's webhook would have sent them, oldest first.

    cursor: where the next read begins; it may be the one that was passed. is_all: nothing more was
    there yet when it was read. gap: why something before it cannot be read any more, for operators.
    """

    bodies: tuple[bytes, ...]
    cursor: str
    is_all: bool
    gap: str = ""


class DirectoryError(Exception):
    """The IdP gave no answer to count on. The message is for operators: no body, no secret.

    retry_after: what the IdP asks for, if it does. needs_operator: another try fares the same until
    somebody changes something (credentials refused, permission missing).
    """

    def __init__(
        self, why: str, *, retry_after: timedelta | None = None, needs_operator: bool = False
    ) -> None:
        super().__init__(why)
        self.retry_after = retry_after
        self.needs_operator = needs_operator


class UnaskableError(DirectoryError):
    """The IdP cannot be asked for this one: a key that is none of its ids. It is not at fault."""


class Directory(Protocol):
    """One connection's directory at its IdP. Each call is a request or two; raises DirectoryError.

    A half page, garbage or a wrong content type is an error, never an empty answer. `person`,
    `group` and `membership` take an address in place of an id where the IdP's own events name
    people and groups by theirs; what is found bears the id.
    """

    def person(self, key: str) -> Read[ReadPerson]:
        """One person."""
        ...

    def group(self, key: str) -> Read[ReadGroup]:
        """One group."""
        ...

    def membership(self, group: str, user: str) -> Read[ReadMembership]:
        """Whether this one belongs to that group; None found where there is no such group.

        Never by reading all its members: raises UnaskableError where the IdP has no such request.
        """
        ...

    def people(self, after: str | None = None) -> Page[ReadPerson]:
        """Everybody, page by page."""
        ...

    def groups(self, after: str | None = None) -> Page[ReadGroup]:
        """All groups, page by page."""
        ...

    def members(self, group: str, after: str | None = None) -> Page[str]:
        """External ids of a group's direct members, page by page."""
        ...

    def log(self, cursor: str) -> Logged:
        """What happened since; "" begins now: nothing, and a cursor.

        Raises DirectoryError with needs_operator where this IdP keeps no log that can be read.
        """
        ...

"""An identity provider's directory as a value: paged, with the ways in which lists go wrong."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import TypeVar

from domain.directories import (
    DirectoryError,
    Logged,
    Page,
    Read,
    ReadGroup,
    ReadMembership,
    ReadPerson,
)

T = TypeVar("T")


def _before_now() -> datetime:
    return datetime.now(UTC) - timedelta(seconds=1)


@dataclass
class Truth:
    """Who there is, and how the answers come.

    between: called before each answer, with the name of what was asked; it may change the truth or
    raise. hidden: external ids that lists pass by, though they are there. counts: whether lists
    tell how many there are.
    """

    people: dict[str, ReadPerson] = field(default_factory=dict)
    groups: dict[str, ReadGroup] = field(default_factory=dict)
    members: dict[str, set[str]] = field(default_factory=dict)
    bodies: list[bytes] = field(default_factory=list)
    page: int = 2
    counts: bool = True
    hidden: set[str] = field(default_factory=set)
    clock: Callable[[], datetime] = _before_now
    between: Callable[[str], None] = lambda _what: None
    asked: list[str] = field(default_factory=list)

    def hire(self, key: str, email: str | None = None, **more: object) -> None:
        """Somebody more; or the same, changed."""
        known = self.people.get(key, ReadPerson(key, email or f"{key}@example.com"))
        self.people[key] = replace(known, **{"email": email or known.email, **more})  # type: ignore[arg-type]

    def group_of(self, key: str, name: str, *users: str) -> None:
        """A group with these members."""
        self.groups[key] = ReadGroup(key, name)
        self.members[key] = set(users)

    def person(self, key: str) -> Read[ReadPerson]:
        self._ask("person")
        return Read(self.people.get(key), self.clock())

    def group(self, key: str) -> Read[ReadGroup]:
        self._ask("group")
        return Read(self.groups.get(key), self.clock())

    def membership(self, group: str, user: str) -> Read[ReadMembership]:
        self._ask("membership")
        known = self.groups.get(group)
        if known is None:
            return Read(None, self.clock())
        found = ReadMembership(known, user, user in self.members.get(group, set()))
        return Read(found, self.clock())

    def people_page(self, after: str | None = None) -> Page[ReadPerson]:
        self._ask("people")
        found = [one for key, one in sorted(self.people.items()) if key not in self.hidden]
        return self._page(found, after, len(self.people))

    def groups_page(self, after: str | None = None) -> Page[ReadGroup]:
        self._ask("groups")
        return self._page([g for _, g in sorted(self.groups.items())], after, len(self.groups))

    def members_page(self, group: str, after: str | None = None) -> Page[str]:
        self._ask("members")
        if group not in self.groups:
            raise DirectoryError(f"there is no group {group}")
        members = self.members.get(group, set())
        shown = sorted(members - self.hidden)
        return self._page(shown, after, len(members))

    def log(self, cursor: str) -> Logged:
        self._ask("log")
        if not cursor:
            return Logged((), str(len(self.bodies)), is_all=True)
        first = int(cursor)
        told = self.bodies[first : first + self.page]
        return Logged(tuple(told), str(first + len(told)), first + len(told) == len(self.bodies))

    def _ask(self, what: str) -> None:
        self.asked.append(what)
        self.between(what)

    def _page(self, found: Sequence[T], after: str | None, total: int) -> Page[T]:
        first = int(after or 0)
        end = first + self.page
        following = str(end) if end < len(found) else None
        told = total if self.counts else None
        return Page(tuple(found[first:end]), self.clock(), following, told)


class TruthDirectory:
    """`Directory` over a `Truth`, whose fields have the names of the port's lists."""

    def __init__(self, truth: Truth) -> None:
        self._truth = truth
        self.person = truth.person
        self.group = truth.group
        self.membership = truth.membership
        self.people = truth.people_page
        self.groups = truth.groups_page
        self.members = truth.members_page
        self.log = truth.log

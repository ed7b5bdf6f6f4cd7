"""Keycloak's admin API of one realm: users, groups and those below them, admin events.

A list is read by place (`first`, `max`), ordered by name: who comes or goes meanwhile moves it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import timedelta
from hashlib import sha256
from typing import Any
from urllib.parse import quote

import orjson

from domain.directories import (
    DirectoryError,
    Logged,
    Page,
    Read,
    ReadGroup,
    ReadPerson,
    UnaskableError,
)
from domain.values import from_micros, to_micros
from worker.adapters.directories.api import (
    DirectoryAPI,
    NoMemberships,
    Told,
    as_list,
    as_text,
    texts,
)
from worker.adapters.sources import fields

PAGE = 100
PROFILE = {"firstName": "given_name", "lastName": "family_name", "username": "username"}
#: Places below `users` that are no users.
_NO_IDS = frozenset({"", ".", "..", "count", "profile"})
#: How its 404 says that there is nobody, and not that the realm or the path is wrong.
_MISSING = ("user not found", "could not find group by id")
#: What is written to the log in one transaction may be seen later than what is written after it.
_LATE = timedelta(seconds=5)
_LOGGED = ("USER", "GROUP", "GROUP_MEMBERSHIP")
_MILLI = 1000


class KeycloakDirectory(NoMemberships):
    """`Directory` of one realm; the API's base is `URL/admin/realms/REALM`."""

    def __init__(self, api: DirectoryAPI) -> None:
        self._api = api

    def person(self, key: str) -> Read[ReadPerson]:
        """See the port."""
        return _read(self._api.get(f"/users/{_quoted(key)}"), key, _person)

    def group(self, key: str) -> Read[ReadGroup]:
        """See the port."""
        return _read(self._api.get(f"/groups/{_quoted(key)}"), key, _group)

    def people(self, after: str | None = None) -> Page[ReadPerson]:
        """See the port; the first page asks for their number, too."""
        first = _place(after)
        total = None if first else self._count()
        told, items = self._items("/users", first)
        people = tuple(_person(item) for item in items)
        return Page(people, told.at, _next_place(first, items), total)

    def groups(self, after: str | None = None) -> Page[ReadGroup]:
        """See the port: top groups, and below each its children. after: what is left to read."""
        pending: list[tuple[str, int]] = [("", 0)] if after is None else _pending(after)
        parent, first = pending.pop()
        path = f"/groups/{_quoted(parent)}/children" if parent else "/groups"
        told, items = self._items(path, first)
        if len(items) == PAGE:
            pending.append((parent, first + PAGE))
        found = [group for item in items for group in _with_inner(item)]
        pending += [(_group(item).key, 0) for item in found if _has_unread(item)]
        onward = json.dumps(pending) if pending else None
        return Page(tuple(_group(item) for item in found), told.at, onward)

    def members(self, group: str, after: str | None = None) -> Page[str]:
        """See the port. after: the place of the last one that was read, and who that was.

        Each page begins with the last of the one before: somebody else there has come or gone.
        """
        place, _, last = (after or "0:").partition(":")
        told, items = self._items(f"/groups/{_quoted(group)}/members", int(place))
        keys = [as_text(fields.peek(item, "id"), "id of a member") for item in items]
        if last and keys[:1] != [last]:
            return Page((), told.at, is_torn=True)
        onward = f"{int(place) + PAGE - 1}:{keys[-1]}" if len(keys) == PAGE else None
        return Page(tuple(keys[1:] if last else keys), told.at, onward)

    def log(self, cursor: str) -> Logged:
        """See the port: admin events, which the realm has to keep (Realm settings, Events).

        cursor: `milliseconds:so many of that moment were read`. What people do themselves is not
        among them.
        """
        if not cursor:
            told = self._api.get("/admin-events", {"max": "1"})
            as_list(_document(told), "admin events")
            return Logged((), f"{_millis(told)}:0", is_all=True)
        since, _, skip = cursor.partition(":")
        query = {"dateFrom": since, "first": skip, "max": str(PAGE), "direction": "asc"}
        told = self._api.get("/admin-events", query | {"resourceTypes": _LOGGED})
        events = as_list(_document(told), "admin events")
        times = [_time(event) for event in events]
        if times != sorted(times) or (times and times[0] < int(since)):
            raise DirectoryError(
                "its admin events do not begin where they are asked to: this takes a version of "
                "Keycloak that knows `direction`",
                needs_operator=True,
            )
        bodies = tuple(orjson.dumps(_named(event)) for event in events)
        return Logged(bodies, _onward(int(since), int(skip), times), is_all=len(events) < PAGE)

    def _count(self) -> int:
        count = _document(self._api.get("/users/count"))
        if not isinstance(count, int):
            raise DirectoryError("its number of users is no number")
        return count

    def _items(self, path: str, first: int) -> tuple[Told, list[Any]]:
        query = {"first": str(first), "max": str(PAGE), "briefRepresentation": "true"}
        told = self._api.get(path, query)
        return told, as_list(_document(told), "items")


def _quoted(key: str) -> str:
    if key in _NO_IDS:
        raise _no_id(key)
    return quote(key, safe="")


def _no_id(key: str) -> UnaskableError:
    """Nobody has left for being known by another name, as another feed may know them."""
    return UnaskableError(f"{key!r} is no id of Keycloak's", needs_operator=True)


def _document(told: Told) -> Any:
    if told.is_missing:
        raise DirectoryError("it answered 404: are the URL and the realm right?")
    return told.document


def _read(told: Told, key: str, make: Any) -> Read[Any]:
    if told.is_missing:
        why = fields.peek_text(told.document, "error").casefold()
        if not why.startswith(_MISSING):
            raise DirectoryError("it answered 404: are the URL and the realm right?")
        return Read(None, told.at)
    found = make(told.document)
    if found.key != key:
        raise _no_id(key)
    return Read(found, told.at)


def _person(item: object) -> ReadPerson:
    told = item if isinstance(item, dict) else {}
    is_enabled = told.get("enabled")
    if not isinstance(is_enabled, bool):
        raise DirectoryError("it does not tell whether a user is enabled")
    email = fields.address(told.get("email")) or fields.address(told.get("username"))
    key = as_text(told.get("id"), "id of a user")
    return ReadPerson(key, email or "", texts(told, PROFILE), is_active=is_enabled)


def _group(item: object) -> ReadGroup:
    key = as_text(fields.peek(item, "id"), "id of a group")
    return ReadGroup(key, as_text(fields.peek(item, "name"), "name of a group"))


def _with_inner(item: object) -> list[Any]:
    """A group with those below it that came along, as older versions tell them."""
    inner = fields.peek(item, "subGroups")
    below = inner if isinstance(inner, list) else []
    return [item, *(group for one in below for group in _with_inner(one))]


def _has_unread(item: object) -> bool:
    count, inner = fields.peek(item, "subGroupCount"), fields.peek(item, "subGroups")
    return isinstance(count, int) and count > 0 and not inner


def _pending(cursor: str) -> list[tuple[str, int]]:
    return [(str(parent), int(first)) for parent, first in json.loads(cursor)]


def _place(after: str | None) -> int:
    return 0 if after is None else int(after)


def _next_place(first: int, items: Sequence[object]) -> str | None:
    """A full page may be the last one: the next is empty then."""
    return str(first + PAGE) if len(items) == PAGE else None


def _millis(told: Told) -> int:
    return to_micros(told.at) // _MILLI


def _time(event: object) -> int:
    told = fields.peek(event, "time")
    if isinstance(told, bool) or not isinstance(told, int):
        raise DirectoryError("it does not tell when an admin event was")
    return told


def _named(event: Mapping[str, Any]) -> Mapping[str, Any]:
    """Under the id that the log gives it, or, in versions that give none, one by its content."""
    if event.get("id"):
        return event
    content = orjson.dumps(event, option=orjson.OPT_SORT_KEYS)
    return {**event, "id": sha256(content).hexdigest()}


def _onward(since: int, skip: int, times: Sequence[int]) -> str:
    if not times:
        return f"{since}:{skip}"
    if len(times) == PAGE:
        last = times[-1]
        return f"{last}:{times.count(last) + (skip if last == since else 0)}"
    # All was read: the next look begins a little earlier, for what is seen late. Known ids are
    # known.
    back = from_micros(times[-1] * _MILLI) - _LATE
    return f"{max(since, to_micros(back) // _MILLI)}:0"

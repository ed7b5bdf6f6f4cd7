"""OneLogin's API of one account: users, roles (which are groups here), and its events.

developers.onelogin.com: api-docs/2/users, 2/roles, 1/events. What OneLogin calls a group carries
policies, and is not read.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

import orjson

from domain.directories import (
    DirectoryError,
    Logged,
    Page,
    Read,
    ReadGroup,
    ReadMembership,
    ReadPerson,
    UnaskableError,
)
from worker.adapters.directories.api import DirectoryAPI, Told, as_list, as_text, texts
from worker.adapters.sources import fields
from worker.adapters.sources.onelogin import RULES, number

T = TypeVar("T")
#: OneLogin's largest page of users and of events.
PAGE = 50
#: Each look at the log begins a little earlier than the one before ended.
LATE = timedelta(minutes=1)
#: Not activated yet, and suspended. A lock is out only while it names no end: one that names an
#: end, as after too many wrong passwords, passes by itself. The rest has to change a password.
OUT, LOCKED = frozenset({0, 2}), 3
#: Unapproved and rejected may not sign in, nor who has no licence: only 1 may.
APPROVED = 1
PROFILE = {"firstname": "given_name", "lastname": "family_name", "username": "username"}
_MISSING = "NotFoundError"
_TYPES = ",".join(sorted(RULES, key=int))


class OneloginDirectory:
    """`Directory` of one OneLogin account."""

    def __init__(self, api: DirectoryAPI) -> None:
        self._api = api

    def person(self, key: str) -> Read[ReadPerson]:
        """See the port."""
        return self._one("users", key, _person)

    def group(self, key: str) -> Read[ReadGroup]:
        """See the port: a role."""
        return self._one("roles", key, _group)

    def membership(self, group: str, user: str) -> Read[ReadMembership]:
        """See the port: the role, and then of the person the roles that they have."""
        read = self.group(group)
        if read.found is None:
            return Read(None, read.at)
        if not number(user):
            raise _no_id(user)
        told = self._asked("users", user)
        if told.is_missing:
            return Read(ReadMembership(read.found, "", is_member=False), told.at)
        roles = as_list(fields.peek(told.document, "role_ids"), "roles of a user")
        return Read(ReadMembership(read.found, user, group in map(number, roles)), told.at)

    def people(self, after: str | None = None) -> Page[ReadPerson]:
        """See the port; who is suspended is among them."""
        return self._page("/api/2/users", after, _person)

    def groups(self, after: str | None = None) -> Page[ReadGroup]:
        """See the port: roles."""
        return self._page("/api/2/roles", after, _group)

    def members(self, group: str, after: str | None = None) -> Page[str]:
        """See the port."""
        if not number(group):
            raise DirectoryError(f"there is no role {group!r}")
        return self._page(f"/api/2/roles/{group}/users", after, _id_of)

    def log(self, cursor: str) -> Logged:
        """See the port. cursor: from when, and within a look the place that OneLogin gave.

        The log knows an event by another id than the hook: told by both, it is read twice.
        """
        since, _, place = cursor.partition(" ")
        since = since or _moment(self._api.now() - LATE)
        query = {"since": since, "event_type_id": _TYPES, "limit": str(PAGE), "sort": "+id"}
        told = self._api.get("/api/1/events", query | ({"after_cursor": place} if place else {}))
        if told.is_missing:
            raise DirectoryError("it answered 404: is the URL right?", needs_operator=True)
        events = as_list(fields.peek(told.document, "data"), "events")
        following = fields.peek(told.document, "pagination", "after_cursor")
        if not cursor:
            return Logged((), _moment(told.at), is_all=True)
        bodies = (orjson.dumps([_hooked(event) for event in events]),) if events else ()
        if isinstance(following, str) and following:
            return Logged(bodies, f"{since} {following}", is_all=False)
        begin = max(_moment(told.at - LATE), since)
        return Logged(bodies, begin, is_all=True)

    def _one(self, kind: str, key: str, make: Callable[[Any], T]) -> Read[T]:
        if not number(key):
            raise _no_id(key)
        told = self._asked(kind, key)
        if told.is_missing:
            return Read(None, told.at)
        if _id_of(told.document) != key:
            raise _no_id(key)
        return Read(make(told.document), told.at)

    def _asked(self, kind: str, key: str) -> Told:
        told = self._api.get(f"/api/2/{kind}/{key}")
        if told.is_missing and fields.peek_text(told.document, "name") != _MISSING:
            raise DirectoryError("it answered 404, but not as OneLogin does: is the URL right?")
        return told

    def _page(self, path: str, after: str | None, make: Callable[[Any], T]) -> Page[T]:
        query = {"limit": str(PAGE)} if after is None else {"cursor": after}
        told = self._api.get(path, query)
        if told.is_missing:
            raise DirectoryError(f"it knows no {path}")
        items = as_list(told.document, "items")
        total = number(told.headers.get("total-count", ""))
        return Page(
            tuple(make(item) for item in items),
            told.at,
            told.headers.get("after-cursor") or None,
            int(total) if total else None,
        )


def _no_id(key: str) -> UnaskableError:
    """Nobody has left for being known by another name, as another feed may know them."""
    return UnaskableError(f"{key!r} is no id of OneLogin's", needs_operator=True)


def _id_of(item: object) -> str:
    return as_text(number(fields.peek(item, "id")), "id")


def _person(item: object) -> ReadPerson:
    told: Mapping[str, Any] = item if isinstance(item, dict) else {}
    status = told.get("status")
    if isinstance(status, bool) or not isinstance(status, int):
        raise DirectoryError("it does not tell the status of a user")
    email = fields.address(told.get("email")) or fields.address(told.get("username"))
    return ReadPerson(
        _id_of(item),
        email or "",
        texts(told, PROFILE),
        is_active=not _is_out(status, told),
        changed_at=fields.moment(told.get("updated_at")),
    )


def _is_out(status: int, told: Mapping[str, Any]) -> bool:
    is_shut = status == LOCKED and told.get("locked_until") is None
    return status in OUT or is_shut or told.get("state", APPROVED) != APPROVED


def _group(item: object) -> ReadGroup:
    return ReadGroup(_id_of(item), as_text(fields.peek(item, "name"), "name of a role"))


def _hooked(event: object) -> Mapping[str, Any]:
    """An event of the log as the hook would have told it, under the id that the log has."""
    told: Mapping[str, Any] = event if isinstance(event, dict) else {}
    key = as_text(number(told.get("id")), "id of an event")
    return {**told, "uuid": f"log-{key}", "event_timestamp": told.get("created_at")}


def _moment(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.") + f"{at.microsecond // 1000:03d}Z"

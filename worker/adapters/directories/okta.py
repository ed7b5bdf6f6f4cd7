"""Okta's core API: one user, one group, lists by `Link` headers, and the System Log.

A user who is deactivated is told when asked for, and left out of the list of all.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any
from urllib.parse import parse_qs, urlsplit

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
from worker.adapters.directories.api import (
    DirectoryAPI,
    NoMemberships,
    Told,
    as_list,
    as_text,
    texts,
)
from worker.adapters.sources import fields
from worker.adapters.sources.okta_events import RULES

#: Okta's largest page of users; the same is asked of all lists but the log's.
PAGE = 200
LOG_PAGE = 1000
#: Events in one body: far below what a hook's request may be long.
BODY_EVENTS = 50
#: Who has not been let in yet, is out for now, is out for good. Who is locked out typed a wrong
#: password too often: that passes by itself.
OUT = frozenset({"STAGED", "SUSPENDED", "DEPROVISIONED", "DELETED"})
PROFILE = {
    "firstName": "given_name",
    "lastName": "family_name",
    "displayName": "display_name",
    "login": "username",
}
#: Okta takes a login, or `me`, where an id belongs: nobody is asked for by what is no id.
_ID = re.compile(r"[A-Za-z0-9_-]{1,100}")
#: A resource that is not there, and no path of the API that is not (Okta's error codes).
_NOT_FOUND = "E0000007"
_NEXT = re.compile(r'<([^<>]*)>\s*;\s*rel="?next"?')
_SINCE, _AFTER = "since:", "after:"
_FILTER = " or ".join(f'eventType eq "{name}"' for name in sorted(RULES))


class OktaDirectory(NoMemberships):
    """`Directory` of one Okta organisation."""

    def __init__(self, api: DirectoryAPI) -> None:
        self._api = api

    def person(self, key: str) -> Read[ReadPerson]:
        """See the port."""
        return _read(self._one("users", key), key, _person)

    def group(self, key: str) -> Read[ReadGroup]:
        """See the port."""
        return _read(self._one("groups", key), key, _group)

    def people(self, after: str | None = None) -> Page[ReadPerson]:
        """See the port; who is deactivated is not among them."""
        told, following = self._page("/api/v1/users", after)
        people = tuple(_person(item) for item in as_list(told.document, "users"))
        return Page(people, told.at, following)

    def groups(self, after: str | None = None) -> Page[ReadGroup]:
        """See the port."""
        told, following = self._page("/api/v1/groups", after)
        groups = tuple(_group(item) for item in as_list(told.document, "groups"))
        return Page(groups, told.at, following)

    def members(self, group: str, after: str | None = None) -> Page[str]:
        """See the port."""
        if not _ID.fullmatch(group):
            raise DirectoryError(f"there is no group {group!r}")
        told, following = self._page(f"/api/v1/groups/{group}/users", after)
        members = as_list(told.document, "members")
        return Page(tuple(_id_of(item) for item in members), told.at, following)

    def log(self, cursor: str) -> Logged:
        """See the port. What no rule of the source reads is not asked for."""
        query = {"sortOrder": "ASCENDING", "filter": _FILTER, "limit": str(LOG_PAGE)}
        if cursor.startswith(_AFTER):
            query["after"] = cursor.removeprefix(_AFTER)
        else:
            begun = cursor.removeprefix(_SINCE) or self._api.now().isoformat()
            query |= {"since": begun} if cursor else {"since": begun, "limit": "1"}
        told = self._api.get("/api/v1/logs", query)
        events = _listed(told, "log events")
        if not cursor:
            return Logged((), f"{_SINCE}{told.at.isoformat()}", is_all=not events)
        following = _following(told)
        onward = f"{_AFTER}{following}" if following is not None else cursor
        return Logged(_bodies(events), onward, is_all=len(events) < LOG_PAGE)

    def _one(self, kind: str, key: str) -> Told:
        if not _ID.fullmatch(key):
            raise _no_id(key)
        return self._api.get(f"/api/v1/{kind}/{key}")

    def _page(self, path: str, after: str | None) -> tuple[Told, str | None]:
        query = {"limit": str(PAGE)} | ({"after": after} if after is not None else {})
        told = self._api.get(path, query)
        if told.is_missing:
            raise DirectoryError(f"it knows no {path}")
        return told, _following(told)


def _read(told: Told, key: str, make: Any) -> Read[Any]:
    """One thing, or that there is none; a 404 of something else than Okta's API is no answer."""
    if told.is_missing:
        if fields.peek_text(told.document, "errorCode") != _NOT_FOUND:
            raise DirectoryError("it answered 404, but not as Okta's API does: is the URL right?")
        return Read(None, told.at)
    found = make(told.document)
    if found.key != key:
        raise _no_id(key)
    return Read(found, told.at)


def _no_id(key: str) -> UnaskableError:
    """Nobody has left for being known by another name, as another feed may know them."""
    return UnaskableError(f"{key!r} is no id of Okta's", needs_operator=True)


def _listed(told: Told, what: str) -> list[Any]:
    if told.is_missing:
        raise DirectoryError("it answered 404: is the URL right?")
    return as_list(told.document, what)


def _id_of(item: object) -> str:
    return as_text(fields.peek(item, "id"), "id")


def _person(item: object) -> ReadPerson:
    profile = fields.peek(item, "profile")
    if not isinstance(profile, dict):
        raise DirectoryError("it tells of a user without a profile")
    status = as_text(fields.peek(item, "status"), "status of a user")
    email = fields.address(profile.get("email")) or fields.address(profile.get("login"))
    return ReadPerson(
        _id_of(item),
        email or "",
        texts(profile, PROFILE),
        is_active=status not in OUT,
        changed_at=_latest(item, "lastUpdated", "statusChanged"),
    )


def _group(item: object) -> ReadGroup:
    name = as_text(fields.peek(item, "profile", "name"), "name of a group")
    return ReadGroup(_id_of(item), name, _latest(item, "lastUpdated"))


def _latest(item: object, *names: str) -> datetime | None:
    told = (fields.moment(fields.peek(item, name)) for name in names)
    return max(filter(None, told), default=None)


def _following(told: Told) -> str | None:
    """The cursor of the next page, and nothing else of its address: that is not to be followed."""
    found = _NEXT.search(told.headers.get("link", ""))
    if found is None:
        return None
    cursors = parse_qs(urlsplit(found.group(1)).query).get("after")
    if not cursors:
        raise DirectoryError("its link to the next page bears no cursor")
    return cursors[0]


def _bodies(events: list[Any]) -> tuple[bytes, ...]:
    """As its event hook would have sent them."""
    parts = (events[place : place + BODY_EVENTS] for place in range(0, len(events), BODY_EVENTS))
    return tuple(orjson.dumps(_hook(part)) for part in parts)


def _hook(events: list[Any]) -> Mapping[str, Any]:
    return {"eventType": "com.okta.event_hook", "data": {"events": events}}

"""PingOne's platform API of one environment: users, groups, memberships, audit activities.

developer.pingidentity.com: pingone-api/platform. A list tells the address of its next page; of that
only the cursor is taken. Populations are no groups: whom rosterd's role does not reach, as where it
was given for one population only, is in no list.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar
from urllib.parse import parse_qs, urlsplit

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
from worker.adapters.directories.api import (
    DirectoryAPI,
    Told,
    as_list,
    as_text,
    texts,
)
from worker.adapters.sources import fields
from worker.adapters.sources.pingone import RULES

T = TypeVar("T")
#: What is asked for; pages may be shorter.
PAGE, LOG_PAGE = 200, 100
#: Activities are recorded a while before they can be read: each look begins a little earlier than
#: the one before ended. What is known is known by its id.
LATE = timedelta(minutes=2)
_ID = re.compile(r"[A-Za-z0-9_-]{1,100}")
_MISSING = "NOT_FOUND"
_NAME = {"given": "given_name", "family": "family_name", "formatted": "display_name"}


class PingoneDirectory:
    """`Directory` of one environment; the API's base is `URL/v1/environments/ENVIRONMENT`."""

    def __init__(self, api: DirectoryAPI) -> None:
        self._api = api

    def person(self, key: str) -> Read[ReadPerson]:
        """See the port."""
        return self._one("users", key, _person)

    def group(self, key: str) -> Read[ReadGroup]:
        """See the port."""
        return self._one("groups", key, _group)

    def membership(self, group: str, user: str) -> Read[ReadMembership]:
        """See the port: the group, and then of the person the groups that they are in."""
        read = self.group(group)
        if read.found is None:
            return Read(None, read.at)
        if not _ID.fullmatch(user):
            raise _no_id(user)
        told = self._api.get(f"/users/{user}", {"include": "memberOfGroupIDs"})
        if told.is_missing:
            gone = self._missing("users", told)
            return Read(ReadMembership(read.found, "", is_member=False), gone.at)
        groups = as_list(fields.peek(told.document, "memberOfGroupIDs"), "groups of a user")
        return Read(ReadMembership(read.found, user, group in groups), told.at)

    def people(self, after: str | None = None) -> Page[ReadPerson]:
        """See the port; who is disabled is among them."""
        return self._page("users", {}, after, _person)

    def groups(self, after: str | None = None) -> Page[ReadGroup]:
        """See the port."""
        return self._page("groups", {}, after, _group)

    def members(self, group: str, after: str | None = None) -> Page[str]:
        """See the port. Of a group that is not there PingOne lists nobody: then it is asked for."""
        if not _ID.fullmatch(group):
            raise DirectoryError(f"there is no group {group!r}")
        wanted = {"filter": f'memberOfGroups[id eq "{group}"]'}
        page = self._page("users", wanted, after, _id_of)
        if not page.items and after is None and self.group(group).found is None:
            raise DirectoryError(f"there is no group {group!r}")
        return page

    def log(self, cursor: str) -> Logged:
        """See the port. Activities cannot be asked for by several types: others are passed by.

        cursor: from when, and where in the middle of a look until when and after which page.
        """
        if not cursor:
            told = self._activities(self._api.now() - LATE, self._api.now(), "")
            return Logged((), _moment(told.at), is_all=True)
        since, until, place = _parted(cursor, self._api.now())
        told = self._activities(since, until, place)
        events = _items(told, "activities")
        mine = [one for one in events if fields.peek_text(one, "action", "type") in RULES]
        bodies = (orjson.dumps(mine),) if mine else ()
        following = _following(told)
        if following is not None:
            return Logged(bodies, f"{_moment(since)} {_moment(until)} {following}", is_all=False)
        begin = max(since, min(until, told.at) - LATE)
        return Logged(bodies, _moment(begin), is_all=True)

    def _activities(self, since: datetime, until: datetime, place: str) -> Told:
        span = f'recordedat gt "{_moment(since)}" AND recordedat lt "{_moment(until)}"'
        query = {"filter": span, "limit": str(LOG_PAGE), **({"cursor": place} if place else {})}
        return self._listed("activities", query)

    def _one(self, kind: str, key: str, make: Callable[[Any], T]) -> Read[T]:
        if not _ID.fullmatch(key):
            raise _no_id(key)
        told = self._api.get(f"/{kind}/{key}")
        if told.is_missing:
            return self._missing(kind, told)
        if _id_of(told.document) != key:
            raise _no_id(key)
        return Read(make(told.document), told.at)

    def _missing(self, kind: str, told: Told) -> Read[Any]:
        """Nobody is there: said by PingOne, of an environment whose others it shows.

        A wrong environment is answered in the same words.
        """
        if fields.peek_text(told.document, "code") != _MISSING:
            raise DirectoryError("it answered 404, but not as PingOne does: is the URL right?")
        self._listed(kind, {"limit": "1"})
        return Read(None, told.at)

    def _page(
        self, kind: str, of: dict[str, str], after: str | None, make: Callable[[Any], T]
    ) -> Page[T]:
        query = {**of, "limit": str(PAGE), **({} if after is None else {"cursor": after})}
        told = self._listed(kind, query)
        return Page(tuple(make(item) for item in _items(told, kind)), told.at, _following(told))

    def _listed(self, kind: str, query: dict[str, str]) -> Told:
        told = self._api.get(f"/{kind}", query)
        if told.is_missing:
            why = "it answered 404: are the URL, and environment=.., right?"
            raise DirectoryError(why, needs_operator=True)
        return told


def _no_id(key: str) -> UnaskableError:
    """Nobody has left for being known by another name, as another feed may know them."""
    return UnaskableError(f"{key!r} is no id of PingOne's", needs_operator=True)


def _items(told: Told, kind: str) -> list[Any]:
    return as_list(fields.peek(told.document, "_embedded", kind), kind)


def _following(told: Told) -> str | None:
    """The cursor of the next page, and nothing else of its address: that is not to be followed."""
    address = fields.peek(told.document, "_links", "next", "href")
    if address is None:
        return None
    try:
        cursors = parse_qs(urlsplit(str(address)).query).get("cursor")
    except ValueError:
        cursors = None
    if not cursors:
        raise DirectoryError("its link to the next page bears no cursor")
    return cursors[0]


def _id_of(item: object) -> str:
    return as_text(fields.peek(item, "id"), "id")


def _person(item: object) -> ReadPerson:
    is_enabled = fields.peek(item, "enabled")
    if not isinstance(is_enabled, bool):
        raise DirectoryError("it does not tell whether a user is enabled")
    login = fields.peek_text(item, "username")
    name = fields.peek(item, "name")
    told = texts(name if isinstance(name, dict) else {}, _NAME)
    email = fields.address(fields.peek(item, "email")) or fields.address(login)
    return ReadPerson(
        _id_of(item),
        email or "",
        {**told, **({"username": login} if login else {})},
        is_active=is_enabled,
        changed_at=fields.moment(fields.peek(item, "updatedAt")),
    )


def _group(item: object) -> ReadGroup:
    name = as_text(fields.peek(item, "name"), "name of a group")
    return ReadGroup(_id_of(item), name, fields.moment(fields.peek(item, "updatedAt")))


def _moment(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.") + f"{at.microsecond // 1000:03d}Z"


def _parted(cursor: str, now: datetime) -> tuple[datetime, datetime, str]:
    since, _, rest = cursor.partition(" ")
    until, _, place = rest.partition(" ")
    return (
        datetime.fromisoformat(since),
        datetime.fromisoformat(until) if until else now,
        place,
    )

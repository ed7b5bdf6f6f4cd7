"""Microsoft Graph: users, groups and members of one Entra ID tenant, and what changed in them.

learn.microsoft.com/graph: api/user-get, group-list-members, delta-query-overview, paging,
throttling, errors. A user or group that was deleted softly is not there for it, either.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

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
from worker.adapters.directories.graph_delta import read_on
from worker.adapters.directories.graph_links import token_of
from worker.adapters.directories.graph_subscriptions import GraphSubscriptions
from worker.adapters.sources import fields

#: Graph's largest page.
PAGE = 999
PROFILE = {
    "givenName": "given_name",
    "surname": "family_name",
    "displayName": "display_name",
    "userPrincipalName": "username",
}
_SELECT = "id,accountEnabled,mail,userPrincipalName,givenName,surname,displayName,userType"
_USER = "#microsoft.graph.user"
_GUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
#: How its 404 says that there is nobody, and not that the path is wrong.
_NOT_FOUND = "Request_ResourceNotFound"
#: Counts come only with this header; then lists may be some seconds old.
_COUNTED = {"ConsistencyLevel": "eventual"}


class GraphDirectory:
    """`Directory` of one tenant; the API's base is `URL/v1.0`. tenant: as operators told it."""

    def __init__(self, api: DirectoryAPI, tenant: str) -> None:
        self._api = api
        self._tenant = tenant
        self.subscriptions = GraphSubscriptions(api)

    def person(self, key: str) -> Read[ReadPerson]:
        """See the port. Graph takes a name where an id belongs; nobody is asked for by one."""
        return _read(self._api.get(f"/users/{_guid(key)}", {"$select": _SELECT}), key, _person)

    def group(self, key: str) -> Read[ReadGroup]:
        """See the port."""
        told = self._api.get(f"/groups/{_guid(key)}", {"$select": "id,displayName"})
        return _read(told, key, _group)

    def membership(self, group: str, user: str) -> Read[ReadMembership]:
        """See the port: the group, then its members of this id."""
        found = self.group(group)
        if found.found is None:
            return Read(None, found.at)
        query = {"$select": "id", "$filter": f"id eq '{_guid(user)}'", "$count": "true"}
        told = self._api.get(f"/groups/{_guid(group)}/members", query, headers=_COUNTED)
        is_member = user in {_id_of(item) for item in _listed(told)}
        return Read(ReadMembership(found.found, user, is_member), told.at)

    def people(self, after: str | None = None) -> Page[ReadPerson]:
        """See the port: guests, too. The first page tells their number."""
        told, following = self._page("/users", _SELECT, after)
        people = tuple(_person(item) for item in _listed(told))
        return Page(people, told.at, following, _total(told))

    def groups(self, after: str | None = None) -> Page[ReadGroup]:
        """See the port."""
        told, following = self._page("/groups", "id,displayName", after)
        groups = tuple(_group(item) for item in _listed(told))
        return Page(groups, told.at, following, _total(told))

    def members(self, group: str, after: str | None = None) -> Page[str]:
        """See the port. Groups and devices in a group are no people."""
        told, following = self._page(f"/groups/{_guid(group)}/members", "id", after)
        people = [item for item in _listed(told) if _type(item) == _USER]
        return Page(tuple(_id_of(item) for item in people), told.at, following)

    def log(self, cursor: str) -> Logged:
        """See the port: a delta query of users, and one of groups and their members."""
        return read_on(self._api, cursor, self._tenant)

    def _page(self, path: str, select: str, after: str | None) -> tuple[Told, str | None]:
        query = {"$select": select, "$top": str(PAGE)}
        query |= {"$count": "true"} if after is None else {"$skiptoken": after}
        told = self._api.get(path, query, headers=_COUNTED)
        return told, token_of(fields.peek(told.document, "@odata.nextLink"), "$skiptoken")


def _guid(key: str) -> str:
    if _GUID.fullmatch(key) is None:
        raise _no_id(key)
    return key


def _no_id(key: str) -> UnaskableError:
    """Nobody has left for being known by another name, as another feed may know them."""
    return UnaskableError(f"{key!r} is no object id of Entra's", needs_operator=True)


def _read(told: Told, key: str, make: Any) -> Read[Any]:
    """One thing, or that there is none; a 404 of something else than Graph is no answer."""
    if told.is_missing:
        if fields.peek_text(told.document, "error", "code") != _NOT_FOUND:
            raise DirectoryError("it answered 404, but not as Graph does: is the URL right?")
        return Read(None, told.at)
    found = make(told.document)
    if found.key != key:
        raise _no_id(key)
    return Read(found, told.at)


def _listed(told: Told) -> list[Any]:
    if told.is_missing:
        raise DirectoryError("it answered 404: is the URL right, and the group still there?")
    return as_list(fields.peek(told.document, "value"), "items")


def _total(told: Told) -> int | None:
    count = fields.peek(told.document, "@odata.count")
    return count if isinstance(count, int) and not isinstance(count, bool) else None


def _type(item: object) -> str:
    return fields.peek_text(item, "@odata.type").casefold()


def _id_of(item: object) -> str:
    return as_text(fields.peek(item, "id"), "id").lower()


def _person(item: object) -> ReadPerson:
    told: Mapping[str, Any] = item if isinstance(item, dict) else {}
    is_enabled = told.get("accountEnabled")
    if not isinstance(is_enabled, bool):
        raise DirectoryError(
            "it does not tell whether a user is enabled: the application needs User.Read.All"
        )
    email = fields.address(told.get("mail")) or fields.address(told.get("userPrincipalName"))
    is_guest = fields.peek_text(told, "userType").casefold() == "guest"
    return ReadPerson(
        _id_of(told),
        email or "",
        texts(told, PROFILE),
        is_active=is_enabled,
        kind="guest" if is_guest else "member",
    )


def _group(item: object) -> ReadGroup:
    name = as_text(fields.peek(item, "displayName"), "name of a group")
    return ReadGroup(_id_of(item), name)

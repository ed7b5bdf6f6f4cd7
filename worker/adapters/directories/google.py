"""Google's Admin SDK: users, groups and members of one customer, and its Reports as a log.

A person is asked for by id or by address, a group likewise; what is found bears Google's own id.
Members are direct ones that are people: those of a group within a group belong to that group.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar
from urllib.parse import quote

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
from domain.ports import UnparseableError
from worker.adapters.directories.api import (
    FORBIDDEN,
    DirectoryAPI,
    Told,
    as_list,
    as_text,
    texts,
)
from worker.adapters.directories.google_channels import GoogleChannels
from worker.adapters.outbound_http import Answer
from worker.adapters.sources import fields
from worker.adapters.sources.google_events import APPLICATIONS, RULES
from worker.adapters.sources.strict_json import read_json
from worker.adapters.webhook import retry_after

T = TypeVar("T")
#: Google's largest pages.
USERS_PAGE, GROUPS_PAGE, LOG_PAGE = 500, 200, 1000
#: The customer of whoever the service account stands in for.
MINE = "my_customer"
#: An activity may be told of so long after it was: the log is read again from so long ago.
LATE = timedelta(hours=2)
USERS, GROUPS = "/admin/directory/v1/users", "/admin/directory/v1/groups"
LOG = "/admin/reports/v1/activity/users/all/applications"
PROFILE = {"givenName": "given_name", "familyName": "family_name", "fullName": "display_name"}
#: How Google says by 403 that there were too many requests.
_LIMITS = frozenset(
    {"quotaExceeded", "rateLimitExceeded", "userRateLimitExceeded", "dailyLimitExceeded"}
)
_NOT_FOUND = "notFound"
_BAD_REQUEST = 400
_ID = re.compile(r"[A-Za-z0-9_-]{1,100}")
_REASON = re.compile(r"[A-Za-z_.]{1,60}")
#: How its reasons begin that are about the address to which messages are to be sent.
_PUSH = "push."


class UnfitError(DirectoryError):
    """400: what was asked does not fit: a page token that is too old, an address of elsewhere."""


class ForbiddenError(DirectoryError):
    """403 that is no quota: a scope or a privilege is missing, or it is another customer's."""


class GoogleAPI(DirectoryAPI):
    """The API with its errors, which say in their body what they are."""

    def _refusal(self, answer: Answer, now: datetime) -> DirectoryError:
        reason = _reason_of(answer)
        if reason.startswith(_PUSH):
            why = (
                f"Google sends no messages there ({reason}): ROSTERD_PUBLIC_URL has to be https, "
                "with a certificate that is publicly trusted"
            )
            return DirectoryError(why, needs_operator=True)
        if answer.status == FORBIDDEN and reason in _LIMITS:
            asked = retry_after(answer.headers.get("retry-after"), now)
            why = f"it asks for fewer requests (403, {reason})"
            return DirectoryError(why, retry_after=asked)
        if answer.status == FORBIDDEN:
            why = (
                f"rosterd's service account may not read that (403, {reason or 'no reason'}): "
                "delegate the scopes to it, and let its subject be an administrator"
            )
            return ForbiddenError(why, needs_operator=True)
        if answer.status == _BAD_REQUEST:
            why = f"it does not take what it was asked (400, {reason or 'no reason'})"
            return UnfitError(why, needs_operator=True)
        return super()._refusal(answer, now)


class GoogleDirectory:
    """`Directory` of one customer of Google Workspace."""

    def __init__(self, api: DirectoryAPI, customer: str = MINE) -> None:
        self._api = api
        self._customer = customer
        self.subscriptions = GoogleChannels(api, customer)

    def person(self, key: str) -> Read[ReadPerson]:
        """See the port."""
        return self._one(f"{USERS}/{_quoted(key)}", key, _person)

    def group(self, key: str) -> Read[ReadGroup]:
        """See the port."""
        return self._one(f"{GROUPS}/{_quoted(key)}", key, _group)

    def membership(self, group: str, user: str) -> Read[ReadMembership]:
        """See the port: the group first, for its id; then the one member; who is none last."""
        of = self.group(group)
        if of.found is None:
            return Read(None, of.at)
        try:
            told = self._api.get(f"{GROUPS}/{of.found.key}/members/{_quoted(user)}")
        except UnfitError:
            # Of an address that is not the customer's it says so where others are not found.
            return Read(ReadMembership(of.found, self._id_of(user), is_member=False), of.at)
        if _is_missing(told):
            return Read(ReadMembership(of.found, self._id_of(user), is_member=False), told.at)
        key = _member(told.document) or ""
        return Read(ReadMembership(of.found, key, is_member=bool(key)), told.at)

    def people(self, after: str | None = None) -> Page[ReadPerson]:
        """See the port. It tells of who is suspended or archived, too, and of no total."""
        query = {"customer": self._customer, "maxResults": str(USERS_PAGE), "orderBy": "email"}
        told, items, following = self._page(USERS, query, after, "users")
        return Page(tuple(map(_person, items)), told.at, following)

    def groups(self, after: str | None = None) -> Page[ReadGroup]:
        """See the port."""
        query = {"customer": self._customer, "maxResults": str(GROUPS_PAGE)}
        told, items, following = self._page(GROUPS, query, after, "groups")
        return Page(tuple(map(_group, items)), told.at, following)

    def members(self, group: str, after: str | None = None) -> Page[str]:
        """See the port."""
        query = {"maxResults": str(GROUPS_PAGE)}
        told, items, following = self._page(
            f"{GROUPS}/{_quoted(group)}/members", query, after, "members"
        )
        return Page(tuple(filter(None, map(_member, items))), told.at, following)

    def log(self, cursor: str) -> Logged:
        """See the port: activities of each application in turn, newest first as Google tells them.

        Round by round: the next one begins before this one did, for what is told late. What was
        read before is known by its key.
        """
        if not cursor:
            now = self._api.now().astimezone(UTC).isoformat()
            told = self._activities(_Place(now), "1")
            return Logged((), _Place(told.at.isoformat()).text, is_all=True)
        place = _Place(**json.loads(cursor))
        try:
            told = self._activities(place, str(LOG_PAGE))
        except UnfitError:
            if not place.token:
                raise
            return Logged((), replace(place, token="").text, is_all=False)
        items = _listed(told, "items")
        onward, is_all = place.after(told.at, _following(told))
        return Logged(tuple(map(orjson.dumps, filter(_is_known, items))), onward.text, is_all)

    def _activities(self, place: _Place, limit: str) -> Told:
        query = {"startTime": place.since, "maxResults": limit}
        more = {"pageToken": place.token} if place.token else {}
        return self._api.get(f"{LOG}/{APPLICATIONS[place.application]}", query | more)

    def _one(self, path: str, key: str, make: Callable[[Any], T]) -> Read[T]:
        told = self._api.get(path)
        if _is_missing(told):
            return Read(None, told.at)
        found = make(told.document)
        if "@" not in key and fields.peek(told.document, "id") != key:
            raise _no_id(key)
        return Read(found, told.at)

    def _page(
        self, path: str, query: Mapping[str, str], after: str | None, name: str
    ) -> tuple[Told, list[Any], str | None]:
        told = self._api.get(path, {**query, **({"pageToken": after} if after else {})})
        return told, _listed(told, name), _following(told) or None

    def _id_of(self, user: str) -> str:
        """The id of who is no member; "" of whom Google does not tell."""
        if "@" not in user:
            return user
        try:
            found = self.person(user).found
        except (ForbiddenError, UnfitError):
            # Somebody of another customer: that is how it says so.
            return ""
        return found.key if found is not None else ""


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a round through the log is. since: from when on; began: by Google's clock, or ""."""

    since: str
    began: str = ""
    application: int = 0
    token: str = ""

    @property
    def text(self) -> str:
        return json.dumps(asdict(self))

    def after(self, at: datetime, token: str) -> tuple[_Place, bool]:
        """Where to go on once a page was read, and whether the round is over."""
        began = self.began or at.isoformat()
        if token:
            return replace(self, began=began, token=token), False
        if self.application + 1 < len(APPLICATIONS):
            return _Place(self.since, began, self.application + 1), False
        return _Place((datetime.fromisoformat(began) - LATE).isoformat()), True


def _quoted(key: str) -> str:
    if _ID.fullmatch(key) is None and fields.address(key) is None:
        raise _no_id(key)
    return quote(key, safe="@")


def _no_id(key: str) -> UnaskableError:
    """Nobody has left for being known by another name, as another feed may know them."""
    return UnaskableError(f"{key!r} is no id of Google's", needs_operator=True)


def _reason_of(answer: Answer) -> str:
    """Google's own word for an error, "" where it has none."""
    try:
        document = read_json(answer.body)
    except UnparseableError:
        return ""
    return _reason(document)


def _reason(document: object) -> str:
    errors = fields.peek(document, "error", "errors")
    first = errors[0] if isinstance(errors, list) and errors else None
    told = fields.peek_text(first, "reason")
    return told if _REASON.fullmatch(told) else ""


def _is_missing(told: Told) -> bool:
    """Whether there is none; a 404 of something else than Google's API is no answer."""
    if told.is_missing and _reason(told.document) != _NOT_FOUND:
        raise DirectoryError("it answered 404, but not as Google's API does: is the URL right?")
    return told.is_missing


def _listed(told: Told, name: str) -> list[Any]:
    """A page's items, which are left out where there are none."""
    kind = f"#{'activities' if name == 'items' else name}"
    if told.is_missing or not fields.peek_text(told.document, "kind").endswith(kind):
        raise DirectoryError(f"it knows no list of {name}: is the URL right?")
    found = fields.peek(told.document, name)
    return [] if found is None else as_list(found, name)


def _following(told: Told) -> str:
    return fields.peek_text(told.document, "nextPageToken")


def _person(item: object) -> ReadPerson:
    told = item if isinstance(item, dict) else {}
    flags = [told.get(name, False) for name in ("suspended", "archived")]
    if not all(isinstance(flag, bool) for flag in flags):
        raise DirectoryError("it does not tell whether a user is suspended")
    name = told.get("name")
    return ReadPerson(
        as_text(told.get("id"), "id of a user"),
        fields.address(told.get("primaryEmail")) or "",
        texts(name if isinstance(name, dict) else {}, PROFILE),
        is_active=not any(flags) and not told.get("deletionTime"),
    )


def _group(item: object) -> ReadGroup:
    key = as_text(fields.peek(item, "id"), "id of a group")
    address = as_text(fields.peek(item, "email"), "address of a group")
    return ReadGroup(key, fields.peek_text(item, "name") or address)


def _member(item: object) -> str | None:
    """The id of a member who is a person; None of one that is a group, or everybody."""
    if fields.peek_text(item, "type") not in {"USER", ""}:
        return None
    return as_text(fields.peek(item, "id"), "id of a member")


def _is_known(activity: object) -> bool:
    """Whether anything in it is read: most of what administrators do is about nobody."""
    application = fields.peek_text(activity, "id", "applicationName")
    events = fields.peek(activity, "events")
    names = (fields.peek_text(one, "name") for one in (events if isinstance(events, list) else ()))
    return any(f"{application}.{name}" in RULES for name in names)

"""WorkOS: one directory of Directory Sync, and its part of the Events API.

workos.com/docs: reference/directory-sync, reference/events. Lists go by the last id of the page.
Events are kept for thirty days; of all that an environment's log tells, only this directory's are
taken.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from typing import Any, TypeVar

import orjson

from domain.changes import Change, ProvisionUser, ReactivateUser, UpdateProfile
from domain.directories import (
    DirectoryError,
    Logged,
    Page,
    Read,
    ReadGroup,
    ReadPerson,
    UnaskableError,
)
from domain.ports import UnparseableError
from worker.adapters.directories.api import DirectoryAPI, NoMemberships, Told, as_list, as_text
from worker.adapters.sources import fields
from worker.adapters.sources.workos_events import RULES

T = TypeVar("T")
#: WorkOS's largest page.
PAGE = 100
#: Its log is asked from a little before now on, when it is asked first: its clock is its own.
OVERLAP = timedelta(minutes=1)
_SINCE, _AFTER = "since:", "after:"
_ID = re.compile(r"[A-Za-z0-9_-]{1,100}")
_TYPES = tuple(sorted(RULES))


class WorkosDirectory(NoMemberships):
    """`Directory` of one directory of a WorkOS environment."""

    def __init__(self, api: DirectoryAPI, directory: str) -> None:
        self._api = api
        self._directory = directory

    def person(self, key: str) -> Read[ReadPerson]:
        """See the port."""
        return self._one("directory_users", key, _person)

    def group(self, key: str) -> Read[ReadGroup]:
        """See the port."""
        return self._one("directory_groups", key, _group)

    def people(self, after: str | None = None) -> Page[ReadPerson]:
        """See the port. It tells of who is inactive, too."""
        return self._page("directory_users", {"directory": self._directory}, after, _person)

    def groups(self, after: str | None = None) -> Page[ReadGroup]:
        """See the port."""
        return self._page("directory_groups", {"directory": self._directory}, after, _group)

    def members(self, group: str, after: str | None = None) -> Page[str]:
        """See the port."""
        return self._page("directory_users", {"group": group}, after, _id_of)

    def log(self, cursor: str) -> Logged:
        """See the port. A page holds events of other directories, too; the cursor passes them."""
        query: dict[str, str | Sequence[str]] = {"limit": str(PAGE), "events[]": _TYPES}
        if not cursor:
            begin = self._api.now() - OVERLAP
            return Logged((), f"{_SINCE}{begin.isoformat()}", is_all=True)
        if cursor.startswith(_AFTER):
            query["after"] = cursor.removeprefix(_AFTER)
        else:
            query["range_start"] = cursor.removeprefix(_SINCE)
        events = _listed(self._api.get("/events", query))
        mine = [e for e in events if fields.peek_text(e, "data", "directory_id") == self._directory]
        bodies = tuple(orjson.dumps(event) for event in mine)
        onward = f"{_AFTER}{_id_of(events[-1])}" if events else cursor
        return Logged(bodies, onward, is_all=len(events) < PAGE)

    def _one(self, kind: str, key: str, make: Callable[[Any], T]) -> Read[T]:
        if not _ID.fullmatch(key):
            # Nobody has left for being known by another name, as another feed may know them.
            raise UnaskableError(f"{key!r} is no id of WorkOS'", needs_operator=True)
        told = self._api.get(f"/{kind}/{key}")
        if told.is_missing:
            return self._missing(kind, told)
        is_mine = fields.peek_text(told.document, "directory_id") == self._directory
        return Read(make(told.document) if is_mine else None, told.at)

    def _missing(self, kind: str, told: Told) -> Read[Any]:
        """Nobody is there: believed of a directory whose others it shows. A proxy answers 404, too.

        Raises DirectoryError where its list does not answer either.
        """
        _listed(self._api.get(f"/{kind}", {"directory": self._directory, "limit": "1"}))
        return Read(None, told.at)

    def _page(
        self, kind: str, of: Mapping[str, str], after: str | None, make: Callable[[Any], T]
    ) -> Page[T]:
        query = {**of, "limit": str(PAGE), **({"after": after} if after is not None else {})}
        told = self._api.get(f"/{kind}", query)
        items = tuple(make(item) for item in _listed(told))
        following = fields.peek(told.document, "list_metadata", "after")
        if following is not None and not isinstance(following, str):
            raise DirectoryError("its cursor of the next page is no text")
        return Page(items, told.at, following or None)


def _listed(told: Told) -> list[Any]:
    """A page without a word on what follows is half a page."""
    if told.is_missing:
        raise DirectoryError("it knows no such list (404): is the directory's id right?")
    if not isinstance(fields.peek(told.document, "list_metadata"), dict):
        raise DirectoryError("its page does not say what follows")
    return as_list(fields.peek(told.document, "data"), "data")


def _id_of(item: object) -> str:
    return as_text(fields.peek(item, "id"), "id")


def _person(item: object) -> ReadPerson:
    """As its own event would tell of them, so that both give the same words."""
    told = _asked(item)
    email, profile = "", {}
    is_active = fields.peek_text(item, "state").casefold() == "active"
    for change in told:
        if isinstance(change, ProvisionUser):
            email, profile = change.email, dict(change.profile)
        elif isinstance(change, UpdateProfile):
            profile = dict(change.profile)
    return ReadPerson(
        _id_of(item),
        email,
        {name: value for name, value in profile.items() if value is not None},
        is_active=is_active or any(isinstance(change, ReactivateUser) for change in told),
        changed_at=fields.moment(fields.peek(item, "updated_at")),
    )


def _asked(item: object) -> tuple[Change, ...]:
    if not isinstance(item, dict):
        raise DirectoryError("it tells of a user who is no object")
    try:
        return RULES["dsync.user.updated"].build(item)
    except UnparseableError as error:
        raise DirectoryError(f"it tells of a user wrongly: {error}") from None


def _group(item: object) -> ReadGroup:
    changed = fields.moment(fields.peek(item, "updated_at"))
    return ReadGroup(_id_of(item), as_text(fields.peek(item, "name"), "name of a group"), changed)

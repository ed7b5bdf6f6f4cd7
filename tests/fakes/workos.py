"""WorkOS as its documentation describes it: bearer keys, pages by id, a log of thirty days.

workos.com/docs: reference/directory-sync/directory-user, reference/events, reference/rate-limits.
"""

from __future__ import annotations

import secrets
from datetime import UTC, datetime
from typing import Any

from tests.fakes.idp import Answer, Asked, FakeIDP

LARGEST_PAGE, DEFAULT_PAGE = 100, 10
NOT_FOUND = {"message": "not found", "code": "entity_not_found", "entity_id": ""}
TYPES = {
    *(f"dsync.user.{verb}" for verb in ("created", "updated", "deleted")),
    *(f"dsync.group.{verb}" for verb in ("created", "updated", "deleted")),
    *("dsync.group.user_added", "dsync.group.user_removed"),
}


class FakeWorkos(FakeIDP):
    """One environment with some directories. hooks: what its webhook would have been sent."""

    def __init__(self) -> None:
        super().__init__()
        self.key = "sk_test_" + secrets.token_urlsafe(16)
        self.directory = "directory_1"
        self.users: dict[str, dict[str, Any]] = {}
        self.groups: dict[str, dict[str, Any]] = {}
        self.members: dict[str, list[str]] = {}
        self.events: list[dict[str, Any]] = []

    def moment(self) -> str:
        return datetime.fromtimestamp(self.now(), UTC).isoformat().replace("+00:00", "Z")

    def user(self, key: str, *, directory: str = "", **changes: Any) -> dict[str, Any]:
        """Make or change somebody; the event of it, which is in the log."""
        known = self.users.get(key)
        told = {
            "object": "directory_user",
            "id": key,
            "directory_id": directory or self.directory,
            "organization_id": "org_1",
            "email": f"{key}@example.com",
            "first_name": key,
            "state": "active",
            "created_at": self.moment(),
            **(known or {}),
            **changes,
            "updated_at": self.moment(),
        }
        self.users[key] = told
        return self.log(f"dsync.user.{'updated' if known else 'created'}", told)

    def leave(self, key: str) -> dict[str, Any]:
        """Somebody is deleted."""
        return self.log("dsync.user.deleted", self.users.pop(key))

    def group(self, key: str, name: str, *members: str) -> dict[str, Any]:
        told = {"id": key, "directory_id": self.directory, "name": name}
        self.groups[key] = {**told, "updated_at": self.moment()}
        self.members[key] = list(members)
        return self.log("dsync.group.created", self.groups[key])

    def log(self, type_: str, data: dict[str, Any]) -> dict[str, Any]:
        number = len(self.events) + 1
        event = {"object": "event", "id": f"event_{number:06d}", "event": type_, "data": dict(data)}
        self.events.append({**event, "created_at": self.moment()})
        return self.events[-1]

    def answer(self, asked: Asked) -> Answer:
        if asked.headers.get("authorization") != f"Bearer {self.key}":
            return Answer(401, {"message": "Unauthorized"})
        kind, _, key = asked.path.strip("/").partition("/")
        if kind == "events":
            return self._events(asked)
        kept = {"directory_users": self.users, "directory_groups": self.groups}.get(kind)
        if kept is None:
            return Answer(404, NOT_FOUND)
        if key:
            return Answer(200, kept[key]) if key in kept else Answer(404, NOT_FOUND)
        return self._list(asked, kept)

    def _list(self, asked: Asked, kept: dict[str, dict[str, Any]]) -> Answer:
        if "group" in asked.query:
            if asked.query["group"] not in self.groups:
                return Answer(404, NOT_FOUND)
            keys = self.members[asked.query["group"]]
            found = [kept[key] for key in keys if key in kept]
        elif "directory" in asked.query:
            found = [k for k in kept.values() if k["directory_id"] == asked.query["directory"]]
        else:
            return Answer(422, {"message": "one of directory, group is needed"})
        return self._paged(asked, found)

    def _events(self, asked: Asked) -> Answer:
        if asked.query.get("events[]") not in TYPES:
            return Answer(422, {"message": "events are needed"})
        if "after" in asked.query and "range_start" in asked.query:
            return Answer(422, {"message": "after and range_start exclude each other"})
        start = asked.query.get("range_start", "").replace("+00:00", "Z")
        return self._paged(asked, [e for e in self.events if e["created_at"] >= start])

    def _paged(self, asked: Asked, found: list[dict[str, Any]]) -> Answer:
        limit = int(asked.query.get("limit", DEFAULT_PAGE))
        if not 1 <= limit <= LARGEST_PAGE:
            return Answer(422, {"message": "limit is 1 to 100"})
        after = asked.query.get("after")
        if after is not None:
            ids = [one["id"] for one in found]
            if after not in ids:
                return Answer(400, {"message": "after names nothing"})
            found = found[ids.index(after) + 1 :]
        page = found[:limit]
        following = page[-1]["id"] if len(found) > limit else None
        metadata = {"before": None, "after": following}
        return Answer(200, {"object": "list", "data": page, "list_metadata": metadata})

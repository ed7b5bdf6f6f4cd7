"""OneLogin's API as its documentation describes it: API credentials, pages, roles, events.

developers.onelogin.com: api-docs/2/users, 2/roles, 2/oauth20-tokens, 1/events.
"""

from __future__ import annotations

import secrets
from base64 import b64decode, b64encode
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs
from uuid import uuid4

from tests.fakes.idp import Answer, Asked, FakeIDP

LARGEST_PAGE = 50
ACCOUNT = 92920


class FakeOnelogin(FakeIDP):
    """One account. Its log knows an event by a number, its hook by a `uuid`."""

    def __init__(self) -> None:
        super().__init__()
        self.client, self.secret = secrets.token_hex(32), secrets.token_hex(32)
        self.token_seconds = 36000
        self.may_read = True
        self.users: dict[int, dict[str, Any]] = {}
        self.roles: dict[int, dict[str, Any]] = {}
        self.members: dict[int, list[int]] = {}
        self.events: list[dict[str, Any]] = []
        self._tokens: dict[str, float] = {}

    def moment(self) -> str:
        told = datetime.fromtimestamp(self.now(), UTC)
        return told.strftime("%Y-%m-%dT%H:%M:%S.") + f"{told.microsecond // 1000:03d}Z"

    def user(self, key: int, **changes: Any) -> dict[str, Any]:
        """Make or change somebody; the event of it, as the hook tells it."""
        known = self.users.get(key)
        default: dict[str, Any] = {
            "username": f"u{key}",
            "email": f"u{key}@example.com",
            "firstname": "U",
        }
        default |= {"status": 1, "state": 1, "locked_until": None}
        person = {"id": key, **default, **(known or {}), **changes}
        self.users[key] = {**person, "updated_at": self.moment()}
        return self.happened(14 if known else 13, key)

    def role(self, key: int, name: str, *members: int) -> None:
        self.roles[key] = {"id": key, "name": name, "apps": [], "admins": []}
        self.members[key] = list(members)

    def happened(self, type_: int, user: int | None = None, **more: Any) -> dict[str, Any]:
        """Write the log; the event, as the hook tells it."""
        at = datetime.fromtimestamp(self.now(), UTC)
        event = {"event_type_id": type_, "account_id": ACCOUNT, "user_id": user, **more}
        kept = {"id": 1000 + len(self.events), "created_at": self.moment(), **event}
        self.events.append(kept)
        uuid = str(uuid4())
        told = {"create": {"_id": uuid}, "uuid": uuid, **event}
        return {**told, "event_timestamp": at.strftime("%Y-%m-%d %H:%M:%S UTC")}

    def expire(self) -> None:
        """Take all access tokens back before their time."""
        self._tokens.clear()

    def answer(self, asked: Asked) -> Answer:
        if asked.path == "/auth/oauth2/v2/token":
            return self._token(asked)
        scheme, _, token = asked.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or self._tokens.get(token, 0) <= self.now():
            return _error(401, "UnauthorizedError")
        if not self.may_read:
            return _error(403, "ForbiddenError")
        if asked.path == "/api/1/events":
            return self._log(asked)
        return self._kept(asked, asked.path.removeprefix("/api/2/").split("/"))

    def _kept(self, asked: Asked, path: list[str]) -> Answer:
        kept = {"users": self.users, "roles": self.roles}.get(path[0])
        match path[1:]:
            case [] if kept is not None:
                return self._page(asked, list(kept.values()))
            case [key] if path[0] == "users" and key.isdigit() and int(key) in self.users:
                roles = [role for role, members in self.members.items() if int(key) in members]
                return Answer(200, {**self.users[int(key)], "role_ids": roles})
            case [key] if kept is not None:
                return _one(kept, key)
            case [key, "users"] if key.isdigit() and int(key) in self.roles:
                found = [{"id": user, "assigned": True} for user in self.members[int(key)]]
                return self._page(asked, found)
        return _error(404, "NotFoundError")

    def _page(self, asked: Asked, found: list[dict[str, Any]]) -> Answer:
        """By number of the page, which its cursor holds together with the limit."""
        told = asked.query
        if "cursor" in told:
            told = {k: v[0] for k, v in parse_qs(b64decode(told["cursor"]).decode()).items()}
        limit, page = int(told.get("limit", LARGEST_PAGE)), int(told.get("page", 1))
        if not 1 <= limit <= LARGEST_PAGE:
            return _error(400, "BadRequestError")
        first = (page - 1) * limit
        headers = {"Total-Count": str(len(found)), "Current-Page": str(page)}
        if first + limit < len(found):
            onward = b64encode(f"limit={limit}&page={page + 1}".encode()).decode()
            headers["After-Cursor"] = onward
        return Answer(200, found[first : first + limit], headers)

    def _log(self, asked: Asked) -> Answer:
        wanted = {int(one) for one in asked.query.get("event_type_id", "").split(",") if one}
        limit = int(asked.query.get("limit", LARGEST_PAGE))
        if not 1 <= limit <= LARGEST_PAGE:
            return _error(400, "BadRequestError")
        since = datetime.fromisoformat(asked.query["since"])
        found = [
            one
            for one in self.events
            if one["event_type_id"] in wanted and datetime.fromisoformat(one["created_at"]) >= since
        ]
        first = int(asked.query.get("after_cursor", "0"))
        more = str(first + limit) if first + limit < len(found) else None
        told = {"before_cursor": None, "after_cursor": more}
        return Answer(200, {"pagination": told, "data": found[first : first + limit]})

    def limited(self, asked: Asked, reset: float) -> Answer:
        answer = _error(429, "TooManyRequestsError")
        answer.headers = {"X-RateLimit-Reset": str(max(1, int(reset - self.now())))}
        return answer

    def _token(self, asked: Asked) -> Answer:
        form = {name: values[0] for name, values in parse_qs(asked.body.decode()).items()}
        if (form.get("client_id"), form.get("client_secret")) != (self.client, self.secret):
            return Answer(401, {"error": "invalid_client"})
        if form.get("grant_type") != "client_credentials":
            return Answer(400, {"error": "unsupported_grant_type"})
        token = secrets.token_hex(32)
        self._tokens[token] = self.now() + self.token_seconds
        seconds = self.token_seconds
        return Answer(200, {"access_token": token, "token_type": "bearer", "expires_in": seconds})


def _one(kept: dict[int, dict[str, Any]], key: str) -> Answer:
    if key.isdigit() and int(key) in kept:
        return Answer(200, kept[int(key)])
    return _error(404, "NotFoundError")


def _error(status: int, name: str) -> Answer:
    return Answer(status, {"message": "it was not done", "name": name, "statusCode": status})

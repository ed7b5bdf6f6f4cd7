"""Keycloak's admin API of one realm: tokens of a client, lists by place, subgroups, admin events.

keycloak.org/docs-api (Admin REST API); codes and texts as its server answers them.
"""

from __future__ import annotations

import base64
import secrets
from typing import Any
from urllib.parse import parse_qs, unquote

from tests.fakes.idp import Answer, Asked, FakeIDP

REALM = "staff"


class FakeKeycloak(FakeIDP):
    """One realm with one client that may read it. is_old: a version that tells subgroups inline."""

    def __init__(self) -> None:
        super().__init__()
        self.client, self.secret = "rosterd", secrets.token_urlsafe(16)
        self.token_seconds = 60
        self.may_read = True
        self.is_old = False
        self.users: dict[str, dict[str, Any]] = {}
        self.groups: dict[str, dict[str, Any]] = {}
        self.below: dict[str, list[str]] = {"": []}
        self.members: dict[str, list[str]] = {}
        self.events: list[dict[str, Any]] = []
        self._tokens: dict[str, float] = {}

    def user(self, key: str, *, enabled: bool = True, **more: str) -> None:
        known = self.users.get(key, {"id": key, "username": key})
        default = {"email": f"{key}@example.com"} if "email" not in known else {}
        self.users[key] = {**known, **default, **more, "enabled": enabled}

    def group(self, key: str, name: str, *members: str, parent: str = "") -> None:
        if key not in self.groups:
            self.below[parent].append(key)
            self.below[key] = []
        self.groups[key] = {"id": key, "name": name}
        self.members[key] = list(members)

    def happened(self, operation: str, resource: str, path: str, **more: Any) -> dict[str, Any]:
        event = {
            "time": int(self.now() * 1000),
            "realmId": REALM,
            "operationType": operation,
            "resourceType": resource,
            "resourcePath": path,
            **more,
        }
        self.events.append(event)
        return event

    def expire(self) -> None:
        self._tokens.clear()

    def answer(self, asked: Asked) -> Answer:
        if asked.path == f"/realms/{REALM}/protocol/openid-connect/token":
            return self._token(asked)
        scheme, _, token = asked.headers.get("authorization", "").partition(" ")
        if scheme != "Bearer" or self._tokens.get(token, 0) <= self.now():
            return Answer(401, {"error": "HTTP 401 Unauthorized"})
        if not asked.path.startswith(f"/admin/realms/{REALM}/"):
            return Answer(404, {"error": "Realm not found."})
        if not self.may_read:
            return Answer(403, {"error": "HTTP 403 Forbidden"})
        first, *which = map(unquote, asked.path.split("/")[4:])
        if first == "users":
            return self._users(asked, which)
        if first == "groups":
            return self._groups(asked, which)
        return self._log(asked)

    def limited(self, asked: Asked, reset: float) -> Answer:
        return Answer(429, {"error": "too many"}, headers={"Retry-After": "5"})

    def _users(self, asked: Asked, which: list[str]) -> Answer:
        if which == ["count"]:
            return Answer(200, len(self.users))
        if which:
            known = self.users.get(which[0])
            return Answer(200, known) if known else Answer(404, {"error": "User not found"})
        return self._page(asked, sorted(self.users.values(), key=lambda u: u["username"]))

    def _groups(self, asked: Asked, which: list[str]) -> Answer:
        if not which:
            return self._page(asked, [self._shown(key) for key in self.below[""]])
        if which[0] not in self.groups:
            return Answer(404, {"error": "Could not find group by id"})
        if which[1:] == ["children"]:
            return self._page(asked, [self._shown(key) for key in self.below[which[0]]])
        if which[1:] == ["members"]:
            return self._page(asked, [self.users[one] for one in self.members[which[0]]])
        return Answer(200, self._shown(which[0]))

    def _shown(self, key: str) -> dict[str, Any]:
        inner = [self._shown(one) for one in self.below[key]]
        if self.is_old:
            return {**self.groups[key], "subGroups": inner}
        return {**self.groups[key], "subGroupCount": len(inner), "subGroups": []}

    def _page(self, asked: Asked, items: list[Any]) -> Answer:
        """A list without an end is cut at a hundred, as the server does by default."""
        first = int(asked.query.get("first", 0))
        return Answer(200, items[first : first + int(asked.query.get("max", 100))])

    def _log(self, asked: Asked) -> Answer:
        """Newest first, unless a version that knows `direction` is asked otherwise."""
        events = self.events[::-1]
        if not self.is_old:
            since = int(asked.query.get("dateFrom", 0))
            events = [e for e in events if e["time"] >= since]
            events = events[::-1] if asked.query.get("direction") == "asc" else events
        return self._page(asked, events)

    def _token(self, asked: Asked) -> Answer:
        form = {name: values[0] for name, values in parse_qs(asked.body.decode()).items()}
        told = asked.headers.get("authorization", "").removeprefix("Basic ")
        is_ours = told and base64.b64decode(told).decode() == f"{self.client}:{self.secret}"
        if not is_ours or form.get("grant_type") != "client_credentials":
            return Answer(401, {"error": "unauthorized_client"})
        token = secrets.token_urlsafe(20)
        self._tokens[token] = self.now() + self.token_seconds
        more = {"token_type": "Bearer", "expires_in": self.token_seconds}
        return Answer(200, {"access_token": token, **more})

"""PingOne's platform API as its documentation describes it: worker apps, pages by cursor, audit.

developer.pingidentity.com: pingone-api/platform/users, groups, audit-activities, reference.
"""

from __future__ import annotations

import re
import secrets
from base64 import b64decode
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs, quote
from uuid import uuid4

from tests.fakes.idp import Answer, Asked, FakeIDP

LARGEST_PAGE = 200
_MEMBERS = re.compile(r'memberOfGroups\[id eq "([^"]+)"\]')
_SPAN = re.compile(r'recordedat gt "([^"]+)" AND recordedat lt "([^"]+)"')


class FakePingone(FakeIDP):
    """One environment. page: the longest page that it gives, whatever is asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.environment, self.client = str(uuid4()), str(uuid4())
        self.secret = secrets.token_urlsafe(24)
        self.page = LARGEST_PAGE
        self.token_seconds = 3600
        self.may_read = True
        self.users: dict[str, dict[str, Any]] = {}
        self.groups: dict[str, dict[str, Any]] = {}
        self.members: dict[str, list[str]] = {}
        self.activities: list[dict[str, Any]] = []
        self._tokens: dict[str, float] = {}

    def moment(self) -> str:
        told = datetime.fromtimestamp(self.now(), UTC)
        return told.strftime("%Y-%m-%dT%H:%M:%S.") + f"{told.microsecond // 1000:03d}Z"

    def user(self, key: str, **changes: Any) -> dict[str, Any]:
        """Make or change somebody; the activity of it, as the webhook has it, too."""
        known = self.users.get(key)
        default = {"username": f"{key}@example.com", "email": f"{key}@example.com"}
        person = {"id": key, "enabled": True, **default, **(known or {}), **changes}
        self.users[key] = {**person, "updatedAt": self.moment()}
        return self.happened(f"USER.{'UPDATED' if known else 'CREATED'}", user=key)

    def leave(self, key: str) -> dict[str, Any]:
        """Somebody is deleted."""
        del self.users[key]
        return self.happened("USER.DELETED", user=key)

    def group(self, key: str, name: str, *members: str) -> dict[str, Any]:
        known = key in self.groups
        self.groups[key] = {"id": key, "name": name, "updatedAt": self.moment()}
        self.members[key] = list(members) or self.members.get(key, [])
        return self.happened(f"GROUP.{'UPDATED' if known else 'CREATED'}", group=key)

    def happened(
        self, type_: str, *, user: str = "", group: str = "", status: str = "SUCCESS"
    ) -> dict[str, Any]:
        """Write the audit; the activity, as the webhook has it, too."""
        base = f"https://api.pingone.eu/v1/environments/{self.environment}"
        if type_.startswith("MEMBER_OF_GROUP"):
            kind, key, path = "MEMBER_OF_GROUP", user, f"users/{user}/memberOfGroups/{group}"
        elif type_.startswith("GROUP"):
            kind, key, path = "GROUP", group, f"groups/{group}"
        else:
            kind, key, path = "USER", user, f"users/{user}"
        name = self.groups.get(group, {}).get("name", user)
        told = {
            "id": str(uuid4()),
            "recordedAt": self.moment(),
            "createdAt": self.moment(),
            "action": {"type": type_, "description": type_.title()},
            "resources": [{"type": kind, "id": key, "name": name, "href": f"{base}/{path}"}],
            "result": {"status": status, "description": type_.title()},
        }
        self.activities.append(told)
        return told

    def expire(self) -> None:
        """Take all access tokens back before their time."""
        self._tokens.clear()

    def answer(self, asked: Asked) -> Answer:
        if asked.path.endswith("/as/token"):
            return self._token(asked)
        scheme, _, token = asked.headers.get("authorization", "").partition(" ")
        if scheme != "Bearer" or self._tokens.get(token, 0) <= self.now():
            return _error(401, "ACCESS_FAILED")
        if not self.may_read:
            return _error(403, "ACCESS_FAILED")
        base = f"/v1/environments/{self.environment}/"
        if not asked.path.startswith(base):
            return _error(404, "NOT_FOUND")
        kind, _, key = asked.path.removeprefix(base).partition("/")
        kept = {"users": self.users, "groups": self.groups}.get(kind)
        if kind == "activities" and not key:
            return self._audit(asked)
        if kept is None:
            return _error(404, "NOT_FOUND")
        if key:
            return self._one(asked, kept, key)
        return self._listed(asked, kind, self._asked_for(asked, kept))

    def _one(self, asked: Asked, kept: dict[str, Any], key: str) -> Answer:
        if key not in kept:
            return _error(404, "NOT_FOUND")
        if asked.query.get("include") != "memberOfGroupIDs":
            return Answer(200, kept[key])
        groups = [group for group, members in self.members.items() if key in members]
        return Answer(200, {**kept[key], "memberOfGroupIDs": groups})

    def _asked_for(self, asked: Asked, kept: dict[str, Any]) -> list[dict[str, Any]]:
        wanted = _MEMBERS.fullmatch(asked.query.get("filter", ""))
        if wanted is None:
            return list(kept.values())
        return [kept[key] for key in self.members.get(wanted[1], []) if key in kept]

    def _audit(self, asked: Asked) -> Answer:
        """A span of time is needed, and others than these two may not be asked for together."""
        span = _SPAN.fullmatch(asked.query.get("filter", ""))
        if span is None:
            return _error(400, "INVALID_DATA")
        found = [one for one in self.activities if span[1] < one["recordedAt"] < span[2]]
        return self._listed(asked, "activities", found[::-1])

    def _listed(self, asked: Asked, kind: str, found: list[dict[str, Any]]) -> Answer:
        limit = min(int(asked.query.get("limit", LARGEST_PAGE)), LARGEST_PAGE, self.page)
        first = 0
        if "cursor" in asked.query:
            if not asked.query["cursor"].startswith("c-"):
                return _error(400, "INVALID_DATA")
            first = int(asked.query["cursor"].removeprefix("c-"))
        links = {"self": {"href": f"{self.url}{asked.path}"}}
        if first + limit < len(found):
            more = f"limit={limit}&cursor=c-{first + limit}"
            more += f"&filter={quote(asked.query.get('filter', ''))}"
            # Another host in the link: whoever follows it shows it their token.
            links["next"] = {"href": f"http://127.0.0.1:1{asked.path}?{more}"}
        page = found[first : first + limit]
        told = {"_links": links, "_embedded": {kind: page}, "count": len(found), "size": len(page)}
        return Answer(200, told)

    def limited(self, asked: Asked, reset: float) -> Answer:
        answer = _error(429, "REQUEST_LIMITED")
        answer.headers = {"Retry-After": str(max(1, int(reset - self.now())))}
        return answer

    def _token(self, asked: Asked) -> Answer:
        form = {name: values[0] for name, values in parse_qs(asked.body.decode()).items()}
        scheme, _, told = asked.headers.get("authorization", "").partition(" ")
        if asked.path != f"/{self.environment}/as/token" or scheme != "Basic":
            return Answer(400, {"error": "invalid_request"})
        if b64decode(told).decode() != f"{self.client}:{self.secret}":
            return Answer(401, {"error": "invalid_client"})
        if form.get("grant_type") != "client_credentials":
            return Answer(400, {"error": "unsupported_grant_type"})
        token = secrets.token_urlsafe(20)
        self._tokens[token] = self.now() + self.token_seconds
        seconds = self.token_seconds
        return Answer(200, {"access_token": token, "token_type": "Bearer", "expires_in": seconds})


def _error(status: int, code: str) -> Answer:
    return Answer(status, {"id": str(uuid4()), "code": code, "message": "it was not done"})

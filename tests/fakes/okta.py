"""Okta's core API as its documentation describes it: proofs, pages, limits, and its errors.

developer.okta.com: docs/reference/core-okta-api, rate-limits, implement-oauth-for-okta-serviceapp.
"""

from __future__ import annotations

import secrets
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs

import jwt

from tests.fakes.idp import Answer, Asked, FakeIDP

LARGEST_PAGE, LARGEST_LOG = 200, 1000
LONGEST_ASSERTION = 3600
_ASSERTION = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"


def moment(seconds: float) -> str:
    """As Okta writes times."""
    told = datetime.fromtimestamp(seconds, UTC)
    return told.strftime("%Y-%m-%dT%H:%M:%S.") + f"{told.microsecond // 1000:03d}Z"


class FakeOkta(FakeIDP):
    """One organisation. token: of an administrator; clients: client id -> public key of an app."""

    def __init__(self) -> None:
        super().__init__()
        self.token = "00" + secrets.token_urlsafe(20)
        self.clients: dict[str, Any] = {}
        self.token_seconds = 3600
        self.users: dict[str, dict[str, Any]] = {}
        self.groups: dict[str, dict[str, Any]] = {}
        self.members: dict[str, list[str]] = {}
        self.events: list[dict[str, Any]] = []
        self.scopes = "okta.users.read okta.groups.read okta.logs.read"
        self.may_read = True
        self._tokens: dict[str, float] = {}
        self._assertions: set[str] = set()

    def user(self, key: str, *, status: str = "ACTIVE", **profile: str) -> dict[str, Any]:
        """Make or change somebody."""
        told = moment(self.now())
        known = self.users.get(key, {"id": key, "created": told, "profile": {}})
        default = {} if known["profile"] else {"login": f"{key}@example.com"}
        known = {**known, "profile": {**default, **known["profile"], **profile}}
        if known.get("status") != status:
            known |= {"status": status, "statusChanged": told}
        known["profile"].setdefault("email", known["profile"]["login"])
        self.users[key] = {**known, "lastUpdated": told}
        return self.users[key]

    def group(self, key: str, name: str, *members: str) -> None:
        self.groups[key] = {
            "id": key,
            "type": "OKTA_GROUP",
            "lastUpdated": moment(self.now()),
            "profile": {"name": name, "description": None},
        }
        self.members[key] = list(members)

    def happened(
        self, type_: str, *targets: dict[str, Any], at: float | None = None
    ) -> dict[str, Any]:
        """Write the System Log; the entry, as its hook would send it, too."""
        entry = {
            "uuid": secrets.token_hex(16),
            "published": moment(self.now() if at is None else at),
            "eventType": type_,
            "outcome": {"result": "SUCCESS"},
            "target": list(targets),
        }
        self.events.append(entry)
        return entry

    def expire(self) -> None:
        """Take all access tokens back before their time."""
        self._tokens.clear()

    def answer(self, asked: Asked) -> Answer:
        if asked.path == "/oauth2/v1/token":
            return self._token(asked)
        if not self._is_known(asked.headers.get("authorization", "")):
            return _error(401, "E0000011", "Invalid token provided")
        if not self.may_read:
            return _error(403, "E0000006", "You do not have permission")
        match asked.path.removeprefix("/api/v1/").split("/"):
            case ["logs"]:
                return self._log(asked)
            case ["users", *which]:
                return self._users(asked, which)
            case ["groups", *which]:
                return self._groups(asked, which)
        return _error(404, "E0000022", "The endpoint does not support the provided HTTP method")

    def _users(self, asked: Asked, which: list[str]) -> Answer:
        if not which:
            listed = [u for u in self.users.values() if u["status"] != "DEPROVISIONED"]
            return self._page(asked, listed, LARGEST_PAGE)
        if which == ["me"]:
            return Answer(200, next(iter(self.users.values())))
        by_login = {u["profile"]["login"]: u for u in self.users.values()}
        return self._one({**by_login, **self.users}, which[0])

    def _groups(self, asked: Asked, which: list[str]) -> Answer:
        if not which:
            return self._page(asked, list(self.groups.values()), LARGEST_PAGE)
        if which[1:] == ["users"] and which[0] in self.groups:
            mine = [self.users[one] for one in self.members[which[0]]]
            return self._page(asked, mine, LARGEST_PAGE)
        return self._one(self.groups, which[0])

    def limited(self, asked: Asked, reset: float) -> Answer:
        answer = _error(429, "E0000047", "API call exceeded rate limit due to too many requests.")
        answer.headers = {
            "X-Rate-Limit-Limit": str(self.limit),
            "X-Rate-Limit-Remaining": "0",
            "X-Rate-Limit-Reset": str(int(reset)),
        }
        return answer

    def _is_known(self, header: str) -> bool:
        scheme, _, value = header.partition(" ")
        if scheme == "SSWS":
            return value == self.token
        return scheme == "Bearer" and self._tokens.get(value, 0) > self.now()

    def _one(self, things: dict[str, dict[str, Any]], key: str) -> Answer:
        return Answer(200, things[key]) if key in things else _missing(key)

    def _page(self, asked: Asked, items: list[dict[str, Any]], largest: int) -> Answer:
        """Cursors, and a link to the next page where there is one."""
        limit = min(int(asked.query.get("limit", largest)), largest)
        after = asked.query.get("after")
        keys = [item["id"] for item in items]
        first = keys.index(after) + 1 if after in keys else 0
        page = items[first : first + limit]
        links = [f'<{self.url}{asked.path}?limit={limit}>; rel="self"']
        if first + limit < len(items):
            links.append(
                f'<{self.url}{asked.path}?after={page[-1]["id"]}&limit={limit}>; rel="next"'
            )
        return Answer(200, page, links=links)

    def _log(self, asked: Asked) -> Answer:
        """A polling request: ascending, without an end, it always has a next link."""
        limit = min(int(asked.query.get("limit", 100)), LARGEST_LOG)
        wanted = asked.query.get("filter", "")
        events = [e for e in self.events if not wanted or f'"{e["eventType"]}"' in wanted]
        if "after" in asked.query:
            first = int(asked.query["after"].partition("_")[0])
        else:
            since = datetime.fromisoformat(asked.query["since"])
            old = [e for e in events if datetime.fromisoformat(e["published"]) < since]
            first = len(old)
        page = events[first : first + limit]
        cursor = f"{first + len(page)}_1"
        return Answer(200, page, links=[f'<{self.url}/api/v1/logs?after={cursor}>; rel="next"'])

    def _token(self, asked: Asked) -> Answer:
        form = {name: values[0] for name, values in parse_qs(asked.body.decode()).items()}
        why = self._why_refused(form)
        if why is not None:
            return Answer(401, {"error": "invalid_client", "error_description": why})
        if not set(form.get("scope", "").split()) <= set(self.scopes.split()):
            return Answer(400, {"error": "invalid_scope"})
        token = secrets.token_urlsafe(20)
        self._tokens[token] = self.now() + self.token_seconds
        told = {"access_token": token, "token_type": "Bearer", "expires_in": self.token_seconds}
        return Answer(200, told)

    def _why_refused(self, form: dict[str, str]) -> str | None:
        if form.get("client_assertion_type") != _ASSERTION:
            return "no assertion"
        assertion = form.get("client_assertion", "")
        try:
            told = jwt.decode(assertion, options={"verify_signature": False})
            key = self.clients[told["iss"]]
            claims = jwt.decode(
                assertion, key, ["RS256", "ES256"], audience=f"{self.url}/oauth2/v1/token"
            )
        except (jwt.InvalidTokenError, KeyError) as error:
            return f"{type(error).__name__}"
        if claims["exp"] > self.now() + LONGEST_ASSERTION - 1:
            return "The client_assertion token has an expiration too far into the future."
        if claims["jti"] in self._assertions or claims["sub"] != claims["iss"]:
            return "The client_assertion token was used before."
        self._assertions.add(claims["jti"])
        return None


def _error(status: int, code: str, summary: str) -> Answer:
    return Answer(status, {"errorCode": code, "errorSummary": summary, "errorCauses": []})


def _missing(key: str) -> Answer:
    return _error(404, "E0000007", f"Not found: Resource not found: {key} (User)")

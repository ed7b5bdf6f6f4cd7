"""Microsoft Graph and its sign-in as their documentation describes them, for one tenant.

learn.microsoft.com: graph/paging, throttling, delta-query-overview, change-notifications-overview,
change-notifications-delivery-webhooks, api/subscription-post-subscriptions; entra/identity-platform
(client credentials). Notifications are sent by threads of its own, and tried again where the answer
is 5xx or none; what was answered too slowly is counted.
"""

from __future__ import annotations

import json
import secrets
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Self
from urllib.parse import parse_qs, quote

import jwt

from tests.fakes.idp import Answer, Asked, FakeIDP

TENANT = "84bd8158-6d4d-4958-8b9f-9d6445542f95"
#: Minutes that a subscription to users or groups may live.
LONGEST = timedelta(minutes=41_760)
_ASSERTION = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
_YEAR_ONE = 621_355_968_000_000_000


@dataclass
class Subscribed:
    """A subscription as it was made."""

    id: str
    resource: str
    url: str
    lifecycle_url: str
    secret: str
    changes: str
    ends_at: datetime


@dataclass
class Deliveries:
    """What became of notifications."""

    sent: int = 0
    slow: int = 0
    tried_again: int = 0
    given_up: int = 0
    statuses: list[int] = field(default_factory=list)


class FakeGraph(FakeIDP):
    """One tenant with one application.

    deliver: how a request reaches a notification URL of ours; see `over_http`.
    is_sending: False drops all notifications. allows_twice: whether an application
    may subscribe twice to the same; the documentation says no, and it does.
    """

    def __init__(self) -> None:
        super().__init__()
        self.client, self.secret = str(uuid.uuid4()), secrets.token_urlsafe(24)
        self.certificate: tuple[Any, str] | None = None
        self.token_seconds = 3599
        self.page = 100
        self.users: dict[str, dict[str, Any]] = {}
        self.groups: dict[str, dict[str, Any]] = {}
        self.members: dict[str, dict[str, str]] = {}
        self.subscriptions: dict[str, Subscribed] = {}
        self.deliveries = Deliveries()
        self.permissions = {"User.Read.All", "Group.Read.All"}
        self.allows_twice = False
        self.is_sending = True
        self.validation_seconds = 10.0
        self.slow_seconds = 10.0
        self.deliver = over_http
        self.forgets_before = 0
        self._changes: list[tuple[str, str, dict[str, Any] | None]] = []
        self._tokens: dict[str, float] = {}
        self._sequence = 0

    @contextmanager
    def serving(self) -> Iterator[Self]:
        with super().serving():
            yield self

    # What administrators do

    def user(self, key: str = "", **more: Any) -> str:
        """Make or change somebody; their id."""
        key = key or str(uuid.uuid4())
        is_new = key not in self.users
        name = more.get("name", key[:8])
        known = self.users.get(key) or {
            "id": key,
            "accountEnabled": True,
            "userPrincipalName": f"{name}@example.com",
            "mail": None,
            "givenName": None,
            "surname": None,
            "displayName": name,
            "userType": "Member",
        }
        self.users[key] = known | {name: value for name, value in more.items() if name != "name"}
        self._changed("users", key, "created" if is_new else "updated")
        return key

    def remove(self, key: str, *, for_good: bool = False) -> None:
        """Deleted softly it is announced as updated, and gone all the same."""
        resource = "users" if key in self.users else "groups"
        self.users.pop(key, None)
        self.groups.pop(key, None)
        for group, members in self.members.items():
            if members.pop(key, None) is not None:
                self._changed("groups", group, "", {"id": key, "@removed": {"reason": "deleted"}})
        self._changed(resource, key, "deleted" if for_good else "updated")

    def group(self, key: str = "", name: str = "") -> str:
        key = key or str(uuid.uuid4())
        is_new = key not in self.groups
        self.groups[key] = {"id": key, "displayName": name or key[:8]}
        self.members.setdefault(key, {})
        self._changed("groups", key, "created" if is_new else "updated")
        return key

    def join(self, group: str, member: str, kind: str = "user") -> None:
        self.members[group][member] = f"#microsoft.graph.{kind}"
        self._changed("groups", group, "updated", {"id": member})

    def leave(self, group: str, member: str) -> None:
        self.members[group].pop(member)
        self._changed("groups", group, "updated", {"id": member, "@removed": "deleted"})

    def _changed(
        self, resource: str, key: str, change: str, edge: dict[str, Any] | None = None
    ) -> None:
        self._sequence += 1
        self._changes.append((resource, key, edge))
        if change:
            self._announce(resource, key, change, edge)

    # Notifications

    def _announce(self, resource: str, key: str, change: str, edge: dict[str, Any] | None) -> None:
        now = datetime.fromtimestamp(self.now(), UTC)
        for one in list(self.subscriptions.values()):
            is_live = one.ends_at > now and one.resource == resource
            if is_live and change in one.changes.split(","):
                self._notify(one.url, self._notification(one, key, change, edge, now))

    def _notification(
        self, one: Subscribed, key: str, change: str, edge: dict[str, Any] | None, now: datetime
    ) -> dict[str, Any]:
        kind = {"users": "User", "groups": "Group"}[one.resource]
        data = {
            "@odata.type": f"#Microsoft.Graph.{kind}",
            "@odata.id": f"{kind}s/{key}",
            "id": key,
            "organizationId": TENANT,
            "eventTime": now.strftime("%Y-%m-%dT%H:%M:%S.%f") + "0Z",
            "sequenceNumber": _YEAR_ONE + int(self.now() * 1e7) + self._sequence,
        }
        if edge is not None:
            data["members@delta"] = [edge]
        return {
            "changeType": change,
            "clientState": one.secret,
            "resource": f"{kind}s/{key}",
            "resourceData": data,
            "subscriptionExpirationDateTime": one.ends_at.isoformat(),
            "subscriptionId": one.id,
            "tenantId": TENANT,
        }

    def speak_of(self, subscription: str, lifecycle: str) -> None:
        """A lifecycle notification: reauthorizationRequired, subscriptionRemoved or missed."""
        one = self.subscriptions[subscription]
        item = {
            "subscriptionId": one.id,
            "subscriptionExpirationDateTime": one.ends_at.isoformat(),
            "tenantId": TENANT,
            "clientState": one.secret,
            "lifecycleEvent": lifecycle,
        }
        if lifecycle == "subscriptionRemoved":
            del self.subscriptions[subscription]
        self._notify(one.lifecycle_url, item)

    def _notify(self, url: str, item: dict[str, Any]) -> None:
        if not self.is_sending:
            return
        self.deliveries.sent += 1
        body = json.dumps({"value": [item]}).encode()
        for attempt in range(3):
            began = time.monotonic()
            status, _, _ = self.deliver(url, body, "application/json; charset=utf-8")
            self.deliveries.statuses.append(status)
            self.deliveries.slow += time.monotonic() - began > self.slow_seconds
            if 200 <= status < 500:
                return
            self.deliveries.tried_again += attempt < 2
        self.deliveries.given_up += 1

    # What an application asks

    def answer(self, asked: Asked) -> Answer:
        if asked.path == f"/{TENANT}/oauth2/v2.0/token":
            return self._token(asked)
        if asked.path.endswith("/oauth2/v2.0/token"):
            return Answer(400, {"error": "invalid_request", "error_description": "no such tenant"})
        if not asked.path.startswith("/v1.0/"):
            return _error(404, "ResourceNotFound", "Invalid version")
        scheme, _, token = asked.headers.get("authorization", "").partition(" ")
        if scheme != "Bearer" or self._tokens.get(token, 0) <= self.now():
            return _error(401, "InvalidAuthenticationToken", "Lifetime validation failed.")
        return self._resource(asked, *asked.path.removeprefix("/v1.0/").split("/"))

    def _resource(self, asked: Asked, first: str, *which: str) -> Answer:
        needed = {"users": "User.Read.All", "groups": "Group.Read.All"}.get(first)
        if needed is not None and needed not in self.permissions:
            return _error(403, "Authorization_RequestDenied", "Insufficient privileges")
        things = {"users": self.users, "groups": self.groups}.get(first, {})
        match which:
            case _ if first == "subscriptions":
                return self._subscriptions(asked, *which)
            case ("delta",):
                return self._delta(asked, first)
            case ():
                return self._listed(asked, list(things.values()))
            case (key,):
                return self._one(things, key)
            case (key, "members") if key in self.groups:
                members = self.members[key].items()
                found = [{"@odata.type": kind, "id": one} for one, kind in members]
                return self._listed(asked, found)
        return _error(404, "Request_ResourceNotFound", f"Resource '{which}' does not exist")

    def limited(self, asked: Asked, reset: float) -> Answer:
        answer = _error(429, "TooManyRequests", "throttled")
        answer.headers = {"Retry-After": str(max(int(reset - self.now()) + 1, 1))}
        return answer

    def _one(self, things: dict[str, dict[str, Any]], key: str) -> Answer:
        """A name will do instead of an id, as with the real one."""
        by_name = {one.get("userPrincipalName", one["id"]): one for one in things.values()}
        found = things.get(key) or by_name.get(key)
        if found is None:
            return _error(404, "Request_ResourceNotFound", f"Resource '{key}' does not exist")
        return Answer(200, found)

    def _listed(self, asked: Asked, items: list[dict[str, Any]]) -> Answer:
        """Pages by token; a count only for who takes one that may be some seconds old."""
        if asked.query.get("$count") == "true" and "consistencylevel" not in asked.headers:
            return _error(400, "Request_UnsupportedQuery", "$count needs ConsistencyLevel")
        if wanted := asked.query.get("$filter"):
            if "consistencylevel" not in asked.headers or "$count" not in asked.query:
                return _error(400, "Request_UnsupportedQuery", "$filter needs ConsistencyLevel")
            items = [one for one in items if wanted == f"id eq '{one['id']}'"]
        size = min(int(asked.query.get("$top", 100)), 999, self.page)
        first = int(asked.query.get("$skiptoken", "at-0").removeprefix("at-"))
        document: dict[str, Any] = {"value": items[first : first + size]}
        if asked.query.get("$count") == "true" and not first:
            document["@odata.count"] = len(items)
        if first + size < len(items):
            document["@odata.nextLink"] = f"{self.url}{asked.path}?$skiptoken=at-{first + size}"
        return Answer(200, document)

    def _delta(self, asked: Asked, resource: str) -> Answer:
        """Tokens name a place in the list of all changes, and a page in what came after it."""
        query = {name.lower(): value for name, value in asked.query.items()}
        token = query.get("$skiptoken") or query.get("$deltatoken", "")
        if token == "latest":
            return self._delta_link(resource, len(self._changes), [])
        try:
            begin, end, skip = (int(part) for part in token.split("."))
        except ValueError:
            return _error(400, "Directory_InvalidToken", "no token")
        if begin < self.forgets_before:
            return _error(410, "syncStateNotFound", "The sync state is not found: resync")
        end = end or len(self._changes)
        items = self._net(resource, begin, end)
        page = items[skip : skip + self.page]
        if skip + self.page < len(items):
            onward = f"{begin}.{end}.{skip + self.page}"
            link = f"{self.url}/v1.0/{resource}/delta?$skiptoken={onward}"
            return Answer(200, {"value": page, "@odata.nextLink": link})
        return self._delta_link(resource, end, page)

    def _delta_link(self, resource: str, place: int, page: list[Any]) -> Answer:
        link = f"{self.url}/v1.0/{resource}/delta?$deltatoken={quote(f'{place}.0.0')}"
        return Answer(200, {"value": page, "@odata.deltaLink": link})

    def _net(self, resource: str, begin: int, end: int) -> list[dict[str, Any]]:
        """What differs, each object once, members as they are at last."""
        things = self.users if resource == "users" else self.groups
        found: dict[str, dict[str, Any]] = {}
        for what, key, edge in self._changes[begin:end]:
            if what != resource:
                continue
            item = found.setdefault(key, {"id": key})
            if key not in things:
                item["@removed"] = {"reason": "changed"}
            elif edge is not None:
                edges = item.setdefault("members@delta", [])
                edges[:] = [one for one in edges if one["id"] != edge["id"]]
                kind = self.members[key].get(edge["id"])
                told = {"@odata.type": kind or "#microsoft.graph.user", "id": edge["id"]}
                edges.append(told if kind else {**told, "@removed": {"reason": "deleted"}})
        return list(found.values())

    # Subscriptions

    def _subscriptions(self, asked: Asked, *which: str) -> Answer:
        now = datetime.fromtimestamp(self.now(), UTC)
        for key in [k for k, one in self.subscriptions.items() if one.ends_at <= now]:
            del self.subscriptions[key]
        if asked.method == "POST":
            return self._subscribe(json.loads(asked.body), now)
        if not which:
            return Answer(200, {"value": [_shown(one) for one in self.subscriptions.values()]})
        found = self.subscriptions.get(which[0])
        if found is None:
            return _error(404, "ResourceNotFound", "The object was not found.")
        if asked.method == "DELETE":
            del self.subscriptions[which[0]]
            return Answer(204)
        if asked.method == "PATCH":
            ends_at = _moment(json.loads(asked.body)["expirationDateTime"])
            if why := _why_not(ends_at, now):
                return _error(400, "ExtensionError", why)
            found.ends_at = ends_at
        return Answer(200, _shown(found))

    def _subscribe(self, told: dict[str, Any], now: datetime) -> Answer:
        resource = str(told["resource"]).strip("/")
        if resource not in {"users", "groups"}:
            return _error(400, "ExtensionError", "unsupported resource")
        ends_at = _moment(told["expirationDateTime"])
        if why := _why_not(ends_at, now):
            return _error(400, "ExtensionError", why)
        if len(told.get("clientState", "")) > 128:
            return _error(400, "InvalidRequest", "clientState is too long")
        same = (resource, told["changeType"])
        if not self.allows_twice and same in {
            (one.resource, one.changes) for one in self.subscriptions.values()
        }:
            return _error(409, "Conflict", "a subscription with the same parameters exists")
        urls = {told["notificationUrl"], told.get("lifecycleNotificationUrl")} - {None}
        for url in sorted(urls):
            if not self._is_valid(url):
                return _error(
                    400,
                    "ValidationError",
                    "Subscription validation request failed. Must respond with 200 OK.",
                )
        made = Subscribed(
            str(uuid.uuid4()),
            resource,
            told["notificationUrl"],
            told.get("lifecycleNotificationUrl", ""),
            told.get("clientState", ""),
            told["changeType"],
            ends_at,
        )
        self.subscriptions[made.id] = made
        return Answer(201, _shown(made))

    def _is_valid(self, url: str) -> bool:
        """The token has to come back decoded, as plain text, in ten seconds."""
        token = f"Validation: Testing client <{secrets.token_hex(4)}> + reachability"
        began = time.monotonic()
        asked = f"{url}?validationToken={quote(token)}"
        status, type_, body = self.deliver(asked, b"", "text/plain; charset=utf-8")
        is_plain = type_.partition(";")[0].strip() == "text/plain"
        is_timely = time.monotonic() - began <= self.validation_seconds
        return status == 200 and is_plain and body == token.encode() and is_timely

    # Sign-in

    def expire(self) -> None:
        """Take all access tokens back before their time."""
        self._tokens.clear()

    def _token(self, asked: Asked) -> Answer:
        form = {name: values[0] for name, values in parse_qs(asked.body.decode()).items()}
        if form.get("grant_type") != "client_credentials":
            return Answer(400, {"error": "unsupported_grant_type"})
        if form.get("scope") != f"{self.url}/.default":
            return Answer(400, {"error": "invalid_scope", "error_description": "/.default only"})
        if form.get("client_id") != self.client or not self._is_proven(form):
            return Answer(401, {"error": "invalid_client", "error_description": "AADSTS7000215"})
        token = secrets.token_urlsafe(30)
        self._tokens[token] = self.now() + self.token_seconds
        told = {"access_token": token, "token_type": "Bearer", "expires_in": self.token_seconds}
        return Answer(200, told)

    def _is_proven(self, form: dict[str, str]) -> bool:
        if self.certificate is None:
            return form.get("client_secret") == self.secret
        key, mark = self.certificate
        assertion = form.get("client_assertion", "")
        if form.get("client_assertion_type") != _ASSERTION:
            return False
        try:
            head = jwt.get_unverified_header(assertion)
            url = f"{self.url}/{TENANT}/oauth2/v2.0/token"
            claims = jwt.decode(assertion, key, ["RS256"], audience=url)
        except jwt.InvalidTokenError:
            return False
        return head.get("x5t") == mark and claims["iss"] == claims["sub"] == self.client


def over_http(url: str, body: bytes, content_type: str) -> tuple[int, str, bytes]:
    """As Graph's own client: no redirects count, and what does not answer is status 0."""
    headers = {"Content-Type": content_type}
    request = urllib.request.Request(url, body, headers, method="POST")
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status, answer.headers.get("content-type", ""), answer.read()
    except urllib.error.HTTPError as error:
        return error.code, "", b""
    except OSError:
        return 0, "", b""


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


def _why_not(ends_at: datetime, now: datetime) -> str:
    if ends_at <= now:
        return "Subscription expiration is in the past"
    is_long = ends_at > now + LONGEST
    return "Subscription expiration can only be 41760 minutes in the future." if is_long else ""


def _shown(one: Subscribed) -> dict[str, Any]:
    """Its secret is told to nobody."""
    return {
        "id": one.id,
        "resource": one.resource,
        "changeType": one.changes,
        "clientState": None,
        "notificationUrl": one.url,
        "lifecycleNotificationUrl": one.lifecycle_url,
        "expirationDateTime": one.ends_at.isoformat().replace("+00:00", "Z"),
    }


def _error(status: int, code: str, message: str) -> Answer:
    return Answer(status, {"error": {"code": code, "message": message}})

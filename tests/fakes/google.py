"""Google's Admin SDK as its documentation describes it: delegation, pages, quotas, channels.

developers.google.com: admin-sdk/directory (users, groups, members; guides/push), admin-sdk/reports
(activities; guides/push), identity/protocols/oauth2/service-account. Deleted users are in no list.
"""

from __future__ import annotations

import json
import random
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import format_datetime
from functools import cache
from typing import Any
from urllib.parse import parse_qs, unquote

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from tests.fakes.idp import Answer, Asked, FakeIDP

DIRECTORY, REPORTS = "/admin/directory/v1/", "/admin/reports/v1/"
LARGEST = {"users": 500, "groups": 200, "members": 200, "items": 1000}
LONGEST_ASSERTION, LONGEST_CHANNEL = 3600, 6 * 3600
LONGEST_TOKEN = 256
_BASE = "https://www.googleapis.com/auth/admin."
SCOPES = frozenset(
    f"{_BASE}{name}.readonly"
    for name in ("directory.user", "directory.group", "directory.group.member", "reports.audit")
)
#: What a message is answered with is taken, or it comes again; all else loses it.
TAKEN, AGAIN = frozenset({200, 201, 202, 204, 102}), frozenset({500, 502, 503, 504})
EVENTS = {"add", "delete", "makeAdmin", "undelete", "update"}

#: headers, body -> status.
Post = Callable[[Mapping[str, str], bytes], int]


@cache
def private_key() -> tuple[str, Any]:
    """One for all tests: making one takes a while. PEM, and the public part."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    return pem.decode(), key.public_key()


def key_file(email: str, token_url: str) -> str:
    """What an administrator downloads."""
    told = {
        "type": "service_account",
        "client_email": email,
        "private_key_id": "k1",
        "private_key": private_key()[0],
        "token_uri": token_url,
    }
    return json.dumps(told)


@dataclass
class Channel:
    """Where messages about one kind of change go. waiting: those that come again."""

    id: str
    resource: str
    state: str
    address: str
    token: str
    expires: float
    number: int = 1
    waiting: list[tuple[dict[str, str], bytes]] = field(default_factory=list)


class FakeGoogle(FakeIDP):
    """One customer. subject: the administrator to whom the service account is delegated.

    post: how messages are sent (None: they are lost). late: seconds until an activity is seen.
    behind: how old it is when its message goes out.
    """

    def __init__(self) -> None:
        super().__init__()
        self.subject = "admin@example.com"
        self.email = "rosterd@project.iam.gserviceaccount.com"
        self.granted = set(SCOPES)
        self.token_seconds = 3600
        self.may_read = True
        #: Google always does; servers of tests have no certificate.
        self.needs_https = False
        self.users: dict[str, dict[str, Any]] = {}
        self.deleted: dict[str, dict[str, Any]] = {}
        self.groups: dict[str, dict[str, Any]] = {}
        self.members: dict[str, dict[str, str]] = {}
        self.activities: list[dict[str, Any]] = []
        self.channels: dict[str, Channel] = {}
        self.stopped: list[str] = []
        self.post: Callable[[Channel], Post] | None = None
        self.late = self.behind = 0.0
        self.lost: list[str] = []
        self._known: set[str] = set()
        self._tokens: dict[str, float] = {}
        self._pages: dict[str, tuple[str, int]] = {}

    @property
    def key_file(self) -> str:
        return key_file(self.email, f"{self.url}/token")

    # -- what administrators do ----------------------------------------------------------

    def user(self, key: str, **changes: Any) -> None:
        """Make or change somebody: a message, and an activity where they are made or suspended."""
        known = self.users.get(key)
        address = f"u{key}@example.com"
        default: dict[str, Any] = {"kind": "admin#directory#user", "id": key}
        default |= {"primaryEmail": address}
        default |= {"suspended": False, "archived": False, "aliases": [], "name": {}}
        self.users[key] = {**default, **(known or {}), **changes}
        self.message("update" if known else "add", self.users[key])
        if known is None:
            self.happened("admin", "CREATE_USER", USER_EMAIL=self.users[key]["primaryEmail"])
        elif "suspended" in changes:
            name = "SUSPEND_USER" if changes["suspended"] else "UNSUSPEND_USER"
            self.happened("admin", name, USER_EMAIL=known["primaryEmail"])

    def rename(self, key: str, address: str, *, keeps_alias: bool = True) -> None:
        old = self.users[key]["primaryEmail"]
        aliases = [*self.users[key]["aliases"], old] if keeps_alias else []
        self.users[key] |= {"primaryEmail": address, "aliases": aliases}
        self.message("update", self.users[key])
        self.happened("admin", "RENAME_USER", USER_EMAIL=old, NEW_VALUE=address)

    def delete(self, key: str) -> None:
        self.deleted[key] = gone = self.users.pop(key)
        for members in self.members.values():
            members.pop(key, None)
        self.message("delete", gone)
        self.happened("admin", "DELETE_USER", USER_EMAIL=gone["primaryEmail"])

    def undelete(self, key: str) -> None:
        self.users[key] = back = self.deleted.pop(key)
        self.message("undelete", back)
        self.happened("admin", "UNDELETE_USER", USER_EMAIL=back["primaryEmail"])

    def group(self, key: str, address: str, name: str) -> None:
        self.groups[key] = {
            "kind": "admin#directory#group",
            "id": key,
            "email": address,
            "name": name,
            "aliases": [],
        }
        self.members.setdefault(key, {})
        self.happened("groups_enterprise", "create_group", group_id=address)

    def delete_group(self, key: str) -> None:
        gone = self.groups.pop(key)
        del self.members[key]
        self.happened("groups_enterprise", "delete_group", group_id=gone["email"])

    def join(self, group: str, user: str, type_: str = "USER") -> None:
        self.members[group][user] = type_
        self._moved(group, user, type_, "add_member", "add_user")

    def leave(self, group: str, user: str) -> None:
        """Told under two names in one activity."""
        type_ = self.members[group].pop(user)
        self._moved(group, user, type_, "remove_user", "remove_member")

    def _moved(self, group: str, user: str, type_: str, *names: str) -> None:
        known = self.users.get(user) or self.groups.get(user) or {"email": user}
        told = {
            "member_id": known.get("primaryEmail") or known["email"],
            "group_id": self.groups[group]["email"],
            "member_type": type_.lower(),
        }
        self.happened("groups_enterprise", *names, **told)

    def happened(self, application: str, *names: str, **parameters: str) -> dict[str, Any]:
        """An activity, in the log from `late` seconds on."""
        told = [{"name": name, "value": value} for name, value in parameters.items()]
        entry = {
            "kind": "admin#reports#activity",
            "id": {
                "time": _moment(self.now() - self.behind),
                "uniqueQualifier": str(random.randint(-(2**62), 2**62)),
                "applicationName": application,
                "customerId": "C1",
            },
            "actor": {"callerType": "USER", "email": self.subject},
            "events": [{"name": name, "parameters": told} for name in names],
        }
        self.activities.append(entry)
        for channel in self._open(f"activity/{application}"):
            self._tell(channel, names[0], entry)
        return entry

    def message(self, state: str, user: Mapping[str, Any]) -> None:
        """To every Directory channel that listens to this."""
        told = {name: user[name] for name in ("kind", "id", "primaryEmail")}
        for channel in self._open("users"):
            if channel.state in ("", state):
                self._tell(channel, state, told)

    def send_again(self) -> None:
        """What was answered by 500, 502, 503 or 504."""
        for channel in list(self.channels.values()):
            waiting, channel.waiting = channel.waiting, []
            for headers, body in waiting:
                self._out(channel, headers, body)

    def expire(self) -> None:
        """Take all access tokens back before their time."""
        self._tokens.clear()

    # -- channels ------------------------------------------------------------------------

    def _open(self, resource: str) -> list[Channel]:
        now = self.now()
        return [c for c in self.channels.values() if c.resource == resource and c.expires > now]

    def _tell(self, channel: Channel, state: str, told: object) -> None:
        # Numbers grow, and not by one.
        channel.number += random.randint(1, 900)
        self._out(channel, self._headers(channel, state), json.dumps(told).encode())

    def _headers(self, channel: Channel, state: str) -> dict[str, str]:
        headers = {
            "X-Goog-Channel-ID": channel.id,
            "X-Goog-Message-Number": str(channel.number),
            "X-Goog-Resource-ID": f"res-{channel.resource}",
            "X-Goog-Resource-State": state,
            "X-Goog-Resource-URI": f"https://admin.googleapis.com/{channel.resource}",
            "X-Goog-Channel-Expiration": format_datetime(
                datetime.fromtimestamp(channel.expires, UTC), usegmt=True
            ),
        }
        if channel.token:
            headers["X-Goog-Channel-Token"] = channel.token
        return headers

    def _out(self, channel: Channel, headers: dict[str, str], body: bytes) -> None:
        status = self.post(channel)(headers, body) if self.post is not None else 410
        if status in AGAIN:
            channel.waiting.append((headers, body))
        elif status not in TAKEN:
            self.lost.append(headers["X-Goog-Resource-State"])

    def _watch(self, asked: Asked, resource: str, state: str) -> Answer:
        told = json.loads(asked.body or b"{}")
        if told.get("type") != "web_hook":
            return _error(400, "invalid", "Unknown channel type")
        if self.needs_https and not str(told.get("address", "")).startswith("https://"):
            return _error(400, "push.webhookUrlNotHttps", "WebHook callback must be HTTPS")
        if not told.get("id") or told["id"] in self._known:
            return _error(400, "channelIdNotUnique", "Channel id not unique")
        if len(told.get("token", "")) > LONGEST_TOKEN:
            return _error(400, "invalid", "Channel token too long")
        longest = self.now() + LONGEST_CHANNEL
        asked_for = float(told.get("expiration") or longest * 1000) / 1000
        expires = min(asked_for, longest)
        made = Channel(told["id"], resource, state, told["address"], told.get("token", ""), expires)
        self._known.add(made.id)
        self.channels[made.id] = made
        # The first message may come before this answer does.
        self._out(made, self._headers(made, "sync"), b"")
        answer = {
            "kind": "api#channel",
            "id": made.id,
            "resourceId": f"res-{resource}",
            "resourceUri": f"https://admin.googleapis.com/{resource}",
            "expiration": str(int(expires * 1000)),
        }
        return Answer(200, answer)

    def _stop(self, asked: Asked) -> Answer:
        told = json.loads(asked.body or b"{}")
        known = self.channels.get(told.get("id", ""))
        if known is None or told.get("resourceId") != f"res-{known.resource}":
            return _error(404, "notFound", f"Channel '{told.get('id')}' not found for project")
        self.stopped.append(known.id)
        del self.channels[known.id]
        return Answer(204, None)

    # -- requests ------------------------------------------------------------------------

    def answer(self, asked: Asked) -> Answer:
        if asked.path == "/token":
            return self._token(asked)
        scheme, _, token = asked.headers.get("authorization", "").partition(" ")
        if scheme != "Bearer" or self._tokens.get(token, 0) <= self.now():
            return _error(401, "authError", "Invalid Credentials")
        if not self.may_read:
            return _error(403, "forbidden", "Not Authorized to access this resource/api")
        if asked.path.startswith(REPORTS):
            return self._reports(asked, asked.path.removeprefix(REPORTS).split("/"))
        if asked.path in ("/admin/directory_v1/channels/stop", "/admin/reports_v1/channels/stop"):
            return self._stop(asked)
        if not asked.path.startswith(DIRECTORY):
            return Answer(404, {"message": "no such path"})
        kind, *which = map(unquote, asked.path.removeprefix(DIRECTORY).split("/"))
        if kind == "users":
            return self._users(asked, which)
        return self._groups(asked, which) if kind == "groups" else _missing(kind)

    def _users(self, asked: Asked, which: list[str]) -> Answer:
        match which:
            case []:
                return self._customers(asked, "users", list(self.users.values()))
            case ["watch"]:
                if asked.query.get("event", "") not in {"", *EVENTS}:
                    return _error(400, "invalid", "Invalid value for event")
                return self._watch(asked, "users", asked.query.get("event", ""))
        return self._user(which[0])

    def _groups(self, asked: Asked, which: list[str]) -> Answer:
        match which:
            case []:
                return self._customers(asked, "groups", list(self.groups.values()))
            case [key]:
                found = self._group_at(key)
                return Answer(200, found) if found else _missing("groupKey")
            case [key, "members"]:
                return self._members(asked, key)
            case [key, "members", member]:
                return self._member(key, member)
        return Answer(404, {"message": "no such path"})

    def limited(self, asked: Asked, reset: float) -> Answer:
        return _error(403, "quotaExceeded", "Quota exceeded for quota metric 'Queries'")

    def _user(self, key: str) -> Answer:
        by_address = {
            address: user
            for user in self.users.values()
            for address in (user["primaryEmail"], *user["aliases"])
        }
        if "@" in key and not key.endswith("@example.com"):
            return _error(403, "forbidden", "Not Authorized to access this resource/api")
        found = self.users.get(key) or by_address.get(key.lower())
        return Answer(200, found) if found else _missing("userKey")

    def _group_at(self, key: str) -> dict[str, Any] | None:
        by_address = {
            address: group
            for group in self.groups.values()
            for address in (group["email"], *group["aliases"])
        }
        return self.groups.get(key) or by_address.get(key)

    def _members(self, asked: Asked, key: str) -> Answer:
        group = self._group_at(key)
        if group is None:
            return _missing("groupKey")
        members = self.members[group["id"]].items()
        return self._page(asked, "members", [_as_member(*one) for one in members])

    def _member(self, group: str, member: str) -> Answer:
        of = self._group_at(group)
        if of is None:
            return _missing("groupKey")
        found = self.users.get(member) or self._user(member).document
        key = found.get("id", member) if isinstance(found, dict) else member
        if key in self.members[of["id"]]:
            return Answer(200, _as_member(key, self.members[of["id"]][key]))
        if "@" in member and not member.endswith("@example.com"):
            return _error(400, "required", "Missing required field: memberKey")
        return _missing("memberKey")

    def _customers(self, asked: Asked, kind: str, items: list[dict[str, Any]]) -> Answer:
        if asked.query.get("customer") not in ("my_customer", "C1"):
            return _error(400, "badRequest", "Bad Request")
        return self._page(asked, kind, items)

    def _page(self, asked: Asked, kind: str, items: list[Any]) -> Answer:
        """Tokens say nothing of where they lead, and hold for the same list only."""
        first, token = 0, asked.query.get("pageToken")
        if token is not None:
            if self._pages.get(token, ("", 0))[0] != asked.path:
                return _error(400, "invalid", "Invalid Input: page token")
            first = self._pages[token][1]
        limit = int(asked.query.get("maxResults", 100))
        if not 1 <= limit <= LARGEST[kind]:
            return _error(400, "invalid", "Invalid value for maxResults")
        page = items[first : first + limit]
        name = "admin#reports#activities" if kind == "items" else f"admin#directory#{kind}"
        told: dict[str, Any] = {"kind": name, "etag": '"e"'}
        if page:
            told[kind] = page
        if first + limit < len(items):
            told["nextPageToken"] = secrets.token_hex(8)
            self._pages[told["nextPageToken"]] = (asked.path, first + limit)
        return Answer(200, told)

    def _reports(self, asked: Asked, parts: list[str]) -> Answer:
        match parts:
            case ["activity", "users", "all", "applications", application, "watch"]:
                return self._watch(asked, f"activity/{application}", "")
            case ["activity", "users", "all", "applications", application]:
                since = datetime.fromisoformat(asked.query["startTime"])
                seen = [
                    one
                    for one in reversed(self.activities)
                    if one["id"]["applicationName"] == application
                    and datetime.fromisoformat(one["id"]["time"]) >= since
                    and datetime.fromisoformat(one["id"]["time"]).timestamp()
                    <= self.now() - self.late
                ]
                return self._page(asked, "items", seen)
        return Answer(404, {"message": "no such path"})

    def _token(self, asked: Asked) -> Answer:
        form = {name: values[0] for name, values in parse_qs(asked.body.decode()).items()}
        if form.get("grant_type") != "urn:ietf:params:oauth:grant-type:jwt-bearer":
            return Answer(400, {"error": "unsupported_grant_type"})
        try:
            claims = jwt.decode(
                form.get("assertion", ""), private_key()[1], ["RS256"], audience=f"{self.url}/token"
            )
        except jwt.InvalidTokenError as error:
            return Answer(400, {"error": "invalid_grant", "error_description": str(error)})
        if claims["iss"] != self.email or claims["exp"] - claims["iat"] > LONGEST_ASSERTION:
            return Answer(400, {"error": "invalid_grant"})
        asks = set(claims.get("scope", "").split())
        if claims.get("sub") != self.subject or not asks or not asks <= self.granted:
            why = "Client is unauthorized to retrieve access tokens using this method"
            return Answer(401, {"error": "unauthorized_client", "error_description": why})
        token = "ya29." + secrets.token_urlsafe(20)
        self._tokens[token] = self.now() + self.token_seconds
        more = {"token_type": "Bearer", "expires_in": self.token_seconds}
        return Answer(200, {"access_token": token, **more})


def _as_member(key: str, type_: str) -> dict[str, str]:
    return {"kind": "admin#directory#member", "id": key, "type": type_, "role": "MEMBER"}


def _moment(seconds: float) -> str:
    told = datetime.fromtimestamp(seconds, UTC)
    return told.strftime("%Y-%m-%dT%H:%M:%S.") + f"{told.microsecond // 1000:03d}Z"


def _error(status: int, reason: str, message: str) -> Answer:
    told = {"domain": "global", "reason": reason, "message": message}
    return Answer(status, {"error": {"code": status, "message": message, "errors": [told]}})


def _missing(what: str) -> Answer:
    return _error(404, "notFound", f"Resource Not Found: {what}")

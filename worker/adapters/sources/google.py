"""Google Workspace: messages of Directory and Reports channels, proven by their token alone.

A Directory message tells in its headers what happened to a user, and in its body to whom; a Reports
message is an activity that names people and groups by their addresses. What was changed neither
tells: it is read (`adapters/directories/google.py`). Who is deleted is out at once (U8).
"""

from __future__ import annotations

import hmac
import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from domain.changes import SuspendUser
from domain.errors import UsageError
from domain.hydration import Wanted, What, pair_of
from domain.inbox import Kind, Reason
from domain.ports import (
    NotAuthenticError,
    Parsed,
    Reply,
    Request,
    SigningSecret,
    SplitEvent,
    UnparseableError,
)
from worker.adapters.sources import fields, proofs
from worker.adapters.sources.google_events import RULES, Told, activities
from worker.adapters.sources.strict_json import read_json
from worker.adapters.sources.webhook import Webhook

USER, ACTIVITY = "admin#directory#user", "admin#reports#activity"
KINDS = frozenset({USER, ACTIVITY})
_TOKEN, _CHANNEL = "x-goog-channel-token", "x-goog-channel-id"
_NUMBER, _STATE = "x-goog-message-number", "x-goog-resource-state"
#: Google's longest token of a channel.
LONGEST_TOKEN = 256
#: What a Directory message tells of. A suspension hides in an update, which is read first (D10).
_STATES = {
    "add": Kind.USERS_CREATE,
    "update": Kind.HYDRATE,
    "undelete": Kind.USERS_REACTIVATE,
    "delete": Kind.USERS_SUSPEND,
}
#: Administrator or not: the directory here says nothing of that.
_MAKE_ADMIN = "makeAdmin"


class GoogleSource(Webhook):
    """External ids are Google's own: a user's `id`, which no change of address changes; a group's.

    Keys: of a Directory message channel and number, of an activity application, time, qualifier and
    place. What is stored of a Directory message is its body with what its headers tell of it:
    `{"channel": {"id", "number", "state"}, "user": {"id", "primaryEmail", ..}}`.
    """

    name = "google"
    has_static_secret = True
    #: A customer's directory holds everybody, whatever they work with.
    needs_scope = True
    kept_headers: tuple[str, ...] = ("content-type", "user-agent", _CHANNEL, _NUMBER, _STATE)

    def handshake(self, request: Request) -> Reply | None:
        """The first message of a channel tells that there is one, and nothing else."""
        is_first = request.method == "POST" and request.headers.get(_STATE) == "sync"
        return Reply(self.success_status) if is_first else None

    def verify(
        self,
        request: Request,
        secrets: Sequence[SigningSecret],
        now: datetime,  # noqa: ARG002
    ) -> SigningSecret:
        """The secret that came back as the channel's token; there is nothing to be stale."""
        told = proofs.wire_bytes(proofs.header(request, _TOKEN))
        for secret in secrets:
            value = secret.value.encode("utf-8", "surrogatepass")
            if value and hmac.compare_digest(told, value):
                return secret
        raise NotAuthenticError(proofs.WRONG)

    def checked(self, secret: str) -> str:
        """A token as a header carries it; raises UsageError."""
        if len(secret) > LONGEST_TOKEN or not secret.isascii() or not secret.isprintable():
            raise UsageError(
                f"a channel's token is printable ASCII of {LONGEST_TOKEN} characters at most"
            )
        return secret

    def content(self, request: Request) -> bytes:
        """Of a Directory message what its headers tell, too; an activity is whole by itself."""
        if _STATE not in request.headers:
            return request.body
        try:
            user = read_json(request.body) if request.body else {}
        except UnparseableError:
            return request.body
        if request.body and fields.peek(user, "kind") != USER:
            return request.body
        names = {"id": _CHANNEL, "number": _NUMBER, "state": _STATE}
        channel = {ours: request.headers.get(theirs, "") for ours, theirs in names.items()}
        return json.dumps({"channel": channel, "user": user}).encode()

    def split(self, document: object, request: Request) -> list[SplitEvent]:  # noqa: ARG002
        """The one event of a Directory message, or those of an activity."""
        if _is_message(document):
            return [_peek_message(fields.as_object(document, ""))]
        return [_peek_activity(told) for told in activities(document)]

    def parse(self, document: object, index: int) -> Parsed:
        """What the event at this index asks for; raises UnparseableError."""
        if _is_message(document):
            return _parsed_message(fields.as_object(fields.nth([document], index), ""))
        told = activities(document)
        if not 0 <= index < len(told):
            raise UnparseableError("", f"no event {index} in this delivery")
        return _parsed_activity(told[index])


def _is_message(document: object) -> bool:
    return isinstance(fields.peek(document, "channel"), dict)


def _state(message: object) -> str:
    return fields.peek_text(message, "channel", "state")


def _peek_message(message: dict[str, Any]) -> SplitEvent:
    channel = fields.event_key(fields.peek(message, "channel", "id"), _CHANNEL)
    number = fields.event_key(fields.peek(message, "channel", "number"), _NUMBER)
    return SplitEvent(
        id=f"{channel} {number}",
        kind=_STATES.get(_state(message), Kind.SORT),
        type=f"users.{_state(message)}",
        content=fields.canonical(message),
        subject=fields.peek_text(message, "user", "id"),
    )


def _parsed_message(message: dict[str, Any]) -> Parsed:
    state = _state(message)
    if state == _MAKE_ADMIN:
        return Parsed(ignored=Reason.NO_DIRECTORY_CHANGE)
    if state not in _STATES:
        return Parsed(ignored=Reason.UNKNOWN_TYPE)
    user = fields.as_id(fields.peek(message, "user", "id"), "user.id")
    if state == "delete":
        return Parsed((SuspendUser(user),))
    return Parsed(ignored=Reason.NO_DIRECTORY_CHANGE, wants=Wanted(What.PERSON, user))


def _peek_activity(told: Told) -> SplitEvent:
    id_ = fields.peek(told.activity, "id")
    time, qualifier = (
        fields.event_key(fields.peek(id_, name), f"id.{name}")
        for name in ("time", "uniqueQualifier")
    )
    rule = RULES.get(told.type)
    return SplitEvent(
        id=f"{told.application} {time} {qualifier} {told.place}",
        kind=rule.kind if rule is not None else Kind.SORT,
        type=told.type,
        content=fields.canonical({"id": id_, "event": told.event}),
        occurred_at=fields.moment(time),
        subject=_subject(told),
    )


def _subject(told: Told) -> str:
    """Whom it names: of a membership the person."""
    rule = RULES.get(told.type)
    try:
        wants = rule.wants(told) if rule is not None else None
    except UnparseableError:
        return ""
    if wants is None:
        return ""
    return pair_of(wants.key)[1] if wants.what is What.MEMBERSHIP_AT else wants.key


def _parsed_activity(told: Told) -> Parsed:
    rule = RULES.get(told.type)
    if rule is None:
        return Parsed(ignored=Reason.UNKNOWN_TYPE)
    wants, asked = rule.wants(told), rule.changes()
    if asked and wants is not None:
        return Parsed(asked, whose=wants.key, wants=wants)
    return Parsed(ignored=Reason.NO_DIRECTORY_CHANGE, wants=wants)

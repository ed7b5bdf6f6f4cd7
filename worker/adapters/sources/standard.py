"""The `standard` source: Standard Webhooks from any system that can sign (Svix included)."""

from __future__ import annotations

import base64
import secrets as randomness
from collections.abc import Mapping, Sequence
from datetime import datetime

from domain.addressing import FREE
from domain.inbox import Kind
from domain.ports import (
    Parsed,
    Request,
    SigningSecret,
    SplitEvent,
    UnparseableError,
)
from worker.adapters.sources import fields, standard_payloads, standard_signature
from worker.adapters.sources.webhook import Webhook

_KINDS: Mapping[str, tuple[Kind, str]] = {
    "user.upserted": (Kind.USERS_CREATE, "id"),
    "user.email_changed": (Kind.USERS_CHANGE_EMAIL, "id"),
    "user.suspended": (Kind.USERS_SUSPEND, "id"),
    "user.deleted": (Kind.USERS_SUSPEND, "id"),
    "user.reactivated": (Kind.USERS_REACTIVATE, "id"),
    "group.upserted": (Kind.GROUPS_UPSERT, "id"),
    "group.deleted": (Kind.GROUPS_DELETE, "id"),
    "group.member_added": (Kind.GROUPS_ADD_MEMBERS, "user_id"),
    "group.member_removed": (Kind.GROUPS_REMOVE_MEMBERS, "user_id"),
    "group.members_replaced": (Kind.GROUPS_UPSERT, "group_id"),
}


class StandardSource(Webhook):
    """Reads `{"type", "timestamp", "data"}`, or `{"events": [..]}` with an `id` in each."""

    name = "standard"
    addresses: tuple[str, ...] = (FREE,)
    kept_headers: tuple[str, ...] = (
        "content-type",
        "user-agent",
        "webhook-id",
        "webhook-timestamp",
        "svix-id",
        "svix-timestamp",
    )

    def verify(
        self, request: Request, secrets: Sequence[SigningSecret], now: datetime
    ) -> SigningSecret:
        """The secret whose signature the request carries; raises NotAuthenticError."""
        return standard_signature.prove(request, secrets, now)

    def event_id(self, request: Request) -> str | None:
        """The signed message id, the same over all retries."""
        return request.headers.get(f"{standard_signature.prefix(request)}id") or None

    def split(self, document: object, request: Request) -> list[SplitEvent]:
        """One event per element of `events`, or the one that the document is."""
        if not _is_list(document):
            fields.as_object(document, "")
            return [_peek(document, fields.event_key(self.event_id(request), "webhook-id"))]
        events = fields.as_list(fields.peek(document, "events"), "events")
        return [
            _peek(event, fields.event_key(fields.peek(event, "id"), f"events[{index}].id"))
            for index, event in enumerate(events)
        ]

    def parse(self, document: object, index: int) -> Parsed:
        """What the event at this index asks for; places are told from that event on."""
        event = fields.as_object(_event(document, index), "")
        event_type = event.get("type")
        if not isinstance(event_type, str):
            raise UnparseableError("type", "not a string")
        if event.get("timestamp") is not None and fields.moment(event["timestamp"]) is None:
            raise UnparseableError("timestamp", "not an RFC 3339 time")
        return standard_payloads.interpret(event_type, event.get("data"))

    def checked(self, secret: str) -> str:
        """A sender's `whsec_` or `whpk_`; raises UsageError for what is no key."""
        return standard_signature.checked(secret)

    def new_secret(self) -> str:
        """A symmetric secret of 256 random bits."""
        return "whsec_" + base64.b64encode(randomness.token_bytes(32)).decode()


def _is_list(document: object) -> bool:
    return isinstance(document, dict) and "events" in document and "type" not in document


def _event(document: object, index: int) -> object:
    events = fields.peek(document, "events") if _is_list(document) else [document]
    return fields.nth(events, index)


def _peek(event: object, event_id: str) -> SplitEvent:
    """As far as plain member access tells: a malformed event is `parse`'s to refuse."""
    event_type = fields.peek_text(event, "type")
    kind, subject = _KINDS.get(event_type, (Kind.SORT, "id"))
    if event_type == "user.upserted" and fields.peek(event, "data", "active") is False:
        kind = Kind.USERS_SUSPEND
    return SplitEvent(
        id=event_id,
        kind=kind,
        type=event_type,
        content=fields.canonical(event),
        occurred_at=fields.moment(fields.peek(event, "timestamp")),
        subject=fields.peek_text(event, "data", subject),
    )

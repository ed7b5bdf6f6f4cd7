"""WorkOS Directory Sync: one fat event per request, HMAC over time and body."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from domain.inbox import Kind, Reason
from domain.ports import Parsed, Request, SigningSecret, SplitEvent
from worker.adapters.sources import fields, proofs
from worker.adapters.sources.webhook import Webhook, tenants_of
from worker.adapters.sources.workos_events import NO_CHANGE, RULES, is_active

TOLERANCE = timedelta(seconds=180)
_MILLISECONDS = 1000
_TENANTS = (("data", "organization_id"), ("data", "directory_id"))


class WorkosSource(Webhook):
    """Reads `{"id", "event", "data", "created_at"}`; a suspension hides in `data.state`."""

    name = "workos"
    tells_tenant = True
    addresses: tuple[str, ...] = ("username", "emails[primary]")

    def verify(
        self, request: Request, secrets: Sequence[SigningSecret], now: datetime
    ) -> SigningSecret:
        """The secret whose signature the request carries; raises NotAuthenticError."""
        told = proofs.Timed.read(proofs.header(request, "workos-signature"), "v1")
        return told.prove(request, secrets, now, TOLERANCE, per_second=_MILLISECONDS)

    def split(self, document: object, request: Request) -> list[SplitEvent]:  # noqa: ARG002
        """The one event that the document is."""
        event = fields.as_object(document, "")
        return [_peek(event, fields.event_key(event.get("id"), "id"))]

    def parse(self, document: object, index: int) -> Parsed:
        """What the event asks for; raises UnparseableError."""
        event = fields.as_object(fields.nth([document], index), "")
        event_type = fields.peek_text(event, "event")
        if event_type in NO_CHANGE:
            return Parsed(ignored=Reason.NO_DIRECTORY_CHANGE)
        rule = RULES.get(event_type)
        if rule is None:
            return Parsed(ignored=Reason.UNKNOWN_TYPE)
        told = rule.build(fields.as_object(event.get("data"), "data"))
        return Parsed(told, tenants=tenants_of(event, _TENANTS))


def _peek(event: dict[str, object], event_id: str) -> SplitEvent:
    event_type = fields.peek_text(event, "event")
    rule = RULES.get(event_type)
    return SplitEvent(
        id=event_id,
        kind=_kind(event),
        type=event_type,
        content=fields.canonical(event),
        occurred_at=_occurred_at(event),
        subject=fields.peek_text(event, "data", *rule.subject) if rule else "",
    )


def _kind(event: dict[str, object]) -> Kind:
    rule = RULES.get(fields.peek_text(event, "event"))
    if rule is None:
        return Kind.SORT
    if rule.is_state and is_active(fields.peek(event, "data", "state")) is False:
        return Kind.USERS_SUSPEND
    return rule.kind


def _occurred_at(event: dict[str, object]) -> datetime | None:
    """The state's own time for a state, since events of it may be sent out of order."""
    rule = RULES.get(fields.peek_text(event, "event"))
    if rule is not None and rule.is_state:
        updated = fields.moment(fields.peek(event, "data", "updated_at"))
        if updated is not None:
            return updated
    return fields.moment(event.get("created_at"))

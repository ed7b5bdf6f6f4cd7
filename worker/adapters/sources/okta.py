"""Okta Event Hooks: System Log events in batches, proven by a static `Authorization` header."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime

from domain.inbox import Kind, Reason
from domain.ports import Parsed, Reply, Request, SigningSecret, SplitEvent
from worker.adapters.sources import fields, proofs
from worker.adapters.sources.okta_events import RULES, peek_target, successful, wanted
from worker.adapters.sources.webhook import Webhook

_CHALLENGE = "x-okta-verification-challenge"


class OktaSource(Webhook):
    """Reads `{"data": {"events": [LogEvent, ..]}}`; the key of an event is its own `uuid`."""

    name = "okta"
    has_static_secret = True
    needs_scope = True

    def handshake(self, request: Request) -> Reply | None:
        """The challenge of the one-time verification, handed back."""
        challenge = request.headers.get(_CHALLENGE)
        if request.method != "GET" or challenge is None:
            return None
        body = json.dumps({"verification": challenge}).encode()
        return Reply(200, "application/json", body)

    def verify(
        self,
        request: Request,
        secrets: Sequence[SigningSecret],
        now: datetime,  # noqa: ARG002
    ) -> SigningSecret:
        """The secret that came verbatim in `Authorization`; there is nothing to be stale."""
        return proofs.matching(proofs.wire_bytes(proofs.header(request, "authorization")), secrets)

    def split(self, document: object, request: Request) -> list[SplitEvent]:  # noqa: ARG002
        """One event per LogEvent."""
        events = fields.as_list(fields.peek(document, "data", "events"), "data.events")
        return [
            _peek(event, fields.event_key(fields.peek(event, "uuid"), f"data.events[{index}].uuid"))
            for index, event in enumerate(events)
        ]

    def parse(self, document: object, index: int) -> Parsed:
        """What the LogEvent at this index asks for; places are told from that event on."""
        found = fields.nth(fields.peek(document, "data", "events"), index)
        event: Mapping[str, object] = fields.as_object(found, "")
        rule = RULES.get(fields.peek_text(event, "eventType"))
        if rule is None:
            return Parsed(ignored=Reason.UNKNOWN_TYPE)
        if not successful(event):
            return Parsed(ignored=Reason.NO_DIRECTORY_CHANGE)
        change, wants = rule.build(event), wanted(event, rule)
        if change is None:
            return Parsed(ignored=Reason.NO_DIRECTORY_CHANGE, wants=wants)
        return Parsed((change,), wants=wants)


def _peek(event: object, event_id: str) -> SplitEvent:
    event_type = fields.peek_text(event, "eventType")
    rule = RULES.get(event_type)
    return SplitEvent(
        id=event_id,
        kind=rule.kind if rule else Kind.SORT,
        type=event_type,
        content=fields.canonical(event),
        occurred_at=fields.moment(fields.peek(event, "published")),
        subject=peek_target(event, rule.subject) if rule else "",
    )

"""Speaking as an identity provider: signed requests in the shapes that the sources expect."""

from __future__ import annotations

import hashlib
import hmac
import json
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from worker.adapters.vault import new_id
from worker.cli.signing import proven, standard_headers


@dataclass(frozen=True, slots=True)
class Sent:
    """A request as it went out, so that it can be sent again."""

    url: str
    headers: Mapping[str, str]
    body: bytes


def send(sent: Sent, *, timeout: float = 10.0) -> int:
    """Send; the HTTP status."""
    request = urllib.request.Request(sent.url, sent.body, dict(sent.headers), method="POST")  # noqa: S310
    try:
        with urllib.request.urlopen(request, timeout=timeout) as answer:  # noqa: S310
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return int(error.code)


@dataclass(frozen=True, slots=True)
class Hook:
    """Where to send, and what to sign with."""

    url: str
    secret: str


@dataclass(slots=True)
class Sender:
    """One identity provider; `sent` keeps what went out."""

    hook: Hook
    sent: list[Sent] = field(default_factory=list)

    def _out(self, body: bytes, headers: Mapping[str, str]) -> int:
        request = Sent(self.hook.url, {"Content-Type": "application/json", **headers}, body)
        self.sent.append(request)
        return send(request)

    def standard(self, type_: str, data: Mapping[str, Any], *, at: datetime | None = None) -> int:
        """A Standard Webhooks request of the `standard` source."""
        document = {"type": type_, "timestamp": (at or datetime.now(UTC)).isoformat(), "data": data}
        return self.standard_bytes(json.dumps(document).encode())

    def standard_bytes(self, body: bytes, *, secret: str | None = None) -> int:
        """Any body, signed as Standard Webhooks are."""
        now, id_ = datetime.now(UTC), new_id("msg")
        return self._out(body, standard_headers(secret or self.hook.secret, id_, now, body))

    def okta(self, type_: str, *targets: Mapping[str, str], at: datetime | None = None) -> int:
        """An Okta event hook with one event."""
        when = (at or datetime.now(UTC)).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        event = {
            "uuid": new_id("evt"),
            "published": when,
            "eventType": type_,
            "version": "0",
            "outcome": {"result": "SUCCESS"},
            "target": list(targets),
        }
        envelope = {
            "eventType": "com.okta.event_hook",
            "eventTypeVersion": "1.0",
            "cloudEventsVersion": "0.1",
            "eventId": new_id("dlv"),
            "eventTime": when,
            "contentType": "application/json",
            "data": {"events": [event]},
        }
        return self._out(json.dumps(envelope).encode(), {"Authorization": self.hook.secret})

    def workos(self, type_: str, data: Mapping[str, Any]) -> int:
        """A WorkOS directory-sync webhook."""
        when = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        document = {
            "id": new_id("event"),
            "event": type_,
            "created_at": when,
            "data": {"updated_at": when, **data},
        }
        body = json.dumps(document).encode()
        stamp = str(int(time.time() * 1000))
        mark = hmac.new(self.hook.secret.encode(), f"{stamp}.".encode() + body, hashlib.sha256)
        return self._out(body, {"WorkOS-Signature": f"t={stamp}, v1={mark.hexdigest()}"})

    def speak(self, source: str, document: object) -> int:
        """A body of any other source, proven as its senders do."""
        return self._out(*proven(source, self.hook.secret, document, datetime.now(UTC)))

"""Vendors that sign as Standard Webhooks do and speak a dialect of their own: Clerk, Scalekit."""

from __future__ import annotations

import base64
import secrets as randomness
from collections.abc import Sequence
from datetime import datetime

from domain.ports import Request, SigningSecret
from worker.adapters.sources import fields, standard_signature
from worker.adapters.sources.webhook import RuledSource

KEPT = (
    "content-type",
    "user-agent",
    "webhook-id",
    "webhook-timestamp",
    "svix-id",
    "svix-timestamp",
)


class SvixSource(RuledSource):
    """Proven by the signature over id, time and body; the id is the same over all retries (D12)."""

    kept_headers: tuple[str, ...] = KEPT

    def verify(
        self, request: Request, secrets: Sequence[SigningSecret], now: datetime
    ) -> SigningSecret:
        """The secret whose signature the request carries; raises NotAuthenticError."""
        return standard_signature.prove(request, secrets, now)

    def event_id(self, request: Request) -> str | None:
        """The signed message id."""
        return request.headers.get(f"{standard_signature.prefix(request)}id") or None

    def key_of(self, event: object, request: Request, index: int) -> str:  # noqa: ARG002
        """The signed message id: one event per request."""
        return fields.event_key(self.event_id(request), "webhook-id")

    def new_secret(self) -> str:
        """A symmetric secret of 256 random bits."""
        return "whsec_" + base64.b64encode(randomness.token_bytes(32)).decode()

    def checked(self, secret: str) -> str:
        """The vendor's `whsec_` or `whpk_`; raises UsageError for what is no key."""
        return standard_signature.checked(secret)

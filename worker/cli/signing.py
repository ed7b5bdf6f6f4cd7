"""Proofs as identity providers make them: header names and values for a body, by source."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime

from standardwebhooks import Webhook

from worker.adapters.vault import new_id

#: secret, body, moment -> headers that prove the body.
Sign = Callable[[str, bytes, datetime], dict[str, str]]


def standard_headers(secret: str, id_: str, now: datetime, body: bytes) -> dict[str, str]:
    """Headers of a Standard Webhooks request."""
    text = body.decode("utf-8", "replace")
    is_text = text.encode() == body
    mark = Webhook(secret).sign(id_, now, text) if is_text else "v1,unsignable"
    return {
        "webhook-id": id_,
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": mark,
    }


def _standard(secret: str, body: bytes, now: datetime) -> dict[str, str]:
    return standard_headers(secret, new_id("msg"), now, body)


def _svix(secret: str, body: bytes, now: datetime) -> dict[str, str]:
    told = _standard(secret, body, now)
    return {name.replace("webhook-", "svix-"): value for name, value in told.items()}


SIGN: Mapping[str, Sign] = {
    "clerk": _svix,
    "scalekit": _standard,
}

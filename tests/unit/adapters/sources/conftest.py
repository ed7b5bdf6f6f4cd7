"""Requests as senders make them, signed here with keys of our own."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import orjson
import pytest
from standardwebhooks import Webhook

from domain.ports import Request, SigningSecret
from tests.recorded import recorded

NOW = datetime(2026, 3, 9, 8, 30, tzinfo=UTC)
WHSEC = "whsec_" + "cm9zdGVyZCBzaWducyB0aGlzIGZvciBpdHMgdGVzdHM="

Body = bytes | dict[str, object] | list[object]
Send = Callable[..., Request]


def as_bytes(body: Body) -> bytes:
    return body if isinstance(body, bytes) else orjson.dumps(body)


@pytest.fixture(scope="session")
def now() -> datetime:
    return NOW


@pytest.fixture(scope="session")
def whsec() -> SigningSecret:
    return SigningSecret("key-1", WHSEC)


@pytest.fixture(scope="session")
def send_standard() -> Send:
    """A request signed by the reference library, so that we agree with more than ourselves."""

    def send(
        body: Body,
        *,
        at: datetime = NOW,
        secret: str = WHSEC,
        prefix: str = "webhook",
        message_id: str = "m1",
    ) -> Request:
        raw = as_bytes(body)
        headers = {
            f"{prefix}-id": message_id,
            f"{prefix}-timestamp": str(int(at.timestamp())),
            f"{prefix}-signature": Webhook(secret).sign(message_id, at, raw.decode()),
        }
        return Request("POST", headers, raw)

    return send


@pytest.fixture(scope="session")
def send_okta() -> Send:
    def send(body: Body, *, authorization: str = "a long shared secret") -> Request:
        return Request("POST", {"authorization": authorization}, as_bytes(body))

    return send


@pytest.fixture(scope="session")
def send_workos() -> Send:
    def send(body: Body, *, at: datetime = NOW, secret: str = "wos", gap: str = " ") -> Request:
        raw = as_bytes(body)
        told = str(int(at.timestamp() * 1000))
        digest = hmac.new(secret.encode(), told.encode() + b"." + raw, hashlib.sha256).hexdigest()
        return Request("POST", {"workos-signature": f"t={told},{gap}v1={digest}"}, raw)

    return send


@pytest.fixture(scope="session")
def payloads() -> Path:
    return recorded()

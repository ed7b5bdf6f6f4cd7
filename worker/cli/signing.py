"""Proofs as identity providers make them: header names and values for a body, by source."""

from __future__ import annotations

import hashlib
import hmac
import json
from base64 import b64encode
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

import jwt
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


def _bearer(secret: str, body: bytes, now: datetime) -> dict[str, str]:  # noqa: ARG001
    return {"authorization": f"Bearer {secret}"}


def _static(secret: str, body: bytes, now: datetime) -> dict[str, str]:  # noqa: ARG001
    return {"authorization": secret}


def _channel(secret: str, body: bytes, now: datetime) -> dict[str, str]:  # noqa: ARG001
    return {"x-goog-channel-token": secret}


def _timed(header: str, name: str, per_second: int) -> Sign:
    """`t=<time>,<name>=<hex HMAC-SHA256 over time, dot and body>`."""

    def sign(secret: str, body: bytes, now: datetime) -> dict[str, str]:
        told = str(int(now.timestamp() * per_second))
        mark = hmac.new(secret.encode(), f"{told}.".encode() + body, hashlib.sha256).hexdigest()
        return {header: f"t={told},{name}={mark}"}

    return sign


def _fusionauth(secret: str, body: bytes, now: datetime) -> dict[str, str]:
    digest = b64encode(hashlib.sha256(body).digest()).decode()
    claims = {"request_body_sha256": digest, "iat": int(now.timestamp())}
    return {"x-fusionauth-signature-jwt": jwt.encode(claims, secret, "HS256")}


def _keycloak(secret: str, body: bytes, now: datetime) -> dict[str, str]:  # noqa: ARG001
    return {"x-keycloak-signature": hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()}


SIGN: Mapping[str, Sign] = {
    "auth0": _bearer,
    "clerk": _svix,
    "fusionauth": _fusionauth,
    "google": _channel,
    "keycloak": _keycloak,
    "okta": _static,
    "onelogin": _static,
    "pingone": _static,
    "polis": _timed("boxyhq-signature", "s", 1000),
    "scalekit": _standard,
    "standard": _standard,
    "workos": _timed("workos-signature", "v1", 1000),
    "zitadel": _timed("zitadel-signature", "v1", 1),
}


def _client_states(secret: str, document: Any) -> Any:
    """Microsoft Graph's notifications, each with the secret in it."""
    return {**document, "value": [{**one, "clientState": secret} for one in document["value"]]}


#: secret, document -> the document that proves itself, for senders whose proof is in the body.
IN_BODY: Mapping[str, Callable[[str, Any], Any]] = {"entra": _client_states}


def proven(
    source: str, secret: str, document: Any, now: datetime
) -> tuple[bytes, Mapping[str, str]]:
    """Body and headers of a document, proven as the source's senders do it."""
    if source in IN_BODY:
        return json.dumps(IN_BODY[source](secret, document)).encode(), {}
    body = json.dumps(document).encode()
    return body, SIGN[source](secret, body, now)

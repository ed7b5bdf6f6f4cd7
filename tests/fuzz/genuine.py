"""Requests as each source's senders make them, and what of a request makes its events."""

from __future__ import annotations

from dataclasses import replace
from hashlib import sha256
from typing import Any

import orjson

from domain.ports import (
    KeysNeededError,
    NotAuthenticError,
    Request,
    SigningSecret,
    Source,
    UnparseableError,
)
from tests.fuzz.shapes import SHAPES
from tests.transmitter import AUDIENCE, ISSUER, Transmitter
from tests.unit.adapters.sources.asking import NOW
from worker.adapters.sources import jws
from worker.adapters.sources.registry import SOURCES
from worker.cli.signing import IN_BODY, SIGN, proven

TRUST = {"issuer": ISSUER, "audience": AUDIENCE, "jwks_url": "https://idp.example.com/jwks"}
#: A header that is the secret itself says nothing of the body.
STATIC = {name for name, source in SOURCES.items() if source.has_static_secret}
BY_KEY, BY_REALM = "fusionauth by a published key", "keycloak by its realm's token"
PROVEN = [*SIGN, "set", BY_KEY]
#: Every way in which a request proves itself to a source.
WAYS = [*PROVEN, *IN_BODY, BY_REALM]


def shapes_of(name: str) -> list[dict[str, Any]]:
    """The documents that can be sent in this way."""
    found = SHAPES[name.partition(" ")[0]]
    return [one for one in found if "value" in one] if name in IN_BODY else found


def genuine(name: str, shape: int = 0) -> tuple[Source, SigningSecret, Request]:
    """A request as the source's senders make it, and what proves it. shape: which of its shapes."""
    source = SOURCES[name.partition(" ")[0]]
    document = shapes_of(name)[shape]
    body = orjson.dumps(document)
    if name in SIGN:
        secret = SigningSecret("k", source.new_secret())
        return source, secret, Request("POST", SIGN[name](secret.value, body, NOW), body)
    if name in IN_BODY:
        secret = SigningSecret("k", source.new_secret())
        told, headers = proven(name, secret.value, document, NOW)
        return source, secret, Request("POST", dict(headers), told)
    return _by_public_key(name, source, document, body)


def _by_public_key(
    name: str, source: Source, document: Any, body: bytes
) -> tuple[Source, SigningSecret, Request]:
    sender = Transmitter()
    secret = SigningSecret("k", source.credential(None, TRUST), jws.read_keys(sender.jwks))
    if name == "set":
        return source, secret, Request("POST", {}, sender.signed({**document, "aud": AUDIENCE}))
    if name == BY_REALM:
        claims = {"iss": ISSUER, "aud": AUDIENCE, "exp": NOW.timestamp() + 300}
        told = {**claims, "request_body_sha256": sha256(body).hexdigest()}
        token = sender.signed(told, typ="JWT").decode()
        return source, secret, Request("POST", {"authorization": f"Bearer {token}"}, body)
    headers = {"x-fusionauth-signature-jwt": sender.of_body(body)}
    return source, secret, Request("POST", headers, body)


def seen(source: Source, request: Request) -> list[tuple[str, object, bytes]]:
    """What makes the request's events what they are."""
    body, _ = source.opened(source.content(request))
    try:
        events = source.split(source.read(body), replace(request, body=body))
    except UnparseableError:
        return []
    return [(one.id, one.occurred_at, one.content) for one in events]


def is_taken(source: Source, secret: SigningSecret, request: Request) -> bool:
    """Whether the request proves itself by this secret."""
    try:
        return source.verify(request, [secret], NOW) is secret
    except (NotAuthenticError, KeysNeededError):
        return False

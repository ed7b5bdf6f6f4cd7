"""Proof of a Standard Webhooks request: symmetric `v1`, asymmetric `v1a`.

Not by the reference library, because that verifies by the system's clock, raises what a
stranger's bytes make it raise, and cannot check a body that is no UTF-8.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from datetime import datetime, timedelta

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from domain.errors import UsageError
from domain.ports import NotAuthenticError, Request, SigningSecret
from worker.adapters.sources import proofs

TOLERANCE = timedelta(minutes=5)
_SYMMETRIC, _PUBLIC = "whsec_", "whpk_"
#: The specification asks for 24 to 64 bytes; some senders published shorter ones.
_LEAST_BYTES, _ED25519_BYTES = 16, 32


def prefix(request: Request) -> str:
    """`webhook-` or, for Svix's own senders, `svix-`.

    Chosen by the id alone, so that nobody can slip a second, unsigned id beside a signed one.
    """
    return "webhook-" if "webhook-id" in request.headers else "svix-"


def prove(request: Request, secrets: Sequence[SigningSecret], now: datetime) -> SigningSecret:
    """The secret whose signature the request carries; raises NotAuthenticError."""
    names = prefix(request)
    message_id = proofs.header(request, f"{names}id")
    timestamp = proofs.header(request, f"{names}timestamp")
    signatures = _signatures(proofs.header(request, f"{names}signature"))
    sent_at = proofs.whole_number(timestamp)
    signed = proofs.wire_bytes(f"{message_id}.{timestamp}.") + request.body
    for secret in secrets:
        if _proves(secret.value, signed, signatures):
            proofs.refuse_stale(sent_at, now, TOLERANCE)
            return secret
    raise NotAuthenticError(proofs.WRONG)


def checked(secret: str) -> str:
    """A secret that a sender gave out; raises UsageError where nothing could be proven by it."""
    if secret.startswith(_PUBLIC):
        if len(_decode(secret.removeprefix(_PUBLIC))) != _ED25519_BYTES:
            raise UsageError("whpk_ is followed by the base64 of an ed25519 key of 32 bytes")
    elif len(_decode(secret.removeprefix(_SYMMETRIC))) < _LEAST_BYTES:
        raise UsageError(
            f"a signing secret is whsec_ and the base64 of {_LEAST_BYTES} bytes or more"
        )
    return secret


def _signatures(text: str) -> list[tuple[str, bytes]]:
    """(version, signature) of each readable item; unreadable ones spoil no others."""
    found = []
    for item in text.split(maxsplit=proofs.MAX_SIGNATURES)[: proofs.MAX_SIGNATURES]:
        version, _, encoded = item.partition(",")
        signature = _decode(encoded)
        if signature:
            found.append((version, signature))
    return found


def _proves(secret: str, signed: bytes, signatures: Sequence[tuple[str, bytes]]) -> bool:
    # A public key is no secret: it must never be tried as the key of an HMAC.
    if secret.startswith(_PUBLIC):
        key = _decode(secret.removeprefix(_PUBLIC))
        return any(_ed25519(key, signed, one) for version, one in signatures if version == "v1a")
    key = _decode(secret.removeprefix(_SYMMETRIC))
    return proofs.hmac_proves(key, signed, [one for version, one in signatures if version == "v1"])


def _ed25519(key: bytes, signed: bytes, signature: bytes) -> bool:
    try:
        Ed25519PublicKey.from_public_bytes(key).verify(signature, signed)
    except (InvalidSignature, ValueError):
        return False
    return True


def _decode(text: str) -> bytes:
    """Base64 with or without padding; empty where it is none."""
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except ValueError:
        return b""

"""What the proofs of authenticity have in common: headers as bytes, HMAC, staleness."""

from __future__ import annotations

import hmac
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from domain.ports import NotAuthenticError, Request, SigningSecret

#: Nobody rotates more keys at once; the header comes from anybody, and a check costs time.
MAX_SIGNATURES = 16
_MAX_DIGITS = 15

MISSING, WRONG, STALE = "missing", "wrong", "stale"


def header(request: Request, name: str) -> str:
    """The header's text; a missing or an empty one proves nothing."""
    value = request.headers.get(name, "")
    if not value:
        raise NotAuthenticError(MISSING)
    return value


def wire_bytes(text: str) -> bytes:
    """The bytes of a header as they were sent: servers decode headers as Latin-1."""
    try:
        return text.encode("latin-1")
    except UnicodeEncodeError:
        raise NotAuthenticError(WRONG) from None


def whole_number(text: str) -> int:
    """A timestamp's number: ASCII digits only, so that one text means one number."""
    if not (text.isascii() and text.isdigit() and len(text) <= _MAX_DIGITS):
        raise NotAuthenticError(WRONG)
    return int(text)


def hmac_proves(key: bytes, signed: bytes, offered: Sequence[bytes]) -> bool:
    """Whether one of the offered HMAC-SHA256 values was made with the key."""
    # Anybody can sign with an empty key.
    if not key:
        return False
    expected = hmac.digest(key, signed, "sha256")
    return any(hmac.compare_digest(expected, one) for one in offered)


def matching(told: bytes, secrets: Sequence[SigningSecret]) -> SigningSecret:
    """The secret that these bytes are; raises NotAuthenticError. An empty one proves nothing."""
    for secret in secrets:
        value = secret.value.encode("utf-8", "surrogatepass")
        if value and hmac.compare_digest(told, value):
            return secret
    raise NotAuthenticError(WRONG)


def bearer(request: Request, secrets: Sequence[SigningSecret]) -> SigningSecret:
    """The secret that came as `Authorization: Bearer`; raises NotAuthenticError."""
    scheme, _, token = header(request, "authorization").partition(" ")
    return matching(wire_bytes(token.strip()), secrets if scheme.casefold() == "bearer" else ())


def static(request: Request, secrets: Sequence[SigningSecret]) -> SigningSecret:
    """The secret that came in `Authorization`, alone or after `Bearer`; raises NotAuthenticError.

    For senders whose header an administrator types: both are what such forms suggest.
    """
    told = header(request, "authorization")
    scheme, _, token = told.partition(" ")
    return matching(wire_bytes(token if scheme.casefold() == "bearer" else told), secrets)


@dataclass(frozen=True, slots=True)
class Timed:
    """A header such as `t=1773045000,v1=<hex>,v1=<hex>`: a time and what was signed with it."""

    text: str
    signatures: tuple[bytes, ...]

    @classmethod
    def read(cls, header_: str, name: str) -> Timed:
        """The time and every readable signature of that name."""
        text, signatures = "", []
        for part in header_.split(",", MAX_SIGNATURES)[:MAX_SIGNATURES]:
            key, _, value = part.strip().partition("=")
            if key == "t":
                text = value
            elif key == name:
                signatures.append(hex_bytes(value))
        return cls(text, tuple(signatures))

    @property
    def at(self) -> int:
        """The time as a whole number, in the sender's unit; raises NotAuthenticError."""
        return whole_number(self.text)

    def prove(
        self,
        request: Request,
        secrets: Sequence[SigningSecret],
        now: datetime,
        tolerance: timedelta,
        *,
        per_second: int = 1,
    ) -> SigningSecret:
        """The secret by which `{t}.{body}` was signed about now; raises NotAuthenticError."""
        sent_at = self.at / per_second
        signed = wire_bytes(f"{self.text}.") + request.body
        for secret in secrets:
            key = secret.value.encode("utf-8", "surrogatepass")
            if hmac_proves(key, signed, self.signatures):
                refuse_stale(sent_at, now, tolerance)
                return secret
        raise NotAuthenticError(WRONG)


def hex_bytes(text: str) -> bytes:
    """The bytes that hex digits stand for; empty where they are none."""
    try:
        return bytes.fromhex(text)
    except ValueError:
        return b""


def refuse_stale(sent_at: float, now: datetime, tolerance: timedelta) -> None:
    """Raise if a proven request was signed at another time than about now."""
    if abs(now.timestamp() - sent_at) > tolerance.total_seconds():
        raise NotAuthenticError(STALE)

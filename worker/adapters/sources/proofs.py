"""What the proofs of authenticity have in common: headers as bytes, HMAC, staleness."""

from __future__ import annotations

import hmac
from collections.abc import Sequence
from datetime import datetime, timedelta

from domain.ports import NotAuthenticError, Request

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


def refuse_stale(sent_at: float, now: datetime, tolerance: timedelta) -> None:
    """Raise if a proven request was signed at another time than about now."""
    if abs(now.timestamp() - sent_at) > tolerance.total_seconds():
        raise NotAuthenticError(STALE)

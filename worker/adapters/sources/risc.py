"""RISC and CAEP events (OpenID): a few change a directory, the others are security signals."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from domain import changes
from domain.inbox import Kind
from domain.ports import UnparseableError
from domain.signals import Signal
from worker.adapters.sources import fields
from worker.adapters.sources.webhook import Changes, Event, Rule

RISC = "https://schemas.openid.net/secevent/risc/event-type/"
CAEP = "https://schemas.openid.net/secevent/caep/event-type/"
#: Of the stream itself; the second is the name that drafts had.
STREAM = tuple(
    f"https://schemas.openid.net/secevent/{name}/event-type/{what}"
    for name in ("ssf", "sse")
    for what in ("verification", "stream-updated")
)
_SIGNALS = frozenset(
    {
        *(f"{CAEP}session-{verb}" for verb in ("revoked", "established", "presented")),
        *(f"{CAEP}{what}-change" for what in ("credential", "token-claims", "assurance-level")),
        *(f"{CAEP}{what}-change" for what in ("device-compliance", "risk-level")),
        *(f"{RISC}{what}" for what in ("account-credential-change-required", "sessions-revoked")),
        *(f"{RISC}{what}" for what in ("credential-compromise", "identifier-recycled")),
        *(f"{RISC}{what}" for what in ("recovery-activated", "recovery-information-changed")),
        *(
            f"{RISC}opt-{what}"
            for what in ("in", "out-initiated", "out-cancelled", "out-effective")
        ),
    }
)
#: Of whom a subject may be about: nested ones are looked through, but not without end.
_DEEPEST = 4


def subject_of(event: Event) -> Mapping[str, Any]:
    """Who is meant (RFC 9493); older transmitters say it inside the event."""
    for told in (
        fields.peek(event, "claims", "sub_id"),
        fields.peek(event, "payload", "subject"),
    ):
        if isinstance(told, dict):
            return told
    sub = fields.peek_text(event, "claims", "sub")
    return {"format": "opaque", "id": sub} if sub else {}


def whose(subject: Mapping[str, Any], depth: int = 0) -> tuple[str, str]:
    """(id, address) of the person who is meant, "" where the subject tells none; never raises."""
    form = fields.peek_text(subject, "format") or fields.peek_text(subject, "subject_type")
    match form.replace("-", "_"):
        case "iss_sub" | "id_token_claims":
            return fields.peek_text(subject, "sub"), ""
        case "opaque":
            return fields.peek_text(subject, "id"), ""
        case "email":
            return "", fields.address(subject.get("email")) or ""
        case "scim":
            uri = fields.peek_text(subject, "uri").rstrip("/")
            return uri.rpartition("/")[2], ""
        case "complex":
            return _first([subject.get("user")], depth)
        case "aliases":
            listed = subject.get("identifiers")
            return _first(listed if isinstance(listed, list) else [], depth)
    return "", ""


def _first(subjects: list[Any], depth: int) -> tuple[str, str]:
    """An id before an address."""
    if depth >= _DEEPEST:
        return "", ""
    found = [whose(one, depth + 1) for one in subjects if isinstance(one, dict)]
    ids, addresses = [key for key, _ in found if key], [one for _, one in found if one]
    return (ids[0], "") if ids else ("", addresses[0] if addresses else "")


def _person(event: Event) -> str:
    """The id; "" where they are to be found by their address. Raises where by neither."""
    key, address = whose(subject_of(event))
    if not key and not address:
        raise UnparseableError("sub_id", "names nobody by an id or an address")
    return fields.as_id(key, "sub_id") if key else ""


def _disabled(event: Event) -> Changes:
    return (changes.SuspendUser(_person(event)),)


def _enabled(event: Event) -> Changes:
    return (changes.ReactivateUser(_person(event)),)


def _moved(event: Event) -> Changes:
    address = fields.address(fields.peek(event, "payload", "new-value"))
    # A telephone number changes nothing here.
    return (changes.ChangeEmail(_person(event), address),) if address else ()


RULES: Mapping[str, Rule] = {
    f"{RISC}account-disabled": Rule(Kind.USERS_SUSPEND, _disabled),
    f"{RISC}account-purged": Rule(Kind.USERS_SUSPEND, _disabled),
    f"{RISC}account-enabled": Rule(Kind.USERS_REACTIVATE, _enabled),
    f"{RISC}identifier-changed": Rule(Kind.USERS_CHANGE_EMAIL, _moved),
}


def signal_of(event: Event, uri: str) -> Signal | None:
    """The security signal that the event is, or None."""
    if uri not in _SIGNALS:
        return None
    subject = subject_of(event)
    key, address = whose(subject)
    details = event.get("payload")
    return Signal(
        name=uri.rpartition("/")[2],
        uri=uri,
        subject=subject,
        user=key if len(key) <= fields.MAX_ID else "",
        address=address,
        details=details if isinstance(details, dict) else {},
    )

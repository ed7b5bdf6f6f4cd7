"""Which source a captured request is of, told from its headers first, then from its body."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from domain.ports import Request, UnparseableError
from worker.adapters.sources import (
    auth0,
    clerk,
    fields,
    fusionauth,
    google,
    keycloak,
    pingone,
    scalekit,
    zitadel,
)
from worker.adapters.sources.onelogin import OneloginSource
from worker.adapters.sources.strict_json import read_json

#: Headers that only one source's senders have.
_HEADERS: Mapping[str, str] = {
    "x-okta-verification-challenge": "okta",
    "workos-signature": "workos",
    "boxyhq-signature": "polis",
    "ory-polis-signature": "polis",
    "x-fusionauth-signature-jwt": "fusionauth",
    "x-keycloak-signature": "keycloak",
    "zitadel-signature": "zitadel",
    "x-goog-channel-id": "google",
}
_TOKEN = "application/secevent+jwt"  # noqa: S105 - a media type
_SIGNED = ("webhook-signature", "svix-signature")


def detected(request: Request) -> list[str]:
    """Names of the sources that the request may be of, the likeliest first; never raises."""
    for header, name in _HEADERS.items():
        if header in request.headers:
            return [name]
    if "validationToken" in request.query:
        return ["entra"]
    if _is_token(request):
        return ["set"]
    document = _document(request.body)
    found = [name for name, looks_so in _LOOKS.items() if looks_so(document)]
    if any(header in request.headers for header in _SIGNED):
        signed = [name for name in found if name in {"clerk", "scalekit"}]
        return [*signed, "standard"]
    return found


def _is_token(request: Request) -> bool:
    if request.headers.get("content-type", "").startswith(_TOKEN):
        return True
    parts = request.body.strip().split(b".")
    return len(parts) == 3 and parts[0].startswith(b"ey") and parts[1].startswith(b"ey")  # noqa: PLR2004


def _document(body: bytes) -> object:
    """The document, or the documents of a body with one a line, as only OneLogin has it."""
    for read in (read_json, OneloginSource().read):
        try:
            return read(body)
        except UnparseableError:
            continue
    return None


def _first(document: object) -> object:
    return document[0] if isinstance(document, list) and document else document


def _type(document: object) -> str:
    return fields.peek_text(document, "type")


def _is_okta(document: object) -> bool:
    return isinstance(fields.peek(document, "data", "events"), list)


def _is_entra(document: object) -> bool:
    if isinstance(document, list):
        return bool(document) and _is_entra(document[0])
    told = fields.peek(document, "value")
    first = told[0] if isinstance(told, list) and told else fields.peek(document, "data")
    return "subscriptionId" in _members(first) or (
        "clientState" in _members(first) and "changeType" in _members(first)
    )


def _is_auth0(document: object) -> bool:
    known = auth0.RULES.keys() | auth0.Auth0Source.no_change
    if "a0tenant" in _members(document):
        return True
    return isinstance(fields.peek(document, "data", "object"), dict) and _type(document) in known


def _is_workos(document: object) -> bool:
    return {"id", "event", "data"} <= _members(document)


def _is_polis(document: object) -> bool:
    one = _first(document)
    return {"event", "data"} <= _members(one) and "id" not in _members(one)


def _is_pingone(document: object) -> bool:
    page = fields.peek(document, "_embedded", "activities")
    one = _first(document if page is None else page)
    named = {"action", "resources", "recordedAt"} <= _members(one)
    return named or fields.peek_text(one, "action", "type") in pingone.RULES


def _is_onelogin(document: object) -> bool:
    told = _members(_first(document))
    return "event_type_id" in told or {"event_timestamp", "actor_user_id"} <= told


def _is_fusionauth(document: object) -> bool:
    known = fusionauth.RULES.keys() | fusionauth.FusionauthSource.no_change
    told = fields.peek(document, "event")
    return "createInstant" in _members(told) or _type(told) in known


def _is_keycloak(document: object) -> bool:
    if _type(document) in keycloak.RULES:
        return True
    return {"realmId", "time"} <= _members(document) and "authDetails" in _members(document)


def _is_google(document: object) -> bool:
    return fields.peek_text(document, "kind") in google.KINDS or "channel" in _members(document)


def _is_zitadel(document: object) -> bool:
    named = {"aggregateID", "event_type"} <= _members(document)
    return named or fields.peek_text(document, "event_type") in zitadel.RULES


def _is_scalekit(document: object) -> bool:
    known = scalekit.RULES.keys() | scalekit.ScalekitSource.no_change
    return _type(document) in known


def _is_clerk(document: object) -> bool:
    if fields.peek(document, "object") != "event" and "instance_id" not in _members(document):
        return False
    return _type(document) in clerk.RULES or "data" in _members(document)


def _is_set(document: object) -> bool:
    """The claims of a token, without its signature."""
    return {"iss", "jti", "events"} <= _members(document)


def _is_standard(document: object) -> bool:
    first = fields.peek(document, "events")
    one = first[0] if isinstance(first, list) and first else document
    return "data" in _members(one) and _type(one) in _STANDARD


def _members(value: object) -> set[str]:
    return set(value) if isinstance(value, dict) else set()


_STANDARD = frozenset(
    {
        *(f"user.{verb}" for verb in ("upserted", "email_changed", "suspended", "reactivated")),
        *(f"group.{verb}" for verb in ("upserted", "member_added", "member_removed")),
        *("user.deleted", "group.deleted", "group.members_replaced"),
    }
)
_LOOKS: Mapping[str, Callable[[object], bool]] = {
    "okta": _is_okta,
    "entra": _is_entra,
    "auth0": _is_auth0,
    "polis": _is_polis,
    "pingone": _is_pingone,
    "onelogin": _is_onelogin,
    "workos": _is_workos,
    "fusionauth": _is_fusionauth,
    "google": _is_google,
    "keycloak": _is_keycloak,
    "zitadel": _is_zitadel,
    "scalekit": _is_scalekit,
    "clerk": _is_clerk,
    "set": _is_set,
    "standard": _is_standard,
}

"""Keycloak by the common event extension: admin events, and what people do themselves."""

from __future__ import annotations

import hmac
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any

from domain import changes
from domain.hydration import Wanted, What
from domain.inbox import Kind
from domain.ports import (
    NotAuthenticError,
    Parsed,
    Request,
    SigningSecret,
    UnparseableError,
)
from worker.adapters.sources import fields, jws, proofs
from worker.adapters.sources.people import described, flag, profile_of, text
from worker.adapters.sources.strict_json import read_json
from worker.adapters.sources.trust import Trust
from worker.adapters.sources.webhook import Changes, Event, Rule, RuledSource, TrustingSource

_HEADER = "x-keycloak-signature"
_TOLERANCE = timedelta(minutes=1)
_MILLISECONDS = 1000
_PROFILE = {"firstName": "given_name", "lastName": "family_name", "username": "username"}
_UPDATED = {"updated_first_name": "given_name", "updated_last_name": "family_name"}
_REGISTERED = {"first_name": "given_name", "last_name": "family_name"}
_USERS, _GROUPS = "users", "groups"


def _path(event: Event, *kinds: str) -> list[str]:
    """The ids in `users/ID` or `users/ID/groups/ID`; raises where the path is another."""
    parts = fields.peek_text(event, "resourcePath").strip("/").split("/")
    if parts[0::2] != list(kinds) or len(parts) != 2 * len(kinds):
        raise UnparseableError("resourcePath", f"not {'/ID/'.join(kinds)}/ID")
    return [fields.as_id(part, "resourcePath") for part in parts[1::2]]


def _representation(event: Event) -> dict[str, Any] | None:
    """What an admin sent, which may be a part; None where the extension leaves it out."""
    told = event.get("representation")
    if told is None or told == "":
        return None
    if not isinstance(told, str):
        raise UnparseableError("representation", "not a string")
    try:
        return fields.as_object(read_json(told.encode("utf-8", "surrogatepass")), "representation")
    except UnparseableError as error:
        # Cut short by some: then nobody knows whether a suspension stood in it.
        raise UnparseableError("representation", error.why) from None


def _created(event: Event) -> Changes:
    (user,) = _path(event, _USERS)
    told = _representation(event)
    if told is None:
        return ()
    address = fields.address(told.get("email")) or fields.address(told.get("username"))
    return _described(user, address, told, "representation.email")


def _updated(event: Event) -> Changes:
    """Of a part only what it names: a login that looks like an address is none here."""
    (user,) = _path(event, _USERS)
    told = _representation(event)
    if told is None:
        return ()
    return _described(user, fields.address(told.get("email")), told, "")


def _described(user: str, address: str | None, told: Event, place: str) -> Changes:
    return described(
        user,
        address,
        profile_of(told, _PROFILE, "representation."),
        flag(told.get("enabled"), "representation.enabled"),
        place=place,
    )


def _deleted(event: Event) -> Changes:
    return (changes.SuspendUser(*_path(event, _USERS)),)


def _self(event: Event) -> str:
    return fields.as_id(fields.peek(event, "authDetails", "userId"), "authDetails.userId")


def _details(event: Event) -> dict[str, Any]:
    return fields.as_object(event.get("details") or {}, "details")


def _registered(event: Event) -> Changes:
    details = _details(event)
    address = fields.address(details.get("email")) or fields.address(details.get("username"))
    profile = profile_of(details, _REGISTERED, "details.")
    return described(_self(event), address, profile, None, place="details.email")


def _moved(event: Event) -> Changes:
    address = fields.address(_details(event).get("updated_email"))
    return (changes.ChangeEmail(_self(event), address),) if address else ()


def _renamed(event: Event) -> Changes:
    profile = profile_of(_details(event), _UPDATED, "details.")
    told: Changes = (changes.UpdateProfile(_self(event), profile),) if profile else ()
    return (*told, *_moved(event))


def _left(event: Event) -> Changes:
    return (changes.SuspendUser(_self(event)),)


def _put_group(event: Event) -> Changes:
    """A group, or one below another (`groups/ID/children`), whose id is in what was sent."""
    told = _representation(event) or {}
    is_below = fields.peek_text(event, "resourcePath").endswith("/children")
    key = told.get("id") if is_below else _path(event, _GROUPS)[0]
    name = text(told.get("name"), "representation.name")
    return (changes.PutGroup(fields.as_id(key, "representation.id"), name or None),)


def _delete_group(event: Event) -> Changes:
    return (changes.DeleteGroup(*_path(event, _GROUPS)),)


def _join(event: Event) -> Changes:
    user, group = _path(event, _USERS, _GROUPS)
    return (changes.AddMember(group, user),)


def _leave(event: Event) -> Changes:
    user, group = _path(event, _USERS, _GROUPS)
    return (changes.RemoveMember(group, user),)


RULES: Mapping[str, Rule] = {
    "admin.USER-CREATE": Rule(Kind.USERS_CREATE, _created),
    "admin.USER-UPDATE": Rule(Kind.USERS_UPDATE, _updated),
    "admin.USER-DELETE": Rule(Kind.USERS_SUSPEND, _deleted),
    "admin.GROUP-CREATE": Rule(Kind.GROUPS_UPSERT, _put_group),
    "admin.GROUP-UPDATE": Rule(Kind.GROUPS_UPSERT, _put_group),
    "admin.GROUP-DELETE": Rule(Kind.GROUPS_DELETE, _delete_group),
    "admin.GROUP_MEMBERSHIP-CREATE": Rule(Kind.GROUPS_ADD_MEMBERS, _join),
    "admin.GROUP_MEMBERSHIP-DELETE": Rule(Kind.GROUPS_REMOVE_MEMBERS, _leave),
    "access.REGISTER": Rule(Kind.USERS_CREATE, _registered),
    "access.UPDATE_EMAIL": Rule(Kind.USERS_CHANGE_EMAIL, _moved),
    "access.UPDATE_PROFILE": Rule(Kind.USERS_UPDATE, _renamed),
    "access.DELETE_ACCOUNT": Rule(Kind.USERS_SUSPEND, _left),
}


_UPDATED_USER = "admin.USER-UPDATE"
#: What an admin sent may be a part, cut short, or left out.
_READABLE: Mapping[str, What] = {
    "admin.USER-CREATE": What.PERSON,
    _UPDATED_USER: What.PERSON,
    "admin.GROUP-CREATE": What.GROUP,
    "admin.GROUP-UPDATE": What.GROUP,
}


class KeycloakSource(RuledSource, TrustingSource):
    """Reads one event per request; key `uid` (native: `id`), clock `time`, in milliseconds.

    A suspension hides in an update: `enabled` of the representation, which may be a part.
    """

    name = "keycloak"
    #: A realm holds all its users, whichever client they belong to.
    needs_scope = True
    needs_trust = ("issuer", "jwks_url")
    addresses: tuple[str, ...] = ("username",)
    tells_tenant = True
    tenants = (("realmId",), ("realmName",))
    rules = RULES

    def verify(
        self, request: Request, secrets: Sequence[SigningSecret], now: datetime
    ) -> SigningSecret:
        """By a shared secret the HMAC of the body, by whom to trust a token that vouches for it."""
        trusted = [one for one in secrets if Trust.of(one.value).jwks_url]
        shared = [one for one in secrets if not Trust.of(one.value).jwks_url]
        if _HEADER in request.headers:
            offered = [proofs.hex_bytes(proofs.header(request, _HEADER))]
            for secret in shared:
                key = secret.value.encode("utf-8", "surrogatepass")
                if proofs.hmac_proves(key, request.body, offered):
                    return secret
        if trusted and "authorization" in request.headers:
            return _vouched(request, trusted, now)
        raise NotAuthenticError(proofs.WRONG if _HEADER in request.headers else proofs.MISSING)

    def opened(self, body: bytes) -> tuple[bytes, bool]:
        """The body without the credentials that an admin set: they stand in a string of JSON."""
        try:
            document = json.loads(body)
            told = json.loads(document["representation"])
            kept = {name: value for name, value in told.items() if not _is_secret(name)}
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
            return body, False
        if len(kept) == len(told):
            return body, False
        cut = {**document, "representation": json.dumps(kept)}
        return json.dumps(cut).encode(), True

    def _asked(self, event: Event) -> Parsed:
        """What came without a representation, or with a part of one, can be read (`wants`)."""
        wants = None if self.is_silent(event) else _wanted(event, self.type_of(event))
        try:
            parsed = super()._asked(event)
        except UnparseableError as error:
            raise UnparseableError(error.place, error.why, wants) from None
        named = parsed.changes[0] if parsed.changes else None
        is_whole = named is not None and getattr(named, "name", "") is not None
        return parsed if is_whole else replace(parsed, wants=wants)

    def _look(self, event: object) -> tuple[Kind, str]:
        """An update that does not tell what it changed may be a suspension (D10)."""
        kind, subject = super()._look(event)
        if subject or self.type_of(event) != _UPDATED_USER or self.is_silent(event):
            return kind, subject
        wants = _wanted(event, _UPDATED_USER)
        return (kind, subject) if wants is None else (Kind.HYDRATE, wants.key)

    def type_of(self, event: object) -> str:
        """The extension's `type`, or the same of a native event's parts."""
        parts = (fields.peek_text(event, name) for name in ("resourceType", "operationType"))
        resource, operation = parts
        made = f"admin.{resource}-{operation}" if resource and operation else ""
        return fields.peek_text(event, "type") or made

    def is_silent(self, event: object) -> bool:
        """What failed changed nothing."""
        return bool(fields.peek(event, "error"))

    def key_of(self, event: object, request: Request, index: int) -> str:  # noqa: ARG002
        """The same over all retries."""
        key = fields.peek(event, "uid") or fields.peek(event, "id")
        return fields.event_key(key, "uid")

    def time_of(self, event: object, request: Request, index: int) -> datetime | None:  # noqa: ARG002
        """When it happened, by Keycloak."""
        return fields.epoch(fields.peek(event, "time"), _MILLISECONDS)


def _wanted(event: object, type_: str) -> Wanted | None:
    """Whom or what an event is about, where it may say too little of them."""
    what = _READABLE.get(type_)
    parts = fields.peek_text(event, "resourcePath").strip("/").split("/")
    if what is None or len(parts) != 2 or not 0 < len(parts[1]) <= fields.MAX_ID:  # noqa: PLR2004
        return None
    return Wanted(what, parts[1])


def _is_secret(name: str) -> bool:
    return name == "credentials" or "passw" in name.lower()


def _vouched(request: Request, secrets: Sequence[SigningSecret], now: datetime) -> SigningSecret:
    """Whoever is trusted that its realm's key signed a token for this body (RFC 7519)."""
    scheme, _, token = proofs.header(request, "authorization").partition(" ")
    if scheme.casefold() != "bearer":
        raise NotAuthenticError(proofs.WRONG)
    secret, signed = jws.prove(proofs.wire_bytes(token.strip()), secrets)
    claims, trust = signed.claims, Trust.of(secret.value)
    told = str(claims.get("request_body_sha256", "")).encode("utf-8", "surrogatepass")
    if not hmac.compare_digest(told, sha256(request.body).hexdigest().encode()):
        raise NotAuthenticError(proofs.WRONG)
    meant = claims.get("aud")
    is_ours = not trust.audience or trust.audience in (
        meant if isinstance(meant, list) else [meant]
    )
    if claims.get("iss") != trust.issuer or not is_ours:
        raise NotAuthenticError(proofs.WRONG)
    jws.refuse_expired(claims, now, _TOLERANCE)
    return secret

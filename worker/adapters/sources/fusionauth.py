"""FusionAuth webhooks: fat events; a JWT in a header signs the digest of the body."""

from __future__ import annotations

import base64
import hmac
import secrets as randomness
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any

from domain import changes
from domain.errors import UsageError
from domain.inbox import Kind
from domain.ports import NotAuthenticError, Request, SigningSecret
from worker.adapters.sources import fields, jws, proofs
from worker.adapters.sources.people import (
    delete_group,
    described,
    flag,
    profile_of,
    put_group,
    suspended,
)
from worker.adapters.sources.webhook import Changes, Event, Rule, RuledSource, TrustingSource

_HEADER = "x-fusionauth-signature-jwt"
_TOLERANCE = timedelta(minutes=1)
_MILLISECONDS = 1000
#: As long as the hash of HS256 (RFC 7518, 3.2); HS512 needs 64.
_LEAST_SECRET = 32
_PROFILE = {
    "firstName": "given_name",
    "lastName": "family_name",
    "fullName": "display_name",
    "username": "username",
}
_BULK, _OF_MEMBERS = "user.bulk.create", "group.member."


def _user(event: Event, place: str = "") -> Changes:
    user = fields.as_object(event.get("user"), "event.user")
    return described(
        fields.as_id(user.get("id"), "event.user.id"),
        fields.address(user.get("email")),
        profile_of(user, _PROFILE, "event.user."),
        flag(user.get("active"), "event.user.active"),
        place=place,
    )


def _created(event: Event) -> Changes:
    return _user(event, "event.user.email")


def _id(event: Event) -> str:
    return fields.as_id(fields.peek(event, "user", "id"), "event.user.id")


def _suspended(event: Event) -> Changes:
    # `active` is not asked: who is deleted is told of as they were.
    return suspended(_id(event), "event.user.id")


def _reactivated(event: Event) -> Changes:
    return (changes.ReactivateUser(_id(event)),)


def _moved(event: Event) -> Changes:
    address = fields.address(fields.peek(event, "user", "email"))
    return (changes.ChangeEmail(_id(event), address),) if address else ()


def _group(event: Event) -> dict[str, Any]:
    return fields.as_object(event.get("group"), "event.group")


def _put_group(event: Event) -> Changes:
    return put_group(_group(event), "event.group.")


def _delete_group(event: Event) -> Changes:
    return delete_group(_group(event), "event.group.")


def _edge(event: Event) -> tuple[str, str]:
    members = fields.as_list(event.get("members"), "event.members")
    user = fields.peek(members[0], "userId") if members else None
    return (
        fields.as_id(_group(event).get("id"), "event.group.id"),
        fields.as_id(user, "event.members.userId"),
    )


def _join(event: Event) -> Changes:
    return (changes.AddMember(*_edge(event)),)


def _leave(event: Event) -> Changes:
    return (changes.RemoveMember(*_edge(event)),)


RULES: Mapping[str, Rule] = {
    "user.create.complete": Rule(Kind.USERS_CREATE, _created),
    _BULK: Rule(Kind.USERS_CREATE, _created),
    "user.update.complete": Rule(Kind.USERS_UPDATE, _user),
    "user.email.update": Rule(Kind.USERS_CHANGE_EMAIL, _moved),
    "user.deactivate": Rule(Kind.USERS_SUSPEND, _suspended),
    "user.reactivate": Rule(Kind.USERS_REACTIVATE, _reactivated),
    "user.delete.complete": Rule(Kind.USERS_SUSPEND, _suspended),
    "group.create.complete": Rule(Kind.GROUPS_UPSERT, _put_group),
    "group.update.complete": Rule(Kind.GROUPS_UPSERT, _put_group),
    "group.delete.complete": Rule(Kind.GROUPS_DELETE, _delete_group),
    "group.member.add.complete": Rule(Kind.GROUPS_ADD_MEMBERS, _join),
    # Whom it names is a member. That these are all of them nobody says: it takes nobody out.
    "group.member.update.complete": Rule(Kind.GROUPS_ADD_MEMBERS, _join),
    "group.member.remove.complete": Rule(Kind.GROUPS_REMOVE_MEMBERS, _leave),
}


class FusionauthSource(RuledSource, TrustingSource):
    """Reads `{"event": {"id", "type", "createInstant", ..}}`: key and clock are the event's own.

    What is sent inside the sender's transaction, and may be rolled back, has a twin `.complete`
    that is sent after it: only that one counts.
    """

    name = "fusionauth"
    #: A tenant holds all its users, whichever application they belong to.
    needs_scope = True
    addresses: tuple[str, ...] = ("username",)
    tells_tenant = True
    tenants = (("tenantId",),)
    rules = RULES
    no_change = frozenset(
        type_.removesuffix(".complete") for type_ in RULES if type_.endswith(".complete")
    )

    def verify(
        self, request: Request, secrets: Sequence[SigningSecret], now: datetime
    ) -> SigningSecret:
        """The secret, or whoever is trusted, whose token bears the digest of this body."""
        token = proofs.wire_bytes(proofs.header(request, _HEADER))
        secret, signed = jws.prove(token, secrets)
        claims = signed.claims
        told = str(claims.get("request_body_sha256", "")).encode("utf-8", "surrogatepass")
        if not hmac.compare_digest(told, base64.b64encode(sha256(request.body).digest())):
            raise NotAuthenticError(proofs.WRONG, jws.FAILED)
        jws.refuse_expired(claims, now, _TOLERANCE)
        return secret

    def events(self, document: object) -> list[Any]:
        """One for each person of a list, so that each has an outcome of their own."""
        event = fields.as_object(fields.peek(document, "event"), "event")
        # Asked here, so that whoever reads one event later finds the same fault.
        fields.event_key(event.get("id"), "event.id")
        for prefix, name in ((_OF_MEMBERS, "members"), (_BULK, "users")):
            listed = event.get(name)
            if self.type_of(event).startswith(prefix) and isinstance(listed, list) and listed:
                one = "user" if name == "users" else name
                return [
                    {**_without(event, name), one: each if one == "user" else [each]}
                    for each in listed
                ]
        return [event]

    def key_of(self, event: object, request: Request, index: int) -> str:  # noqa: ARG002
        """The event's own id, and whom of a list it is about."""
        key = fields.peek_text(event, "id")
        if self.type_of(event) == _BULK:
            return f"{key}/{fields.peek_text(event, 'user', 'id') or index}"
        members = fields.peek(event, "members")
        if isinstance(members, list) and members:
            return f"{key}/{fields.peek_text(members[0], 'userId') or index}"
        return key

    def time_of(self, event: object, request: Request, index: int) -> datetime | None:  # noqa: ARG002
        """When it happened, by FusionAuth."""
        return fields.epoch(fields.peek(event, "createInstant"), _MILLISECONDS)

    def new_secret(self) -> str:
        """Long enough for every hash that it may be used with."""
        return randomness.token_urlsafe(48)

    def checked(self, secret: str) -> str:
        """A key for HMAC; raises UsageError for one that is too short for any."""
        if len(secret.encode()) < _LEAST_SECRET:
            raise UsageError(f"a key for HMAC has {_LEAST_SECRET} characters or more")
        return secret


def _without(event: Event, name: str) -> dict[str, Any]:
    return {key: value for key, value in event.items() if key != name}

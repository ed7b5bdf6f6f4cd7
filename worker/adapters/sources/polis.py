"""Ory Polis (was BoxyHQ Jackson): directory sync over SCIM, one event or an array of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any

from domain import changes
from domain.inbox import Kind
from domain.ports import NotAuthenticError, Request, SigningSecret, UnparseableError
from worker.adapters.sources import fields, proofs
from worker.adapters.sources.people import (
    delete_group,
    described,
    flag,
    profile_of,
    put_group,
    suspended,
)
from worker.adapters.sources.webhook import Changes, Event, Rule, RuledSource

#: Polis names none; it sends at once, and never again (or anew, with a new time).
TOLERANCE = timedelta(minutes=5)
_MILLISECONDS = 1000
#: It sends both, each with a time of its own. Only one is looked at, whichever it is, so that
#: nobody can slip an unproven time beside a proven one.
_HEADERS = ("ory-polis-signature", "boxyhq-signature")
_PROFILE = {"first_name": "given_name", "last_name": "family_name"}
_RAW = {"displayName": "display_name", "title": "title", "userName": "userName"}


def _data(event: Event) -> dict[str, Any]:
    return fields.as_object(event.get("data"), "data")


def _user(event: Event, place: str = "") -> Changes:
    data = _data(event)
    raw = fields.as_object(data.get("raw") or {}, "data.raw")
    return described(
        fields.as_id(data.get("id"), "data.id"),
        fields.address(data.get("email")),
        profile_of(data, _PROFILE, "data.") | profile_of(raw, _RAW, "data.raw."),
        flag(data.get("active"), "data.active"),
        place=place,
        user_type=fields.peek_text(raw, "userType") or None,
    )


def _created(event: Event) -> Changes:
    return _user(event, "data.email")


def _deleted(event: Event) -> Changes:
    return suspended(_data(event).get("id"), "data.id")


def _put_group(event: Event) -> Changes:
    # `raw.members` is not read: Polis leaves it empty whoever is in the group.
    return put_group(_data(event), "data.")


def _delete_group(event: Event) -> Changes:
    return delete_group(_data(event), "data.")


def _edge(event: Event) -> tuple[str, str]:
    data = _data(event)
    group = fields.as_id(fields.peek(data, "group", "id"), "data.group.id")
    return group, fields.as_id(data.get("id"), "data.id")


def _join(event: Event) -> Changes:
    return (changes.AddMember(*_edge(event)),)


def _leave(event: Event) -> Changes:
    return (changes.RemoveMember(*_edge(event)),)


RULES: Mapping[str, Rule] = {
    "user.created": Rule(Kind.USERS_CREATE, _created),
    "user.updated": Rule(Kind.USERS_UPDATE, _user),
    "user.deleted": Rule(Kind.USERS_SUSPEND, _deleted),
    "group.created": Rule(Kind.GROUPS_UPSERT, _put_group),
    "group.updated": Rule(Kind.GROUPS_UPSERT, _put_group),
    "group.deleted": Rule(Kind.GROUPS_DELETE, _delete_group),
    "group.user_added": Rule(Kind.GROUPS_ADD_MEMBERS, _join),
    "group.user_removed": Rule(Kind.GROUPS_REMOVE_MEMBERS, _leave),
}


class PolisSource(RuledSource):
    """Reads `{"event", "data"}` or an array of them. No id, no time but the signed one.

    Batch mode takes exactly 200 for an answer.
    """

    name = "polis"
    addresses: tuple[str, ...] = ("userName",)
    tells_tenant = True
    tenants = (("tenant",), ("directory_id",))
    rules = RULES
    #: A directory that comes or goes says nothing about a single person: it suspends nobody.
    no_change = frozenset(
        f"dsync.{verb}" for verb in ("created", "activated", "deactivated", "deleted")
    )

    def verify(
        self, request: Request, secrets: Sequence[SigningSecret], now: datetime
    ) -> SigningSecret:
        """The secret whose signature the request carries; raises NotAuthenticError."""
        told = proofs.Timed.read(proofs.header(request, _header(request)), "s")
        return told.prove(request, secrets, now, TOLERANCE, per_second=_MILLISECONDS)

    def events(self, document: object) -> list[Any]:
        """Those of an array, or the one that the document is."""
        return document if isinstance(document, list) else super().events(document)

    def type_of(self, event: object) -> str:
        """Polis calls it `event`."""
        return fields.peek_text(event, "event")

    def key_of(self, event: object, request: Request, index: int) -> str:
        """What was signed, and where in it: alike only for the very same request (D12)."""
        whole = sha256(f"{_signed_at(request)}.{index}.".encode() + fields.canonical(event))
        return f"sha256:{whole.hexdigest()}"

    def time_of(self, event: object, request: Request, index: int) -> datetime | None:  # noqa: ARG002
        """When Polis signed; of an array the later is the newer one, by a microsecond."""
        signed = fields.epoch(_signed_at(request), _MILLISECONDS)
        return None if signed is None else signed + timedelta(microseconds=index)


def _header(request: Request) -> str:
    return next((name for name in _HEADERS if name in request.headers), _HEADERS[0])


def _signed_at(request: Request) -> int:
    """The proven `t`, in milliseconds."""
    try:
        return proofs.Timed.read(proofs.header(request, _header(request)), "s").at
    except NotAuthenticError:
        raise UnparseableError("", "no signed time") from None

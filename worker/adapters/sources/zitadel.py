"""ZITADEL Actions v2: events as the instance stores them, deltas in base64, HMAC over the time."""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from domain import changes
from domain.inbox import Kind
from domain.ports import Request, SigningSecret, UnparseableError
from worker.adapters.sources import fields, proofs
from worker.adapters.sources.people import described, profile_of, suspended
from worker.adapters.sources.strict_json import read_json
from worker.adapters.sources.webhook import Changes, Event, Rule, RuledSource

TOLERANCE = timedelta(seconds=300)
_PROFILE = {
    "firstName": "given_name",
    "lastName": "family_name",
    "displayName": "display_name",
    "nickName": "nickname",
}
#: Members of a payload that hold what somebody signs in with: hashes, codes.
_SIGNS_IN = frozenset({"secret", "encodedhash", "code", "hashedpassword"})


def _payload(event: Event) -> dict[str, Any]:
    told = event.get("event_payload")
    if told is None or told == "":
        return {}
    if isinstance(told, dict):
        return told
    if not isinstance(told, str):
        raise UnparseableError("event_payload", "not base64")
    try:
        return fields.as_object(read_json(b64decode(told, validate=True)), "event_payload")
    except ValueError:
        raise UnparseableError("event_payload", "not base64") from None
    except UnparseableError as error:
        raise UnparseableError("event_payload", error.why) from None


def _user(event: Event) -> str:
    # `userID` is whoever made the change.
    return fields.as_id(event.get("aggregateID"), "aggregateID")


def _added(event: Event) -> Changes:
    told = _payload(event)
    address = fields.address(told.get("email")) or fields.address(told.get("userName"))
    profile = profile_of(told, _PROFILE, "event_payload.")
    return described(_user(event), address, profile, None, place="event_payload.email")


def _renamed(event: Event) -> Changes:
    return described(
        _user(event), None, profile_of(_payload(event), _PROFILE, "event_payload."), None
    )


def _moved(event: Event) -> Changes:
    address = fields.address(_payload(event).get("email"))
    return (changes.ChangeEmail(_user(event), address),) if address else ()


def _out(event: Event) -> Changes:
    return suspended(event.get("aggregateID"), "aggregateID")


def _back(event: Event) -> Changes:
    return (changes.ReactivateUser(_user(event)),)


RULES: Mapping[str, Rule] = {
    "user.human.added": Rule(Kind.USERS_CREATE, _added),
    "user.human.selfregistered": Rule(Kind.USERS_CREATE, _added),
    "user.human.profile.changed": Rule(Kind.USERS_UPDATE, _renamed),
    "user.human.email.changed": Rule(Kind.USERS_CHANGE_EMAIL, _moved),
    "user.deactivated": Rule(Kind.USERS_SUSPEND, _out),
    "user.reactivated": Rule(Kind.USERS_REACTIVATE, _back),
    # Unlike elsewhere a lock has no end of its own: an administrator unlocks.
    "user.locked": Rule(Kind.USERS_SUSPEND, _out),
    "user.unlocked": Rule(Kind.USERS_REACTIVATE, _back),
    "user.removed": Rule(Kind.USERS_SUSPEND, _out),
}


class ZitadelSource(RuledSource):
    """Reads one event per request: key is aggregate and sequence, the clock `created_at`."""

    name = "zitadel"
    #: A target hears of every organization of an instance.
    needs_scope = True
    tells_tenant = True
    tenants = (("resourceOwner",), ("instanceID",))
    rules = RULES
    no_change = frozenset({"user.username.changed", "user.human.email.verified"})

    def verify(
        self, request: Request, secrets: Sequence[SigningSecret], now: datetime
    ) -> SigningSecret:
        """The signing key whose signature the request carries; raises NotAuthenticError."""
        told = proofs.Timed.read(proofs.header(request, "zitadel-signature"), "v1")
        return told.prove(request, secrets, now, TOLERANCE)

    def opened(self, body: bytes) -> tuple[bytes, bool]:
        """The body without hashes and codes: they stand in a payload in base64."""
        try:
            document = json.loads(body)
            told = json.loads(b64decode(document["event_payload"], validate=True))
            kept = {name: value for name, value in told.items() if not _is_secret(name)}
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
            return body, False
        if len(kept) == len(told):
            return body, False
        payload = b64encode(json.dumps(kept).encode()).decode()
        return json.dumps({**document, "event_payload": payload}).encode(), True

    def type_of(self, event: object) -> str:
        """ZITADEL calls it `event_type`."""
        return fields.peek_text(event, "event_type")

    def key_of(self, event: object, request: Request, index: int) -> str:  # noqa: ARG002
        """Instance, aggregate and its sequence: what an event store counts."""
        sequence = fields.peek(event, "sequence")
        if isinstance(sequence, bool) or not isinstance(sequence, int | str):
            raise UnparseableError("sequence", "not a number")
        whose = (fields.peek_text(event, name) for name in ("instanceID", "aggregateType"))
        return "/".join((*whose, _user(fields.as_object(event, "")), str(sequence)))

    def time_of(self, event: object, request: Request, index: int) -> datetime | None:  # noqa: ARG002
        """When it was written, by ZITADEL."""
        return fields.moment(fields.peek(event, "created_at"))


def _is_secret(name: str) -> bool:
    return name.lower() in _SIGNS_IN or "passw" in name.lower()

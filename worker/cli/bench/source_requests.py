"""A request of about 1 KB of each source, about a person of its own each, for `bench sources`.

Names and layouts are as the vendors document them; people and ids are invented.
"""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import jwt
from cryptography.hazmat.primitives.asymmetric import ec
from jwt.algorithms import ECAlgorithm

from domain.ports import Request
from worker.cli.signing import proven

#: A body is filled up to so many bytes, as real ones are by what nobody reads here.
BYTES = 1024
WHEN = "2026-06-01T00:00:00.000Z"
MILLIS = 1_780_272_000_000
ISSUER, AUDIENCE = "https://idp.example.com/", "https://app.example.com/hooks"
KEY_ID = "bench"
_SUSPENDED = "urn:ietf:params:scim:event:prov:put:full"


def _user(number: int) -> str:
    return f"user-{number}"


def _email(number: int) -> str:
    return f"u{number}@example.com"


def _okta(n: int) -> Any:
    target = [{"id": _user(n), "type": "User", "alternateId": _email(n), "displayName": "Ana"}]
    event = {"uuid": f"e{n}", "published": WHEN, "eventType": "user.lifecycle.suspend"}
    whole = {**event, "target": target, "outcome": {"result": "SUCCESS"}}
    return {"eventType": "com.okta.event_hook", "data": {"events": [whole]}}


def _entra(n: int) -> Any:
    key = str(UUID(int=n))
    told = {"@odata.type": "#Microsoft.Graph.User", "id": key, "sequenceNumber": 10**17 + n}
    whole = {
        "subscriptionId": str(UUID(int=1)),
        "changeType": "updated",
        "resource": f"Users/{key}",
    }
    return {"value": [{**whole, "resourceData": told}]}


def _google(n: int) -> Any:
    id_ = {"time": WHEN, "uniqueQualifier": str(n), "applicationName": "admin"}
    whom = [{"name": "USER_EMAIL", "value": _email(n)}]
    event = {"type": "USER_SETTINGS", "name": "SUSPEND_USER", "parameters": whom}
    return {"kind": "admin#reports#activity", "id": id_, "events": [event]}


def _keycloak(n: int) -> Any:
    told = json.dumps({"email": _email(n), "enabled": False})
    whole = {"uid": f"e{n}", "time": MILLIS, "type": "admin.USER-UPDATE"}
    return {**whole, "resourcePath": f"users/{_user(n)}", "representation": told}


def _zitadel(n: int) -> Any:
    payload = b64encode(json.dumps({"email": _email(n)}).encode()).decode()
    whole = {"aggregateID": _user(n), "aggregateType": "user", "instanceID": "i", "sequence": n}
    return {**whole, "event_type": "user.human.added", "created_at": WHEN, "event_payload": payload}


def _fusionauth(n: int) -> Any:
    user = {"id": _user(n), "email": _email(n), "active": False}
    event = {"id": f"e{n}", "type": "user.update.complete", "createInstant": MILLIS, "user": user}
    return {"event": event}


def _clerk(n: int) -> Any:
    addresses = [{"id": "idn_1", "email_address": _email(n)}]
    whom = {"id": _user(n), "email_addresses": addresses, "primary_email_address_id": "idn_1"}
    return {"type": "user.updated", "timestamp": MILLIS + n, "data": {**whom, "banned": True}}


def _scalekit(n: int) -> Any:
    whom = {"id": _user(n), "email": _email(n), "active": False, "name": "Ana"}
    name = "organization.directory.user_updated"
    return {"type": name, "occurred_at": WHEN, "id": f"e{n}", "data": whom}


def _polis(n: int) -> Any:
    whom = {"id": _user(n), "email": _email(n), "active": False, "raw": {}}
    return {"directory_id": "d", "event": "user.updated", "data": whom}


def _workos(n: int) -> Any:
    whom = {"id": _user(n), "state": "inactive", "emails": [{"primary": True, "value": _email(n)}]}
    whole = {"id": f"event_{n}", "event": "dsync.user.updated", "created_at": WHEN}
    return {**whole, "data": {**whom, "updated_at": WHEN}}


def _auth0(n: int) -> Any:
    whom = {"user_id": f"auth0|{n}", "email": _email(n), "blocked": True}
    return {"id": f"evt_{n}", "type": "user.updated", "time": WHEN, "data": {"object": whom}}


def _pingone(n: int) -> Any:
    whom = [{"type": "USER", "id": _user(n), "name": _email(n)}]
    whole = {"id": f"e{n}", "recordedAt": WHEN, "action": {"type": "USER.UPDATED"}}
    return [{**whole, "resources": whom, "result": {"status": "SUCCESS"}}]


def _onelogin(n: int) -> Any:
    whole = {"uuid": f"e{n}", "event_timestamp": "2026-06-01 00:00:00 UTC", "event_type_id": 551}
    return [{**whole, "user_id": n + 1, "user_name": "Ana"}]


def _standard(n: int) -> Any:
    whom = {"id": _user(n), "email": _email(n), "active": False}
    return {"type": "user.upserted", "timestamp": WHEN, "data": whom}


DOCUMENTS: Mapping[str, Callable[[int], Any]] = {
    "auth0": _auth0,
    "clerk": _clerk,
    "entra": _entra,
    "fusionauth": _fusionauth,
    "google": _google,
    "keycloak": _keycloak,
    "okta": _okta,
    "onelogin": _onelogin,
    "pingone": _pingone,
    "polis": _polis,
    "scalekit": _scalekit,
    "standard": _standard,
    "workos": _workos,
    "zitadel": _zitadel,
}


class TokenSender:
    """A sender of Security Event Tokens, with a key of its own. trust: what is said of it."""

    trust: Mapping[str, str] = {
        "issuer": ISSUER,
        "audience": AUDIENCE,
        "jwks_url": "https://idp.example.com/jwks.json",
    }

    def __init__(self) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())

    @property
    def jwks(self) -> bytes:
        """Its published keys."""
        jwk = ECAlgorithm.to_jwk(self._key.public_key(), as_dict=True)
        return json.dumps({"keys": [{**jwk, "kid": KEY_ID, "use": "sig"}]}).encode()

    def request(self, number: int, now: datetime) -> Request:
        """One token (RFC 8417) that says of a person that they are out."""
        told = {"data": {"userName": _email(number), "active": False}}
        whole = {"iss": ISSUER, "aud": AUDIENCE, "iat": int(now.timestamp()), "jti": f"j{number}"}
        subject = {"format": "scim", "uri": f"/Users/{_user(number)}"}
        claims = {**whole, "sub_id": subject, "events": {_SUSPENDED: told}, "note": "x" * 400}
        headers = {"kid": KEY_ID, "typ": "secevent+jwt"}
        token = jwt.encode(claims, self._key, "ES256", headers=headers)
        return Request("POST", {"content-type": "application/secevent+jwt"}, token.encode())


def request_of(source: str, secret: str, number: int) -> Request:
    """One request as the source's senders make it now."""
    now, document = datetime.now(UTC), DOCUMENTS[source](number)
    short = BYTES - len(json.dumps(document))
    inner = document[0] if isinstance(document, list) else document
    inner["note"] = "x" * max(0, short)
    body, headers = proven(source, secret, document, now)
    return Request("POST", {"content-type": "application/json", **headers}, body)

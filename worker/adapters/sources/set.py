"""Security Event Tokens by push (RFC 8417, RFC 8935): SCIM events, RISC, CAEP."""

from __future__ import annotations

import hmac
import json
from base64 import urlsafe_b64decode
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from domain.inbox import Reason
from domain.ports import NotAuthenticError, Parsed, Reply, Request, SigningSecret
from worker.adapters.sources import fields, jws, proofs, risc, scim_events
from worker.adapters.sources.trust import Trust
from worker.adapters.sources.webhook import Event, Rule, RuledSource, TrustingSource

_TYPES = frozenset({"secevent+jwt", "application/secevent+jwt"})
#: Times beyond it are in milliseconds, which RFC 8417 does not know and some send.
_LAST_SECOND = 10**11
_DESCRIPTIONS: Mapping[str, str] = {
    "invalid_request": "the body is no Security Event Token",
    "invalid_key": "no key that the issuer publishes fits the token",
    "invalid_issuer": "this endpoint listens to another issuer",
    "invalid_audience": "this endpoint is not among the token's audiences",
    "authentication_failed": "the token's signature or the bearer token is wrong",
}


class SetSource(RuledSource, TrustingSource):
    """Reads the claims of a token; each URI in `events` is an event, the key `iss` + `jti`.

    The clock is the transmitter's: `toe`, else the event's own `event_timestamp`, else `iat`. No
    token is too old to be true: transmitters resend for days, and a repetition is known by its key.
    """

    name = "set"
    success_status = 202
    needs_trust = ("issuer", "audience", "jwks_url")
    takes_secret = False
    rules: Mapping[str, Rule] = {**scim_events.RULES, **risc.RULES}
    no_change = scim_events.NO_CHANGE | frozenset(risc.STREAM)

    def verify(
        self,
        request: Request,
        secrets: Sequence[SigningSecret],
        now: datetime,  # noqa: ARG002
    ) -> SigningSecret:
        """Whoever is trusted to have issued the token, for us; raises NotAuthenticError."""
        if not request.body.strip():
            raise NotAuthenticError(proofs.MISSING, jws.INVALID_REQUEST)
        spoken = [secret for secret in secrets if _bears(request, Trust.of(secret.value).secret)]
        if not spoken:
            raise NotAuthenticError(proofs.WRONG, jws.FAILED)
        secret, signed = jws.prove(request.body.strip(), spoken)
        kind = str(signed.header.get("typ", "")).casefold()
        if kind not in _TYPES:
            raise NotAuthenticError(proofs.WRONG, jws.INVALID_REQUEST)
        _insist(signed.claims, Trust.of(secret.value))
        return secret

    def refusal(self, error: NotAuthenticError) -> Reply:
        """RFC 8935, 2.4: 400 with `err` and `description`."""
        why = error.why if error.why in _DESCRIPTIONS else jws.FAILED
        told = {"err": why, "description": _DESCRIPTIONS[why]}
        return Reply(400, "application/json", json.dumps(told).encode())

    def opened(self, body: bytes) -> tuple[bytes, bool]:
        """The claims: what is stored needs no signature, and passwords in it are found and cut."""
        try:
            _, payload, _ = body.strip().split(b".")
            return urlsafe_b64decode(payload + b"=" * (-len(payload) % 4)), False
        except ValueError:
            return body, False

    def events(self, document: object) -> list[Any]:
        """One for each URI, in the order of the token."""
        claims = fields.as_object(document, "")
        for name in ("jti", "iss"):
            # Asked here, so that whoever reads one event later finds the same fault.
            fields.event_key(claims.get(name), name)
        told = fields.as_object(claims.get("events"), "events")
        about = {name: claims.get(name) for name in ("sub_id", "sub", "iss", "jti", "toe", "iat")}
        return [{"uri": uri, "payload": told[uri], "claims": about} for uri in told]

    def type_of(self, event: object) -> str:
        """The whole URI."""
        return fields.peek_text(event, "uri")

    def parse(self, document: object, index: int) -> Parsed:
        """What the event asks for; a security signal asks for nothing and is passed on."""
        event = fields.as_object(fields.nth(self.events(document), index), "")
        signal = risc.signal_of(event, self.type_of(event))
        if signal is not None:
            return Parsed(ignored=Reason.NO_DIRECTORY_CHANGE, signal=signal)
        return super().parse(document, index)

    def whose(self, event: Event) -> str:
        """The address, of a subject that is told by it alone."""
        if self.type_of(event) not in risc.RULES:
            return ""
        key, address = risc.whose(risc.subject_of(event))
        return "" if key else address

    def key_of(self, event: object, request: Request, index: int) -> str:  # noqa: ARG002
        """Issuer and `jti`, and which of several events."""
        issuer, jti = (fields.peek_text(event, "claims", name) for name in ("iss", "jti"))
        return f"{issuer} {jti}" if index == 0 else f"{issuer} {jti} {self.type_of(event)}"

    def time_of(self, event: object, request: Request, index: int) -> datetime | None:  # noqa: ARG002
        """When it happened, by the transmitter."""
        for place in (("claims", "toe"), ("payload", "event_timestamp"), ("claims", "iat")):
            told = fields.peek(event, *place)
            is_in_milliseconds = isinstance(told, int | float) and told > _LAST_SECOND
            found = fields.epoch(told, 1000 if is_in_milliseconds else 1)
            if found is not None:
                return found
        return None


def _bears(request: Request, token: str) -> bool:
    """Whether the request bears the token that the transmitter was given, if it was given one."""
    scheme, _, told = request.headers.get("authorization", "").partition(" ")
    if not token:
        return True
    given, known = told.strip().encode("utf-8", "surrogatepass"), token.encode()
    return hmac.compare_digest(given, known) and scheme.casefold() == "bearer"


def _insist(claims: Mapping[str, Any], trust: Trust) -> None:
    if claims.get("iss") != trust.issuer:
        raise NotAuthenticError(proofs.WRONG, "invalid_issuer")
    told = claims.get("aud")
    if trust.audience not in (told if isinstance(told, list) else [told]):
        raise NotAuthenticError(proofs.WRONG, "invalid_audience")

"""Entra ID by Microsoft Graph's change notifications, proven by a secret in each of them."""

from __future__ import annotations

import hmac
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

import orjson

from domain.errors import UsageError
from domain.ports import (
    NotAuthenticError,
    Parsed,
    Reply,
    Request,
    SigningSecret,
    SplitEvent,
    UnparseableError,
)
from worker.adapters.sources import fields, proofs
from worker.adapters.sources.entra_notices import Notice, notices
from worker.adapters.sources.strict_json import read_json
from worker.adapters.sources.webhook import Webhook, tenants_of

_TOKEN = "validationToken"  # noqa: S105 - a parameter's name
_LONGEST_TOKEN = 4096
#: Graph takes no more of a `clientState`.
LONGEST_SECRET = 128
_ORIGIN = "webhook-request-origin"
_HOST = re.compile(r"[a-z0-9.-]{1,253}")
_SECRETS = ("clientState", "validationTokens")
_TENANTS = (("tenantId",), ("resourceData", "organizationId"))


class EntraSource(Webhook):
    """Reads `{"value": [notification, ..]}`, or the same as CloudEvents of Azure Event Grid.

    The external id is the object id (a GUID, in lower case). Key: the notification's `id`, else
    subscription, object, change and sequence number. One body may mix subscriptions and tenants.
    """

    name = "entra"
    #: Graph's word for "kept, and not done yet".
    success_status = 202
    has_static_secret = True
    needs_scope = True
    tells_tenant = True

    def handshake(self, request: Request) -> Reply | None:
        """A new subscription's token handed back, decoded; or that Event Grid may send."""
        if not _is_greeting(request):
            return None
        if request.method == "OPTIONS":
            return Reply(200, headers={"WebHook-Allowed-Origin": request.headers[_ORIGIN]})
        return Reply(200, body=request.query[_TOKEN].encode("utf-8", "surrogatepass"))

    def verify(
        self,
        request: Request,
        secrets: Sequence[SigningSecret],
        now: datetime,  # noqa: ARG002
    ) -> SigningSecret:
        """The secret that every single notification bears; during a rotation they may differ.

        A handshake comes before there is a secret to know. It proves nothing, and nothing of it is
        stored: what `handshake` answers goes no further.
        """
        if _is_greeting(request):
            return next(iter(_usable(secrets)))
        proven = [_prover(item, secrets) for item in _proofs_in(request.body)]
        return proven[0]

    def opened(self, body: bytes) -> tuple[bytes, bool]:
        """The body without its secrets."""
        try:
            document = read_json(body)
        except UnparseableError:
            return body, False
        is_cut = _cut(document)
        return (orjson.dumps(document), True) if is_cut else (body, False)

    def checked(self, secret: str) -> str:
        """A secret as long as Graph takes one; raises UsageError."""
        if len(secret) > LONGEST_SECRET:
            raise UsageError(f"Graph takes a clientState of {LONGEST_SECRET} characters at most")
        return secret

    def split(self, document: object, request: Request) -> list[SplitEvent]:  # noqa: ARG002
        """One event for each thing that a notification says."""
        return [_event(notice) for notice in _notices(document)]

    def parse(self, document: object, index: int) -> Parsed:
        """What the notification at this index asks for; places are told from it on."""
        notice = fields.nth(_notices(document), index)
        assert isinstance(notice, Notice)
        return replace(notice.parsed(), tenants=tenants_of(notice.item, _TENANTS))


def _event(notice: Notice) -> SplitEvent:
    return SplitEvent(
        id=fields.event_key(notice.key, "id"),
        kind=notice.kind,
        type=notice.type,
        content=fields.canonical(notice.item),
        occurred_at=notice.occurred_at,
        subject=notice.subject,
    )


def _notices(document: object) -> list[Notice]:
    return [notice for item in items(document) for notice in notices(item)]


def items(document: object) -> list[Mapping[str, Any]]:
    """The notifications of a body; raises UnparseableError."""
    if isinstance(document, list):
        return [_of_cloud_event(event, f"[{place}].") for place, event in enumerate(document)]
    if fields.peek_text(document, "specversion"):
        return [_of_cloud_event(document, "")]
    told = fields.as_list(fields.peek(document, "value"), "value")
    return [fields.as_object(item, f"value[{place}]") for place, item in enumerate(told)]


def _of_cloud_event(event: object, place: str) -> Mapping[str, Any]:
    """Event Grid's envelope has the id; inside it is what Graph sends."""
    data = fields.as_object(fields.peek(event, "data"), f"{place}data")
    return {**data, "id": fields.event_key(fields.peek(event, "id"), f"{place}id")}


def _is_greeting(request: Request) -> bool:
    if request.method == "OPTIONS":
        return _HOST.fullmatch(request.headers.get(_ORIGIN, "")) is not None
    token = request.query.get(_TOKEN, "")
    return request.method == "POST" and 0 < len(token) <= _LONGEST_TOKEN


def _usable(secrets: Sequence[SigningSecret]) -> list[SigningSecret]:
    found = [secret for secret in secrets if secret.value]
    if not found:
        raise NotAuthenticError(proofs.MISSING)
    return found


def _proofs_in(body: bytes) -> list[bytes]:
    """The secret that each notification of an unproven body bears; a body has one at least."""
    try:
        told = items(read_json(body))
    except UnparseableError:
        raise NotAuthenticError(proofs.MISSING) from None
    found = [fields.peek_text(item, "clientState") for item in told]
    if not found or not all(found):
        raise NotAuthenticError(proofs.MISSING)
    return [one.encode("utf-8", "surrogatepass") for one in found]


def _prover(told: bytes, secrets: Sequence[SigningSecret]) -> SigningSecret:
    for secret in secrets:
        value = secret.value.encode("utf-8", "surrogatepass")
        if value and hmac.compare_digest(told, value):
            return secret
    raise NotAuthenticError(proofs.WRONG)


def _cut(document: object) -> bool:
    """Take the secrets out, wherever they stand; whether there were any."""
    found = False
    todo = [document]
    while todo:
        node = todo.pop()
        if isinstance(node, dict):
            for name in [name for name in _SECRETS if name in node]:
                del node[name]
                found = True
            todo.extend(node.values())
        elif isinstance(node, list):
            todo.extend(node)
    return found

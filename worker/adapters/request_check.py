"""What a captured request is: whether it is authentic, and what it asks for. Nothing is stored."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Any

from domain.errors import RefusedError
from domain.inbox import lane_of
from domain.ports import (
    KeysNeededError,
    NotAuthenticError,
    Request,
    SigningSecret,
    Source,
    SplitEvent,
    UnparseableError,
)
from worker.adapters.key_ring import KeyRing
from worker.adapters.sources.scim import told

#: authentic: True, False, or None where nothing to prove it by was given.
Verdict = dict[str, Any]


def looked_at(
    source: Source, request: Request, secrets: list[SigningSecret], now: datetime, ring: KeyRing
) -> Verdict:
    """The verdict with its reason, and what is stored and what comes of it; raises RefusedError."""
    return {**_proof(source, request, secrets, now, ring), **content_of(source, request)}


def _proof(
    source: Source, request: Request, secrets: list[SigningSecret], now: datetime, ring: KeyRing
) -> Verdict:
    if not secrets:
        return {"authentic": None, "why": "not asked: give a secret, whom to trust, or a feed"}
    try:
        source.verify(request, secrets, now)
    except KeysNeededError as needed:
        return _proof(source, request, _with_keys(secrets, needed.url, ring), now, ring)
    except NotAuthenticError as error:
        return {"authentic": False, "why": _WHY[error.reason] + (error.why and f" ({error.why})")}
    return {"authentic": True, "why": f"proven as of {now:%Y-%m-%d %H:%M:%S} UTC"}


_WHY = {
    "missing": "missing: the request bears no proof in the place where this source has it",
    "wrong": "wrong: by none of the secrets was this very body signed",
    "stale": "stale: the signature is right, and of another time; --at says as of when to judge",
}


def _with_keys(secrets: list[SigningSecret], url: str, ring: KeyRing) -> list[SigningSecret]:
    """Keys from where they are published; raises RefusedError where none of them fits."""
    if ring.known(url) is not None or any(one.keys is not None for one in secrets):
        raise RefusedError(f"none of the keys of {url} is the one that the token names")
    ring.renew(url)
    return [replace(one, keys=ring.known(url)) for one in secrets]


def content_of(source: Source, request: Request) -> dict[str, Any]:
    """What is stored and what comes of it, as far as the request alone tells."""
    reply = source.handshake(request)
    if reply is not None:
        return {"handshake": reply.body.decode("utf-8", "replace"), "events": []}
    body, is_cut = source.opened(source.content(request))
    try:
        document = source.read(body)
        events = source.split(document, replace(request, body=body))
    except UnparseableError as error:
        return {"unparseable": str(error), "events": []}
    shown = [_event(source, document, index, one) for index, one in enumerate(events)]
    return {"answer": source.success_status, "is_cut": is_cut, "events": shown}


def _event(source: Source, document: object, index: int, one: SplitEvent) -> dict[str, Any]:
    seen = {
        "id": one.id,
        "type": one.type,
        "kind": one.kind.value,
        "lane": lane_of(one.kind).value,
        "subject": one.subject,
        "occurred_at": one.occurred_at,
    }
    try:
        parsed = source.parse(document, index)
    except UnparseableError as error:
        return {**seen, "changes": [], "unparseable": str(error)}
    more: dict[str, Any] = {"changes": told(parsed.changes)}
    if parsed.ignored is not None:
        more["ignored"] = parsed.ignored.value
    if parsed.whose:
        more["whose"] = parsed.whose
    if parsed.signal is not None:
        more["signal"] = parsed.signal.name
    return {**seen, **more}

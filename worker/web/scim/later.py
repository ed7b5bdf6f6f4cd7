"""Requests that are answered later, and where their answers are (RFC 9967 section 2.5.1)."""

from __future__ import annotations

from base64 import urlsafe_b64encode
from typing import Any

import orjson

from worker.adapters.scim.errors import SCIMError, not_found
from worker.adapters.scim.later import completion, is_wanted, stored, stored_bulk
from worker.adapters.scim.refusals import insist_open
from worker.web.scim import bulk, writing
from worker.web.scim.call import Call, Reply

#: Where answers are; a resource of nobody's schema.
PLACE = "Async"
_SOON = "1"
_SECEVENT = "application/secevent+jwt"
#: An unsecured JWT (RFC 7519 section 6): the connection that fetches it proves where it is from.
_HEAD = b'{"typ":"secevent+jwt","alg":"none"}'


def write(call: Call) -> Reply:
    """A write, at once or later."""
    if not _is_later(call):
        return writing.write(call)
    return _accepted(call, stored(writing.write_of(call), call.base))


def many(call: Call) -> Reply:
    """A bulk request, at once or later."""
    if not _is_later(call):
        return bulk.bulk(call)
    return _accepted(call, stored_bulk(call.body, call.headers, call.base, strict=call.is_strict))


def _is_later(call: Call) -> bool:
    return is_wanted(call.headers.get("prefer"))


def _accepted(call: Call, told: dict[str, Any]) -> Reply:
    """202, once it is committed that it will be done."""
    insist_open(call.speaker)
    txn = call.parts.later.accept(call.speaker, told)
    call.parts.ring_later()
    headers = {
        "Location": f"{call.base}/{PLACE}/{txn}",
        "Set-Txn": txn,
        "Preference-Applied": "respond-async",
    }
    return Reply(202, headers=headers)


def status(call: Call) -> Reply:
    """GET of that address: 202 until it is done, then the events that tell what came of it."""
    txn = call.path[1]
    found = call.parts.later.found(call.speaker, txn)
    if found is None:
        raise not_found("there is no such request")
    if found.answers is None or found.ended_at is None:
        return Reply(202, headers={"Retry-After": _SOON, "Set-Txn": txn})
    at = int(found.ended_at.timestamp())
    issuer = call.parts.settings.public_url.rstrip("/")
    more: Any = {"base": call.base, "issuer": issuer, "audience": call.speaker.feed, "at": at}
    events = [completion(txn, answer, **more) for answer in found.answers]
    if call.headers.get("accept", "").strip().lower() != _SECEVENT:
        return Reply(body=events[0] if _is_single(events, txn) else {"sets": _by_id(events)})
    if not _is_single(events, txn):
        raise SCIMError(406, None, f"many events: ask for JSON, {_SECEVENT} holds one")
    return Reply(body=iter([_unsecured(events[0])]), headers={"Content-Type": _SECEVENT})


def _is_single(events: list[dict[str, Any]], txn: str) -> bool:
    return len(events) == 1 and events[0]["txn"] == txn


def _by_id(events: list[dict[str, Any]]) -> dict[str, Any]:
    """As RFC 8936 gives several."""
    return {event["jti"]: event for event in events}


def _unsecured(claims: dict[str, Any]) -> bytes:
    parts = (_HEAD, orjson.dumps(claims), b"")
    return b".".join(urlsafe_b64encode(part).rstrip(b"=") for part in parts)

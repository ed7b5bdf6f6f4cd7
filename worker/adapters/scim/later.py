"""Requests that are answered later, and the events that tell of it (RFC 9967 section 2.5.1)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

from domain.later import LaterRequest, PostponedError
from domain.resources import Answer, Ask, Refusal, ResourceKind, Speaker
from worker.adapters.scim.asks import Write, ask_of
from worker.adapters.scim.bulk import Done, Operation, answers, read_bulk, run_one
from worker.adapters.scim.errors import SCIMError
from worker.adapters.scim.refusals import insist_done

COMPLETED = "urn:ietf:params:scim:event:misc:asyncresp"
_PAUSED, _BUSY = timedelta(seconds=30), timedelta(seconds=1)
_STATUS = {"POST": 201, "DELETE": 204}

Told = Mapping[str, Any]


def is_wanted(prefer: str | None) -> bool:
    """Whether the header `Prefer` asks for an answer later (RFC 7240 section 4.1)."""
    named = (part.partition(";")[0].strip().lower() for part in (prefer or "").split(","))
    return "respond-async" in named


def stored(write: Write, base: str) -> dict[str, Any]:
    """A single request, as it waits. base: the service's own address."""
    kind = f"{write.kind.value}s"
    single = {
        "method": write.method,
        "endpoint": kind,
        "resource": write.resource,
        "version": write.headers.get("if-match"),
        "data": write.body,
    }
    return {"base": base, "single": single, "headers": _kept(write.headers)}


def stored_bulk(
    body: Any, headers: Mapping[str, str], base: str, *, strict: bool
) -> dict[str, Any]:
    """A bulk request, as it waits; raises SCIMError for what is none."""
    read_bulk(body, strict=strict)
    return {"base": base, "bulk": body, "headers": _kept(headers)}


def _kept(headers: Mapping[str, str]) -> dict[str, str]:
    return {name: headers[name] for name in ("content-type", "user-agent") if name in headers}


def perform(request: LaterRequest, write: Callable[[Ask], Answer]) -> list[dict[str, Any]]:
    """Do what a request asks; the answer of each operation (RFC 7644 section 3.7.3).

    Raises PostponedError while it cannot be said what comes of it, InfrastructureError.
    """
    speaker, told = request.speaker, request.told
    if speaker is not None and speaker.state == "paused":
        raise PostponedError(_PAUSED)
    base = str(told["base"])

    def one(operation: Operation) -> Done:
        if speaker is None:
            raise SCIMError(401, None, "the token or the connection was revoked meanwhile")
        return _done(request, speaker, operation, write)

    if "single" in told:
        single = Operation(0, **told["single"])
        return [run_one(single, one, base=base)]
    try:
        found = answers(read_bulk(told["bulk"]), one, base=base)
    except SCIMError as error:
        return [{"method": "POST", "status": str(error.status), "response": error.body}]
    return [{"place": place, **found[place]} for place in sorted(found)]


def failed(request: LaterRequest) -> list[dict[str, Any]]:
    """The answer where a fault of ours kept it from being done."""
    error = SCIMError(500, None, "this is a fault of rosterd; look whether it was done")
    method = request.told.get("single", {}).get("method", "POST")
    return [{"method": method, "status": str(error.status), "response": error.body}]


def _done(
    request: LaterRequest, speaker: Speaker, operation: Operation, write: Callable[[Ask], Answer]
) -> Done:
    base, method = str(request.told["base"]), operation.method
    resource = request.done.get(operation.place)
    if resource is None:
        answer = write(
            replace(_ask(request, speaker, operation), later=(request.id, operation.place))
        )
        if answer.refused is Refusal.BUSY:
            raise PostponedError(_BUSY)
        insist_done(answer, operation.endpoint[:-1])
        resource = answer.resource.id if answer.resource is not None else operation.resource
    return Done(_STATUS.get(method, 200), f"{base}/{operation.endpoint}/{resource}")


def _ask(request: LaterRequest, speaker: Speaker, operation: Operation) -> Ask:
    headers = dict(request.told["headers"])
    if operation.version is not None:
        headers["if-match"] = operation.version
    place = [operation.endpoint, *([operation.resource] if operation.resource is not None else [])]
    return ask_of(
        Write(
            speaker=speaker,
            method=operation.method,
            kind=ResourceKind(operation.endpoint[:-1]),
            place="/" + "/".join(place),
            resource=operation.resource,
            body=operation.data,
            headers=headers,
        )
    )


def completion(
    txn: str, answer: Told, *, base: str, issuer: str, audience: str, at: int
) -> dict[str, Any]:
    """The claims of a security event token that tells what an operation came to. at: seconds."""
    told = dict(answer)
    location, place = told.pop("location", None), told.pop("place", None)
    named = txn if place is None else f"{txn}:{place}"
    return {
        "jti": f"{named}:done",
        "iss": issuer,
        "aud": [audience],
        "iat": at,
        "txn": named,
        "sub_id": {"format": "scim", "uri": str(location).removeprefix(base) if location else "/"},
        "events": {COMPLETED: told},
    }

"""Errors as problem details (RFC 9457): one shape, and a code that programs may rely on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from starlette.responses import JSONResponse

MEDIA_TYPE = "application/problem+json"
#: `type` of a problem, seen from the server's root; it answers what the problem means.
TYPES = "/api/problems/"


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of problem: its status, its title, and what whoever meets it should do."""

    status: int
    title: str
    remedy: str


KINDS: Mapping[str, Kind] = {
    "malformed": Kind(400, "The body is no JSON", "Send one JSON document in UTF-8."),
    "unauthenticated": Kind(
        401,
        "A live bearer token is needed",
        "Send `Authorization: Bearer rst_..`; `rosterd token add` makes a token.",
    ),
    "insufficient_scope": Kind(
        403,
        "The token may not do this",
        "Use a token with the scope that the answer names.",
    ),
    "not_permitted": Kind(
        403,
        "Whoever asks may not do this",
        "Ask an operator with the role that the detail names.",
    ),
    "cross_site": Kind(
        403,
        "The request is not from a page of this session",
        "Send the token of the page in X-CSRF-Token; or use a bearer token, and no cookie.",
    ),
    "not_found": Kind(
        404,
        "There is no such thing",
        "Check the id; what belongs to another account is not there for this token.",
    ),
    "method_not_allowed": Kind(
        405, "Not with this method", "The header Allow names the methods of this path."
    ),
    "replay_state": Kind(
        409,
        "The replay is not where it would have to be",
        "The detail says where it is and who brought it there: look at it again.",
    ),
    "not_dead": Kind(
        409, "The event is not dead", "Only what is dead is edited: look at the event again."
    ),
    "not_editable": Kind(
        409,
        "The event has no body that a JSON patch could be made to",
        "Have the provider send it again, or change the directory by hand.",
    ),
    "refused": Kind(409, "A rule of the directory says no", "The detail names the way out."),
    "managed_by_idp": Kind(
        409,
        "An identity provider governs this person",
        "Make the change at the identity provider (E1).",
    ),
    "managed_group": Kind(
        409,
        "An identity provider governs this group",
        "Change its members at the identity provider (G6).",
    ),
    "protected_group": Kind(
        409,
        "The group is built in, or holds a permission that protects it",
        "Leave it as it is, or use another group (G3, G5).",
    ),
    "follows_role": Kind(
        409,
        "The members of this group are whoever has the role",
        "Change the person's role (G5).",
    ),
    "name_taken": Kind(409, "A group of the account has this name", "Take another name."),
    "last_owner": Kind(
        409,
        "An account keeps an owner who can act",
        "Make somebody else an owner first (U6).",
    ),
    "address_taken": Kind(
        409,
        "The address belongs to somebody of the account",
        "Change the holder's address first (E8).",
    ),
    "changed_meanwhile": Kind(
        412, "Somebody changed it since it was read", "Read it again, then send the change."
    ),
    "too_large": Kind(413, "The body is too large", "Send less at once."),
    "unsupported_media_type": Kind(
        415, "Only JSON is taken", "Send `Content-Type: application/json`, plain or gzip."
    ),
    "invalid": Kind(422, "Something in the request makes no sense", "`errors` names each place."),
    "idempotency_key_reused": Kind(
        422,
        "The key was used for something else",
        "Make a new Idempotency-Key for each request that is not the same again.",
    ),
    "rate_limited": Kind(
        429, "Too many requests", "Wait as many seconds as the header Retry-After says."
    ),
    "internal": Kind(
        500,
        "rosterd failed",
        "Try again; report it with the request id, by which it is in the log.",
    ),
    "unavailable": Kind(
        503,
        "The database cannot be asked now",
        "Nothing is lost. Try again after as many seconds as Retry-After says.",
    ),
}
#: What a plain status of the framework is called here.
CODES = {kind.status: code for code, kind in KINDS.items()}


class ProblemError(Exception):
    """A request that is answered with a problem. more: further members of the answer."""

    def __init__(
        self,
        code: str,
        detail: str,
        *,
        headers: Mapping[str, str] | None = None,
        **more: object,
    ) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail
        self.headers = dict(headers or {})
        self.more = more


def problem(
    code: str,
    detail: str,
    *,
    request_id: str,
    headers: Mapping[str, str] | None = None,
    **more: object,
) -> JSONResponse:
    """The answer for a kind of problem."""
    kind = KINDS[code]
    body = {
        "type": TYPES + code,
        "code": code,
        "title": kind.title,
        "status": kind.status,
        "detail": detail,
        "request_id": request_id,
        **more,
    }
    return JSONResponse(body, kind.status, headers, MEDIA_TYPE)


def places(errors: Sequence[Mapping[str, Any]]) -> list[dict[str, str]]:
    """Where a request makes no sense, and why; what was sent there is not told back."""
    found = []
    for error in errors:
        where, *path = [str(step) for step in error["loc"]]
        found.append({"in": where, "field": ".".join(path), "detail": str(error["msg"])})
    return found


SCHEMA: dict[str, Any] = {
    "type": "object",
    "title": "Problem",
    "description": "RFC 9457. Rely on `code`; `title` and `detail` are for people.",
    "required": ["type", "code", "title", "status", "detail", "request_id"],
    "properties": {
        "type": {"type": "string", "examples": [TYPES + "not_found"]},
        "code": {"type": "string", "enum": sorted(KINDS)},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "request_id": {"type": "string"},
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["in", "field", "detail"],
                "properties": {
                    "in": {"type": "string"},
                    "field": {"type": "string"},
                    "detail": {"type": "string"},
                },
            },
        },
    },
}


def responses(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The problems of an operation, for its description; every operation has the common ones."""
    schema = {"$ref": "#/components/schemas/Problem"}
    content = {MEDIA_TYPE: {"schema": schema}}
    common = (401, 403, 422, 429, 500, 503)
    return {
        status: {"description": _titles(status), "content": content}
        for status in sorted({*common, *statuses})
    }


#: An answer of JSON Lines, for the description.
LINES: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "JSON Lines: one object a line.",
        "content": {"application/x-ndjson": {"schema": {"type": "string"}}},
    }
}


@cache
def _titles(status: int) -> str:
    return "; ".join(
        f"`{code}`: {kind.title}" for code, kind in KINDS.items() if kind.status == status
    )

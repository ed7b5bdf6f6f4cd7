"""POST, PUT, PATCH, DELETE: what is asked, and what the outcome is answered with (RFC 7644, 3)."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from hashlib import sha256
from itertools import islice
from typing import Any

from sqlalchemy import Connection

from domain.changes import Change, DeleteGroup, SuspendUser
from domain.inbox import Reason
from domain.resources import Answer, Ask, Composed, Document, Refusal, Resource, ResourceKind
from worker.adapters.db.engine import translated
from worker.adapters.db.scim_reading import Named, members_of, seen
from worker.adapters.scim.asking import asked
from worker.adapters.scim.errors import SCIMError, invalid_value, not_found
from worker.adapters.scim.patching import patched
from worker.adapters.scim.writing import created, replaced, told_members
from worker.web.scim.call import Call, Reply
from worker.web.scim.presenting import etag_of, listed, location_of, presented
from worker.web.scim.reading import kind_of, wants

#: Beyond so many members a changed group is not sent back unless it is asked for (D13).
MEMBERS_SHOWN = 1000
KEPT_HEADERS = ("content-type", "user-agent", "if-match")
_VERSION = re.compile(r'(?:W/)?"([^"]*)"')
_LATER = 5
#: How long a provider is told to wait for an operator: for a hold, for a pause.
_FOR_OPERATOR = 300

Compose = Callable[[Resource | None], Composed]


def create(call: Call) -> Reply:
    """POST."""
    kind, strict = kind_of(call), call.is_strict

    def compose(_before: Resource | None) -> Composed:
        document = created(kind.value, call.body, strict=strict)
        members = _members(kind, call.body, strict=strict)
        return _composed(None, document, members=members)

    return _done(call, written(call, _ask(call, kind, compose)))


def replace_(call: Call) -> Reply:
    """PUT."""
    kind, strict = kind_of(call), call.is_strict

    def compose(before: Resource | None) -> Composed:
        known = before.document if before is not None else {}
        document = replaced(kind.value, dict(known), call.body, strict=strict)
        return _composed(before, document, members=_members(kind, call.body, strict=strict))

    return _done(call, written(call, _ask(call, kind, compose, resource=call.path[1])))


def patch(call: Call) -> Reply:
    """PATCH: all operations or none."""
    kind, strict = kind_of(call), call.is_strict

    def compose(before: Resource | None) -> Composed:
        known = before.document if before is not None else {}
        done = patched(kind.value, dict(known), call.body, strict=strict)
        return _composed(
            before,
            done.document,
            added=tuple(done.members_added),
            removed=tuple(done.members_removed),
            members=None if done.members_replaced is None else tuple(done.members_replaced),
        )

    return _done(call, written(call, _ask(call, kind, compose, resource=call.path[1])))


def delete(call: Call) -> Reply:
    """DELETE: a person is suspended, never removed (U3); a group goes. Then the id is 404."""
    kind = kind_of(call)

    def changes(key: str) -> Sequence[Change]:
        return (SuspendUser(key),) if kind is ResourceKind.USER else (DeleteGroup(key),)

    def compose(_before: Resource | None) -> Composed:
        return Composed(None, changes)

    answer = written(call, _ask(call, kind, compose, resource=call.path[1]))
    _insist_done(answer, call)
    return Reply(204)


def _members(kind: ResourceKind, body: Any, *, strict: bool) -> tuple[str, ...] | None:
    return told_members(body, strict=strict) if kind is ResourceKind.GROUP else None


def _composed(
    before: Resource | None,
    document: Document,
    *,
    added: tuple[str, ...] = (),
    removed: tuple[str, ...] = (),
    members: tuple[str, ...] | None = None,
) -> Composed:
    """Only what differs from what SCIM last told is asked for (D2)."""
    told = before.document if before is not None and before.is_told else None
    return Composed(document, lambda key: asked(told, document, key), added, removed, members)


def _describe(document: Document, key: str) -> Sequence[Change]:
    return asked(None, document, key)


def _ask(call: Call, kind: ResourceKind, compose: Compose, *, resource: str | None = None) -> Ask:
    match = call.headers.get("if-match")
    return Ask(
        speaker=call.speaker,
        kind=kind,
        method=call.method,
        path=call.place,
        told=call.body,
        compose=compose,
        describe=_describe,
        resource=resource,
        versions=None if match is None else versions_in(match),
        headers={name: call.headers[name] for name in KEPT_HEADERS if name in call.headers},
        digest=sha256(call.raw).digest(),
        is_cut=call.is_cut,
    )


def versions_in(header: str) -> frozenset[str]:
    """Numbers of the versions in If-Match; `*` for any."""
    if header.strip() == "*":
        return frozenset("*")
    return frozenset(found.partition(".")[0] for found in _VERSION.findall(header))


def written(call: Call, ask: Ask) -> Answer:
    """What became of it; raises SCIMError while the connection is paused (C2)."""
    if call.speaker.state == "paused":
        raise SCIMError(
            503,
            None,
            "provisioning is paused by an operator; nothing was done, send it again later",
            retry_after=_FOR_OPERATOR,
        )
    return call.parts.provision.write(ask)


# -- answers ---------------------------------------------------------------------------


def _done(call: Call, answer: Answer) -> Reply:
    """The resource as it is now; of a large group, unless it is asked for, without its members."""
    _insist_done(answer, call)
    resource = answer.resource
    if resource is None:
        raise LookupError("a write without a resource")
    with translated(), call.parts.database.read() as sql:
        known = seen(sql, [resource], with_groups=wants(call, resource.kind, "groups"))[resource.id]
        members = _shown_members(call, sql, resource)
    headers = {"ETag": etag_of(resource, known), "Location": location_of(call, resource)}
    if members is not None and len(members) > MEMBERS_SHOWN:
        if call.method != "POST":
            return Reply(204, headers=headers)
        members = None
    body = presented(call, resource, known, members)
    return Reply(201 if call.method == "POST" else 200, body, headers)


def _shown_members(call: Call, sql: Connection, resource: Resource) -> list[Named] | None:
    if resource.kind is not ResourceKind.GROUP or not wants(call, resource.kind, "members"):
        return None
    is_asked = bool(listed(call, "attributes"))
    return list(islice(members_of(sql, resource), None if is_asked else MEMBERS_SHOWN + 1))


def _insist_done(answer: Answer, call: Call) -> None:
    """Raise the SCIMError that tells why not."""
    if answer.refused is None:
        return
    build = _REFUSALS.get(answer.refused)
    if build is None:
        raise SCIMError(500, None, "this is a fault of rosterd")
    raise build(answer, kind_of(call).value)


def _refusal(
    status: int, scim_type: str | None, says: str, *, retry_after: int | None = None
) -> Callable[[Answer, str], SCIMError]:
    """says: with {kind} and {detail}."""

    def build(answer: Answer, kind: str) -> SCIMError:
        text = says.format(kind=kind, detail=answer.detail)
        return SCIMError(status, scim_type, text, retry_after=retry_after)

    return build


_REFUSALS: Mapping[Refusal | Reason, Callable[[Answer, str], SCIMError]] = {
    Refusal.NOT_FOUND: lambda _answer, kind: not_found(f"there is no such {kind}"),
    Refusal.NO_MEMBER: lambda _answer, _kind: invalid_value(
        "members: one of them is no User of this service"
    ),
    Refusal.CHANGED: _refusal(412, None, "the {kind} has changed since that version"),
    Refusal.TAKEN: _refusal(
        409, "uniqueness", "there is a {kind} with that name or externalId already"
    ),
    Refusal.BUSY: _refusal(
        503, None, "somebody whom this concerns is being changed; nothing was done", retry_after=1
    ),
    Reason.ADDRESS_TAKEN: _refusal(
        409, "uniqueness", "the address belongs to somebody else of this account"
    ),
    Reason.OWNED_ELSEWHERE: _refusal(
        409, "uniqueness", "the {kind} is governed by another connection of this account"
    ),
    Reason.GROUP_EXISTS: _refusal(
        409,
        "uniqueness",
        "the account has a group of that name that this connection does not manage",
    ),
    Reason.DOMAIN_NOT_ALLOWED: _refusal(400, "invalidValue", "{detail}"),
    Reason.NO_ADDRESS: _refusal(400, "invalidValue", "{detail}"),
    Reason.PROTECTED_USER: _refusal(
        403, None, "the last owner and break-glass people cannot be changed by provisioning"
    ),
    Reason.PROTECTED_GROUP: _refusal(403, None, "{detail}"),
    Reason.GUEST: _refusal(403, None, "guests are not provisioned"),
    Reason.OUT_OF_SCOPE: _refusal(
        403, None, "this connection does not keep the {kind}: it is outside its scope"
    ),
    Reason.BREAKER: _refusal(
        503,
        None,
        "held: too many people would lose something at once; an operator has to approve it "
        "({detail})",
        retry_after=_FOR_OPERATOR,
    ),
}

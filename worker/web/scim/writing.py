"""POST, PUT, PATCH, DELETE: what is asked, and what the outcome is answered with (RFC 7644, 3)."""

from __future__ import annotations

from dataclasses import replace

from domain.resources import Answer, Resource, ResourceKind
from worker.adapters.db.engine import translated
from worker.adapters.db.scim_reading import Seen, seen
from worker.adapters.scim.asks import Write, ask_of
from worker.adapters.scim.refusals import insist_done, insist_open
from worker.web.scim.call import Call, Reply
from worker.web.scim.presenting import listed
from worker.web.scim.reading import kind_of, wants
from worker.web.scim.streaming import (
    Shown,
    as_object,
    headers_with,
    in_pieces,
    is_whole,
    with_members,
)

#: Bytes of a body beyond which a write has a transaction of its own.
LARGE = 64 * 1024


def write(call: Call) -> Reply:
    """Apply it and answer what became of it."""
    insist_open(call.speaker)
    ask = replace(ask_of(write_of(call)), shows_related=_shows_related(call))
    # A large group locks its row for a while: nobody else is to wait for that.
    is_large = len(call.raw) > LARGE
    answer = call.parts.provision.write(ask) if is_large else call.together.write(ask)
    insist_done(answer, kind_of(call).value)
    return Reply(204) if call.method == "DELETE" else _done(call, answer)


def write_of(call: Call) -> Write:
    """The request as it is asked, now or later."""
    return Write(
        speaker=call.speaker,
        method=call.method,
        kind=kind_of(call),
        place=call.place,
        resource=call.path[1] if len(call.path) > 1 else None,
        body=call.body,
        raw=call.raw,
        headers=call.headers,
        is_cut=call.is_cut,
    )


def _done(call: Call, answer: Answer) -> Reply:
    """The resource as it is now; of a large group no members, unless they are asked for (D13)."""
    resource = answer.resource
    if resource is None:
        raise LookupError("a write without a resource")
    shown = _shown(call, answer, resource)
    headers = headers_with(call, shown)
    status = 201 if call.method == "POST" else 200
    if is_whole([shown]):
        return Reply(status, as_object(call, shown), headers)
    if listed(call, "attributes"):
        return Reply(status, in_pieces(call, shown), headers)
    if call.method == "POST":
        return Reply(status, as_object(call, replace(shown, members=None)), headers)
    del headers["Content-Location"]  # Of a content that is not sent.
    return Reply(204, headers=headers)


def _shows_related(call: Call) -> bool:
    """Whether the answer has a user's groups, or a group's members."""
    kind = kind_of(call)
    related = "groups" if kind is ResourceKind.USER else "members"
    return call.method != "DELETE" and wants(call, kind, related)


def _shown(call: Call, answer: Answer, resource: Resource) -> Shown:
    """What the write itself saw is not asked for again."""
    known, is_wanted = answer.known, _shows_related(call)
    if known is not None:
        about = Seen(known.person, known.is_described, known.groups or (), known.name)
        if not is_wanted or known.groups is not None or known.members is not None:
            return Shown(resource, about, known.members)
    with translated(), call.parts.kept_connections.read() as sql:
        about = seen(sql, [resource], with_groups=is_wanted)[resource.id]
        return with_members(sql, [resource], {resource.id: about}, are_wanted=is_wanted)[0]

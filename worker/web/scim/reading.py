"""GET: one resource, straight from the database."""

from __future__ import annotations

import re
from dataclasses import replace

from domain.resources import Resource, ResourceKind
from worker.adapters.db.engine import translated
from worker.adapters.db.scim_reading import seen
from worker.adapters.db.scim_store import resource_by_id
from worker.adapters.scim.errors import not_found
from worker.adapters.scim.showing import projection
from worker.web.scim.call import Call, Reply
from worker.web.scim.presenting import listed as named
from worker.web.scim.streaming import (
    Shown,
    as_object,
    headers_with,
    in_pieces,
    is_whole,
    with_members,
)

#: The setting that lets the id of a deleted user be read: 404 or 200.
DELETED_GET = "deleted_get"
_OK = "200"
_QUOTED = re.compile(r'(?:W/)?"[^"]*"')


def kind_of(call: Call) -> ResourceKind:
    """What the path is about."""
    return ResourceKind.USER if call.path[0].lower() == "users" else ResourceKind.GROUP


def kinds_of(call: Call) -> list[ResourceKind]:
    """What a list is about: one kind, or at the root both."""
    return [kind_of(call)] if call.path and call.path[0] != ".search" else list(ResourceKind)


def one(call: Call) -> Reply:
    """GET /Users/{id}, GET /Groups/{id}."""
    kind = kind_of(call)
    with translated(), call.parts.kept_connections.read() as sql:
        found = resource_by_id(sql, call.speaker.connection, kind, call.path[1])
        if found is None or not _is_readable(call, found):
            raise not_found(f"there is no such {kind.value}")
        # The version is of the whole resource, whatever part of it is asked for (RFC 7644, 3.14).
        known = seen(sql, [found], with_groups=True)
        told, are_wanted = call.headers.get("if-none-match"), wants(call, kind, "members")
        are_read = are_wanted or told is not None
        (shown,) = with_members(sql, [found], known, are_wanted=are_read)
    if told is not None and is_known(shown, told):
        return Reply(304, headers={"ETag": shown.etag})
    shown = shown if are_wanted else replace(shown, members=None)
    headers = headers_with(call, shown)
    if is_whole([shown]):
        return Reply(body=as_object(call, shown), headers=headers)
    return Reply(body=in_pieces(call, shown), headers=headers)


def is_known(shown: Shown, if_none_match: str) -> bool:
    """Whether who asks has this version already; compared weakly (RFC 9110, 13.1.2).

    Of a group that is too large for its version to tell everything, nobody has it.
    """
    if if_none_match.strip() == "*":
        return True
    known = map(_opaque, _QUOTED.findall(if_none_match))
    return shown.is_versioned and _opaque(shown.etag) in known


def _opaque(tag: str) -> str:
    return tag.removeprefix("W/")


def wants(call: Call, kind: ResourceKind, name: str) -> bool:
    """Whether the request asks for this attribute."""
    wanted = projection(kind.value, named(call, "attributes"), named(call, "excludedAttributes"))
    return wanted is None or wanted.wants(name)


def _is_readable(call: Call, resource: Resource) -> bool:
    is_kept = resource.kind is ResourceKind.USER and resource.deleted_at is not None
    return resource.deleted_at is None or (
        is_kept and call.speaker.settings.get(DELETED_GET) == _OK
    )

"""GET: one resource, straight from the database."""

from __future__ import annotations

import re

from domain.resources import Resource, ResourceKind
from worker.adapters.db.engine import translated
from worker.adapters.db.scim_reading import Seen, seen
from worker.adapters.db.scim_store import resource_by_id
from worker.adapters.scim.errors import not_found
from worker.adapters.scim.showing import projection
from worker.web.scim.call import Call, Reply
from worker.web.scim.presenting import etag_of
from worker.web.scim.presenting import listed as named
from worker.web.scim.streaming import as_object, in_pieces, is_whole, with_members

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
    with translated(), call.parts.lines.read() as sql:
        found = resource_by_id(sql, call.speaker.connection, kind, call.path[1])
        if found is None or not _is_readable(call, found):
            raise not_found(f"there is no such {kind.value}")
        # The version is of the whole resource, whatever part of it is asked for (RFC 7644, 3.14).
        known = seen(sql, [found], with_groups=True)[found.id]
        etag = etag_of(found, known)
        if is_known(etag, call.headers.get("if-none-match")):
            return Reply(304, headers={"ETag": etag})
        are_wanted = wants(call, kind, "members")
        (shown,) = with_members(sql, [found], {found.id: known}, are_wanted=are_wanted)
    if is_whole([shown]):
        return Reply(body=as_object(call, shown), headers={"ETag": etag})
    return Reply(body=in_pieces(call, shown), headers={"ETag": etag})


def is_known(etag: str, if_none_match: str | None) -> bool:
    """Whether who asks has this version already; compared weakly (RFC 9110, 13.1.2)."""
    if if_none_match is None:
        return False
    return if_none_match.strip() == "*" or _opaque(etag) in map(
        _opaque, _QUOTED.findall(if_none_match)
    )


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


def known_of(call: Call, resource: Resource) -> Seen:
    """What the directory says of a resource now."""
    with translated(), call.parts.lines.read() as sql:
        return seen(sql, [resource])[resource.id]

"""GET: one resource, straight from the database."""

from __future__ import annotations

from domain.resources import Resource, ResourceKind
from worker.adapters.db.engine import translated
from worker.adapters.db.scim_reading import Seen, members_of, seen
from worker.adapters.db.scim_store import resource_by_id
from worker.adapters.scim.errors import SCIMError, not_found
from worker.adapters.scim.showing import projection
from worker.web.scim.call import Call, Reply
from worker.web.scim.presenting import etag_of, presented
from worker.web.scim.presenting import listed as named

#: The setting that lets the id of a deleted user be read: 404 or 200.
DELETED_GET = "deleted_get"
_OK = "200"


def kind_of(call: Call) -> ResourceKind:
    """What the path is about."""
    return ResourceKind.USER if call.path[0].lower() == "users" else ResourceKind.GROUP


def one(call: Call) -> Reply:
    """GET /Users/{id}, GET /Groups/{id}."""
    kind = kind_of(call)
    with translated(), call.parts.database.read() as sql:
        found = resource_by_id(sql, call.speaker.connection, kind, call.path[1])
        if found is None or not _is_readable(call, found):
            raise not_found(f"there is no such {kind.value}")
        known = seen(sql, [found], with_groups=wants(call, kind, "groups"))[found.id]
        etag = etag_of(found, known)
        if etag in call.headers.get("if-none-match", ""):
            return Reply(304, headers={"ETag": etag})
        is_listing = kind is ResourceKind.GROUP and wants(call, kind, "members")
        members = list(members_of(sql, found)) if is_listing else None
        return Reply(body=presented(call, found, known, members), headers={"ETag": etag})


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
    with translated(), call.parts.database.read() as sql:
        return seen(sql, [resource])[resource.id]


def listed(call: Call) -> Reply:
    """GET /Users, GET /Groups."""
    raise SCIMError(501, None, f"{call.place}: no lists yet")

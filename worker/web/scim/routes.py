"""Which handler answers which path (RFC 7644, 3.2)."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from worker.adapters.scim.errors import SCIMError, not_allowed, not_found
from worker.web.scim import discovery, later, listing, reading
from worker.web.scim.call import Call, Reply

Handler = Callable[[Call], Reply]
RESOURCES = {"users": "User", "groups": "Group"}
_DISCOVERY: dict[str, Handler] = {
    "serviceproviderconfig": discovery.config,
    "schemas": discovery.schemas,
    "resourcetypes": discovery.types,
}
#: What a path may begin with; anything else names a feed.
ENDPOINTS = frozenset({*RESOURCES, *_DISCOVERY, ".search", "bulk", "me", later.PLACE.lower()})
_OF_ALL: Mapping[str, Handler] = {"GET": listing.listed, "POST": later.write}
_OF_ONE: Mapping[str, Handler] = {
    "GET": reading.one,
    "PUT": later.write,
    "PATCH": later.write,
    "DELETE": later.write,
}


def handler_of(call: Call) -> Handler:
    """Who answers; raises SCIMError 404, 405 or 501."""
    handlers = _handlers(call.path)
    if call.method not in handlers:
        raise not_allowed(call.place, allowed(call.path))
    return handlers[call.method]


def allowed(path: tuple[str, ...]) -> tuple[str, ...]:
    """The methods that a path takes; raises SCIMError 404 or 501."""
    handlers = _handlers(path)
    # Whoever answers GET answers HEAD (RFC 9110, 9.3.2).
    return tuple(one for name in handlers for one in ((name, "HEAD") if name == "GET" else (name,)))


def _handlers(path: tuple[str, ...]) -> Mapping[str, Handler]:
    """Who answers which method. Names of endpoints are taken in any case."""
    name = path[0].lower() if path else ""
    if path == ():
        return {"GET": listing.listed}
    if path == (".search",) or (name in RESOURCES and path[1:] == (".search",)):
        return {"POST": listing.search}
    if name in _DISCOVERY and len(path) in (1, 2):
        return {"GET": _DISCOVERY[name]}
    if name == "bulk" and len(path) == 1:
        return {"POST": later.many}
    if name == later.PLACE.lower() and len(path) == 2:  # noqa: PLR2004 - /Async/{txn}
        return {"GET": later.status}
    if name == "me":
        raise SCIMError(501, None, "/Me: a token is no person here (RFC 7644, 3.11)")
    if name in RESOURCES and len(path) == 1:
        return _OF_ALL
    if name in RESOURCES and len(path) == 2:  # noqa: PLR2004 - /Users/{id}
        return _OF_ONE
    raise not_found(f"there is no /{'/'.join(path)[:200]}")

"""Which handler answers which path (RFC 7644, 3.2)."""

from __future__ import annotations

from collections.abc import Callable

from worker.adapters.scim.errors import SCIMError, not_found
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
_OF_ALL: dict[str, Handler] = {"GET": listing.listed, "POST": later.write}
_OF_ONE: dict[str, Handler] = {
    "GET": reading.one,
    "PUT": later.write,
    "PATCH": later.write,
    "DELETE": later.write,
}


def handler_of(call: Call) -> Handler:
    """Who answers; raises SCIMError 404, 405 or 501. Names of endpoints are taken in any case."""
    name = call.path[0].lower() if call.path else ""
    if call.path in ((), (".search",)) or (name in RESOURCES and call.path[1:] == (".search",)):
        return _only(call, {"POST": listing.search} if call.path else {"GET": listing.listed})
    if name in _DISCOVERY and len(call.path) in (1, 2):
        return _only(call, {"GET": _DISCOVERY[name]})
    if name == "bulk" and len(call.path) == 1:
        return _only(call, {"POST": later.many})
    if name == later.PLACE.lower() and len(call.path) == 2:  # noqa: PLR2004 - /Async/{txn}
        return _only(call, {"GET": later.status})
    if name == "me":
        raise SCIMError(501, None, "/Me: a token is no person here (RFC 7644, 3.11)")
    if name in RESOURCES and len(call.path) == 1:
        return _only(call, _OF_ALL)
    if name in RESOURCES and len(call.path) == 2:  # noqa: PLR2004 - /Users/{id}
        return _only(call, _OF_ONE)
    raise not_found(f"there is no {call.place[:200]}")


def _only(call: Call, handlers: dict[str, Handler]) -> Handler:
    if call.method not in handlers:
        raise SCIMError(405, None, f"{call.place[:200]} takes {', '.join(handlers)}")
    return handlers[call.method]

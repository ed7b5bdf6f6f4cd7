"""/ServiceProviderConfig, /Schemas and /ResourceTypes (RFC 7644, 4)."""

from __future__ import annotations

from worker.adapters.scim import schemas as described
from worker.adapters.scim.errors import SCIMError, not_found
from worker.web.scim.call import Call, Reply
from worker.web.scim.presenting import listed as named


def config(call: Call) -> Reply:
    """What the service can do."""
    _insist_whole(call)
    if len(call.path) > 1:
        raise not_found(f"there is no {call.place[:200]}")
    limit = call.parts.settings.scim_max_body_bytes
    asks = {name.lower() for name in named(call, "attributes")}
    with_events = "securityevents" in asks
    return Reply(
        body=described.service_provider_config(
            call.base, max_payload=limit, with_events=with_events
        )
    )


def schemas(call: Call) -> Reply:
    """All schemas, or one by its URN."""
    _insist_whole(call)
    if len(call.path) > 1:
        return Reply(body=described.schema(call.base, call.path[1]))
    return Reply(body=described.schemas(call.base))


def types(call: Call) -> Reply:
    """All resource types, or one by its name."""
    _insist_whole(call)
    if len(call.path) > 1:
        return Reply(body=described.resource_type(call.base, call.path[1]))
    return Reply(body=described.resource_types(call.base))


def _insist_whole(call: Call) -> None:
    """Raise SCIMError 403 for a filter: what is not found by one would pass for not there."""
    if any(name.lower() == "filter" for name in call.query):
        raise SCIMError(403, None, f"{call.place[:200]} takes no filter (RFC 7644, 4)")

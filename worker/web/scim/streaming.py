"""Resources with their members as pieces of JSON: memory holds a page of members, not a group.

Each page is read in a transaction of its own, so that who reads slowly holds no connection.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson
from sqlalchemy import Connection

from domain.resources import Members, Named, Resource, ResourceKind
from worker.adapters.db.engine import translated
from worker.adapters.db.scim_reading import Seen, members_page
from worker.web.scim.call import Call
from worker.web.scim.presenting import location_of, presented, version_of

#: Members that an answer may hold without being streamed.
AT_ONCE = 2_000


@dataclass(frozen=True, slots=True)
class Shown:
    """A resource to be answered. members: its first ones, None where nobody asked for them."""

    resource: Resource
    seen: Seen
    members: Members | None = None

    @property
    def all_members(self) -> Sequence[Named] | None:
        """The members, if all of them are there."""
        members = self.members
        return members.some if members is not None and members.after is None else None

    @property
    def is_versioned(self) -> bool:
        """Whether its version tells of all that there is: of a large group it does not."""
        return self.resource.kind is ResourceKind.USER or self.all_members is not None

    @property
    def etag(self) -> str:
        """The weak ETag."""
        return f'W/"{version_of(self.resource, self.seen, self.all_members)}"'


def with_members(
    sql: Connection, resources: Sequence[Resource], seen: Mapping[str, Seen], *, are_wanted: bool
) -> list[Shown]:
    """Resources with the first page of members, until there are enough to be streamed."""
    found: list[Shown] = []
    count = 0
    for one in resources:
        members = None
        if are_wanted and one.kind is ResourceKind.GROUP:
            # What is not read here is read when its turn comes.
            is_enough = count > AT_ONCE
            members = Members([], "") if is_enough else members_page(sql, one)
            count += len(members.some)
        found.append(Shown(one, seen[one.id], members))
    return found


def is_whole(shown: Sequence[Shown]) -> bool:
    """Whether all members are there already."""
    return all(one.members is None or one.members.after is None for one in shown)


def headers_with(call: Call, shown: Shown) -> dict[str, str]:
    """What a resource is answered with: RFC 7643, 3.1 has its location as Content-Location, too."""
    location = location_of(call, shown.resource)
    return {"ETag": shown.etag, "Location": location, "Content-Location": location}


def as_object(call: Call, shown: Shown) -> dict[str, Any]:
    """A resource that is there as a whole."""
    members = shown.members.some if shown.members is not None else None
    is_all = shown.all_members is not None
    return presented(call, shown.resource, shown.seen, members, is_whole=is_all)


def in_pieces(call: Call, shown: Shown) -> Iterator[bytes]:
    """A resource as JSON text, its members last, page by page."""
    if is_whole([shown]):
        yield orjson.dumps(as_object(call, shown))
        return
    assert shown.members is not None
    page: Members | None = shown.members
    begun = as_object(call, shown)
    some = begun.pop("members", [])
    yield orjson.dumps(begun)[:-1] + b',"members":['
    is_first = True
    while page is not None:
        if some:
            yield (b"" if is_first else b",") + orjson.dumps(some)[1:-1]
            is_first = False
        page = _next(call, shown.resource, page)
        some = _projected(call, shown, page) if page is not None else []
    yield b"]}"


def _next(call: Call, resource: Resource, page: Members) -> Members | None:
    if page.after is None:
        return None
    with translated(), call.parts.kept_connections.read() as sql:
        return members_page(sql, resource, page.after)


def _projected(call: Call, shown: Shown, page: Members) -> list[Any]:
    found: list[Any] = presented(call, shown.resource, shown.seen, page.some).get("members", [])
    return found


def list_in_pieces(call: Call, head: Mapping[str, Any], shown: Sequence[Shown]) -> Iterator[bytes]:
    """A ListResponse as JSON text. head: all of it but the resources."""
    yield orjson.dumps(head)[:-1] + b',"Resources":['
    for number, one in enumerate(shown):
        if number:
            yield b","
        yield from in_pieces(call, one)
    yield b"]}"

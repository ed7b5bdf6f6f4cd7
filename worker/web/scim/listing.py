"""Lists and searches (RFC 7644 3.4.2, 3.4.3; RFC 9865), of one kind or of both."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from sqlalchemy import Connection
from starlette.datastructures import QueryParams

from domain.ports import InfrastructureError
from domain.resources import ResourceKind
from worker.adapters.db.engine import translated
from worker.adapters.db.scim_filters import Look
from worker.adapters.db.scim_json import json_on
from worker.adapters.db.scim_lists import Page, Part, Place, page
from worker.adapters.db.scim_reading import seen
from worker.adapters.db.scim_store import resource_from_row
from worker.adapters.scim.attributes import table
from worker.adapters.scim.errors import SCIMError
from worker.adapters.scim.queries import (
    Query,
    cursor_after,
    query_of_parameters,
    query_of_search,
    read_sort,
    resource_before,
)
from worker.adapters.scim.schemas import LIST_RESPONSE
from worker.web.scim.call import ALWAYS, STATE_SHOWN, Call, Reply
from worker.web.scim.reading import kinds_of, wants
from worker.web.scim.streaming import as_object, is_whole, list_in_pieces, with_members


def listed(call: Call) -> Reply:
    """GET /Users, /Groups, or / for both."""
    return _listed(call, query_of_parameters(dict(call.query.multi_items())))


def search(call: Call) -> Reply:
    """POST .search: the same question in a body."""
    query = query_of_search(call.body, strict=call.is_strict)
    names = {"attributes": query.attributes, "excludedAttributes": query.excluded}
    told = {name: ",".join(value) for name, value in names.items() if value is not None}
    return _listed(replace(call, query=QueryParams(told)), query)


def _listed(call: Call, query: Query) -> Reply:
    try:
        return _page(call, query)
    except InfrastructureError as error:
        if error.is_slow and query.filter is not None:
            why = "the filter looks through more than can be looked through in time"
            raise SCIMError(400, "tooMany", f"{why}; narrow it, or look up by a name") from error
        raise


def _page(call: Call, query: Query) -> Reply:
    kinds = kinds_of(call)
    after = resource_before(query)
    place = Place(query.count, query.start, after, query.is_descending)
    with translated(), call.parts.kept_connections.read() as sql:
        found = page(sql, _parts(call, sql, query, kinds), place)
        resources = [resource_from_row(row) for row in found.rows]
        are_groups_wanted = any(wants(call, kind, "groups") for kind in kinds)
        known = seen(sql, resources, with_groups=are_groups_wanted)
        are_members_wanted = wants(call, ResourceKind.GROUP, "members")
        shown = with_members(sql, resources, known, are_wanted=are_members_wanted)
    head = _head(query, found)
    if is_whole(shown):
        return Reply(body={**head, "Resources": [as_object(call, one) for one in shown]})
    return Reply(body=list_in_pieces(call, head, shown))


def _parts(call: Call, sql: Connection, query: Query, kinds: Sequence[ResourceKind]) -> list[Part]:
    """Read for all kinds: what one of them does not have is never there (RFC 7644 3.4.2.1)."""
    tables = {kind: table(kind.value) for kind in kinds}
    parts = []
    for kind, fields in tables.items():
        beside = [one for one in tables.values() if one is not fields]
        speaker = call.speaker
        is_always = speaker.settings.get(STATE_SHOWN) == ALWAYS
        look = Look(json_on(sql), speaker.connection, kind.value, call.base, is_always)
        where, sort = None, None
        if query.filter is not None:
            from worker.adapters.scim.filter_reading import read_filter  # noqa: PLC0415 - see there

            where = read_filter(query.filter, fields, beside=beside, strict=call.is_strict)
        if query.sort_by is not None:
            sort = read_sort(query.sort_by, fields, beside=beside)
        parts.append(Part(look, where, sort))
    return parts


def _head(query: Query, found: Page) -> dict[str, Any]:
    head: dict[str, Any] = {
        "schemas": [LIST_RESPONSE],
        "totalResults": found.total,
        "itemsPerPage": len(found.rows),
    }
    if query.cursor is None:
        return {**head, "startIndex": query.start}
    if found.has_more:
        head["nextCursor"] = cursor_after(query, found.rows[-1]["id"])
    return head

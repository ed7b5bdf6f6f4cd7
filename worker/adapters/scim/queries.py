"""What a list is asked for: by a query string, or by the body of `/.search` (RFC 7644 3.4.2).

Cursors (RFC 9865) name the last resource of a page and the question that they belong to. They
hold nothing secret and nothing of a person: what is sorted by is looked up again.
"""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from worker.adapters.scim.attributes import Table
from worker.adapters.scim.errors import SCIMError, invalid_path, invalid_value
from worker.adapters.scim.filters import Target, find_attribute
from worker.adapters.scim.prepass import check_message
from worker.adapters.scim.schemas import MAX_RESULTS, SEARCH

DEFAULT_COUNT = 100
#: Further on nothing is counted out.
_FURTHEST = 1_000_000_000
_LONGEST_PATH = 512


@dataclass(frozen=True, slots=True)
class Query:
    """A question for a list. start: of the first result, from 1 on. cursor: "" for the first page.

    attributes: only these; excluded: all but these; both as they were spelled, None if not told.
    """

    filter: str | None = None
    sort_by: str | None = None
    is_descending: bool = False
    start: int = 1
    count: int = DEFAULT_COUNT
    cursor: str | None = None
    attributes: tuple[str, ...] | None = None
    excluded: tuple[str, ...] | None = None

    @property
    def mark(self) -> str:
        """What a cursor belongs to: the same filter in the same order."""
        told = "\0".join((self.filter or "", self.sort_by or "", str(self.is_descending)))
        return urlsafe_b64encode(sha256(told.encode("utf-8", "replace")).digest()[:9]).decode()


def query_of_parameters(parameters: Mapping[str, str]) -> Query:
    """The question in a query string; raises SCIMError."""
    named = {name.lower(): value for name, value in parameters.items()}
    lists: dict[str, Any] = {
        name: tuple(part.strip() for part in named[name].split(",") if part.strip())
        for name in ("attributes", "excludedattributes")
        if name in named
    }
    return _query({**named, **lists})


def query_of_search(body: Any, *, strict: bool = False) -> Query:
    """The question in the body of a search; raises SCIMError."""
    if not isinstance(body, Mapping):
        raise SCIMError(400, "invalidSyntax", "a search is a JSON object")
    if strict:
        check_message(body, SEARCH)
    named = {str(name).lower(): value for name, value in body.items()}
    lists: dict[str, Any] = {
        name: _names(named[name], name)
        for name in ("attributes", "excludedattributes")
        if named.get(name) is not None
    }
    return _query({**named, **lists})


def _names(value: Any, name: str) -> tuple[str, ...]:
    if isinstance(value, str):
        value = value.split(",")
    if not isinstance(value, Sequence) or not all(isinstance(one, str) for one in value):
        raise invalid_value(f"{name} is a list of names")
    return tuple(one.strip() for one in value if one.strip())


def _query(named: Mapping[str, Any]) -> Query:
    cursor, sort_by = _text(named, "cursor"), _text(named, "sortby") or None
    count = _number(named, "count", DEFAULT_COUNT)
    if cursor is not None and count < 1:
        raise SCIMError(400, "invalidCount", f"count is from 1 to {MAX_RESULTS} where a cursor is")
    return Query(
        filter=_text(named, "filter"),
        sort_by=sort_by,
        is_descending=_is_descending(_text(named, "sortorder")) and sort_by is not None,
        start=max(1, _number(named, "startindex", 1)),
        count=min(max(0, count), MAX_RESULTS),
        cursor=cursor,
        attributes=named.get("attributes"),
        excluded=named.get("excludedattributes"),
    )


def _text(named: Mapping[str, Any], name: str) -> str | None:
    value = named.get(name)
    if value is not None and not isinstance(value, str):
        raise invalid_value(f"{name} is a text")
    return value


def _number(named: Mapping[str, Any], name: str, default: int) -> int:
    value = named.get(name)
    if value is None or value == "":
        return default
    with suppress(ValueError):
        if isinstance(value, int | str) and not isinstance(value, bool):
            return max(-_FURTHEST, min(int(value), _FURTHEST))
    raise invalid_value(f"{name} is a whole number")


def _is_descending(order: str | None) -> bool:
    if order is None or order.lower() in ("", "ascending"):
        return False
    if order.lower() == "descending":
        return True
    raise invalid_value("sortOrder is ascending or descending")


def cursor_after(query: Query, last: str) -> str:
    """The cursor of the page behind a resource."""
    return urlsafe_b64encode(f"{query.mark}{last}".encode()).decode().rstrip("=")


def resource_before(query: Query) -> str | None:
    """The id of the resource that the query's page comes behind, None for a first page.

    Raises SCIMError 400 `invalidCursor` for what no page of this question gave.
    """
    if not query.cursor:
        return None
    try:
        told = urlsafe_b64decode(query.cursor.encode("ascii") + b"==").decode("ascii")
    except (ValueError, UnicodeError):
        told = ""
    last = told.removeprefix(query.mark)
    if last in ("", told) or cursor_after(query, last) != query.cursor:
        raise SCIMError(400, "invalidCursor", "cursor: no page of this very question gave it")
    return last


def read_sort(text: str, table: Table, *, beside: Sequence[Table] = ()) -> Target | None:
    """What is sorted by; of something multi-valued its `value` (RFC 7644 3.4.2.3).

    Raises SCIMError 400 `invalidPath`. beside: as in `read_filter`; None for what only they have.
    """
    # Half a second that a process without SCIM should not pay.
    from scim2_models import InvalidFilterException, ScimFilter  # noqa: PLC0415
    from scim2_models.path import Present  # noqa: PLC0415

    try:
        tree = ScimFilter(f"{text} pr").ast if len(text) <= _LONGEST_PATH else None
    except InvalidFilterException:
        tree = None
    if not isinstance(tree, Present):
        raise invalid_path("sortBy is the name of an attribute")
    path = tree.attr_path
    known = find_attribute(table, path.uri, path.attr)
    if known is None and any(find_attribute(one, path.uri, path.attr) for one in beside):
        return None
    urn, attribute = known if known is not None else (None, None)
    sub = None
    if attribute is not None and (path.sub_attr is not None or attribute.is_complex):
        sub = attribute.subs.get((path.sub_attr or "value").lower())
        attribute = attribute if sub is not None else None
    if attribute is None or attribute.name in ("members", "groups", "schemas"):
        raise invalid_path(f"sortBy: nothing can be sorted by {path}")
    return Target(attribute, sub, urn)

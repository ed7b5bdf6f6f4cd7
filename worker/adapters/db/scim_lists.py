"""Pages of resources: by number or by cursor, of one kind or of both; memory holds one page.

One statement answers what fits on the first page, which is what providers ask most: whether
somebody is there. How many there are is counted only where the page does not tell.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, RowMapping, Select, and_, func, select, true, union_all

from worker.adapters.db import bulk
from worker.adapters.db import direct_statements as asks
from worker.adapters.db.direct import direct_of
from worker.adapters.db.scim_filters import Look, condition
from worker.adapters.db.scim_json import Condition
from worker.adapters.db.scim_rows import scim_resources
from worker.adapters.db.scim_sorting import Sorting, sorting
from worker.adapters.scim.errors import SCIMError
from worker.adapters.scim.filters import Compare, Node, Target

R = scim_resources.c


@dataclass(frozen=True)
class Part:
    """What is looked for among the resources of one kind. where: None for all of them."""

    look: Look
    where: Node | None = None
    sort: Target | None = None


@dataclass(frozen=True)
class Place:
    """Which page. start: of the first result, from 1 on. after: the resource before it, instead."""

    count: int
    start: int = 1
    after: str | None = None
    is_descending: bool = False


@dataclass(frozen=True)
class Page:
    """Rows of `scim_resources`; how many there are on all pages; whether another page follows."""

    rows: Sequence[Mapping[str, Any]]
    total: int
    has_more: bool


def page(connection: Connection, parts: Sequence[Part], place: Place) -> Page:
    """A page of what the parts describe together."""
    if place.count == 0:
        return Page((), _count(connection, parts), has_more=False)
    found = _rows(connection, parts, place)
    has_more = len(found) > place.count
    shown = found[: place.count]
    is_told = place.after is None and not has_more and (shown or place.start == 1)
    total = place.start - 1 + len(shown) if is_told else _count(connection, parts)
    return Page(shown, total, has_more)


def _mine(part: Part) -> Condition:
    whose = and_(
        R.connection_id == part.look.connection, R.kind == part.look.kind, R.deleted_at.is_(None)
    )
    return whose if part.where is None else and_(whose, condition(part.where, part.look))


def _count(connection: Connection, parts: Sequence[Part]) -> int:
    counts = [select(func.count()).select_from(scim_resources).where(_mine(p)) for p in parts]
    return sum(connection.execute(one).scalar_one() for one in counts)


def _rows(
    connection: Connection, parts: Sequence[Part], place: Place
) -> Sequence[Mapping[str, Any]]:
    """One more than the page holds, so that it is known whether another one follows."""
    direct, asked = direct_of(connection), _by_name(parts, place)
    if direct is not None and asked is not None:
        return direct.ask(*asked)
    is_sorted = any(part.sort is not None for part in parts)
    how = {"is_sorted": is_sorted, "is_descending": place.is_descending}
    orders = [sorting(part.sort, part.look, **how) for part in parts]
    behind = _behind(connection, parts, orders, place)
    if len(parts) == 1:
        chosen = select(scim_resources).where(_mine(parts[0]), behind[0])
        ordered = chosen.order_by(*orders[0].clauses())
        return _mapped(connection.execute(_cut(ordered, place)).mappings())
    return _of_several(connection, parts, orders, behind, place)


def _by_name(parts: Sequence[Part], place: Place) -> tuple[str, ...] | None:
    """What providers ask most, whether somebody of that name is there, with nothing to compile."""
    part, where = parts[0], parts[0].where
    is_first = place.start == 1 and place.after is None and not place.is_descending
    if len(parts) > 1 or part.sort is not None or not is_first or not isinstance(where, Compare):
        return None
    name = "userName" if part.look.kind == "User" else "displayName"
    target = where.target
    if where.op != "eq" or target.attribute is None or target.sub is not None or target.urn:
        return None
    if target.attribute.name != name:
        return None
    whose = (part.look.connection, part.look.kind)
    return asks.RESOURCES_BY_NAME, *whose, str(where.value).lower(), str(place.count + 1)


def _behind(
    connection: Connection, parts: Sequence[Part], orders: Sequence[Sorting], place: Place
) -> list[Condition]:
    """Of each part what is behind the resource that a cursor names, which may be gone by now."""
    if place.after is None:
        return [true() for _ in parts]
    for part, order in zip(parts, orders, strict=True):
        mine = and_(
            R.id == place.after, R.connection_id == part.look.connection, R.kind == part.look.kind
        )
        found = connection.execute(select(R.id, order.value.label("value")).where(mine)).first()
        if found is not None:
            return [one.after(found.id, found.value) for one in orders]
    raise SCIMError(400, "invalidCursor", "cursor: it names nothing that was ever listed here")


def _mapped(rows: Iterable[RowMapping]) -> list[dict[str, Any]]:
    return [dict(row) for row in rows]


def _cut(chosen: Select[Any], place: Place) -> Select[Any]:
    cut = chosen.limit(place.count + 1)
    return cut.offset(place.start - 1) if place.after is None and place.start > 1 else cut


def _of_several(
    connection: Connection,
    parts: Sequence[Part],
    orders: Sequence[Sorting],
    behind: Sequence[Condition],
    place: Place,
) -> Sequence[Mapping[str, Any]]:
    """Ids are chosen first, so that no document is sorted along."""
    asks = [
        select(R.id, order.value.label("value")).where(_mine(part), after)
        for part, order, after in zip(parts, orders, behind, strict=True)
    ]
    both = union_all(*asks).subquery()
    by = both.c.value if any(order.by is not None for order in orders) else None
    order_by = Sorting(by, place.is_descending).clauses(both.c.id)
    ids = connection.execute(_cut(select(both.c.id).order_by(*order_by), place)).scalars().all()
    rows = connection.execute(
        select(scim_resources).where(bulk.among(scim_resources.c.id, ids, connection))
    ).mappings()
    known = {row["id"]: row for row in _mapped(rows)}
    return [known[id_] for id_ in ids if id_ in known]

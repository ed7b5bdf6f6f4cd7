"""Long lists, newest first: an index gives a window of rows, the other filters look at those.

So a page costs a bounded number of rows, may be short or empty, and still not be the last: `after`
says where the next one begins.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Column, ColumnElement, Connection, Select, Subquery, select, union_all
from sqlalchemy.sql import FromClause

from domain.moments import moved

#: Rows looked at for one page.
WINDOW = 20_000
#: So many indexed lists are merged; more are read as one, by the primary key.
BRANCHES = 20
#: Rows are stored nearly in the order of their times: two that commit at once may change places.
SLACK = timedelta(minutes=1)

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class RowPage:
    """Rows, newest first. after: the id to go on behind; None at the end."""

    rows: list[Row]
    after: int | None


@dataclass(frozen=True, slots=True)
class Look:
    """A list of a table that has an ascending id.

    branches: conditions that an index answers in the order of ids, merged; none reads the table by
    its id. fits: what else a row must satisfy, None where the branches say all.
    """

    columns: Sequence[Column[Any]]
    branches: Sequence[ColumnElement[bool]]
    bounds: Sequence[ColumnElement[bool]]
    fits: Callable[[FromClause], list[ColumnElement[bool]]] | None


def page_of(connection: Connection, look: Look, *, limit: int) -> RowPage:
    """One page of it; what bounds the ids above begins it."""
    window = _window(look, WINDOW if look.fits is not None else limit + 1)
    seen = window.subquery("seen")
    wanted = select(seen)
    if look.fits is not None:
        wanted = wanted.where(*look.fits(seen))
    found = [
        dict(row)
        for row in connection.execute(wanted.order_by(seen.c.id.desc()).limit(limit + 1)).mappings()
    ]
    if len(found) > limit:
        return RowPage(found[:limit], found[limit - 1]["id"])
    if look.fits is None:
        return RowPage(found, None)
    last = window.with_only_columns(window.selected_columns.id).limit(1).offset(WINDOW - 1)
    return RowPage(found, connection.execute(last).scalar())


def _window(look: Look, size: int) -> Select[Any]:
    """The newest rows of all branches together, newest first."""
    number = next(column for column in look.columns if column.name == "id")
    whole = select(*look.columns).where(*look.bounds)
    if len(look.branches) < 2:  # noqa: PLR2004 - one list needs no merging
        return whole.where(*look.branches).order_by(number.desc()).limit(size)
    parts: list[Subquery] = [
        whole.where(branch).order_by(number.desc()).limit(size).subquery()
        for branch in look.branches
    ]
    merged = union_all(*(select(part) for part in parts)).subquery("merged")
    return select(merged).order_by(merged.c.id.desc()).limit(size)


def between(
    connection: Connection,
    number: Column[Any],
    at: Column[Any],
    *,
    since: datetime | None,
    until: datetime | None,
) -> list[ColumnElement[bool]]:
    """Bounds of the ids between two times, found by some twenty looks; a minute wider each way."""
    bounds: list[ColumnElement[bool]] = []
    if since is not None:
        bounds.append(number >= _first_from(connection, number, at, moved(since, -SLACK)))
    if until is not None:
        bounds.append(number < _first_from(connection, number, at, moved(until, SLACK)))
    return bounds


def _first_from(
    connection: Connection, number: Column[Any], at: Column[Any], moment: datetime
) -> int:
    """The least id that is not before a moment, one beyond the greatest if there is none."""
    ends = [
        connection.execute(select(number).order_by(order).limit(1)).scalar()
        for order in (number.asc(), number.desc())
    ]
    if ends[0] is None or ends[1] is None:
        return 0
    low, high = int(ends[0]), int(ends[1]) + 1
    while low < high:
        middle = (low + high) // 2
        row = connection.execute(
            select(number, at).where(number >= middle).order_by(number).limit(1)
        ).first()
        if row is not None and row[1] < moment:
            low = int(row[0]) + 1
        else:
            high = middle
    return low

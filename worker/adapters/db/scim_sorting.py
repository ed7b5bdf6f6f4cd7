"""What lists are sorted by (RFC 7644 section 3.4.2.3)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, and_, false, null, or_

from worker.adapters.db.scim_filters import Look, sort_value
from worker.adapters.db.scim_json import Condition
from worker.adapters.db.scim_rows import scim_resources
from worker.adapters.scim.filters import Target

R = scim_resources.c


@dataclass(frozen=True)
class Sorting:
    """An order of resources: by a value, then by id. by: None for ids alone."""

    by: ColumnElement[Any] | None = None
    is_descending: bool = False

    @property
    def value(self) -> ColumnElement[Any]:
        """The value that is sorted by."""
        return null() if self.by is None else self.by

    def clauses(self, id_: ColumnElement[Any] = R.id) -> list[ColumnElement[Any]]:
        """ORDER BY: who has no value comes last, or first where it descends."""
        if self.by is None:
            return [id_.desc() if self.is_descending else id_.asc()]
        if self.is_descending:
            return [self.by.desc().nulls_first(), id_.desc()]
        return [self.by.asc().nulls_last(), id_.asc()]

    def after(self, id_: str, value: Any) -> Condition:
        """What comes behind the resource with that id and value."""
        beyond = R.id < id_ if self.is_descending else R.id > id_
        if self.by is None:
            return beyond
        if value is None:
            rest = self.by.is_not(None) if self.is_descending else false()
            return or_(and_(self.by.is_(None), beyond), rest)
        same = and_(self.by == value, beyond)
        if self.is_descending:
            return or_(self.by < value, same)
        return or_(self.by > value, same, self.by.is_(None))


def sorting(target: Target | None, look: Look, *, is_sorted: bool, is_descending: bool) -> Sorting:
    """The order of one kind of resources. is_sorted: others beside them have something to sort by.

    target None: these have nothing.
    """
    if not is_sorted:
        return Sorting(None, is_descending)
    return Sorting(null() if target is None else sort_value(target, look), is_descending)

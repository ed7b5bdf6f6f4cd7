"""PostgreSQL array literals: a batch's columns as text, one parameter a column.

The driver's own dumper asks two regular expressions of every element; on a drain that was a
fifth of the time. What an element may hold is decided by the column, so nothing is asked here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime
from functools import cache
from typing import Any

from sqlalchemy import Boolean, ColumnElement, DateTime, Integer, LargeBinary, SmallInteger
from sqlalchemy.types import BigInteger, UserDefinedType


class ArrayText(UserDefinedType[str]):
    """An array literal as a bound parameter without a type of its own.

    So `CAST(parameter AS text[])` makes it an array parameter, whose length the planner sees. A
    text that is cast to an array is read again for every row of a scan.
    """

    cache_ok = True

    def get_col_spec(self, **_options: object) -> str:
        """Never a column."""
        return "text"


@cache
def array_type(column: ColumnElement[Any]) -> str:
    """The type of an array of the column's values, such as `text[]`."""
    kind = column.type
    if isinstance(kind, DateTime):
        return "timestamptz[]"
    if isinstance(kind, LargeBinary):
        return "bytea[]"
    if isinstance(kind, Boolean):
        return "boolean[]"
    if isinstance(kind, BigInteger):
        return "bigint[]"
    if isinstance(kind, Integer | SmallInteger):
        return "integer[]"
    return "text[]"


def array_literal(column: ColumnElement[Any], values: Iterable[object]) -> str:
    """The values as `array_type` reads them; raises TypeError for a value of another type."""
    kind = array_type(column)
    element = _ELEMENTS[kind]
    listed = list(values)
    if len(listed) == 1:
        return f"{{{'NULL' if listed[0] is None else element(listed[0])}}}"
    distinct = set(listed) if kind != "bytea[]" else listed
    if len(distinct) * 4 < len(listed):
        # One account, one moment, a few states: half of a batch's columns.
        known = {v: "NULL" if v is None else element(v) for v in distinct}
        return f"{{{','.join([known[v] for v in listed])}}}"
    return f"{{{','.join(['NULL' if v is None else element(v) for v in listed])}}}"


def text_array(values: Iterable[str]) -> str:
    """The values as a `text[]` literal; raises TypeError for another type."""
    return f"{{{','.join([_text(value) for value in values])}}}"


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"text expected, got {type(value).__name__}")
    if '"' in value or "\\" in value:
        value = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{value}"'


def _bytes(value: object) -> str:
    if not isinstance(value, bytes | memoryview | bytearray):
        raise TypeError(f"bytes expected, got {type(value).__name__}")
    return f'"\\\\x{value.hex()}"'


def _number(value: object) -> str:
    if not isinstance(value, int):
        raise TypeError(f"a number expected, got {type(value).__name__}")
    return str(int(value))


def _moment(value: object) -> str:
    if not isinstance(value, datetime) or value.tzinfo is None:
        raise TypeError(f"a time with its zone expected, got {value!r}")
    return f'"{value.isoformat()}"'


def _truth(value: object) -> str:
    return "t" if value else "f"


_ELEMENTS: dict[str, Callable[[object], str]] = {
    "text[]": _text,
    "bytea[]": _bytes,
    "bigint[]": _number,
    "integer[]": _number,
    "boolean[]": _truth,
    "timestamptz[]": _moment,
}

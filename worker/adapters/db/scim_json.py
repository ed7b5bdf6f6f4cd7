"""JSON in text columns, asked the same way on both databases.

Text is compared by code points, and small letters are what Unicode says, whatever the database's
locale: so a filter finds the same on every installation.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol
from weakref import WeakKeyDictionary

from sqlalchemy import (
    BigInteger,
    Boolean,
    ColumnElement,
    Connection,
    Engine,
    FromClause,
    Numeric,
    Text,
    and_,
    case,
    cast,
    collate,
    column,
    func,
    literal,
    literal_column,
    select,
    text,
    type_coerce,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

Condition = ColumnElement[bool]


@dataclass(frozen=True)
class Spot:
    """A place in a JSON document.

    document: JSON of an object, or of one value of an array. plain: what stands there if it is a
    text, where that is known apart from the JSON.
    """

    document: ColumnElement[Any]
    path: tuple[str, ...] = ()
    plain: ColumnElement[Any] | None = None

    def below(self, *names: str) -> Spot:
        """A place further down."""
        return Spot(self.document, (*self.path, *names))


class JSON(Protocol):
    """What one database can tell of a spot. Where nothing is, text and numbers are NULL."""

    def text(self, spot: Spot) -> ColumnElement[Any]:
        """The text there; NULL for anything else."""
        ...

    def number(self, spot: Spot) -> ColumnElement[Any]:
        """The number there; NULL for anything else."""
        ...

    def is_true(self, spot: Spot) -> Condition:
        """Whether `true` is there; never NULL."""
        ...

    def is_false(self, spot: Spot) -> Condition:
        """Whether `false` is there; never NULL."""
        ...

    def is_there(self, spot: Spot) -> Condition:
        """Whether anything is there that is not empty; never NULL."""
        ...

    def each(self, spot: Spot) -> tuple[FromClause, Spot]:
        """The values of the array there as rows, and where each of them is."""
        ...

    def first(self, spot: Spot, name: str) -> ColumnElement[Any]:
        """The text of that name in the primary object of the array there, else in its first."""
        ...

    def fold(self, value: ColumnElement[Any]) -> ColumnElement[Any]:
        """Text in lower case, of any script."""
        ...

    def ordered(self, value: ColumnElement[Any]) -> ColumnElement[Any]:
        """Text that compares by code points."""
        ...

    def position(self, text: ColumnElement[Any], part: ColumnElement[Any]) -> ColumnElement[Any]:
        """Where a part begins in a text, from 1 on; 0 where it does not occur."""
        ...

    def stamp_at(self, raw: ColumnElement[Any], path: Sequence[int]) -> ColumnElement[Any]:
        """The microseconds of a stamp somewhere inside JSON bytes."""
        ...


class _Postgres:
    def __init__(self, *, has_unicode: bool) -> None:
        self._collation = "und-x-icu" if has_unicode else None

    @staticmethod
    def _at(spot: Spot) -> ColumnElement[Any]:
        document = spot.document
        if not isinstance(document.type, JSONB):
            document = cast(document, JSONB)
        if not spot.path:
            return document
        return document.op("#>", return_type=JSONB())(_array(spot.path))

    def _of_type(self, spot: Spot, kind: str) -> ColumnElement[Any]:
        found = self._at(spot)
        plain = found.op("#>>", return_type=Text())(_array(()))
        return case((func.jsonb_typeof(found) == kind, plain))

    def text(self, spot: Spot) -> ColumnElement[Any]:
        return self._of_type(spot, "string")

    def number(self, spot: Spot) -> ColumnElement[Any]:
        return cast(self._of_type(spot, "number"), Numeric)

    def is_true(self, spot: Spot) -> Condition:
        return func.coalesce(self._of_type(spot, "boolean") == "true", False)

    def is_false(self, spot: Spot) -> Condition:
        return func.coalesce(self._of_type(spot, "boolean") == "false", False)

    def is_there(self, spot: Spot) -> Condition:
        # Compared with a text, a boolean would be neither equal nor unequal.
        plain = '@.type() == "boolean" || @.type() == "number"'
        full = f'$.** ? ({plain} || (@.type() == "string" && @ != ""))'
        path: ColumnElement[Any] = literal_column(f"'{full}'::jsonpath")
        return func.coalesce(func.jsonb_path_exists(self._at(spot), path), False)

    def each(self, spot: Spot) -> tuple[FromClause, Spot]:
        found = self._at(spot)
        none = cast(literal("[]", Text()), JSONB)
        array = case((func.jsonb_typeof(found) == "array", found), else_=none)
        values = func.jsonb_array_elements(array).table_valued(column("value", JSONB()))
        return values, Spot(values.c.value)

    def first(self, spot: Spot, name: str) -> ColumnElement[Any]:
        primary: ColumnElement[Any] = literal_column("'$[*] ? (@.primary == true)'::jsonpath")
        found = func.jsonb_path_query_first(self._at(spot), primary)
        return func.coalesce(
            found.op("->>", return_type=Text())(name), self.text(spot.below("0", name))
        )

    def fold(self, value: ColumnElement[Any]) -> ColumnElement[Any]:
        return func.lower(collate(value, self._collation) if self._collation else value)

    def ordered(self, value: ColumnElement[Any]) -> ColumnElement[Any]:
        return collate(value, "C")

    def position(self, text: ColumnElement[Any], part: ColumnElement[Any]) -> ColumnElement[Any]:
        return func.strpos(text, part)

    def stamp_at(self, raw: ColumnElement[Any], path: Sequence[int]) -> ColumnElement[Any]:
        told = cast(func.convert_from(raw, "UTF8"), JSONB)
        steps = _array([str(part) for part in path])
        return cast(told.op("#>>", return_type=Text())(steps), BigInteger)


def _array(names: Sequence[str]) -> ColumnElement[Any]:
    return cast(list(names), ARRAY(Text))


class _SQLite:
    @staticmethod
    def _path(spot: Spot) -> str:
        return "$" + "".join(f'."{name}"' for name in spot.path)

    def _type(self, spot: Spot) -> ColumnElement[Any]:
        return func.json_type(spot.document, self._path(spot))

    def _of_type(self, spot: Spot, *kinds: str) -> ColumnElement[Any]:
        value = func.json_extract(spot.document, self._path(spot))
        return case((self._type(spot).in_(kinds), value))

    def text(self, spot: Spot) -> ColumnElement[Any]:
        if spot.plain is not None:
            return spot.plain
        return type_coerce(self._of_type(spot, "text"), Text)

    def number(self, spot: Spot) -> ColumnElement[Any]:
        return type_coerce(self._of_type(spot, "integer", "real"), Numeric)

    def is_true(self, spot: Spot) -> Condition:
        return type_coerce(func.coalesce(self._type(spot) == "true", False), Boolean)

    def is_false(self, spot: Spot) -> Condition:
        return type_coerce(func.coalesce(self._type(spot) == "false", False), Boolean)

    def is_there(self, spot: Spot) -> Condition:
        if spot.plain is not None:
            return func.coalesce(spot.plain, "") != ""
        values = func.json_tree(spot.document, self._path(spot)).table_valued("atom")
        full = and_(values.c.atom.is_not(None), values.c.atom != "")
        return select(literal(1)).select_from(values).where(full).exists()

    def each(self, spot: Spot) -> tuple[FromClause, Spot]:
        array = case(
            (self._type(spot) == "array", func.json_extract(spot.document, self._path(spot))),
            else_="[]",
        )
        values = func.json_each(array).table_valued("value", "type")
        # A plain value is no JSON here: reading a path in it would be an error.
        inner = case((values.c.type == "object", values.c.value), else_="{}")
        plain = type_coerce(case((values.c.type == "text", values.c.value)), Text)
        return values, Spot(inner, plain=plain)

    def first(self, spot: Spot, name: str) -> ColumnElement[Any]:
        values, each = self.each(spot)
        primary = (
            select(self.text(Spot(each.document, (name,))))
            .select_from(values)
            .where(self.is_true(Spot(each.document, ("primary",))))
            .limit(1)
            .scalar_subquery()
        )
        first = func.json_extract(spot.document, f'{self._path(spot)}[0]."{name}"')
        return type_coerce(func.coalesce(primary, first), Text)

    def fold(self, value: ColumnElement[Any]) -> ColumnElement[Any]:
        return func.fold(value)

    def ordered(self, value: ColumnElement[Any]) -> ColumnElement[Any]:
        return value

    def position(self, text: ColumnElement[Any], part: ColumnElement[Any]) -> ColumnElement[Any]:
        return func.instr(text, part)

    def stamp_at(self, raw: ColumnElement[Any], path: Sequence[int]) -> ColumnElement[Any]:
        steps = "$" + "".join(f"[{part}]" for part in path)
        return func.json_extract(cast(raw, Text), steps)


_KNOWN: WeakKeyDictionary[Engine, JSON] = WeakKeyDictionary()


def json_on(connection: Connection) -> JSON:
    """What the database of a connection can; on PostgreSQL it is asked once per engine."""
    known = _KNOWN.get(connection.engine)
    if known is None:
        known = _KNOWN[connection.engine] = _found(connection)
    return known


def _found(connection: Connection) -> JSON:
    if connection.dialect.name != "postgresql":
        return _SQLite()
    # Built without ICU, PostgreSQL has the locale's idea of small letters only.
    ask = text("SELECT EXISTS (SELECT FROM pg_collation WHERE collname = 'und-x-icu')")
    return _Postgres(has_unicode=bool(connection.execute(ask).scalar_one()))

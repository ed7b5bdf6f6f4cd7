"""Set-based statements for both databases: one round trip per table and batch on PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from typing import Any

from sqlalchemy import (
    ARRAY,
    Column,
    ColumnElement,
    Connection,
    Select,
    Table,
    TextClause,
    any_,
    bindparam,
    cast,
    false,
    func,
    literal,
    literal_column,
    select,
    text,
    true,
)
from sqlalchemy.dialects import sqlite
from sqlalchemy.types import TypeDecorator

from worker.adapters.db.arrays import ArrayText, array_literal, array_type
from worker.adapters.db.direct import direct_of

Row = Mapping[str, Any]
_SQLITE = sqlite.dialect()


def among(
    column: ColumnElement[Any], values: Iterable[Any], connection: Connection
) -> ColumnElement[bool]:
    """`column = ANY(array)` on PostgreSQL (one plan for every length), `IN (..)` on SQLite."""
    wanted = list(values)
    if connection.dialect.name == "postgresql":
        array = literal(array_literal(column, wanted), ArrayText())
        return column == any_(cast(array, ARRAY(column.type)))
    return column.in_(wanted)


def among_neighbours(
    column: ColumnElement[int], values: Sequence[int], connection: Connection
) -> ColumnElement[bool]:
    """`among` for numbers close to each other, beside another condition of the same index.

    See `looked_up` for what goes wrong otherwise: between their ends there is little to read.
    """
    if not values:
        return false()
    return column.between(min(values), max(values)) & among(column, values, connection)


def looked_up(
    taken: Table | Column[Any],
    fixed: ColumnElement[bool],
    column: Column[Any],
    values: Iterable[Any],
    connection: Connection,
) -> Select[Any]:
    """A table, or one of its columns, each row looked up by `fixed` and one value in their index.

    For tables that fill and empty within minutes, of which PostgreSQL knows no distribution: it
    takes `among` beside another condition there for a reason to read all that the other one fits.
    """
    if connection.dialect.name != "postgresql":
        return select(taken).where(fixed, among(column, values, connection))
    array = literal(array_literal(column, values), ArrayText())
    listed = func.unnest(cast(array, ARRAY(column.type)))
    wanted = listed.table_valued("value", name="wanted").render_derived()
    one = select(taken).where(fixed, column == wanted.c.value)
    # OFFSET 0 keeps the planner from making a join of it, by which it would read all again.
    each = one.offset(literal_column("0")).lateral("each")
    return select(each).select_from(wanted.join(each, true()))


@cache
def _unnested(table: Table, names: tuple[str, ...]) -> str:
    arrays = ", ".join(f"CAST(:{n} AS {array_type(table.c[n])})" for n in names)
    return f"unnest({arrays}) AS v({', '.join(_quoted(n) for n in names)})"


def _quoted(name: str) -> str:
    return f'"{name}"'


def _columns(names: Sequence[str]) -> str:
    return ", ".join(_quoted(n) for n in names)


@cache
def _bound(statement: str, names: tuple[str, ...]) -> TextClause:
    return text(statement).bindparams(*(bindparam(name, type_=ArrayText()) for name in names))


@cache
def _numbered(statement: str, names: tuple[str, ...]) -> str:
    """The statement with $1, $2, .. for the names."""
    for place, name in enumerate(names, 1):
        statement = statement.replace(f"CAST(:{name} AS ", f"CAST(${place} AS ")
    return statement


def _tell(
    connection: Connection,
    statement: str,
    names: tuple[str, ...],
    arrays: Mapping[str, str],
    *,
    is_apart: bool = False,
) -> None:
    direct = direct_of(connection)
    if direct is None:
        connection.execute(_bound(statement, names), arrays)
    else:
        direct.tell(_numbered(statement, names), *arrays.values(), is_apart=is_apart)


@cache
def _shape(table: Table, names: tuple[str, ...]) -> tuple[tuple[str, Column[Any]], ...]:
    return tuple((name, table.c[name]) for name in names)


def _as_arrays(table: Table, rows: Sequence[Row], names: tuple[str, ...]) -> dict[str, str]:
    return {
        name: array_literal(column, [row[name] for row in rows])
        for name, column in _shape(table, names)
    }


def _for_sqlite(table: Table, rows: Sequence[Row], names: Sequence[str]) -> list[dict[str, Any]]:
    """Raw SQL passes by the column types, so times are turned into numbers here."""
    special = {
        name: kind.process_bind_param
        for name in names
        if isinstance(kind := table.c[name].type.dialect_impl(_SQLITE), TypeDecorator)
    }
    return [
        {n: special[n](row[n], _SQLITE) if n in special else row[n] for n in names} for row in rows
    ]


@cache
def _inserting(table: Table, names: tuple[str, ...], conflict: str) -> str:
    head = f"INSERT INTO {table.name} ({_columns(names)})"
    return f"{head} SELECT * FROM {_unnested(table, names)} {conflict}"


def insert(
    connection: Connection,
    table: Table,
    rows: Sequence[Row],
    *,
    conflict: str = "",
) -> None:
    """Insert all rows; conflict: an ON CONFLICT clause, empty to raise on one."""
    if not rows:
        return
    names = tuple(rows[0])
    if connection.dialect.name == "postgresql":
        statement = _inserting(table, names, conflict)
        _tell(connection, statement, names, _as_arrays(table, rows, names))
        return
    head = f"INSERT INTO {table.name} ({_columns(names)})"
    values = ", ".join(f":{n}" for n in names)
    statement = f"{head} VALUES ({values}) {conflict}"
    connection.execute(text(statement), _for_sqlite(table, rows, names))


def upsert(connection: Connection, table: Table, rows: Sequence[Row]) -> None:
    """Insert or overwrite whole rows by primary key, in the order given."""
    if rows:
        insert(connection, table, rows, conflict=_overwriting(table, tuple(rows[0])))


@cache
def _overwriting(table: Table, names: tuple[str, ...]) -> str:
    keys = [column.name for column in table.primary_key]
    rest = [name for name in names if name not in keys]
    sets = ", ".join(f"{_quoted(n)} = excluded.{_quoted(n)}" for n in rest)
    action = f"DO UPDATE SET {sets}" if rest else "DO NOTHING"
    return f"ON CONFLICT ({_columns(keys)}) {action}"


@cache
def _updating(table: Table, names: tuple[str, ...], key: str) -> str:
    sets = ", ".join(f"{_quoted(n)} = v.{_quoted(n)}" for n in names if n != key)
    return (
        f"UPDATE {table.name} SET {sets} FROM {_unnested(table, names)} "
        f"WHERE {table.name}.{_quoted(key)} = v.{_quoted(key)}"
    )


def update(
    connection: Connection,
    table: Table,
    rows: Sequence[Row],
    *,
    key: str = "id",
    is_apart: bool = False,
) -> None:
    """Set the columns of each row, found by its key. is_apart: see `Direct.tell`."""
    if not rows:
        return
    names = tuple(rows[0])
    if connection.dialect.name == "postgresql":
        statement = _updating(table, names, key)
        _tell(connection, statement, names, _as_arrays(table, rows, names), is_apart=is_apart)
        return
    sets = ", ".join(f"{_quoted(n)} = :{n}" for n in names if n != key)
    statement = f"UPDATE {table.name} SET {sets} WHERE {_quoted(key)} = :{key}"
    connection.execute(text(statement), _for_sqlite(table, rows, names))


@cache
def _removing(table: Table, names: tuple[str, ...]) -> str:
    same = " AND ".join(f"{table.name}.{_quoted(n)} = v.{_quoted(n)}" for n in names)
    return f"DELETE FROM {table.name} USING {_unnested(table, names)} WHERE {same}"


def remove(connection: Connection, table: Table, rows: Sequence[Row]) -> None:
    """Delete rows that are in all columns given as one of these."""
    if not rows:
        return
    names = tuple(rows[0])
    if connection.dialect.name == "postgresql":
        _tell(connection, _removing(table, names), names, _as_arrays(table, rows, names))
        return
    same = " AND ".join(f"{_quoted(n)} = :{n}" for n in names)
    statement = f"DELETE FROM {table.name} WHERE {same}"
    connection.execute(text(statement), _for_sqlite(table, rows, names))


def insert_new(
    connection: Connection, table: Table, new: Sequence[Row], *, unique: tuple[str, str]
) -> dict[tuple[Any, Any], int]:
    """Insert rows that no other has the unique pair of; their new ids by that pair."""
    names = tuple(new[0])
    head = f"INSERT INTO {table.name} ({_columns(names)})"
    tail = f"ON CONFLICT ({_columns(unique)}) DO NOTHING"
    if connection.dialect.name == "postgresql":
        statement = f"{head} SELECT * FROM {_unnested(table, names)} {tail} RETURNING id, "
        found = connection.execute(
            text(statement + _columns(unique)), _as_arrays(table, new, names)
        )
        return {(row[1], row[2]): row[0] for row in found}
    values = ", ".join(f":{n}" for n in names)
    single = text(f"{head} VALUES ({values}) {tail} RETURNING id")
    inserted: dict[tuple[Any, Any], int] = {}
    for row in _for_sqlite(table, new, names):
        number = connection.execute(single, row).scalar()
        if number is not None:
            inserted[row[unique[0]], row[unique[1]]] = number
    return inserted

"""Statements that the driver sends by itself, planned once a connection: SCIM's way on PostgreSQL.

Somebody waits for a SCIM write, which is some twenty small statements. SQLAlchemy spends 0.2 to
0.5 ms of CPU on one, the driver 0.05; the server needs longer to plan one than to do it. So these
are written by hand, prepared by the connection that keeps them, and sent in groups: the server
works on one while the next is on its way, and the answers are waited for once.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from typing import Any, NamedTuple

import psycopg
from psycopg import RawCursor
from psycopg.rows import dict_row
from sqlalchemy import Connection

from domain.ports import InfrastructureError
from worker.adapters.db.engine import KeptConnection

Row = dict[str, Any]
#: How a SQLAlchemy connection bears that its statements may go this way.
_DIRECT = "direct"
#: Characters of parameters beyond which a statement is planned for itself: its arrays are long.
_LONG = 100_000
_PLACE = re.compile(r"\$([0-9]+)")
#: Of all connections: a tiny table is read by its index, too, because the plan outlives its size.
SETTINGS = "SET enable_seqscan = off"
#: Of transactions that write: arrays of one are not planned each time for being so short.
PLANNED_ONCE = "set_config('plan_cache_mode', 'force_generic_plan', true)"


class Asked(NamedTuple):
    """A statement with $1, $2, .. and its parameters: texts, and whatever the driver sends."""

    statement: str
    given: Sequence[Any] = ()


class _Told(NamedTuple):
    """A statement that is gathered. name: by which others of the same transaction refer to it."""

    statement: str
    given: Sequence[Any]
    name: str


class Direct:
    """The driver's connection inside one of SQLAlchemy's; begins its transaction itself."""

    def __init__(self, sql: Connection) -> None:
        raw: Any = sql.connection.dbapi_connection
        if not isinstance(raw, psycopg.Connection):
            raise TypeError("a connection to PostgreSQL expected")
        raw.autocommit = True
        # Statements that SQLAlchemy sends are planned each time, as everywhere (D7).
        raw.prepare_threshold = 1_000_000_000
        self._sql = sql
        self._raw = raw
        self._begins = False
        self._gathers = False
        self._gathered: list[_Told] = []

    def begin(self) -> None:
        """A transaction begins with the next statement."""
        self._begins = True
        self._forget()

    def rest(self) -> None:
        """The next statements are no transaction."""
        self._begins = False
        self._forget()

    def _forget(self) -> None:
        self._gathers = False
        self._gathered.clear()

    def ask(self, statement: str, *given: Any) -> list[Row]:
        """What one statement gives."""
        (found,) = self.ask_all(Asked(statement, given))
        return found

    def ask_all(self, *asked: Asked) -> list[list[Row]]:
        """What each of several statements gives, after one wait; each sees what is committed.

        Raises psycopg.Error, InfrastructureError where the session is gone.
        """
        with self._heard():
            if len(asked) == 1 and not self._begins:
                return [self._sent(asked[0]).fetchall()]
            with self._raw.pipeline():
                cursors = [self._sent(one) for one in asked]
            return [cursor.fetchall() for cursor in cursors]

    def gather(self) -> None:
        """From here on nothing is read: what is told is kept until the commit."""
        self._gathers = True

    def tell(self, statement: str, *given: Any, name: str = "") -> None:
        """A statement that changes something and gives nothing.

        Those that are gathered are sent as one: none may touch a row that another touches, nor
        count on another's having been done, unless it refers to it by its name.
        """
        if self._gathers:
            self._gathered.append(_Told(statement, given, name))
        else:
            with self._heard():
                self._sent(Asked(statement, given))

    def commit(self, *behind: Asked) -> list[list[Row]]:
        """What was gathered, the commit, and questions behind it, in one wait."""
        merged = _merged(self._gathered)
        self._forget()
        with self._heard():
            with self._raw.pipeline():
                if merged is not None:
                    self._sent(merged)
                self._raw.execute("COMMIT", prepare=False)
                cursors = [self._sent(one) for one in behind]
            return [cursor.fetchall() for cursor in cursors]

    def _sent(self, asked: Asked) -> RawCursor[Row]:
        if self._begins:
            self._begins = False
            self._raw.execute("BEGIN", prepare=False)
        is_long = sum(len(one) for one in asked.given if isinstance(one, str)) > _LONG
        cursor = RawCursor(self._raw, row_factory=dict_row)
        return cursor.execute(asked.statement, asked.given, prepare=not is_long)

    @contextmanager
    def _heard(self) -> Iterator[None]:
        """A session that is gone is not used again, and another may be had at once."""
        try:
            yield
        except psycopg.Error as error:
            if self._raw.closed:
                self._sql.invalidate()
                if not error.sqlstate:
                    away = f"database is away: {error}"
                    raise InfrastructureError(away, is_lost=True) from error
            raise


def _merged(told: Sequence[_Told]) -> Asked | None:
    """One statement for all; the driver takes as long for it as for any one of them."""
    if not told:
        return None
    shape = tuple((one.statement, len(one.given), one.name) for one in told)
    return Asked(_as_one(shape), [value for one in told for value in one.given])


@lru_cache(maxsize=256)
def _as_one(shape: tuple[tuple[str, int, str], ...]) -> str:
    parts, before = [], 0
    for number, (statement, count, name) in enumerate(shape):
        shifted = _PLACE.sub(lambda found: f"${int(found[1]) + before}", statement)  # noqa: B023
        parts.append((name or f"told_{number}", shifted))
        before += count
    *beside, (_, last) = parts
    if not beside:
        return last
    named = ", ".join(f"{name} AS ({statement})" for name, statement in beside)
    return f"WITH {named} {last}"


def direct_of(sql: Connection) -> Direct | None:
    """The driver's way of a connection, where it has one."""
    found: Direct | None = sql.info.get(_DIRECT)
    return found


class DirectConnection(KeptConnection):
    """The kept connection of one thread, whose statements may go the driver's way.

    On SQLite it is as any other.
    """

    def opened(self) -> Connection:
        """See `KeptConnection`."""
        sql = super().opened()
        try:
            sql.exec_driver_sql(SETTINGS)
            sql.commit()
            sql.info[_DIRECT] = Direct(sql)
        except BaseException:
            sql.close()
            raise
        return sql

    @contextmanager
    def begin(self) -> Iterator[Connection]:
        """A write transaction that rolls back unless committed."""
        with super().begin() as sql:
            direct = direct_of(sql)
            if direct is not None:
                # What SQLAlchemy commits or rolls back is what it knows to have begun.
                sql.begin()
                direct.begin()
            yield sql

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """On PostgreSQL no transaction at all: each statement sees what is committed by then."""
        with super().begin() as sql:
            direct = direct_of(sql)
            if direct is not None:
                direct.rest()
            yield sql

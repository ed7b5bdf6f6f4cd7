"""Statements that the driver sends by itself: the way of SCIM and of drains on PostgreSQL.

Somebody waits for a SCIM write, or is to be out in milliseconds: some twenty small statements.
SQLAlchemy spends 0.2 to 0.5 ms of CPU on one, the driver 0.05; the server needs longer to plan one
than to do it. So these are written by hand, prepared by the connection that keeps them, and sent in
groups: the server works on one while the next is on its way, and the answers are waited for once.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from functools import lru_cache
from time import monotonic
from typing import Any, NamedTuple

import psycopg
from psycopg import RawCursor
from psycopg.pq import TransactionStatus
from psycopg.rows import dict_row
from sqlalchemy import Connection

from domain.ports import InfrastructureError
from worker.adapters.db.engine import Database, KeptConnection

Row = dict[str, Any]
#: How a SQLAlchemy connection bears that its statements may go this way.
_DIRECT = "direct"
#: Characters of parameters beyond which a statement is planned for itself: its arrays are long.
_LONG = 100_000
#: Beyond which one is sent at once, for the server to work on while the next is put together.
_WORTH_SENDING = 20_000
#: A plan is kept for so long: it fits the tables as they were. One that was made while they were
#: empty reads all of them, and nothing else would ever make another before autovacuum comes by.
PLANS_SECONDS = 5.0
#: Of a statement that was prepared by a session, and one that another had prepared there before.
_FORGOTTEN = (psycopg.errors.InvalidSqlStatementName, psycopg.errors.DuplicatePreparedStatement)
#: Seconds that telling the server to stop may take.
_CANCELLING = 2.0
_PLACE = re.compile(r"\$([0-9]+)")
#: Of all connections: a tiny table is read by its index, too, because the plan outlives its size.
SETTINGS = "SET enable_seqscan = off"
#: Of transactions that write: arrays of one are not planned each time for being so short.
PLANNED_ONCE = "set_config('plan_cache_mode', 'force_generic_plan', true)"


class Asked(NamedTuple):
    """A statement with $1, $2, .. and its parameters: texts, and whatever the driver sends.

    is_kept: whether its plan is; else it is planned each time, by what the tables hold then.
    """

    statement: str
    given: Sequence[Any] = ()
    is_kept: bool = True


class _Told(NamedTuple):
    """A statement that is gathered. name: by which others of the same transaction refer to it.

    is_apart: sent by itself, behind those that are sent as one, and planned each time.
    """

    statement: str
    given: Sequence[Any]
    name: str
    is_apart: bool


class Keeps:
    """Whether sessions keep what is prepared; behind a pooler that hands them on, they do not."""

    def __init__(self) -> None:
        self.statements = True

    def nothing(self) -> None:
        """It was noticed that they do not."""
        self.statements = False


class Direct:
    """The driver's connection inside one of SQLAlchemy's; begins its transaction itself."""

    def __init__(self, sql: Connection, keeps: Keeps) -> None:
        raw: Any = sql.connection.dbapi_connection
        if not isinstance(raw, psycopg.Connection):
            raise TypeError("a connection to PostgreSQL expected")
        raw.autocommit = True
        # Statements that SQLAlchemy sends are planned each time, as everywhere (D7).
        raw.prepare_threshold = 1_000_000_000
        self._sql = sql
        self._raw = raw
        self._keeps = keeps
        self._begins = False
        self._gathers = False
        self._gathered: list[_Told] = []
        # Open from the first statement that is sent ahead until the commit.
        self._ahead = ExitStack()
        self._is_ahead = False

    def begin(self) -> None:
        """A transaction begins with the next statement."""
        self._begins = True
        self._forget()

    def plan_anew(self) -> None:
        """Let go of plans, not of statements."""
        with self._heard():
            self._raw.execute("DISCARD PLANS", prepare=False)

    def rest(self) -> None:
        """The next statements are no transaction."""
        self._begins = False
        self._forget()

    def _forget(self) -> None:
        self._gathers = self._is_ahead = False
        self._gathered.clear()

    def leave(self) -> None:
        """Whatever was told since `gather` is not to last: it is rolled back next."""
        self._forget()
        self._ahead.close()

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

    def tell(self, statement: str, *given: Any, name: str = "", is_apart: bool = False) -> None:
        """A statement that changes something and gives nothing.

        Those that are gathered are sent as one: none may touch a row that another touches, nor
        count on another's having been done, unless it refers to it by its name. is_apart: comes
        behind all of them, and is planned by what the table holds now: a join with a table that
        was empty once may read the whole of it for ever.
        """
        if not self._gathers:
            with self._heard():
                self._sent(Asked(statement, given))
            return
        self._gathered.append(_Told(statement, given, name, is_apart))
        if not is_apart and not name and _length(given) > _WORTH_SENDING:
            self._send_ahead()

    def _send_ahead(self) -> None:
        """Send what was gathered so far, in its order, without waiting for an answer."""
        with self._heard():
            if not self._is_ahead:
                self._is_ahead = True
                self._ahead.enter_context(self._raw.pipeline())
            *before, last = [one for one in self._gathered if not one.is_apart]
            self._gathered = [one for one in self._gathered if one.is_apart]
            merged = _merged(before)
            if merged is not None:
                self._sent(merged)
            self._sent(Asked(last.statement, last.given))

    def commit(self, *behind: Asked) -> list[list[Row]]:
        """What was gathered, the commit, and questions behind it, in one wait."""
        merged = _merged([one for one in self._gathered if not one.is_apart])
        apart = [
            Asked(one.statement, one.given, is_kept=False) for one in self._gathered if one.is_apart
        ]
        self._forget()
        with self._heard():
            with self._ahead, self._raw.pipeline():
                if merged is not None:
                    self._sent(merged)
                for one in apart:
                    self._sent(one)
                self._raw.execute("COMMIT", prepare=False)
                cursors = [self._sent(one) for one in behind]
            return [cursor.fetchall() for cursor in cursors]

    def _sent(self, asked: Asked) -> RawCursor[Row]:
        if self._begins:
            self._begins = False
            self._raw.execute("BEGIN", prepare=False)
        is_long = _length(asked.given) > _LONG
        cursor = RawCursor(self._raw, row_factory=dict_row)
        keeps = asked.is_kept and not is_long and self._keeps.statements
        return cursor.execute(asked.statement, asked.given, prepare=keeps)

    @contextmanager
    def _heard(self) -> Iterator[None]:
        """A session that is gone is not used again, and another may be had at once."""
        around = sys.exception()
        try:
            yield
        except _FORGOTTEN as error:
            self._give_up()
            self._keeps.nothing()
            lost = f"a pooler gave the session to others: {error}"
            raise InfrastructureError(lost, is_lost=True) from error
        except psycopg.Error as error:
            cut = error.__context__
            if self._is_busy and cut is not None and cut is not around:
                # The driver's complaint about a pipeline that was left in the middle hides why.
                self._cut_off()
                raise cut from None
            if self._raw.closed:
                self._give_up()
                away = f"database is away: {error}"
                raise InfrastructureError(away, is_lost=True) from error
            raise
        except BaseException:
            if self._is_busy:
                self._cut_off()
            raise

    @property
    def _is_busy(self) -> bool:
        return self._raw.info.transaction_status is TransactionStatus.ACTIVE

    def _cut_off(self) -> None:
        """A time limit came in the middle: the server is told to stop, since COMMIT is behind."""
        with suppress(psycopg.Error):
            self._raw.cancel_safe(timeout=_CANCELLING)
        self._give_up()

    def _give_up(self) -> None:
        """Out of the pool as it is, SQLAlchemy forgets it without closing it."""
        self._raw.close()
        self._sql.invalidate()


def _length(given: Sequence[Any]) -> int:
    return sum(len(one) for one in given if isinstance(one, str))


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
    """A kept connection, of one thread at a time, whose statements may go the driver's way.

    On SQLite it is as any other.
    """

    def __init__(self, database: Database, keeps: Keeps, *, statement_ms: int) -> None:
        super().__init__(database, statement_ms=statement_ms)
        self._keeps = keeps
        self._planned_at = 0.0

    def opened(self) -> Connection:
        """See `KeptConnection`."""
        sql = super().opened()
        self._planned_at = monotonic()
        try:
            sql.exec_driver_sql(SETTINGS)
            sql.commit()
            sql.info[_DIRECT] = Direct(sql, self._keeps)
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
                self._let_go_of_plans(direct)
            yield sql

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """On PostgreSQL no transaction at all: each statement sees what is committed by then."""
        with super().begin() as sql:
            direct = direct_of(sql)
            if direct is not None:
                direct.rest()
                self._let_go_of_plans(direct)
            yield sql

    def _let_go_of_plans(self, direct: Direct) -> None:
        if monotonic() > self._planned_at + PLANS_SECONDS:
            self._planned_at = monotonic()
            direct.plan_anew()

"""Engines and transactions: one way to read, one way to write, on both databases (D7, D14)."""

from __future__ import annotations

import fcntl
import os
import random
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Any, Protocol, TypeVar

import psycopg
from sqlalchemy import Connection, Engine, create_engine, event, text
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.pool import ConnectionPoolEntry, QueuePool

from domain.ports import InfrastructureError
from domain.retry import again

Report = Callable[[str, Mapping[str, object]], None]
T = TypeVar("T")

#: SQLSTATE classes of a server that is away, full, shutting down or (25006) a standby or read-only
#: for now, and of sessions that it ended (25P03: idle in a transaction); and of two that met.
_AWAY = ("08", "53", "57P", "58", "25006", "25P03")
_MET = ("40001", "40P01", "55P03")
#: A session that ended in the middle: another one may be had at once.
_LOST = ("08", "57P01", "57P02")
#: A statement that took longer than it may, or was cancelled by hand.
_CANCELLED = "57014"

#: A provider waits three seconds for its answer: what has not been stored by then is told to be
#: sent again. Pages, metrics and drains share the process or the database and may take longer.
PATIENCE_MS = 2_000

#: Drain statements: a plan prepared on an empty table is a sequential scan for ever (D7).
POSTGRES_OPTIONS = (
    "-c statement_timeout={statement_ms} -c lock_timeout=2000 "
    "-c idle_in_transaction_session_timeout=15000 -c random_page_cost=1.1 -c jit=off"
)


#: How a connection bears that its transaction announces something to an application.
ANNOUNCED = "announced"


@contextmanager
def translated() -> Iterator[None]:
    """Turn the driver's word for "database away" or "conflict" into the port's error."""
    try:
        yield
    except PoolTimeoutError as error:
        raise InfrastructureError("no database connection is free") from error
    except (DBAPIError, psycopg.Error) as error:
        driver = error.orig if isinstance(error, DBAPIError) else error
        state = str(getattr(driver, "sqlstate", "") or "")
        if state in _MET:
            raise InfrastructureError(f"transactions met ({state})", is_conflict=True) from error
        if state == _CANCELLED:
            raise InfrastructureError(f"database is slow: {driver}", is_slow=True) from error
        if _is_away(error, driver, state):
            is_lost = _is_lost(error, driver, state)
            raise InfrastructureError(f"database is away: {driver}", is_lost=is_lost) from error
        raise


def _is_lost(error: Exception, driver: BaseException | None, state: str) -> bool:
    """Whether a session ended in the middle; one that was not to be had at all did not."""
    if isinstance(error, DBAPIError) and error.connection_invalidated:
        return True
    return state.startswith(_LOST) or _hides_a_loss(driver)


@contextmanager
def _committing(*, is_repeatable: bool) -> Iterator[None]:
    """Lost while committing: it may have happened or not."""
    try:
        with translated():
            yield
    except InfrastructureError as error:
        if error.is_lost and not is_repeatable:
            told = f"{error} (it may be done all the same: look before you try again)"
            raise InfrastructureError(told) from error
        raise


def _is_away(error: Exception, driver: BaseException | None, state: str) -> bool:
    is_lost = isinstance(error, DBAPIError) and error.connection_invalidated
    if is_lost or state.startswith(_AWAY) or _hides_a_loss(driver):
        return True
    return not state and isinstance(error, _UNANSWERED)


#: Without a state of its own: the server said nothing, because there was none to say it.
_UNANSWERED = (OperationalError, InterfaceError, psycopg.OperationalError, psycopg.InterfaceError)


def _hides_a_loss(error: BaseException | None) -> bool:
    """A ping that finds its connection gone may fail a second time, in clearing up after itself."""
    first = error.__context__ if error is not None else None
    return isinstance(first, psycopg.OperationalError) and first.sqlstate is None


@contextmanager
def sent_ahead(connection: Connection) -> Iterator[None]:
    """Statements inside are sent on without waiting for the one before (PostgreSQL's pipeline).

    Nothing can be read inside. An error may be raised by a later statement than its own, or at
    the end, then by the driver.
    """
    raw: Any = connection.connection.dbapi_connection
    if not isinstance(raw, psycopg.Connection):
        yield
        return
    try:
        with raw.pipeline():
            yield
    except psycopg.Error:
        if raw.closed:
            connection.invalidate()
        raise


class Database:
    """A database by URL. Build one per process, after any fork.

    `begin()` gives a connection in a write transaction: it rolls back unless `commit()` is
    called on it. `read()` gives one that only reads and never waits for a writer. report: hears
    of transactions that `change` has to make again; announced: that one announced something.
    """

    def __init__(
        self,
        url: str,
        *,
        statement_ms: int = 10_000,
        pool_size: int = 5,
        report: Report = lambda _name, _fields: None,
        announced: Callable[[], None] = lambda: None,
    ) -> None:
        self.url: URL = make_url(url)
        self._announced = announced
        self._report = report
        self.is_postgres = self.url.get_backend_name() == "postgresql"
        if self.is_postgres:
            self._writer = self._reader = _postgres_engine(self.url, statement_ms, pool_size)
        else:
            self._writer = _sqlite_engine(self.url, begin="BEGIN IMMEDIATE")
            self._reader = _sqlite_engine(self.url, begin="BEGIN")

    @contextmanager
    def begin(self) -> Iterator[Connection]:
        """A write transaction that rolls back unless committed."""
        with self.writer_turn(), self._writer.connect() as connection:
            yield connection

    def open(self, *, statement_ms: int) -> Connection:
        """A write connection that its caller closes, with a limit for statements of its own."""
        connection = self._writer.connect()
        # Out of the pool, which would hand the limit on to whoever comes next.
        connection.detach()
        try:
            connection.exec_driver_sql(f"SET statement_timeout = {int(statement_ms)}")
            connection.commit()
        except BaseException:
            connection.close()
            raise
        return connection

    def change(self, work: Callable[[Connection], T], *, is_repeatable: bool = False) -> T:
        """Do work in one write transaction; again where it met another or lost its connection.

        Whatever it raises is rolled back. is_repeatable: work that was committed does nothing more
        when it is done again. Any other is not done again after a loss in its commit, which leaves
        open whether it happened. Raises InfrastructureError beside what work raises.
        """

        def unit() -> T:
            with translated(), self.begin() as connection:
                done = work(connection)
                with _committing(is_repeatable=is_repeatable):
                    connection.commit()
                if connection.info.pop(ANNOUNCED, False):
                    self._announced()
                return done

        return again(unit, random=random.random, sleep=time.sleep, report=self._report)

    @contextmanager
    def connect(self) -> Iterator[Connection]:
        """A write connection whose caller already holds the writer's turn."""
        with self._writer.connect() as connection:
            yield connection

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A reading transaction, rolled back at the end."""
        with self._reader.connect() as connection:
            yield connection

    def writer_turn(self) -> AbstractContextManager[None]:
        """SQLite's lock has no queue, so writers take turns by a lock file (D14)."""
        if self.is_postgres or not self.url.database:
            return nullcontext()
        return _turn(Path(self.url.database).with_name("writer.lock"))

    def dispose(self) -> None:
        """Close every pooled connection; those in use as they come back."""
        for engine in (self._writer, self._reader):
            # Who has one of them gives it back to a pool that nobody looks into any more.
            event.listen(engine.pool, "checkin", _close)
            engine.dispose()


class Changing(Protocol):
    """What does work in one transaction: a `Database`, or something in front of one."""

    def change(self, work: Callable[[Connection], T], *, is_repeatable: bool = False) -> T:
        """See `Database.change`."""
        ...


class Within:
    """Does work in a transaction that is under way: another's, who commits it."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def change(self, work: Callable[[Connection], T], *, is_repeatable: bool = False) -> T:
        """Do work; whatever it raises is its owner's to roll back."""
        del is_repeatable
        return work(self._connection)


class KeptConnection:
    """The write connection of one thread, kept between its transactions on PostgreSQL.

    Taking one from the pool asks the server whether it is alive, each time; this one is found
    dead by its first statement, and the next transaction opens another.
    """

    def __init__(self, database: Database, *, statement_ms: int = PATIENCE_MS) -> None:
        self._database = database
        self._statement_ms = statement_ms
        self._open: Connection | None = None

    @contextmanager
    def begin(self) -> Iterator[Connection]:
        """A write transaction that rolls back unless committed, as `Database.begin`."""
        if not self._database.is_postgres:
            with self._database.begin() as connection:
                yield connection
            return
        if self._open is None:
            self._open = self.opened()
        try:
            yield self._open
            self._open.rollback()
        except (DBAPIError, psycopg.Error, InfrastructureError):
            self.close()
            raise
        except BaseException:
            self._settle()
            raise

    def opened(self) -> Connection:
        """A connection to PostgreSQL, to be kept."""
        return self._database.open(statement_ms=self._statement_ms)

    def _settle(self) -> None:
        """What was raised is not the database's: the connection serves the next transaction."""
        try:
            if self._open is not None:
                self._open.rollback()
                if self._open.invalidated:
                    # Cut off in the middle of a statement: SQLAlchemy would take any other for it.
                    self.close()
        except (DBAPIError, psycopg.Error):
            self.close()

    def close(self) -> None:
        """Give the connection back; whatever is not committed is rolled back."""
        kept, self._open = self._open, None
        if kept is not None:
            kept.close()


def _close(_raw: Any, record: ConnectionPoolEntry) -> None:
    record.close()


@contextmanager
def _turn(lock: Path) -> Iterator[None]:
    """Hold the lock file exclusively; the kernel queues the waiting processes."""
    handle = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def _postgres_engine(url: URL, statement_ms: int, pool_size: int) -> Engine:
    return create_engine(
        url,
        poolclass=QueuePool,
        pool_size=pool_size,
        max_overflow=5,
        # An error tells of the statement, not of the people in it.
        hide_parameters=True,
        # Well within the patience of an identity provider that waits for its answer (F25).
        pool_timeout=2,
        pool_pre_ping=True,
        pool_recycle=1800,
        connect_args={
            "connect_timeout": 3,
            "prepare_threshold": None,
            "options": POSTGRES_OPTIONS.format(statement_ms=statement_ms),
        },
    )


def _folded(value: Any) -> Any:
    return value.lower() if isinstance(value, str) else value


#: Connections to a SQLite file that a process keeps open for the next who asks.
IDLE_FILES = 3


def _sqlite_engine(url: URL, *, begin: str) -> Engine:
    engine = create_engine(
        url,
        poolclass=QueuePool,
        # Opening a file takes longer than most questions to it, and the last to close it copies
        # the write-ahead log. Whoever finds none idle opens one: nobody waits for a connection.
        pool_size=IDLE_FILES,
        max_overflow=-1,
        hide_parameters=True,
        connect_args={"timeout": 30},
    )

    @event.listens_for(engine, "connect")
    def _configure(raw: Any, _record: Any) -> None:
        raw.isolation_level = None
        raw.execute("PRAGMA journal_mode=WAL")
        raw.execute("PRAGMA synchronous=FULL")
        raw.execute("PRAGMA busy_timeout=30000")
        raw.execute("PRAGMA foreign_keys=ON")
        # SQLite's own lower() knows A to Z only.
        raw.create_function("fold", 1, _folded, deterministic=True)

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        connection.execute(text(begin))

    return engine

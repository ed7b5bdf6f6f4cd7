"""A database that is closed while somebody still has a connection of it."""

from __future__ import annotations

import gc
import sqlite3
import warnings
from typing import Any

import pytest
from sqlalchemy import event
from sqlalchemy.exc import DBAPIError

from worker.adapters.db.engine import Database


def test_what_is_in_use_is_closed_as_it_comes_back(postgres_url: str) -> None:
    """Else each restart of a part leaves a session on the server until memory is tidied."""
    database = Database(postgres_url)
    with database.read() as connection:
        raw: Any = connection.connection.dbapi_connection
        database.dispose()
        closed_while_in_use = raw.closed
    assert (closed_while_in_use, raw.closed) == (False, True)
    database.dispose()


def test_a_kept_connection_that_cannot_be_set_up_is_closed(postgres_url: str) -> None:
    database = Database(postgres_url)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(DBAPIError):
            database.open(statement_ms=-1)
        gc.collect()
    database.dispose()


def test_a_sqlite_file_stays_open_for_the_next_until_the_end(sqlite_url: str) -> None:
    database = Database(sqlite_url)
    opened: list[Any] = []
    for engine in (database._writer, database._reader):
        event.listen(engine, "connect", lambda raw, _record: opened.append(raw))
    for _ in range(3):
        with database.begin() as connection:
            connection.exec_driver_sql("SELECT 1")
        with database.read() as connection:
            connection.exec_driver_sql("SELECT 1")
    assert len(opened) == 2
    database.dispose()
    for raw in opened:
        with pytest.raises(sqlite3.ProgrammingError, match="closed"):
            raw.execute("SELECT 1")

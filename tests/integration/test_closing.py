"""A database that is closed while somebody still has a connection of it."""

from __future__ import annotations

import gc
import warnings
from typing import Any

import pytest
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

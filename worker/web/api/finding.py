"""What a path names, if the caller may see it: another account's is as unknown as nobody's."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Table, select

from domain.errors import NothingFoundError, RefusedError
from worker.adapters.db import rows
from worker.adapters.db.windows import Row
from worker.bootstrap import Container
from worker.web.api.answers import reading
from worker.web.api.caller import Caller


def known_connection(caller: Caller, parts: Container, ref: str | None) -> None:
    """Raises NothingFoundError for one that is named and not there for the caller."""
    if ref is not None:
        found(caller, parts, rows.connections, "connection", ref)


def found(caller: Caller, parts: Container, table: Table, what: str, ref: str) -> Row:
    """The row of this id; raises NothingFoundError."""
    with reading(parts) as connection:
        row = connection.execute(select(table).where(table.c.id == ref)).mappings().first()
    if row is None:
        raise NothingFoundError(what, ref)
    account: Any = row["id"] if table is rows.accounts else row["account_id"]
    caller.check(what, ref, account)
    return dict(row)


def found_feed(caller: Caller, parts: Container, ref: str, *, speaks: str | None = None) -> Row:
    """A feed with its account; raises NothingFoundError.

    speaks: the source that it has to be of, and live; raises RefusedError.
    """
    feeds, connections = rows.feeds, rows.connections
    statement = (
        select(feeds, connections.c.account_id)
        .join(connections, connections.c.id == feeds.c.connection_id)
        .where(feeds.c.id == ref)
    )
    with reading(parts) as connection:
        row = connection.execute(statement).mappings().first()
    if row is None:
        raise NothingFoundError("feed", ref)
    caller.check("feed", ref, row["account_id"])
    if speaks is not None and (row["source"] != speaks or row["state"] == "retired"):
        raise RefusedError(f"feed {ref} speaks no {speaks.upper()}")
    return dict(row)

"""What every command stands on: the process's container and transactions that name the operator."""

from __future__ import annotations

import getpass
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import cache

from sqlalchemy import Connection

from worker.adapters.db.engine import translated
from worker.adapters.db.setup import SQLSetup, setting_up
from worker.bootstrap import Container, build


@cache
def container() -> Container:
    """The container of this command, from the environment."""
    return build()


def actor() -> str:
    """Who runs the command, for the audit."""
    try:
        return f"cli:{getpass.getuser()}"
    except (KeyError, OSError):
        return "cli:unknown"


def setup() -> AbstractContextManager[SQLSetup]:
    """Set-up in one transaction, committed at the end unless something was raised."""
    parts = container()
    return setting_up(parts.database, parts.vault, actor=actor())


@contextmanager
def reading() -> Iterator[Connection]:
    """A connection that only reads."""
    with translated(), container().database.read() as connection:
        yield connection


def narrowed(account: str | None, connection: str | None) -> tuple[str | None, str | None]:
    """The ids behind `--account` and `--connection`; None for what was not given.

    A connection of another account than the one named is unknown. Raises NothingFoundError.
    """
    with setup() as use:
        owner = use.account(account)["id"] if account else None
        return owner, use.connection(connection, account=owner)["id"] if connection else None

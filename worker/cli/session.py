"""What every command stands on: the process's container and transactions that name the operator."""

from __future__ import annotations

import getpass
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import cache

from sqlalchemy import Connection

from domain.errors import NothingFoundError, UsageError
from domain.permissions import ALL, Asker
from worker.adapters.db.engine import translated
from worker.adapters.db.people_queries import find_people
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


def asker(account: str | None = None) -> Asker:
    """Whoever runs the command: may do everything, in the account of this id or in all."""
    accounts = frozenset({account}) if account is not None else None
    return Asker(actor(), ALL, accounts, home=account)


def setup() -> AbstractContextManager[SQLSetup]:
    """Set-up in one transaction, committed at the end unless something was raised."""
    parts = container()
    return setting_up(
        parts.database,
        parts.vault,
        actor=actor(),
        link_seconds=parts.settings.link_life.total_seconds(),
    )


@contextmanager
def reading() -> Iterator[Connection]:
    """A connection that only reads."""
    with translated(), container().database.read() as connection:
        yield connection


def post() -> None:
    """Ask workers for the mails that are due now, best effort; the sweep finds them anyway."""
    container().ring_notices()
    container().ringer.stop()


def person_named(name: str, account: str | None) -> tuple[str, str | None]:
    """The id of a person told by id, or by the address in an account; and the account's id.

    Raises NothingFoundError, and UsageError for an address without --account.
    """
    with setup() as use:
        owner = use.account(account)["id"] if account else None
        if "@" not in name:
            return name, owner
        if owner is None:
            raise UsageError(f"{name!r} is an address: say of which --account, or give the id")
        return use.person_at(owner, name), owner


def person_seen(name: str, account: str | None) -> tuple[str, str | None]:
    """As `person_named`, of a person who is only looked at: an address that one account has.

    Raises NothingFoundError, and UsageError for an address that several accounts have.
    """
    if "@" not in name or account is not None:
        return person_named(name, account)
    with reading() as connection:
        found = find_people(connection, account=None, email=name, state=None, limit=2)
    if not found:
        raise NothingFoundError("person", name)
    if len(found) > 1:
        raise UsageError(f"several accounts have a person {name!r}: say of which --account")
    return str(found[0]["id"]), None


def narrowed(account: str | None, connection: str | None) -> tuple[str | None, str | None]:
    """The ids behind `--account` and `--connection`; None for what was not given.

    A connection of another account than the one named is unknown. Raises NothingFoundError.
    """
    with setup() as use:
        owner = use.account(account)["id"] if account else None
        return owner, use.connection(connection, account=owner)["id"] if connection else None

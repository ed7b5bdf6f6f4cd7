"""The database to one file and back: SQLite by its own backup, PostgreSQL by pg_dump."""

from __future__ import annotations

import os
import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path

from sqlalchemy.engine import URL

from domain.errors import RefusedError, UsageError
from worker.adapters.db.engine import Database

_SQLITE, _POSTGRES = b"SQLite format 3\0", b"PGDMP"


def dump(database: Database, file: Path) -> None:
    """Write the whole database, as of one moment, while everything goes on.

    The file comes into being whole and is its owner's only. Raises RefusedError.
    """
    if file.exists():
        raise RefusedError(f"{file} exists already; a backup overwrites nothing")
    if not file.absolute().parent.is_dir():
        raise UsageError(f"{file.absolute().parent} is no folder")
    draft = file.with_name(f"{file.name}.{os.getpid()}.part")
    draft.touch(mode=0o600)
    try:
        (_pg_dump if database.is_postgres else _sqlite_dump)(database.url, draft)
        draft.rename(file)
    finally:
        draft.unlink(missing_ok=True)


def load(database: Database, file: Path) -> None:
    """Fill an empty database from the file. Raises RefusedError, UsageError."""
    _check_kind(database, file)
    if _holds_something(database):
        raise RefusedError(
            f"the database {database.url.database} is not empty; a restore goes into an empty one: "
            "make one, name it in ROSTERD_DATABASE_URL (embedded: an empty ROSTERD_DATA_DIR)"
        )
    (_pg_restore if database.is_postgres else _sqlite_restore)(database.url, file)


def _check_kind(database: Database, file: Path) -> None:
    try:
        with file.open("rb") as opened:
            head = opened.read(16)
    except OSError as error:
        raise UsageError(f"{file} cannot be read: {error.strerror}") from error
    if not head.startswith(_POSTGRES if database.is_postgres else _SQLITE):
        wanted = "PostgreSQL (pg_dump)" if database.is_postgres else "SQLite"
        raise UsageError(f"{file} is no backup of {wanted}, which ROSTERD_DATABASE_URL names")


def _holds_something(database: Database) -> bool:
    catalogue = (
        "SELECT count(*) FROM pg_class WHERE relnamespace = current_schema()::regnamespace"
        if database.is_postgres
        else "SELECT count(*) FROM sqlite_master"
    )
    with database.read() as connection:
        return bool(connection.exec_driver_sql(catalogue).scalar_one())


def _sqlite_dump(url: URL, draft: Path) -> None:
    with (
        closing(sqlite3.connect(f"file:{url.database}?mode=ro", uri=True)) as source,
        closing(sqlite3.connect(draft)) as target,
    ):
        source.backup(target)


def _sqlite_restore(url: URL, file: Path) -> None:
    with (
        closing(sqlite3.connect(f"file:{file}?mode=ro&immutable=1", uri=True)) as source,
        closing(sqlite3.connect(str(url.database))) as target,
    ):
        source.backup(target)


def _pg_dump(url: URL, draft: Path) -> None:
    _run(["pg_dump", "--format=custom", "--no-owner", "--no-privileges", f"--file={draft}"], url)


def _pg_restore(url: URL, file: Path) -> None:
    options = ["--no-owner", "--no-privileges", "--exit-on-error", "--single-transaction"]
    _run(["pg_restore", *options, str(file)], url)


def _run(command: list[str], url: URL) -> None:
    """The password goes by the environment: arguments are seen by everybody on the machine."""
    plain = url.set(drivername="postgresql", password=None).render_as_string(hide_password=False)
    environment = dict(os.environ)
    if url.password is not None:
        environment["PGPASSWORD"] = str(url.password)
    try:
        done = subprocess.run(  # noqa: S603 - a fixed program, a URL from settings
            [*command, f"--dbname={plain}"],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
    except FileNotFoundError as error:
        raise RefusedError(
            f"{command[0]} is not installed; it comes with PostgreSQL's client package, "
            "of the server's version or newer"
        ) from error
    if done.returncode != 0:
        raise RefusedError(f"{command[0]} failed: {done.stderr.strip()[-1000:]}")

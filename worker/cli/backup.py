"""`rosterd backup` and `rosterd restore`: the database and its keys, and a trial that they fit."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import Annotated

import typer
from sqlalchemy import Connection, Table, func, select

from domain.errors import RefusedError
from worker.adapters.db import rows
from worker.adapters.db.backup import dump, load
from worker.adapters.db.engine import Database
from worker.adapters.db.schema import current, newest
from worker.adapters.db.scratch import scratch_database
from worker.adapters.db.sealed import read_all
from worker.adapters.key_file import KEY_FILE
from worker.adapters.vault import Vault
from worker.bootstrap import Container
from worker.cli.keys import refuse_unreadable, summed, told
from worker.cli.output import out
from worker.cli.session import container

NoKeys = Annotated[bool, typer.Option("--no-keys", help="Leave FILE.keys away.")]
Check = Annotated[bool, typer.Option("--check", help="Try it in a scratch database; keep nothing.")]


def register(app: typer.Typer) -> None:
    """Add the commands."""

    @app.command("backup")
    def backup(file: Path, no_keys: NoKeys = False) -> None:
        """Write the database to FILE and its keys to FILE.keys, while everything runs."""
        parts = container()
        if not no_keys and not _own_keys(parts):
            raise RefusedError(
                "there are no keys here to write beside it: set ROSTERD_SECRET_KEYS as your "
                "processes have it, or say --no-keys and keep them elsewhere"
            )
        dump(parts.database, file)
        out.print(f"database: {file} ({file.stat().st_size:,} bytes)")
        if not no_keys:
            _write_keys(parts, _keys_of(file))
            out.print(f"keys: {_keys_of(file)}; whoever has both files reads every secret")

    @app.command("restore")
    def restore(file: Path, check: Check = False) -> None:
        """Fill an empty database from FILE; keys come from FILE.keys unless there are some."""
        parts = container()
        if check:
            _try_out(parts, file)
            return
        load(parts.database, file)
        if not _own_keys(parts) and _keys_of(file).exists():
            _install_keys(parts, _keys_of(file))
        _report(parts.database, parts.vault)
        out.print(
            "what came in after the backup is missing: ask each identity provider for a full sync"
        )


def _keys_of(file: Path) -> Path:
    return file.with_name(f"{file.name}.keys")


def _own_keys(parts: Container) -> list[str]:
    given = [key.get_secret_value() for key in parts.settings.secret_keys]
    made = parts.settings.data_dir / KEY_FILE
    return given or (made.read_text().split() if made.exists() else [])


def _write_keys(parts: Container, file: Path) -> None:
    file.touch(mode=0o600)
    file.write_text("\n".join(_own_keys(parts)) + "\n")


def _install_keys(parts: Container, file: Path) -> None:
    place = parts.settings.data_dir / KEY_FILE
    place.touch(mode=0o600)
    shutil.copyfile(file, place)
    out.print(f"keys: {place}")


def _try_out(parts: Container, file: Path) -> None:
    beside = _keys_of(file)
    keys = [*_own_keys(parts), *(beside.read_text().split() if beside.exists() else [])]
    if not keys:
        raise RefusedError(f"there are no keys: neither ROSTERD_SECRET_KEYS nor {beside}")
    server = parts.settings.database if parts.database.is_postgres else None
    with (
        tempfile.TemporaryDirectory(prefix="rosterd-restore-") as folder,
        scratch_database(server, Path(folder)) as url,
    ):
        database = Database(url)
        try:
            load(database, file)
            _report(database, Vault(keys))
        finally:
            database.dispose()
    out.print("a restore of this file works; nothing was changed")


def _report(database: Database, vault: Vault) -> None:
    with database.read() as connection:
        at = current(connection)
        counts = {
            table.name: _count(connection, table)
            for table in (rows.accounts, rows.connections, rows.people, rows.events)
        }
    out.print(f"restored: {told(counts)}")
    behind = "" if at == newest() else f"; this version needs {newest()}: run `rosterd migrate`"
    out.print(f"schema is at {at}{behind}")
    if behind:
        return
    opened, unreadable = summed(read_all(database, vault), "count")
    refuse_unreadable(unreadable)
    out.print(f"opened with the keys: {told(opened)}")


def _count(connection: Connection, table: Table) -> int:
    return int(connection.execute(select(func.count()).select_from(table)).scalar_one())

"""The schema's version: bring it up to date, or say how far behind it is."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text

from worker.adapters.db.engine import Database, translated

MIGRATIONS = Path(__file__).parent / "migrations"
#: Only one process migrates at a time.
MIGRATION_LOCK = 727_400


def _config(connection: Connection | None = None) -> Config:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.set_main_option("path_separator", "os")
    if connection is not None:
        config.attributes["connection"] = connection
    return config


def migrate(database: Database) -> tuple[str | None, str | None]:
    """Apply every missing step; the version before and after. A newer schema is left as it is.

    Raises InfrastructureError where a lock is not to be had within five seconds: nobody waits
    longer behind a migration, which is tried again.
    """
    with translated(), database.begin() as connection:
        if database.is_postgres:
            connection.execute(text("SET LOCAL lock_timeout = '5s'"))
            # An index over a large table takes as long as it takes.
            connection.execute(text("SET LOCAL statement_timeout = 0"))
            connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": MIGRATION_LOCK})
        before = current(connection)
        if is_newer(before):
            return before, before
        command.upgrade(_config(connection), "head")
        after = current(connection)
        connection.commit()
        return before, after


def current(connection: Connection) -> str | None:
    """The version that the database is at; None for an empty one."""
    return MigrationContext.configure(connection).get_current_revision()


def newest() -> str | None:
    """The version that this program needs."""
    return ScriptDirectory.from_config(_config()).get_current_head()


def is_newer(version: str | None) -> bool:
    """Whether a later release made it: one release back, this program works on it all the same."""
    known = {script.revision for script in ScriptDirectory.from_config(_config()).walk_revisions()}
    return version is not None and version not in known


def is_current(database: Database) -> bool:
    """Whether nothing has to be migrated."""
    with translated(), database.read() as connection:
        version = current(connection)
    return version == newest() or is_newer(version)

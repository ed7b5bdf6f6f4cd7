"""Bring the schema up to date: the one part of rosterd that loads alembic."""

from __future__ import annotations

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, text

from worker.adapters.db import schema
from worker.adapters.db.engine import Database, translated
from worker.adapters.db.schema import current, is_newer

#: Only one process migrates at a time.
MIGRATION_LOCK = 727_400


def migrate(database: Database) -> tuple[str | None, str | None]:
    """Apply every missing step; the version before and after. A newer schema is left as it is.

    Raises InfrastructureError where a lock is not to be had within five seconds: nobody waits
    longer behind a migration, which is tried again and goes on where it was.
    """
    before, after = _step(database)
    while after != schema.newest() and not is_newer(after):
        after = _step(database)[1]
    return before, after


def _step(database: Database) -> tuple[str | None, str | None]:
    """Apply the next step, or all of them where there is nothing yet; the version before and after.

    A transaction each: what one step locks is free before the next begins, so that requests wait
    for one at most.
    """
    with translated(), database.begin() as connection:
        if database.is_postgres:
            connection.execute(text("SET LOCAL lock_timeout = '5s'"))
            # An index over a large table takes as long as it takes.
            connection.execute(text("SET LOCAL statement_timeout = 0"))
            connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": MIGRATION_LOCK})
        before = current(connection)
        if is_newer(before) or before == schema.newest():
            return before, before
        command.upgrade(config(connection), "head" if before is None else "+1")
        after = current(connection)
        connection.commit()
        return before, after


def config(connection: Connection) -> Config:
    """Alembic's settings for one connection."""
    config = Config()
    config.set_main_option("script_location", str(schema.MIGRATIONS))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    return config

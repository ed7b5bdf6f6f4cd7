"""The schema's version: what this program needs, and how far behind a database is.

Read without alembic, which every process would load for this alone: a sixth of a second.
"""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import Connection, inspect, text

from worker.adapters.db import (
    access_rows,  # noqa: F401 - its tables join the metadata
    breaker_rows,  # noqa: F401 - likewise
    directory_rows,  # noqa: F401 - likewise
    minute_rows,  # noqa: F401 - likewise
    observing_rows,  # noqa: F401 - likewise
    operator_rows,  # noqa: F401 - likewise
    reconciliation_rows,  # noqa: F401 - likewise
    replay_rows,  # noqa: F401 - likewise
    scim_later_rows,  # noqa: F401 - likewise
    scim_rows,  # noqa: F401 - likewise
    subscription_rows,  # noqa: F401 - likewise
)
from worker.adapters.db.engine import Database, translated

MIGRATIONS = Path(__file__).parent / "migrations"


def versions() -> list[str]:
    """The versions that this program knows, oldest first: the files bear them in their names."""
    return sorted(path.name[1:5] for path in (MIGRATIONS / "versions").glob("v[0-9]*.py"))


def current(connection: Connection) -> str | None:
    """The version that the database is at; None for an empty one."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    found = connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
    return str(found) if found is not None else None


def newest() -> str:
    """The version that this program needs."""
    return versions()[-1]


def is_newer(version: str | None) -> bool:
    """Whether a later release made it: one release back, this program works on it all the same."""
    return version is not None and version not in versions()


def is_current(database: Database) -> bool:
    """Whether nothing has to be migrated."""
    with translated(), database.read() as connection:
        version = current(connection)
    return version == newest() or is_newer(version)

"""A PostgreSQL database between two tests: everybody out, no rows, ids from one again."""

from __future__ import annotations

import time

from sqlalchemy import create_engine, text

#: From this size on a table is made anew: rows that are deleted stay in its file.
LARGE_BYTES = 256 * 1024

_OTHERS = text(
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
    "WHERE datname = current_database() AND pid <> pg_backend_pid()"
)
_WRITTEN = text(
    "SELECT relname, pg_relation_size(oid) FROM pg_class "
    "WHERE relnamespace = 'public'::regnamespace AND relkind = 'r' "
    "AND relname <> 'alembic_version' AND pg_relation_size(oid) > 0"
)
_FROM_ONE = "SELECT setval(seqrelid::regclass, seqstart, false) FROM pg_sequence"


class Emptying:
    """Empties one database again and again, by one connection."""

    def __init__(self, url: str) -> None:
        self._engine = create_engine(url, isolation_level="AUTOCOMMIT", pool_pre_ping=True)

    def __call__(self) -> None:
        """Remove every row; whoever is still connected is thrown out first."""
        with self._engine.connect() as connection:
            while connection.execute(_OTHERS).all():
                time.sleep(0.002)
            sizes = connection.execute(_WRITTEN).all()
            large = [name for name, size in sizes if size >= LARGE_BYTES]
            small = [name for name, size in sizes if size < LARGE_BYTES]
            anew = [f"TRUNCATE {', '.join(large)}"] if large else []
            deleted = [f"DELETE FROM {name}" for name in small]
            connection.exec_driver_sql("; ".join([*anew, *deleted, _FROM_ONE]))

    def close(self) -> None:
        self._engine.dispose()

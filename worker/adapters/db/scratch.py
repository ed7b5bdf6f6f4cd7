"""Databases that live for one command: measurements and trial restores."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import create_engine, text
from sqlalchemy.engine import make_url

from worker.adapters.db.engine import translated


@contextmanager
def scratch_database(server: str | None, folder: Path) -> Iterator[str]:
    """URL of an empty database: beside the one that is named, or SQLite in the folder."""
    name = f"rosterd_scratch_{secrets.token_hex(4)}"
    if server is None:
        yield f"sqlite:///{folder / name}.db"
        return
    base = make_url(server)
    admin = create_engine(base, isolation_level="AUTOCOMMIT")
    with translated(), admin.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name}"))
    try:
        yield base.set(database=name).render_as_string(hide_password=False)
    finally:
        with admin.connect() as connection:
            connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))
        admin.dispose()

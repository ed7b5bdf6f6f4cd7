"""The migrated schema is the one that the code speaks of, on both databases."""

from __future__ import annotations

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from worker.adapters.db.engine import Database
from worker.adapters.db.migrate import migrate
from worker.adapters.db.rows import metadata
from worker.adapters.db.schema import current, is_current, newest

pytestmark = pytest.mark.every_database


def test_the_migrated_schema_equals_the_models(database_url: str) -> None:
    database = Database(database_url)
    assert is_current(database)
    with database.read() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, metadata) == []
        assert current(connection) == newest()
    assert migrate(database) == (newest(), newest())
    database.dispose()

"""What a run asks of what it read costs as much of a large directory as of a small one.

PostgreSQL knows nothing of tables that fill within minutes and empty again; nobody analyses them
here either.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection

from domain.directories import Page, ReadPerson
from domain.reconciliation import Phase, Purpose, Run
from tests.harness import Rosterd
from tests.integration.test_plans import overheard, rows_taken
from worker.adapters.db import saying
from worker.adapters.db.reading import (
    keep_members,
    keep_people,
    member_id,
    members_among,
    read_by_key,
)
from worker.adapters.db.reconciliation_rows import read_members, read_people

READ, ASKED = 20_000, 500
RUN = Run(
    id="rec_1",
    account="a",
    connection="c",
    purpose=Purpose.RECONCILE,
    applies=False,
    phase=Phase.PEOPLE,
    fence=1,
)


def _fill(sql: Connection, rosterd: Rosterd) -> None:
    keys = [f"u{number}" for number in range(READ)]
    people = tuple(ReadPerson(key, f"{key}@example.com", {}) for key in keys)
    keep_people(sql, RUN.id, Page(people, rosterd.now(), None, READ))
    keep_members(sql, RUN, "g1", Page(tuple(keys), rosterd.now(), None, READ))


def _looked_at(sql: Connection, statement: str, parameters: Any) -> int:
    """Rows that a statement takes in hand, kept or not; it is made once more by this."""
    asked = f"EXPLAIN (ANALYZE, FORMAT JSON) {statement}"
    told = sql.exec_driver_sql(asked, parameters or None).scalar_one()
    return rows_taken((json.loads(told) if isinstance(told, str) else told)[0]["Plan"])


@pytest.fixture
def rosterd_pg(postgres_url: str, tmp_path: Path) -> Iterator[Rosterd]:
    rosterd = Rosterd(postgres_url, tmp_path)
    yield rosterd
    rosterd.close()


def test_d18_what_was_read_is_looked_up_and_not_read_through(rosterd_pg: Rosterd) -> None:
    keys = [f"u{number}" for number in range(0, READ, READ // ASKED)]
    with rosterd_pg.parts.database.begin() as sql:
        _fill(sql, rosterd_pg)
        with overheard(rosterd_pg) as said:
            assert set(read_by_key(sql, read_people, RUN.id, keys)) == set(keys)
            ids = [member_id("g1", key) for key in keys]
            assert members_among(sql, RUN.id, ids) == set(ids)
        assert len(said) == 2
        for statement, parameters in said.items():
            assert ASKED <= _looked_at(sql, statement, parameters) <= 5 * ASKED, statement


def test_d18_forgetting_does_not_pass_by_what_is_gone_already(
    rosterd_pg: Rosterd, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(saying, "FORGOTTEN_AT_ONCE", ASKED)
    with rosterd_pg.parts.database.begin() as sql:
        _fill(sql, rosterd_pg)
        cursor, pages = saying.clear_page(sql, RUN.id, None), 1
        seen = {cursor}
        while cursor is not None:
            cursor, pages = saying.clear_page(sql, RUN.id, cursor), pages + 1
            assert cursor not in seen
            seen.add(cursor)
        assert pages == 2 * READ // ASKED + 4
        for table in (read_people, read_members):
            assert sql.execute(table.select()).first() is None

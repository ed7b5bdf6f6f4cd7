"""What providers look up is answered by an index, however many people and groups there are."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from sqlalchemy import event

from tests.harness import Rosterd
from tests.scim import Provider, provider
from worker.adapters.db.engine import Database
from worker.adapters.db.rows import connections
from worker.adapters.db.scim_filling import fill_scim

#: People; a group for each ten of them. The long form: a million.
ROWS = int(os.environ.get("ROSTERD_TEST_ROWS", "50000"))
_GROWING = "scim_resources|scim_values|memberships|users|people|groups"
_SCAN = re.compile(rf"Seq Scan on ({_GROWING})\b")


@pytest.fixture
def idp(postgres_url: str, tmp_path: Path) -> Iterator[Provider]:
    rosterd = Rosterd(postgres_url, tmp_path)
    with rosterd.serving():
        yield provider(rosterd)
    rosterd.close()


def overheard(idp: Provider, *paths: str) -> dict[str, Any]:
    """The statements of these requests, each with one set of its parameters."""
    said: dict[str, Any] = {}
    engine = idp.rosterd.parts.database._reader

    def hear(_connection: Any, _cursor: Any, statement: str, parameters: Any, *_more: Any) -> None:
        if not statement.startswith("SET "):
            said.setdefault(statement, parameters)

    event.listen(engine, "before_cursor_execute", hear)
    for path in paths:
        idp.told("GET", path)
    event.remove(engine, "before_cursor_execute", hear)
    return said


def scans(database: Database, said: dict[str, Any]) -> list[str]:
    found = []
    with database.begin() as connection:
        for statement, parameters in said.items():
            plan = connection.exec_driver_sql(f"EXPLAIN {statement}", parameters or None)
            text = "\n".join(row[0] for row in plan)
            if _SCAN.search(text):
                found.append(f"{statement}\n{text}")
    return found


@pytest.mark.timeout(600)
def test_no_lookup_scans_a_table_that_grows(idp: Provider) -> None:
    ana = idp.hire("ana", externalId="e1", emails=[{"value": "ana@home.example"}])
    crew = idp.group("Crew", ana["id"])
    people = [
        'userName eq "ana@example.com"',
        'externalId eq "e1"',
        'emails.value eq "ana@home.example"',
        'emails[type eq "work" and value eq "ana@home.example"]',
        f'id eq "{ana["id"]}"',
        f'groups.value eq "{crew["id"]}"',
        'userName eq "ana@example.com" and active eq true',
        'id eq "x" or userName eq "ana@example.com"',
        'userName eq "a" or userName eq "b" or externalId eq "e1" or emails eq "c"',
    ]
    groups = [
        'displayName eq "Crew"',
        'externalId eq "e1"',
        f'members.value eq "{ana["id"]}"',
        f'members[value eq "{ana["id"]}"]',
        f'id eq "{crew["id"]}" and members eq "{ana["id"]}"',
    ]
    said = overheard(
        idp,
        *(f"/Users?filter={quote(one)}" for one in people),
        *(f"/Groups?filter={quote(one)}" for one in groups),
        "/Users?count=5&cursor",
        "/Users?sortBy=userName&count=5",
        f"/Users/{ana['id']}",
        f"/Groups/{crew['id']}",
    )
    assert len(said) >= 20
    (mine,) = idp.rosterd.table(connections)
    fill_scim(idp.rosterd.parts.database, mine["account_id"], mine["id"], ROWS)
    found = scans(idp.rosterd.parts.database, said)
    assert not found, "\n\n".join(found)

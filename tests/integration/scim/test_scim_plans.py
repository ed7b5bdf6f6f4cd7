"""What providers look up is answered by an index, however many people and groups there are."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from psycopg import RawCursor

from tests.harness import Rosterd
from tests.scim import Provider, heard, provider
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


def scans(database: Database, said: Mapping[str, Sequence[Any]]) -> list[str]:
    """Those that read a whole table; planned for these parameters, whoever sends them."""
    found = []
    with database.begin() as connection:
        raw: Any = connection.connection.dbapi_connection
        for statement, given in said.items():
            cursor = RawCursor(raw) if "$1" in statement else raw.cursor()
            plan = cursor.execute(f"EXPLAIN {statement}", given or None)
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
    fill(idp)
    found = scans(idp.rosterd.parts.database, said)
    assert not found, "\n\n".join(found)


@pytest.mark.timeout(600)
def test_no_write_scans_a_table_that_grows(idp: Provider) -> None:
    with heard(idp.rosterd) as asked:
        ana = idp.hire("ana", externalId="e1")
        crew = idp.group("Crew")["id"]
        idp.join(crew, ana["id"])
        idp.set_(ana["id"], emails=[{"value": "other@example.com"}], userName="other@example.com")
        idp.leave(crew, ana["id"])
        idp.set_(ana["id"], active=False)
        idp.told("DELETE", f"/Users/{ana['id']}", status=204)
    said = {one.statement: one.given for one in asked if "$1" in one.statement}
    assert sum("INSERT INTO events" in statement for statement in said) >= 5
    fill(idp)
    found = scans(idp.rosterd.parts.database, said)
    assert not found, "\n\n".join(found)


def overheard(idp: Provider, *paths: str) -> dict[str, Sequence[Any]]:
    """The statements of these requests, each with one set of its parameters."""
    with heard(idp.rosterd) as asked:
        for path in paths:
            idp.told("GET", path)
    return {one.statement: one.given for one in asked if not one.statement.startswith("SET ")}


def fill(idp: Provider) -> None:
    (mine,) = idp.rosterd.table(connections)
    fill_scim(idp.rosterd.parts.database, mine["account_id"], mine["id"], ROWS)

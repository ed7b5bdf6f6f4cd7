"""On which databases a test that asks for `database_url` runs: on each, or on one of them.

Both keep the same promises by different statements. Where a promise is the test's subject (it is
named after a rule, a guarantee or a failure; it attacks a port; it is marked `every_database`) it
runs on each. What else comes by way of a database (a page, a command's words, the shape of an
answer) runs on one: on a machine with PostgreSQL every other such test on either, by its name,
and without it all of them on SQLite.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from hashlib import sha256

import pytest

from tests.rules import ids

#: Set to anything, every test runs on each database.
EVERY = "ROSTERD_TEST_EVERY_DATABASE"
FIXTURE = "database_url"
POSTGRES, SQLITE = "postgres", "sqlite"
#: Where tests are about what a database does with what it is given.
_OF_DATABASES = ("tests/contract/", "tests/fuzz/test_fuzz", "tests/property/")


def left_out(items: Sequence[pytest.Item], *, has_postgres: bool) -> list[pytest.Item]:
    """Tests that run on another database instead."""
    same: dict[str, dict[str, pytest.Item]] = defaultdict(dict)
    for item in items:
        if (database := _database(item)) is not None and not _is_for_every(item):
            same[_without_database(item, database)][database] = item
    found = []
    for name, variants in same.items():
        chosen = _chosen(name) if has_postgres else SQLITE
        if chosen in variants:
            found += [item for database, item in variants.items() if database != chosen]
    return found


def _database(item: pytest.Item) -> str | None:
    chosen = getattr(item, "callspec", None)
    found = chosen.params.get(FIXTURE) if chosen is not None else None
    return found if isinstance(found, str) else None


def _is_for_every(item: pytest.Item) -> bool:
    if item.nodeid.startswith(_OF_DATABASES) or item.get_closest_marker("every_database"):
        return True
    function = item.nodeid.partition("[")[0].rpartition("::")[2]
    return any(ids(function, item.path.name))


def _without_database(item: pytest.Item, database: str) -> str:
    """The test's name with its other parameters, the same for both databases."""
    test, _, parameters = item.nodeid.partition("[")
    others = f"-{parameters.removesuffix(']')}-".replace(f"-{database}-", "-", 1)
    return f"{test}[{others}]"


def _chosen(name: str) -> str:
    return (POSTGRES, SQLITE)[sha256(name.encode()).digest()[0] % 2]

"""Fixtures that need the outside: real databases and brokers, or a word on what is missing."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import OperationalError

from tests.harness import Rosterd
from worker.adapters.db.engine import Database
from worker.adapters.db.schema import migrate

ADMIN_URL = os.environ.get(
    "ROSTERD_TEST_DATABASE_URL", "postgresql+psycopg://postgres@127.0.0.1:5432/postgres"
)
BROKER_URL = os.environ.get("ROSTERD_TEST_BROKER_URL", "redis://127.0.0.1:6379/15")
REQUIRED = {name for name in os.environ.get("ROSTERD_TEST_REQUIRE", "").split(",") if name}


def missing(service: str, why: str) -> None:
    """Skip what needs the service, or fail where ROSTERD_TEST_REQUIRE names it."""
    if service in REQUIRED:
        pytest.fail(f"{service} is required by ROSTERD_TEST_REQUIRE, but {why}")
    pytest.skip(f"{service} is not reachable: {why}")


def _admin(statement: str) -> None:
    engine = create_engine(
        ADMIN_URL, isolation_level="AUTOCOMMIT", connect_args={"connect_timeout": 2}
    )
    try:
        with engine.connect() as connection:
            connection.execute(text(statement))
    finally:
        engine.dispose()


@pytest.fixture(scope="session")
def postgres_template() -> Iterator[str]:
    """A migrated database that the others are copied from."""
    name = f"rosterd_test_{uuid4().hex[:10]}"
    try:
        _admin(f"CREATE DATABASE {name}")
    except OperationalError as error:
        missing("postgres", str(error.orig).splitlines()[0])
    database = Database(_url(name))
    migrate(database)
    database.dispose()
    yield name
    _admin(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")


def _url(name: str) -> str:
    return make_url(ADMIN_URL).set(database=name).render_as_string(hide_password=False)


@pytest.fixture
def postgres_url(postgres_template: str) -> Iterator[str]:
    """A database of one test."""
    name = f"rosterd_test_{uuid4().hex[:10]}"
    _admin(f"CREATE DATABASE {name} TEMPLATE {postgres_template}")
    yield _url(name)
    _admin(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")


@pytest.fixture(params=["sqlite", "postgres"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Each test that asks for it runs on both databases."""
    if request.param == "postgres":
        return str(request.getfixturevalue("postgres_url"))
    url = f"sqlite:///{tmp_path / 'rosterd.db'}"
    database = Database(url)
    migrate(database)
    database.dispose()
    return url


@pytest.fixture
def rosterd(database_url: str, tmp_path: Path) -> Iterator[Rosterd]:
    """A rosterd in this process: real database, real HTTP application, no broker at all."""
    harness = Rosterd(database_url, tmp_path)
    with harness.serving():
        yield harness
    harness.close()

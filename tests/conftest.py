"""Fixtures that need the outside: real databases and brokers, or a word on what is missing."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import settings
from playwright.sync_api import Browser
from sqlalchemy import create_engine, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import OperationalError

from tests.browsing import program, running
from tests.command import logs_given_back
from tests.compiled import sharing
from tests.databases import EVERY, left_out
from tests.emptying import Emptying
from tests.harness import Rosterd
from tests.listening import Listening, listening_on
from tests.order import arranged
from tests.receiver import receiver
from tests.scratch import given_back, in_memory
from tests.servers import RabbitServer, RedisServer
from worker.adapters.db.engine import Database
from worker.adapters.db.migrate import migrate
from worker.logs import configure_logs

ADMIN_URL = os.environ.get(
    "ROSTERD_TEST_DATABASE_URL", "postgresql+psycopg://postgres@127.0.0.1:5432/postgres"
)
BROKER_URL = os.environ.get("ROSTERD_TEST_BROKER_URL", "redis://127.0.0.1:6379/15")
# How long an example takes says something of the machine.
settings.register_profile("rosterd", settings.default, deadline=None)
settings.load_profile("rosterd")
# Set, each of the processes that tests start would compile all of rosterd anew.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
REQUIRED = {name for name in os.environ.get("ROSTERD_TEST_REQUIRE", "").split(",") if name}


#: Whether tests run on PostgreSQL that could run on SQLite as well.
HAS_POSTGRES = pytest.StashKey[bool]()
SCRATCH = pytest.StashKey[Path]()


def missing(service: str, why: str) -> None:
    """Skip what needs the service, or fail where ROSTERD_TEST_REQUIRE names it."""
    if service in REQUIRED:
        pytest.fail(f"{service} is required by ROSTERD_TEST_REQUIRE, but {why}")
    pytest.skip(f"{service} is not reachable: {why}")


def pytest_configure(config: pytest.Config) -> None:
    """Find out once whether there is a PostgreSQL: every process has to collect the same tests."""
    told = getattr(config, "workerinput", {})
    config.stash[HAS_POSTGRES] = bool(told.get("has_postgres") if told else _has_postgres())
    if not told and _is_whole(config) and not config.option.basetemp and (found := in_memory()):
        config.option.basetemp = config.stash[SCRATCH] = found / "t"


def pytest_unconfigure(config: pytest.Config) -> None:
    """Give the memory back; what a test that failed left behind is kept."""
    if (scratch := config.stash.get(SCRATCH, None)) is not None:
        given_back(scratch.parent)


def _is_whole(config: pytest.Config) -> bool:
    return [Path(asked).name for asked in config.args] == ["tests"]


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Tell a process of pytest-xdist what was found."""
    node.workerinput["has_postgres"] = node.config.stash[HAS_POSTGRES]


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Set the order; of the whole suite, pass by what is done elsewhere or takes long.

    `long` tests run where that is required, and whatever was asked for by name runs as it is.
    """
    workers = int(getattr(config, "workerinput", {}).get("workercount", 1))
    if _is_whole(config):
        if not os.environ.get(EVERY):
            _leave_out(config, items)
        if "long" not in REQUIRED:
            _pass_by(items)
    items[:] = arranged(items, workers=workers)


def _leave_out(config: pytest.Config, items: list[pytest.Item]) -> None:
    found = left_out(items, has_postgres=config.stash[HAS_POSTGRES])
    config.hook.pytest_deselected(items=found)
    gone = set(found)
    items[:] = [item for item in items if item not in gone]


def _pass_by(items: list[pytest.Item]) -> None:
    passed_by = pytest.mark.skip(reason="takes long: ROSTERD_TEST_REQUIRE=long, or name its file")
    for item in items:
        if item.get_closest_marker("long") is not None:
            item.add_marker(passed_by)


def _has_postgres() -> bool:
    """Whether there is one, or has to be: then the tests that need it say so."""
    if "postgres" in REQUIRED:
        return True
    try:
        _admin("SELECT 1")
    except OperationalError:
        return False
    return True


@pytest.fixture(scope="session", autouse=True)
def logs_as_in_a_process() -> None:
    """What is logged goes where a process's goes, whichever test runs first."""
    with logs_given_back():
        configure_logs(level="warning", format_="json")


@pytest.fixture(scope="session", autouse=True)
def statements_compiled_once() -> Iterator[None]:
    """What one test's engines compiled serves those of the next."""
    with sharing():
        yield


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
def postgres_of_this_run() -> Iterator[str]:
    """A migrated database that the tests of this process use one after the other."""
    name = f"rosterd_test_{uuid4().hex[:10]}"
    try:
        _admin(f"CREATE DATABASE {name}")
    except OperationalError as error:
        missing("postgres", str(error.orig).splitlines()[0])
    url = make_url(ADMIN_URL).set(database=name).render_as_string(hide_password=False)
    # Nobody pulls the plug of this server; what does that starts one of its own.
    _admin(f"ALTER DATABASE {name} SET synchronous_commit = off")
    _migrate(url)
    yield url
    _admin(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")


def _migrate(url: str) -> None:
    database = Database(url)
    migrate(database)
    database.dispose()


@pytest.fixture(scope="session")
def emptying(postgres_of_this_run: str) -> Iterator[Emptying]:
    """What empties that database."""
    made = Emptying(postgres_of_this_run)
    yield made
    made.close()


@pytest.fixture
def postgres_url(postgres_of_this_run: str, emptying: Emptying) -> Iterator[str]:
    """A database without rows."""
    yield postgres_of_this_run
    emptying()


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated file that the others are copied from."""
    path = tmp_path_factory.mktemp("template") / "rosterd.db"
    _migrate(f"sqlite:///{path}")
    return path


@pytest.fixture
def sqlite_url(sqlite_template: Path, tmp_path: Path) -> str:
    """A database file without rows."""
    for part in sqlite_template.parent.glob("rosterd.db*"):
        shutil.copyfile(part, tmp_path / part.name)
    return f"sqlite:///{tmp_path / 'rosterd.db'}"


@pytest.fixture(params=["sqlite", "postgres"])
def database_url(request: pytest.FixtureRequest) -> str:
    """Each test that asks for it runs on both databases."""
    return str(request.getfixturevalue(f"{request.param}_url"))


@pytest.fixture
def rosterd(database_url: str, tmp_path: Path) -> Iterator[Rosterd]:
    """A rosterd in this process: real database, real HTTP application, no broker at all."""
    harness = Rosterd(database_url, tmp_path)
    with harness.serving():
        yield harness
    harness.close()


@pytest.fixture
def on_postgres(postgres_url: str, tmp_path: Path) -> Iterator[Rosterd]:
    """The same where two transactions can run at once."""
    harness = Rosterd(postgres_url, tmp_path)
    with harness.serving():
        yield harness
    harness.close()


@pytest.fixture
def listening(database_url: str, tmp_path: Path) -> Iterator[Listening]:
    """The same, with an application that listens."""
    with receiver() as app, listening_on(database_url, tmp_path, app) as harness:
        yield harness


@pytest.fixture(scope="session")
def rabbitmq_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A RabbitMQ node of this test process's own."""
    if shutil.which("rabbitmq-server") is None:
        missing("rabbitmq", "there is no rabbitmq-server to start")
    server = RabbitServer(tmp_path_factory.mktemp("rabbitmq"))
    server.start()
    yield server.url
    server.stop()


@pytest.fixture
def redis_server(tmp_path: Path) -> Iterator[RedisServer]:
    """A Redis of the test's own, to be killed and frozen."""
    if shutil.which("redis-server") is None:
        missing("redis", "there is no redis-server to start")
    server = RedisServer(tmp_path / "redis")
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """The Chromium of this machine, started once for the tests of a module."""
    if program() is None:
        missing("chromium", "there is no chromium to start")
    with running() as browser:
        yield browser


@pytest.fixture
def browser(chromium: Browser) -> Iterator[Browser]:
    """The same without any window; none stays open after the test."""
    yield chromium
    for window in chromium.contexts:
        window.close()

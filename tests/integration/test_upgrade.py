"""An upgrade rehearsed: a later release's migration under load, old code on it, and back again."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Self

import pytest
from alembic import command

from domain.ports import InfrastructureError
from tests.harness import Feed, Rosterd
from tests.integration.test_database_faults import beside
from worker.adapters.db import schema
from worker.adapters.db.engine import Database
from worker.adapters.db.migrate import config, migrate
from worker.adapters.db.scratch import scratch_database

pytestmark = pytest.mark.every_database

NEXT = '''
"""What a next release may do: whatever the version before it does not notice."""

from alembic import op
import sqlalchemy as sa

revision = "9999"
down_revision = "{newest}"


def upgrade():
    op.add_column("events", sa.Column("later", sa.Text(), nullable=True))
    op.add_column("users", sa.Column("score", sa.Integer(), server_default="0", nullable=False))
    op.create_index("ix_events_later", "events", ["later"])
    op.create_table("laters", sa.Column("id", sa.Text(), primary_key=True))
'''

#: The oldest schema on which this code takes and applies events: a release migrates first and
#: starts then, so the steps before it cannot be taken under load of this code, and those after it
#: are. Where a new step is one that drains need, this moves up to it.
WORKS_ON = "0023"


@pytest.fixture
def old(database_url: str, tmp_path: Path) -> Iterator[Rosterd]:
    """This release, on a database of its own that nobody else has to live with."""
    server = None if database_url.startswith("sqlite") else database_url
    with scratch_database(server, tmp_path) as url:
        database = Database(url)
        migrate(database)
        database.dispose()
        rosterd = Rosterd(url, tmp_path)
        with rosterd.serving():
            yield rosterd
        rosterd.close()


@contextmanager
def next_release(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The program as it will be: one migration more."""
    folder = tmp_path / "migrations"
    shutil.copytree(schema.MIGRATIONS, folder)
    (folder / "versions" / "v9999_next.py").write_text(NEXT.format(newest=schema.newest()))
    with monkeypatch.context() as patched:
        patched.setattr(schema, "MIGRATIONS", folder)
        yield


class Load:
    """Events that come and are applied, until it is enough."""

    def __init__(self, rosterd: Rosterd, feed: Feed) -> None:
        self.rosterd, self.feed = rosterd, feed
        self.enough = threading.Event()
        self.statuses: list[int] = []
        self._threads = [threading.Thread(target=run) for run in (self._tell, self._drain)]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.enough.set()
        for thread in self._threads:
            thread.join()

    def _tell(self) -> None:
        while not self.enough.is_set() or len(self.statuses) < 50:
            key = f"u{len(self.statuses)}"
            data = {"id": key, "email": f"{key}@example.com"}
            told = self.rosterd.tell(self.feed, "user.upserted", data, drain=False)
            self.statuses.append(told)

    def _drain(self) -> None:
        while not self.enough.is_set():
            self.rosterd.drain()


def test_old_code_goes_on_while_and_after_a_later_release_migrates(
    old: Rosterd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    feed = old.account()
    old.hire(feed, "before")
    with Load(old, feed) as load:
        while len(load.statuses) < 20:
            load.enough.wait(0.01)
        with next_release(tmp_path, monkeypatch):
            assert migrate(old.parts.database)[1] == "9999"
    assert set(load.statuses) == {200}
    old.drain()
    assert {event["state"] for event in old.events()} == {"ended"}
    assert old.dead() == []
    assert len(old.users()) == len(load.statuses) + 1


def test_the_step_to_this_release_is_taken_under_load(database_url: str, tmp_path: Path) -> None:
    server = None if database_url.startswith("sqlite") else database_url
    with scratch_database(server, tmp_path) as url:
        rosterd = Rosterd(url, tmp_path)
        at_version(rosterd.parts.database, WORKS_ON)
        with rosterd.serving():
            feed = rosterd.account()
            with Load(rosterd, feed) as load:
                while len(load.statuses) < 20:
                    load.enough.wait(0.01)
                assert migrate(rosterd.parts.database) == (WORKS_ON, schema.newest())
            assert set(load.statuses) == {200}
            rosterd.drain()
            assert {event["state"] for event in rosterd.events()} == {"ended"}
            assert len(rosterd.users()) == len(load.statuses)
        at_version(rosterd.parts.database, "0001", down=True)
        assert migrate(rosterd.parts.database) == ("0001", schema.newest())
        listed = rosterd.cli("group", "list", "--account", "acme", "--json").stdout
        assert "Provision Managers" in listed
        rosterd.close()


def test_the_steps_under_load_are_all_that_can_be_and_some(
    database_url: str, tmp_path: Path
) -> None:
    known = schema.versions()
    assert known[-1] > WORKS_ON, "no step is taken under load: what may be newer than drains need?"
    before = known[known.index(WORKS_ON) - 1]
    server = None if database_url.startswith("sqlite") else database_url
    with scratch_database(server, tmp_path) as url:
        rosterd = Rosterd(url, tmp_path)
        at_version(rosterd.parts.database, before)
        with rosterd.serving():
            try:
                feed = rosterd.account()
                rosterd.hire(feed, "u1")
                applied = rosterd.user("u1") is not None
            except InfrastructureError:
                applied = False
        rosterd.close()
    assert not applied, f"it works on {before}, too: say so"


def test_what_changes_all_the_time_is_vacuumed_early(postgres_url: str) -> None:
    database = Database(postgres_url)
    with database.read() as connection:
        told = "SELECT relname, array_to_string(reloptions, ' ') FROM pg_class WHERE relkind = 'r'"
        options = {row[0]: row[1] or "" for row in connection.exec_driver_sql(told)}
    for table in ("events", "deliveries", "users", "people", "addresses", "memberships", "notices"):
        assert "autovacuum_vacuum_scale_factor=0.02" in options[table], table
        assert "autovacuum_analyze_scale_factor=0.02" in options[table], table
    for table in ("batch_markers", "waits", "workers"):
        assert "autovacuum_vacuum_threshold=200" in options[table], table
    assert "fillfactor=80" in options["events"], "what was there stays"
    database.dispose()


def at_version(database: Database, version: str, *, down: bool = False) -> None:
    """The schema as an earlier release left it."""
    with database.begin() as connection:
        move = command.downgrade if down else command.upgrade
        move(config(connection), version)
        connection.commit()


def test_one_release_back_everything_starts_on_the_newer_schema(
    old: Rosterd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with next_release(tmp_path, monkeypatch):
        migrate(old.parts.database)
    done = old.cli("migrate")
    assert done.returncode == 0, done.stderr
    assert "schema is at 9999, newer than this version's: it is left as it is" in done.stdout
    assert old.cli("migrate", "--check").returncode == 0
    assert old.http.get("/readyz").status_code == 200
    feed = old.account()
    old.hire(feed, "u1")
    assert old.user("u1")
    assert "fail" not in old.cli("doctor").stdout


def test_a_migration_that_gets_no_lock_gives_up_and_comes_again(
    postgres_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with scratch_database(postgres_url, tmp_path) as url:
        database = Database(url)
        migrate(database)
        database.dispose()
        rosterd = Rosterd(url, tmp_path)
        with next_release(tmp_path, monkeypatch), rosterd.serving():
            feed = rosterd.account()
            with beside(rosterd) as other:
                other.execute("SELECT * FROM events")
                with pytest.raises(InfrastructureError, match="55P03"):
                    migrate(rosterd.parts.database)
                other.rollback()
            rosterd.hire(feed, "u1")
            assert rosterd.user("u1"), "nothing is left behind"
            assert migrate(rosterd.parts.database)[1] == "9999"
        rosterd.close()


def test_a_step_that_fails_takes_none_back_that_was_done(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = None if database_url.startswith("sqlite") else database_url
    with scratch_database(server, tmp_path) as url:
        rosterd = Rosterd(url, tmp_path)
        newest = schema.newest()
        at_version(rosterd.parts.database, WORKS_ON)
        with next_release(tmp_path, monkeypatch):
            step = schema.MIGRATIONS / "versions" / "v9999_next.py"
            step.write_text(step.read_text().replace("def upgrade():", "def upgrade():\n    1 / 0"))
            with pytest.raises(ZeroDivisionError):
                migrate(rosterd.parts.database)
        assert migrate(rosterd.parts.database) == (newest, newest)
        rosterd.close()

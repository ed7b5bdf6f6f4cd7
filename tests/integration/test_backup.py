"""A backup, with its keys, becomes the same directory again; a trial restore changes nothing."""

from __future__ import annotations

import shutil
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.engine import make_url

from tests.conftest import missing
from tests.harness import Feed, Rosterd
from worker.adapters.db.scratch import scratch_database
from worker.adapters.key_file import KEY_FILE
from worker.adapters.vault import new_key

pytestmark = pytest.mark.every_database


@pytest.fixture
def empty_url(rosterd: Rosterd, tmp_path: Path) -> Iterator[str]:
    """An empty database of the same kind, for the restore."""
    server = rosterd.settings.database if rosterd.parts.database.is_postgres else None
    with scratch_database(server, tmp_path) as url:
        yield url


@pytest.fixture(autouse=True)
def _has_client(request: pytest.FixtureRequest) -> None:
    if "postgres" in request.node.name and shutil.which("pg_dump") is None:
        missing("pg_dump", "there is none")


def lived_in(rosterd: Rosterd) -> Feed:
    feed = rosterd.account()
    for key in ("u1", "u2"):
        rosterd.hire(feed, key)
    rosterd.tell(feed, "user.suspended", {"id": "u2"}, drain=False)
    return feed


def databases(url: str) -> set[str]:
    engine = create_engine(url)
    with engine.connect() as connection:
        found = set(connection.execute(text("SELECT datname FROM pg_database")).scalars())
    engine.dispose()
    return found


def test_a_restored_backup_is_the_same_directory_and_goes_on(
    rosterd: Rosterd, empty_url: str, tmp_path: Path
) -> None:
    feed = lived_in(rosterd)
    file, keys = tmp_path / "b.dump", tmp_path / "b.dump.keys"
    done = rosterd.cli("backup", str(file))
    assert done.returncode == 0, done.stderr
    for made in (file, keys):
        assert stat.S_IMODE(made.stat().st_mode) == 0o600
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    told = {"ROSTERD_DATA_DIR": str(elsewhere), "ROSTERD_DATABASE_URL": empty_url}
    done = rosterd.cli("restore", str(file), **told)
    assert done.returncode == 0, done.stderr
    assert "people 2" in done.stdout
    assert "opened with the keys: feed_secrets 1" in done.stdout
    restored = Rosterd(empty_url, elsewhere)
    restored.account_id, restored._told = rosterd.account_id, rosterd._told
    assert restored.export() == rosterd.export()
    with restored.serving():
        restored.drain()
        assert (restored.user("u2") or {})["state"] == "invited_suspended", "what waited is applied"
        restored.hire(feed, "u3")
        assert restored.user("u3"), "the feed's secret still proves"
    restored.close()
    again = rosterd.cli("restore", str(file), **told)
    assert again.returncode == 1
    assert "is not empty" in again.stderr


def test_a_trial_restore_reads_everything_and_changes_nothing(
    rosterd: Rosterd, tmp_path: Path
) -> None:
    lived_in(rosterd)
    before = rosterd.export()
    file = tmp_path / "b.dump"
    rosterd.cli("backup", str(file), "--no-keys")
    assert not file.with_name("b.dump.keys").exists()
    done = rosterd.cli("restore", "--check", str(file))
    assert done.returncode == 0, done.stderr
    assert "deliveries 3" in done.stdout
    wrong = rosterd.cli("restore", "--check", str(file), ROSTERD_SECRET_KEYS=new_key())
    assert wrong.returncode == 1
    assert "no key here opens" in wrong.stderr
    assert rosterd.export() == before


def test_what_is_no_backup_is_refused_and_nothing_is_overwritten(
    rosterd: Rosterd, tmp_path: Path
) -> None:
    (tmp_path / "text").write_text("hello")
    for words, says, code in (
        (("restore", "--check", str(tmp_path / "text")), "is no backup of", 2),
        (("restore", "--check", str(tmp_path / "none")), "cannot be read", 2),
        (("backup", str(tmp_path / "text")), "exists already", 1),
        (("backup", str(tmp_path / "no" / "where")), "is no folder", 2),
    ):
        done = rosterd.cli(*words)
        assert (done.returncode, says in done.stderr) == (code, True), done.stderr
    assert (tmp_path / "text").read_text() == "hello"
    if rosterd.parts.database.is_postgres:
        torn = tmp_path / "torn"
        rosterd.cli("backup", str(torn))
        torn.write_bytes(torn.read_bytes()[:-2000])
        done = rosterd.cli("restore", "--check", str(torn))
        assert done.returncode == 1
        assert "pg_restore failed" in done.stderr
    assert not list(tmp_path.glob("*.part"))
    assert (tmp_path / KEY_FILE).exists()


def test_a_scratch_database_is_gone_afterwards(postgres_url: str, tmp_path: Path) -> None:
    with scratch_database(postgres_url, tmp_path) as url:
        name = make_url(url).database
        assert name in databases(postgres_url)
    assert name not in databases(postgres_url)

"""PostgreSQL whose disk is really full: a tablespace on a small file system of its own (F23)."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from sqlalchemy.engine import make_url

from tests.conftest import _migrate, missing
from tests.harness import Rosterd
from tests.marked import processes
from tests.servers import PostgresServer, await_true, pg_bin
from worker.cli.sender import Sent

pytestmark = pytest.mark.long

SIZE = "24m"
PEOPLE = 200
REFUSED = 30


@pytest.fixture
def small_disk() -> Iterator[Path]:
    """A folder of so little room that an empty database takes most of it."""
    # Not in the folder of the test, into which only the user who runs it may look.
    with tempfile.TemporaryDirectory(prefix="rosterd-disk-") as folder:
        options = ["-t", "tmpfs", "-o", f"size={SIZE},mode=0777"]
        mounted = subprocess.run(
            ["mount", *options, "tmpfs", folder], capture_output=True, text=True, check=False
        )
        if mounted.returncode != 0:
            pytest.skip(f"mounting is not allowed here: {mounted.stderr.strip()}")
        Path(folder).chmod(0o755)
        yield Path(folder)
        subprocess.run(["umount", folder], check=True)


@pytest.fixture
def url_on_it(small_disk: Path) -> Iterator[str]:
    """A migrated database on the small disk; the server's own files and its log are elsewhere."""
    if pg_bin() is None:
        missing("postgres", "there is no initdb to make a server with")
    with tempfile.TemporaryDirectory(prefix="rosterd-server-") as folder:
        server = PostgresServer(Path(folder) / "postgres")
        server.start()
        place = small_disk / "tables"
        place.mkdir()
        if server._as:
            shutil.chown(place, "postgres", "postgres")
        with psycopg.connect(server.url, autocommit=True) as connection:
            connection.execute(f"CREATE TABLESPACE small LOCATION '{place}'")
            connection.execute("CREATE DATABASE small TABLESPACE small")
        url = make_url(server.url).set(drivername="postgresql+psycopg", database="small")
        shown = url.render_as_string(hide_password=False)
        _migrate(shown)
        yield shown
        server.stop()


def fill(disk: Path) -> Path:
    """A file that takes all that is left."""
    filler = disk / "filler"
    with filler.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(bytes(4096))
    return filler


@pytest.mark.timeout(240)
def test_t23_a_full_disk_of_postgresql_is_503_costs_no_attempt_and_ends_without_a_restart(
    url_on_it: str, small_disk: Path, tmp_path: Path
) -> None:
    rosterd = Rosterd(url_on_it, tmp_path)
    with processes(tmp_path / "logs") as start, rosterd.serving():
        feed = rosterd.account()
        for number in range(PEOPLE):
            data = {"id": f"u{number}", "email": f"u{number}@example.com"}
            rosterd.tell(feed, "user.upserted", data, drain=False)
        filler = fill(small_disk)
        refused: list[Sent] = []
        while len(refused) < REFUSED and (number := number + 1) < 10 * PEOPLE:
            data = {"id": f"u{number}", "email": f"u{number}@example.com"}
            sent = rosterd.request(feed, "user.upserted", data)
            answer = rosterd.http.post(sent.url, content=sent.body, headers=dict(sent.headers))
            if answer.status_code != 200:
                assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
                refused.append(sent)
        assert len(refused) == REFUSED, "the disk never filled"
        assert rosterd.http.get("/livez").status_code == 200
        worker = start(
            "worker",
            *("worker", "--concurrency", "1"),
            ROSTERD_DATA_DIR=str(tmp_path),
            ROSTERD_DATABASE_URL=url_on_it,
            ROSTERD_BROKER_URL=rosterd.settings.broker,
            ROSTERD_SWEEP_SECONDS="0.5",
            ROSTERD_LOG_FORMAT="json",
        )
        worker.await_said("postponed.*No space left on device|No space left on device.*postponed")
        assert {event["attempts"] for event in rosterd.events()} == {0}
        assert rosterd.dead() == []
        filler.unlink()
        assert {rosterd.post(sent) for sent in refused} == {200}, "without a restart"
        await_true(lambda: {event["state"] for event in rosterd.events()} == {"ended"})
        assert {event["attempts"] for event in rosterd.events()} == {0}
        assert rosterd.dead() == []
        assert len(rosterd.users()) == number + 1
    rosterd.close()

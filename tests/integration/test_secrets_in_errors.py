"""What goes wrong is said without the secrets that were in hand: database, broker, settings.

Passwords stand in URLs, and libraries like to quote URLs; a database quotes the row it refuses.
"""

from __future__ import annotations

import contextlib
import io
import os
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from urllib.error import HTTPError

import pytest
from sqlalchemy import text

from tests.asgi import Asked, asking
from tests.command import logs_given_back, run_command
from tests.harness import Rosterd
from tests.marked import Hunt, processes
from tests.servers import await_true, free_port
from worker.adapters.vault import new_key
from worker.logs import configure_logs
from worker.web.app import build_web
from worker.web.signin.session import COOKIE

#: Nobody listens there.
CLOSED = "127.0.0.1:1"


def everything_away(hunt: Hunt, folder: Path) -> dict[str, str]:
    """URLs with passwords of servers that are not there."""
    return {
        "ROSTERD_DATA_DIR": str(folder),
        "ROSTERD_DATABASE_URL": f"postgresql://u:{hunt.secret('database')}@{CLOSED}/x",
        "ROSTERD_BROKER_URL": f"redis://:{hunt.secret('redis')}@{CLOSED}/0",
        "ROSTERD_SMTP_URL": f"smtp://u:{hunt.secret('smtp')}@{CLOSED}",
        "ROSTERD_SECRET_KEYS": hunt.key("key"),
        "ROSTERD_METRICS_TOKEN": hunt.secret("metrics"),
        "ROSTERD_SWEEP_SECONDS": "0.5",
        "ROSTERD_LOG_LEVEL": "debug",
        "ROSTERD_LOG_FORMAT": "json",
    }


@pytest.mark.timeout(240)
def test_processes_whose_servers_are_away_say_so_without_a_password(
    sqlite_url: str, tmp_path: Path
) -> None:
    hunt = Hunt()
    away = everything_away(hunt, tmp_path)
    amqp = f"amqp://u:{hunt.secret('amqp')}@{CLOSED}//"
    port = str(free_port())
    answers: dict[str, bytes] = {}
    with processes(tmp_path / "logs") as start:
        web = start("web", "web", "--port", port, **away)
        blind = start("blind", "worker", "--concurrency", "1", **away)
        alone = {**away, "ROSTERD_DATABASE_URL": sqlite_url, "ROSTERD_BROKER_URL": amqp}
        deaf = start("deaf", "worker", "--concurrency", "1", **alone)
        beat = start("beat", "beat", **alone)
        url = f"http://127.0.0.1:{port}"
        await_true(lambda: _ask(f"{url}/livez")[0] == 200, name="the web process")
        for path in ("/readyz", "/health", "/", "/hooks/fed_x", "/invitations/x"):
            status, answers[path] = _ask(url + path)
            assert status >= 500, path
        blind.await_said("keeper_postponed")
        for process in (blind, deaf, beat):
            process.await_said("(?i)refused")
    said = {path.name: path.read_bytes() for path in (tmp_path / "logs").iterdir()}
    assert b"ingest_unavailable" in said[web.log.name]
    assert hunt.found_in({**said, **answers}) == []


def _ask(url: str) -> tuple[int, bytes]:
    try:
        request = urllib.request.Request(url, headers={"Cookie": f"{COOKIE}=x"})
        with urllib.request.urlopen(request, timeout=15) as answer:
            return answer.status, answer.read()
    except HTTPError as error:
        return error.code, error.read()


def test_commands_whose_servers_are_away_say_so_without_a_password(tmp_path: Path) -> None:
    hunt = Hunt()
    away = everything_away(hunt, tmp_path)
    said: dict[str, bytes] = {}
    for words in (
        ("doctor",),
        ("event", "list"),
        ("migrate",),
        ("keys", "rotate"),
        ("backup", str(tmp_path / "backup"), "--no-keys"),
        ("operator", "link", "op@example.com"),
    ):
        done = run_command(words, away)
        assert done.returncode in {1, 4}, words
        said[" ".join(words)] = (done.stdout + done.stderr).encode()
    assert all(said.values())
    assert hunt.found_in(said) == []


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("DATABASE_URL", "postgresql://u:{secret}@[bad/x"),
        ("DATABASE_URL", "postgresql://u:{secret}@host:noport/x"),
        ("DATABASE_URL", "no address {secret}"),
        ("DATABASE_URL", "oracle://u:{secret}@host/x"),
        ("BROKER_URL", "nonsense://u:{secret}@127.0.0.1:1/0"),
        ("BROKER_URL", "redis://u:{secret}@127.0.0.1:noport/0"),
        ("BROKER_URL", "{secret}"),
        ("SMTP_URL", "smtp://u:{secret}@127.0.0.1:noport"),
        ("SMTP_URL", "{secret}"),
        ("SECRET_KEYS", "{secret}"),
        ("SECRET_KEYS", "{key},{secret}"),
    ],
)
def test_settings_that_make_no_sense_are_refused_without_being_printed(
    sqlite_url: str, tmp_path: Path, name: str, value: str
) -> None:
    hunt = Hunt()
    environment = {
        "ROSTERD_DATA_DIR": str(tmp_path),
        "ROSTERD_DATABASE_URL": sqlite_url,
        "ROSTERD_BROKER_URL": f"redis://{CLOSED}/0",
        f"ROSTERD_{name}": value.format(secret=hunt.secret("it"), key=new_key()),
    }
    done = run_command(("doctor",), environment)
    if name in {"DATABASE_URL", "SECRET_KEYS"} and "[bad" not in value:
        assert done.returncode == 2, "before anything is tried"
    assert "Traceback" not in done.stderr
    assert done.returncode != 0 or "warn broker" in done.stdout
    assert hunt.found_in({"out": done.stdout.encode(), "err": done.stderr.encode()}) == []


@contextlib.contextmanager
def everything_logged() -> Iterator[io.StringIO]:
    """All lines of this process at debug, as its log would have them."""
    said = io.StringIO()
    with logs_given_back(), contextlib.redirect_stderr(said):
        configure_logs(level="debug", format_="json")
        yield said


@contextlib.contextmanager
def refusing(rosterd: Rosterd, table: str, column: str) -> Iterator[None]:
    """The database takes no row of this table any more; its error shows what was to be stored."""
    if rosterd.parts.database.is_postgres:
        change = f"ALTER TABLE {table} ADD CONSTRAINT refusing CHECK ({column} IS NULL) NOT VALID"
        back = f"ALTER TABLE {table} DROP CONSTRAINT refusing"
    else:
        change = (
            f"CREATE TRIGGER refusing BEFORE INSERT ON {table} "
            "BEGIN SELECT RAISE(ABORT, 'refused'); END"
        )
        back = "DROP TRIGGER refusing"
    _run(rosterd, change)
    try:
        yield
    finally:
        _run(rosterd, back)


def _run(rosterd: Rosterd, statement: str) -> None:
    with rosterd.parts.database.begin() as connection:
        connection.execute(text(statement))
        connection.commit()


@pytest.mark.parametrize(
    ("table", "column"), [("people", "email"), ("users", "key"), ("notices", "id")]
)
def test_the_log_of_a_row_that_is_refused_holds_nothing_of_the_person(
    rosterd: Rosterd, table: str, column: str
) -> None:
    hunt = Hunt()
    feed = rosterd.account()
    # The row is quoted by its first bytes.
    short = f"Zoe{os.urandom(2).hex()}"
    address = f"{hunt.secret('address')}@example.com"
    person = {"id": "u1", "email": address, "given_name": hunt.secret("name", short)}
    rosterd.tell(feed, "user.upserted", person, drain=False)
    with everything_logged() as said, refusing(rosterd, table, column):
        rosterd.drain()
    assert "batch_broke" in said.getvalue()
    assert hunt.found_in({"log": said.getvalue().encode()}) == []


def test_the_log_of_a_delivery_that_is_refused_holds_nothing_of_it(rosterd: Rosterd) -> None:
    hunt = Hunt()
    feed = rosterd.account()
    person = {"id": "u1", "email": "u1@example.com", "given_name": hunt.secret("name")}
    with everything_logged() as said, refusing(rosterd, "deliveries", "feed_id"):
        assert rosterd.tell(feed, "user.upserted", person, drain=False) == 500
    assert "hook_failed" in said.getvalue()
    assert hunt.found_in({"log": said.getvalue().encode()}) == []


def test_the_log_of_a_members_yes_that_is_refused_holds_nothing_of_them(rosterd: Rosterd) -> None:
    hunt = Hunt()
    feed = rosterd.account()
    address = f"{hunt.secret('address')}@example.com"
    rosterd.hire(feed, "u1", address, given_name=hunt.secret("name", f"Zoe{os.urandom(2).hex()}"))
    link = rosterd.link(address)
    hunt.secret("link", link.rpartition("/")[2])
    with (
        everything_logged() as said,
        refusing(rosterd, "people", "email"),
        asking(build_web(rosterd.parts)) as ask,
    ):
        assert ask(Asked("POST", link.encode()))[0] == 500
    assert "request_failed" in said.getvalue()
    assert hunt.found_in({"log": said.getvalue().encode()}) == []

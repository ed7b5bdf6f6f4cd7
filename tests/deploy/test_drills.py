"""An outage for each section of the runbook: the alert fires, its commands as written end it."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from aiosmtpd.controller import Controller

from tests.conftest import missing
from tests.deploy.drill import FIRES, OVER, QUIET, Drill, commands_of, played, scraped, staged
from tests.deploy.film import RULES, Film, series
from tests.fakes.graph import FakeGraph
from tests.fakes.okta import FakeOkta
from tests.harness import Feed
from tests.receiver import receiver
from tests.servers import PostgresServer, RedisServer, await_true, free_port
from tests.subscribed import connected, look_after, pass_time
from worker.adapters.db import rows
from worker.adapters.db.engine import Database
from worker.adapters.db.migrate import migrate
from worker.adapters.db.outbound_rows import endpoints
from worker.adapters.db.reconciliation_rows import catch_ups
from worker.cli.sender import Sent, send

pytestmark = pytest.mark.long

POINTS = Path(__file__).with_name("points")


@pytest.fixture
def outage(sqlite_url: str, tmp_path: Path) -> Iterator[tuple[Drill, RedisServer]]:
    with staged(sqlite_url, tmp_path) as stage:
        yield stage


@pytest.fixture
def drill(outage: tuple[Drill, RedisServer]) -> Drill:
    return outage[0]


@pytest.fixture
def postgres_drill(postgres_url: str, tmp_path: Path) -> Iterator[Drill]:
    with staged(postgres_url, tmp_path) as (drill, _):
        yield drill


def test_every_alert_has_its_drill_and_commands_to_play() -> None:
    alerts = set(re.findall(r"alert: Rosterd(\w+)", RULES.read_text(encoding="utf-8")))
    words = {re.sub(r"(?<!^)([A-Z])", r"_\1", alert).lower() for alert in alerts}
    drilled = {name.removeprefix("test_drill_") for name in globals() if "test_drill_" in name}
    assert words == drilled
    assert all(commands_of(f"Rosterd{alert}") for alert in alerts)


def test_drill_suspension_waits(drill: Drill) -> None:
    film = drill.film()
    drill.command("connection", "pause", "standard", "--reason", "a flood, last night")
    drill.rosterd.tell(drill.feed, "user.suspended", {"id": "u0"}, drain=False)
    drill.age(rows.events, "received_at", 120)
    film.scene(FIRES)
    assert "none alive" in drill.command("doctor")
    assert "held" in drill.command("status")
    drill.command("connection", "resume", "standard")
    assert not json.loads(drill.command("event", "list", "--state", "retrying", "--json"))
    with drill.process("worker", "--lanes", "urgent"):
        await_true(lambda: "suspended" in (drill.rosterd.user("u0") or {})["state"])
    film.scene(OVER)
    played(drill, film, "RosterdSuspensionWaits")


def test_drill_web_down(drill: Drill) -> None:
    port = free_port()
    scrape = scraped(port)
    words = ("web", "--port", str(port))
    with drill.process(*words):
        await_true(scrape, name="web")
        film = Film(scrape)
        film.scene(QUIET)
    film.scene(FIRES)
    assert "onnect" in drill.shell(f"curl http://127.0.0.1:{port}/readyz"), "no answer at all"
    with drill.process(*words):
        await_true(scrape, name="web")
        assert "ready" in drill.shell(f"curl http://127.0.0.1:{port}/readyz")
        film.scene(OVER)
    played(drill, film, "RosterdWebDown")


@pytest.fixture
def own_postgres() -> Iterator[PostgresServer]:
    with tempfile.TemporaryDirectory() as folder:
        server = PostgresServer(Path(folder) / "postgres")
        if not (server.bin / "initdb").exists():
            missing("postgres", "there is no initdb to make a server with")
        server.start()
        yield server
        server.stop()


@pytest.mark.timeout(180)
@pytest.mark.parametrize("is_read_only", [False, True], ids=["away", "read_only"])
def test_drill_database_away(
    own_postgres: PostgresServer, tmp_path: Path, is_read_only: bool
) -> None:
    url, port = own_postgres.url.replace("://", "+psycopg://"), free_port()
    database = Database(url)
    migrate(database)
    database.dispose()
    with staged(url, tmp_path) as (drill, _), drill.process("web", "--port", str(port)):
        scrape = scraped(port)
        await_true(scrape, name="web")
        film = Film(scrape)
        film.scene(QUIET)
        sent = drill.rosterd.request(drill.feed, "user.suspended", {"id": "u0"})
        if is_read_only:
            _sql(own_postgres, "ALTER SYSTEM SET default_transaction_read_only = on")
            await_true(lambda: _posted(port, sent) == 503, name="503")
        else:
            own_postgres.stop()
        for _ in range(20):
            assert _posted(port, sent) == 503
        film.scene(FIRES)
        ready = drill.shell(f"curl http://127.0.0.1:{port}/readyz")
        assert ("ready" if is_read_only else "database is away") in ready
        if not is_read_only:
            own_postgres.start_again()
        told = drill.shell('psql "$DATABASE" -c "SHOW default_transaction_read_only"')
        assert (" on" if is_read_only else " off") in told
        _as_written(drill, "RosterdDatabaseAway", "ALTER SYSTEM RESET")
        assert drill.command("migrate"), "nothing is behind here"
        await_true(lambda: _posted(port, sent) == 200, name="the receipt")
        film.scene(OVER)
        played(drill, film, "RosterdDatabaseAway")


def _sql(server: PostgresServer, statement: str) -> None:
    with psycopg.connect(server.url, autocommit=True) as connection:
        connection.execute(statement)
        connection.execute("SELECT pg_reload_conf()")


def _posted(port: int, sent: Sent) -> int:
    return send(Sent(f"http://127.0.0.1:{port}{sent.url}", sent.headers, sent.body))


def _as_written(drill: Drill, alert: str, part: str, **given: str) -> str:
    """Run the one command of the section that has this part, with placeholders filled in."""
    (line,) = [line for line in commands_of(alert) if part in line]
    for name, value in given.items():
        line = line.replace(name, value)
    return drill.shell(line)


def test_drill_sweeper_silent(drill: Drill) -> None:
    film = drill.film()
    drill.age(rows.marks, "at", 300)
    film.scene(FIRES)
    assert "none alive: start `rosterd worker`" in drill.command("doctor")
    began = datetime.now(UTC)
    with drill.process("worker"):
        await_true(lambda: drill.rosterd.table(rows.marks, rows.marks.c.at > began))
    film.scene(OVER)
    played(drill, film, "RosterdSweeperSilent")


def test_drill_backlog_old(drill: Drill) -> None:
    """Seen by a worker alone, as while no web process runs: it tells of lanes not its own, too."""
    acme, noisy = drill.rosterd.account_id, drill.rosterd.account(name="noisy")
    drill.rosterd.account_id = acme
    data = {"id": "u1", "email": "u1@example.com"}
    with drill.measured("--lanes", "urgent") as scrape:

        def waiting() -> float:
            seen = series(scrape() or "")
            return sum(v for k, v in seen.items() if k[0] == "rosterd_event_oldest_age_seconds")

        film = drill.film(workers=scrape)
        drill.rosterd.tell(drill.feed, "user.upserted", data, drain=False)
        for number in range(5):
            key = {"id": f"n{number}", "email": f"n{number}@example.com"}
            drill.rosterd.tell(noisy, "user.upserted", key, drain=False)
        drill.age(rows.events, "received_at", 600)
        await_true(lambda: waiting() > 1000, name="the backlog in the worker's metrics")
        film.scene(FIRES)
        assert "pending" in drill.command("status")
        # Both accounts call theirs `standard`.
        told = drill.command("connection", "pause", noisy.connection, "--reason", "it floods")
        assert "5 open events are held" in told
        with drill.process("worker", "--lanes", "standard,bulk"):
            await_true(lambda: drill.rosterd.user("u1"))
        await_true(lambda: 'lane="standard",state="pending"} 0.0' in (scrape() or ""))
        await_true(lambda: waiting() < 1000, name="the end in the worker's metrics")
        film.scene(OVER)
    played(drill, film, "RosterdBacklogOld")
    assert film.firing("RosterdWebDown")[FIRES], "nobody scraped a web process in this film"


def test_drill_breaker_open(drill: Drill) -> None:
    rosterd, feed = drill.rosterd, drill.feed
    reason = ("--reason", "a drill")
    drill.command("connection", "set", "standard", "breaker_min=2", "breaker_percent=0", *reason)
    for number in range(12):
        data = {"id": f"p{number}", "email": f"p{number}@example.com"}
        rosterd.tell(feed, "user.upserted", data, drain=False)
    rosterd.drain()
    film = drill.film()

    def suspended() -> int:
        return sum("suspended" in user["state"] for user in rosterd.users())

    def leave(first: int, count: int) -> str:
        for number in range(first, first + count):
            rosterd.tell(feed, "user.suspended", {"id": f"p{number}"}, drain=False)
        rosterd.drain()
        (row,) = json.loads(drill.command("hold", "list", "--json"))
        return str(row["id"])

    hold = leave(0, 5)
    film.scene(FIRES)
    assert "would suspend 3 of 13 people" in drill.command("hold", "list")
    assert "p2@example.com" in drill.command("hold", "show", hold)
    drill.command("hold", "raise-once", hold, "--to", "4", *reason, "--yes")
    rosterd.drain()
    assert suspended() == 4
    (row,) = json.loads(drill.command("hold", "list", "--json"))
    drill.command("hold", "approve", row["id"], *reason, "--yes")
    rosterd.drain()
    assert suspended() == 5
    # The limit of four is in force for this window.
    hold = leave(5, 6)
    drill.command("connection", "pause", "standard", *reason)
    drill.command("hold", "reject", hold, *reason, "--yes")
    drill.command("connection", "resume", "standard", *reason)
    assert "p8" in drill.command(
        "event", "list", "--connection", "standard", "--outcome", "applied"
    )
    drill.command("connection", "set", "standard", "breaker_percent=20", *reason)
    rosterd.drain()
    assert suspended() == 9
    film.scene(OVER)
    played(drill, film, "RosterdBreakerOpen")


def test_drill_dead_letters_grow(drill: Drill) -> None:
    film = drill.film()
    for number in range(13):
        data = {"id": f"x{number}", "email": f"x{number}@elsewhere.org"}
        drill.rosterd.tell(drill.feed, "user.upserted", data)
    film.scene(FIRES, minutes=10)
    assert "domain_not_allowed" in drill.command("dead", "groups")
    (unwanted, *_) = drill.rosterd.dead()
    drill.command("dead", "discard", str(unwanted["event_id"]), "--reason", "left again", "--yes")
    drill.command("domain", "allow", "acme", "elsewhere.org")
    (group,) = json.loads(drill.command("dead", "groups", "--json"))
    replay = ("dead", "replay", "--fingerprint", group["fingerprint"])
    assert "12" in drill.command(*replay, "--dry-run")
    with drill.process("worker"):
        drill.command(*replay, "--reason", "domain allowed", "--rate", "20/s", "--yes")
    assert drill.rosterd.dead() == []
    film.scene(OVER)
    played(drill, film, "RosterdDeadLettersGrow")


def test_drill_broker_away(outage: tuple[Drill, RedisServer]) -> None:
    drill, broker = outage
    film = drill.film()
    broker.stop()
    film.scene(FIRES)
    assert "out of reach" in drill.command("doctor")
    broker.start()
    film.scene(OVER)
    played(drill, film, "RosterdBrokerAway")


def test_drill_not_authentic(drill: Drill) -> None:
    film = drill.film()
    drill.age(rows.feeds, "last_heard_at", 86400)
    elsewhere = Feed(drill.feed.id, drill.feed.connection, "whsec_" + "QUJD" * 8)
    for number in range(100):
        sent = drill.rosterd.request(elsewhere, "user.suspended", {"id": f"u{number}"})
        assert drill.rosterd.post(sent) == 401
    film.scene(FIRES)
    (heard,) = json.loads(drill.command("status", "--json"))["heard"]
    silent = datetime.now(UTC) - datetime.fromisoformat(heard["at"])
    assert (heard["source"], silent.days) == ("standard", 1), "refused requests are not heard"
    told = drill.command("feed", "rotate", heard["feed"], "--json")
    (secret,) = re.findall(r"whsec_[A-Za-z0-9+/=]+", told)
    mended = Feed(drill.feed.id, drill.feed.connection, secret)
    for number in range(100):
        sent = drill.rosterd.request(mended, "user.suspended", {"id": f"u{number}"})
        assert drill.rosterd.post(sent) == 200
    film.scene(OVER)
    played(drill, film, "RosterdNotAuthentic")


def test_drill_ack_slow(postgres_drill: Drill) -> None:
    drill = postgres_drill
    film = drill.film()
    sent = [
        drill.rosterd.request(drill.feed, "user.suspended", {"id": f"u{number}"})
        for number in range(6)
    ]
    with psycopg.connect(drill.environment["DATABASE"]) as somebody:
        somebody.execute("LOCK TABLE events IN EXCLUSIVE MODE")
        posting = [threading.Thread(target=drill.rosterd.post, args=(one,)) for one in sent[:3]]
        for thread in posting:
            thread.start()
        for thread in posting:
            thread.join()
        film.scene(FIRES)
        told = _as_written(drill, "RosterdAckSlow", "FROM pg_stat_activity")
        assert "LOCK TABLE events" in told
        (pid,) = re.findall(r"^ *(\d+) \|.*LOCK TABLE", told, re.MULTILINE)
        assert " t" in _as_written(drill, "RosterdAckSlow", "pg_terminate_backend", PID=pid)
        for one in sent[3:]:
            assert drill.rosterd.post(one) == 200
        somebody.close()
    film.scene(OVER)
    played(drill, film, "RosterdAckSlow")


def test_drill_feed_silent(drill: Drill) -> None:
    film = drill.film()
    drill.command("connection", "set", "standard", "silent_after=1h", "--reason", "busy")
    drill.age(rows.feeds, "last_heard_at", 2 * 3600)
    film.scene(FIRES)
    assert "has been silent for 2:00:" in drill.command("status")
    port = free_port()
    with drill.process("web", "--port", str(port)), drill.process("worker"):
        url = f"http://127.0.0.1:{port}"
        await_true(lambda: urllib.request.urlopen(f"{url}/readyz"))
        told = drill.command("connection", "check", "standard", ROSTERD_PUBLIC_URL=url)
        assert "took it" in told
    film.scene(OVER)
    drill.age(rows.feeds, "last_heard_at", 4 * 86400)
    drill.command("connection", "set", "standard", "silent_after=14d", "--reason", "so quiet")
    film.scene("quiet by the customer's word")
    assert not film.firing("RosterdFeedSilent").pop("quiet by the customer's word")
    film.forget_last()
    played(drill, film, "RosterdFeedSilent")


def test_drill_credential_expires(drill: Drill) -> None:
    film = drill.film()
    scope = ("--scope", "directory:read")
    drill.command("token", "add", "app", *scope, "--days", "2")
    told = drill.command("feed", "rotate", drill.feed.id, "--overlap-hours", "5", "--json")
    drill.rosterd.tell(drill.feed, "user.suspended", {"id": "u0"})
    film.scene(FIRES)
    doctor = drill.command("doctor")
    assert "(app) ends in 1 days: rosterd token add" in doctor
    assert f"the old secret of feed {drill.feed.id}, still in use, ends in 4:59:" in doctor
    drill.command("token", "add", "app", *scope)
    listed = json.loads(drill.command("token", "list", "--json"))
    drill.command("token", "list")
    (ending,) = [token for token in listed if token["expires_at"] is not None]
    drill.command("token", "revoke", ending["id"], "--reason", "replaced")
    lost = drill.command("feed", "rotate", drill.feed.id)
    (secret,) = re.findall(r"whsec_[A-Za-z0-9+/=]+", lost)
    mended = Feed(drill.feed.id, drill.feed.connection, secret)
    drill.rosterd.tell(mended, "user.reactivated", {"id": "u0"})
    assert json.loads(told)["signing_secret"] != secret
    film.scene(OVER)
    played(drill, film, "RosterdCredentialExpires")


def test_drill_private_space_open(drill: Drill) -> None:
    add = ("user", "add", "--account", "acme", "bo@example.com", "--active", "--reason", "rescue")
    person = json.loads(drill.command(*add, "--json"))["id"]
    film = drill.film()
    crew = json.loads(drill.command("group", "add", "--account", "acme", "Crew", "--json"))["id"]
    listed = json.loads(drill.command("group", "list", "--account", "acme", "--json"))
    drill.command("group", "list", "--account", "acme")
    (managers,) = [one["id"] for one in listed if one["name"] == "Provision Managers"]
    for group in (managers, crew):
        drill.command("group", "member", "add", group, person, "--reason", "rescue")
    drill.command("group", "grant", crew, "open_private_space", "--reason", "rescue")
    film.scene(FIRES)
    assert "acme: 1 may open private spaces" in drill.command("status")
    assert "bo@example.com" in drill.command("group", "show", managers)
    drill.command("group", "member", "remove", managers, person, "--reason", "over")
    film.scene("one way is left")
    assert film.firing("RosterdPrivateSpaceOpen").pop("one way is left")
    film.forget_last()
    drill.command("group", "revoke", crew, "open_private_space", "--reason", "over")
    assert "private spaces" not in drill.command("status")
    film.scene(OVER)
    played(drill, film, "RosterdPrivateSpaceOpen")


def test_drill_group_dropped_out(drill: Drill) -> None:
    rosterd, feed = drill.rosterd, drill.feed
    member = {"group_id": "g1", "user_id": "u0"}
    rosterd.tell(feed, "group.upserted", {"id": "g1", "name": "Sales"})
    rosterd.tell(feed, "group.member_added", member)
    film = drill.film()
    given = ("group", "grant", "Sales", "recover_accounts", "--account", "acme")
    drill.command(*given, "--reason", "by mistake")
    rosterd.tell(feed, "group.upserted", {"id": "g1", "name": "Sales team"})
    rosterd.tell(feed, "group.member_removed", member)
    film.scene(FIRES)
    assert "acme: group Sales is out of management" in drill.command("status")
    rosterd.parts.sweep.run()
    drill.command("operator", "alerts", "--account", "acme")
    told_of = drill.command("operator", "alerts", "--account", "acme", "--json")
    assert "group 'Sales' dropped out of management" in told_of
    listed = json.loads(drill.command("group", "list", "--account", "acme", "--json"))
    (group,) = [one["id"] for one in listed if one["name"] == "Sales"]
    told = json.loads(drill.command("group", "show", group, "--json"))
    assert [one["email"] for one in told["members"]] == ["u0@example.com"], "who left is in it"
    drill.command("group", "member", "remove", group, told["members"][0]["id"], "--reason", "left")
    drill.command("group", "revoke", group, "recover_accounts", "--reason", "a mistake")
    letters = ("dead", "list", "--account", "acme", "--reason-code", "protected_group")
    drill.command(*letters)
    for letter in sorted(json.loads(drill.command(*letters, "--json")), key=lambda one: one["id"]):
        again = ("dead", "replay", str(letter["event_id"]), "--reason", "mended")
        drill.command(*again, "--yes", "--wait", "0")
        rosterd.drain()
    listed = json.loads(drill.command("group", "list", "--account", "acme", "--json"))
    assert [one["managed"] for one in listed if one["name"] == "Sales team"] == [True]
    assert "out of management" not in drill.command("doctor")
    film.scene(OVER)
    played(drill, film, "RosterdGroupDroppedOut")


def test_drill_clock_wrong(postgres_drill: Drill, tmp_path: Path) -> None:
    """The clock of a worker's machine; no web process would notice it."""
    found = next(iter(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1")), None)
    if found is None:
        missing("faketime", "there is no libfaketime (Debian: apt-get install faketime)")
    drill, clock = postgres_drill, tmp_path / "clock"
    clock.write_text("+0\n")
    machine = {
        "LD_PRELOAD": str(found),
        "FAKETIME_TIMESTAMP_FILE": str(clock),
        # Read anew at every look at the clock, the file would take most of the processor.
        "FAKETIME_CACHE_DURATION": "1",
        "NO_FAKE_STAT": "1",
        # What is asked for durations goes on as it is, as on a machine whose clock is set.
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
    }
    with _worker_there(drill, machine) as scrape:

        def skew() -> float:
            return series(scrape() or "")["rosterd_clock_skew_seconds", ()]

        film = drill.film(workers=scrape)
        clock.write_text("+10\n")
        await_true(lambda: skew() > 9, name="the skew in the worker's metrics")
        film.scene(FIRES)
        assert "check NTP" in _doctor_there(drill, machine)
        clock.write_text("+0\n")
        await_true(lambda: abs(skew()) < 1, name="the end of the skew")
        assert _doctor_there(drill, machine).startswith("ok")
        film.scene(OVER)
    played(drill, film, "RosterdClockWrong")


@contextmanager
def _worker_there(drill: Drill, machine: dict[str, Any]) -> Iterator[Callable[[], str | None]]:
    """A worker on the machine whose clock is wrong; how to scrape it.

    libfaketime reads the time behind a lock. A child that is forked while another thread of its
    parent holds it would wait for ever. Then the next worker is asked.
    """
    with ExitStack() as stack:
        for last in (False, False, True):
            # Its sleeps are not to be trusted once the clock was set back: it ends by SIGKILL.
            worker = drill.measured("--lanes", "bulk", within=60, ends=signal.SIGKILL, **machine)
            try:
                scrape = stack.enter_context(worker)
            except TimeoutError:
                if last:
                    raise
            else:
                break
        yield scrape


def _doctor_there(drill: Drill, machine: dict[str, str]) -> str:
    """`rosterd doctor` on the machine whose clock is wrong: a process of its own."""
    drill.typed.append("rosterd doctor")
    done = subprocess.run(
        [sys.executable, "-m", "worker", "doctor"],
        env={**os.environ, **drill.environment, **machine, "NO_COLOR": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    (line,) = [line for line in done.stdout.splitlines() if " clock " in line]
    return line


class MailServer:
    """Refuses every recipient until it is mended."""

    refuses = True

    async def handle_RCPT(self, *given: Any) -> str:  # noqa: N802 - aiosmtpd's name
        _server, _session, envelope, address, _options = given
        if self.refuses:
            return "550 relaying is denied"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, *_: object) -> str:  # noqa: N802 - aiosmtpd's name
        return "250 OK"


@contextmanager
def mailing(folder: Path, database_url: str) -> Iterator[tuple[Drill, int]]:
    """A drill whose mails go to a server at this port."""
    port = free_port()
    url = f"smtp://127.0.0.1:{port}"
    settings: dict[str, object] = {"smtp_url": url}
    with staged(database_url, folder, settings=settings, ROSTERD_SMTP_URL=url) as (drill, _):
        yield drill, port


@contextmanager
def listening(server: MailServer, port: int) -> Iterator[None]:
    controller = Controller(server, hostname="127.0.0.1", port=port)
    controller.start()
    yield
    controller.stop(no_assert=True)


def test_drill_mail_fails(sqlite_url: str, tmp_path: Path) -> None:
    server = MailServer()
    with mailing(tmp_path, sqlite_url) as (drill, port), listening(server, port):
        data = {"id": "u1", "email": "u1@example.com"}
        drill.rosterd.tell(drill.feed, "user.upserted", data)
        film = drill.film()
        drill.rosterd.parts.notify.run()
        film.scene(FIRES)
        assert "the server answers" in drill.command("doctor"), "so it refuses"
        known = json.loads(drill.command("user", "list", "--json"))
        first, second = (one["id"] for one in known if one["undeliverable"])
        assert "relaying is denied" in drill.command("user", "show", first)
        server.refuses = False
        drill.command("user", "resend", first, "--reason", "the server is mended")
        drill.command("user", "revoke-invitation", second, "--reason", "left already", "--yes")
        drill.rosterd.parts.notify.run()
        film.scene(OVER)
        played(drill, film, "RosterdMailFails")


def test_drill_endpoint_fails(sqlite_url: str, tmp_path: Path) -> None:
    allow = "127.0.0.1"
    settings: dict[str, object] = {"outbound_allow": allow}
    with (
        receiver() as app,
        staged(sqlite_url, tmp_path, settings=settings, ROSTERD_OUTBOUND_ALLOW=allow) as (drill, _),
    ):
        made = json.loads(drill.command("endpoint", "add", app.url, "--account", "acme", "--json"))
        endpoint = made["id"]
        film = drill.film()
        app.answers = lambda _told: 500
        drill.rosterd.tell(drill.feed, "user.suspended", {"id": "u0"})
        drill.rosterd.parts.deliver.run()
        drill.age(endpoints, "failing_since", 3600)
        film.scene(FIRES)
        assert "answered 500" in drill.command("endpoint", "list")
        app.answers = lambda _told: 204
        assert "ok" in drill.command("endpoint", "test", endpoint)
        drill.command("endpoint", "resume", endpoint, "--reason", "mended")
        drill.rosterd.parts.deliver.run()
        assert app.types()[-1] == "user.suspended"
        drill.command("endpoint", "replay", endpoint, "--since", "2h", "--reason", "lost", "--yes")
        film.scene(OVER)
        played(drill, film, "RosterdEndpointFails")


def test_drill_directory_unread(sqlite_url: str, tmp_path: Path) -> None:
    allow = "127.0.0.1"
    settings: dict[str, object] = {"outbound_allow": allow}
    with (
        FakeOkta().serving() as okta,
        staged(sqlite_url, tmp_path, settings=settings, ROSTERD_OUTBOUND_ALLOW=allow) as (drill, _),
    ):
        feed = drill.rosterd.account(
            name="globex", source="okta", scope="everyone", catch_up_every="1s"
        )
        token = tmp_path / "token"
        token.write_text(okta.token)
        access = ("connection", "access", "okta")
        told = ("--url", okta.url, "--secret-file", str(token), "--reason", "read back")
        drill.command(*access, *told)
        catch_up = drill.rosterd.parts.reading.catch_up
        catch_up.run(feed.connection, budget=timedelta(seconds=5))
        film = drill.film()
        okta.token = "00another"
        drill.age(catch_ups, "due_at", 1)
        catch_up.run(feed.connection, budget=timedelta(seconds=5))
        drill.age(catch_ups, "read_at", 7200)
        film.scene(FIRES, minutes=10)
        assert "does not know rosterd's credentials" in drill.command("doctor")
        token.write_text(okta.token)
        drill.command(*access, *told)
        assert "people" in drill.command(*access, "--check")
        okta.user("00new", email="new@example.com")
        drill.age(catch_ups, "due_at", 1)
        catch_up.run(feed.connection, budget=timedelta(seconds=5))
        assert "missing" in drill.command("reconcile", "okta")
        film.scene(OVER)
        played(drill, film, "RosterdDirectoryUnread")


def test_drill_mail_server_away(sqlite_url: str, tmp_path: Path) -> None:
    server = MailServer()
    server.refuses = False
    with mailing(tmp_path, sqlite_url) as (drill, port):
        for number in range(3):
            data = {"id": f"m{number}", "email": f"m{number}@example.com"}
            drill.rosterd.tell(drill.feed, "user.upserted", data)
        film = drill.film()
        drill.rosterd.parts.notify.run()
        film.scene(FIRES, minutes=10)
        assert "out of reach" in drill.command("doctor", code=1)
        person = json.loads(drill.command("user", "list", "--json"))[0]["id"]
        drill.command("user", "accept", person, "--reason", "I know her")
        drill.age(rows.notices, "due_at", 1)
        with listening(server, port):
            assert drill.rosterd.parts.notify.run()["sent"] == 3
        film.scene(OVER)
    played(drill, film, "RosterdMailServerAway")


def test_drill_invariant_violated(drill: Drill, tmp_path: Path) -> None:
    """A parser that breaks, in a worker; its first violation ever raises the alert."""
    breaks, log = tmp_path / "breaks", tmp_path / "log"
    more: dict[str, Any] = {
        "PYTHONPATH": str(POINTS),
        "ROSTERD_DRILL_BREAKS": str(breaks),
        "ROSTERD_LOG_LEVEL": "warning",
    }
    with drill.measured(log=log, **more) as scrape:
        film = drill.film(workers=scrape)
        breaks.touch()
        data = {"id": "u1", "email": "u1@example.com"}
        drill.rosterd.tell(drill.feed, "user.upserted", data, drain=False)
        await_true(lambda: "batch_broke" in log.read_text(), name="the log")
        assert '"error": "ZeroDivisionError"' in log.read_text()
        (event,) = json.loads(drill.command("event", "list", "--state", "retrying", "--json"))
        assert event["reason"] == "error"
        drill.command("dead", "groups")
        breaks.unlink()
        await_true(lambda: drill.rosterd.user("u1"), name="the event, tried again")
        # It fires on for fifteen minutes after the last.
        film.scene(FIRES, minutes=10)
        film.scene(OVER)
    played(drill, film, "RosterdInvariantViolated")


def test_drill_subscription_lapses(sqlite_url: str, tmp_path: Path) -> None:
    allow = "127.0.0.1"
    settings: dict[str, object] = {"outbound_allow": allow}
    with (
        FakeGraph().serving() as graph,
        staged(sqlite_url, tmp_path, settings=settings, ROSTERD_OUTBOUND_ALLOW=allow) as (drill, _),
    ):
        feed = connected(drill.rosterd, graph, "globex")
        assert look_after(drill.rosterd, feed) is None
        film = drill.film()
        secret, graph.secret = graph.secret, "another"
        graph.expire()
        pass_time(drill.rosterd, graph, days=22)
        assert look_after(drill.rosterd, feed) is not None
        film.scene(FIRES)
        assert "invalid_client" in drill.command("connection", "subscriptions", "entra")
        assert "invalid_client" in drill.command(
            *("connection", "access", "entra", "--check"), code=1
        )
        assert "was not renewed" in drill.command("doctor")
        graph.secret = secret
        drill.command("connection", "subscriptions", "entra", "--renew", "--reason", "mended")
        assert "entra" in drill.command("connection", "show", "entra")
        graph.is_sending = False
        graph.user(mail="new@example.com")
        assert "missing" in drill.command("reconcile", "entra")
        film.scene(OVER)
        played(drill, film, "RosterdSubscriptionLapses")

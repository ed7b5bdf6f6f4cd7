"""An outage for each section of the runbook: the alert fires, what the section says ends it."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from sqlalchemy import update

from tests.conftest import missing
from tests.deploy.film import RULES, Film
from tests.harness import Feed, Rosterd
from tests.servers import RedisServer, await_true, free_port
from worker.adapters.db import rows
from worker.adapters.mail import SMTPMailer

QUIET, FIRES, OVER = "all is well", "outage", "mended"


class Drill:
    """A rosterd, its broker, and a film of its metrics."""

    def __init__(self, rosterd: Rosterd, broker: RedisServer) -> None:
        self.rosterd, self.broker = rosterd, broker
        with rosterd.setup() as use:
            token = use.add_token(None, name="prometheus", scopes=["metrics"])
        self.bearer = {"Authorization": f"Bearer {token}"}
        self.feed: Feed = rosterd.account()
        rosterd.hire(self.feed, "u0")
        rosterd.parts.sweep.run()

    def scrape(self) -> str:
        self.rosterd.parts.gauges._known = None
        return str(self.rosterd.http.get("/metrics", headers=self.bearer).text)

    def film(self) -> Film:
        film = Film(self.scrape)
        film.scene(QUIET)
        return film

    def command(self, *words: str) -> str:
        """What the section tells the operator to type."""
        done = self.rosterd.cli(*words)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def age(self, table: Any, column: str, seconds: float) -> None:
        """As if it had happened so long ago."""
        then = datetime.now(UTC) - timedelta(seconds=seconds)
        with self.rosterd.parts.database.begin() as connection:
            connection.execute(update(table).values({column: then}))
            connection.commit()

    @contextmanager
    def process(self, *words: str) -> Iterator[None]:
        """A process that the section says to start."""
        settings = self.rosterd.settings
        environment = {
            **os.environ,
            "ROSTERD_DATA_DIR": str(settings.data_dir),
            "ROSTERD_DATABASE_URL": settings.database,
            "ROSTERD_BROKER_URL": settings.broker,
            "ROSTERD_SWEEP_SECONDS": "0.5",
            "ROSTERD_LOG_LEVEL": "error",
            "ROSTERD_PUBLIC_URL": f"http://127.0.0.1:{self.port}",
        }
        command = [sys.executable, "-m", "worker", *words]
        with subprocess.Popen(command, env=environment) as process:
            try:
                yield
            finally:
                process.send_signal(signal.SIGTERM)

    port = 0


@pytest.fixture
def drill(sqlite_url: str, tmp_path: Path) -> Iterator[Drill]:
    if shutil.which("redis-server") is None:
        missing("redis", "there is no redis-server to start")
    broker = RedisServer(tmp_path / "redis")
    broker.start()
    rosterd = Rosterd(sqlite_url, tmp_path, broker_url=broker.url)
    with rosterd.serving():
        yield Drill(rosterd, broker)
    rosterd.close()
    broker.stop()


def played(film: Film, alert: str) -> None:
    assert film.firing(alert) == {QUIET: False, FIRES: True, OVER: False}


def test_every_alert_has_its_drill() -> None:
    alerts = set(re.findall(r"alert: Rosterd(\w+)", RULES.read_text(encoding="utf-8")))
    words = {re.sub(r"(?<!^)([A-Z])", r"_\1", alert).lower() for alert in alerts}
    drilled = {name.removeprefix("test_drill_") for name in globals() if "test_drill_" in name}
    assert words == drilled


def test_drill_suspension_waits(drill: Drill) -> None:
    film = drill.film()
    drill.rosterd.tell(drill.feed, "user.suspended", {"id": "u0"}, drain=False)
    drill.age(rows.events, "received_at", 120)
    film.scene(FIRES)
    with drill.process("worker", "--lanes", "urgent"):
        await_true(lambda: "suspended" in (drill.rosterd.user("u0") or {})["state"])
    film.scene(OVER)
    played(film, "RosterdSuspensionWaits")


def test_drill_web_down(drill: Drill) -> None:
    drill.port = free_port()

    def scrape() -> str | None:
        request = urllib.request.Request(
            f"http://127.0.0.1:{drill.port}/metrics", headers=drill.bearer
        )
        with suppress(OSError), urllib.request.urlopen(request, timeout=5) as answer:
            return str(answer.read().decode())
        return None

    with drill.process("web", "--port", str(drill.port)):
        await_true(scrape)
        film = Film(scrape)
        film.scene(QUIET)
    film.scene(FIRES)
    with drill.process("web", "--port", str(drill.port)):
        await_true(scrape)
        film.scene(OVER)
    played(film, "RosterdWebDown")


def test_drill_sweeper_silent(drill: Drill) -> None:
    film = drill.film()
    drill.age(rows.marks, "at", 300)
    film.scene(FIRES)
    assert "none alive: start `rosterd worker`" in drill.command("doctor")
    began = datetime.now(UTC)
    with drill.process("worker"):
        await_true(lambda: drill.rosterd.table(rows.marks, rows.marks.c.at > began))
    film.scene(OVER)
    played(film, "RosterdSweeperSilent")


def test_drill_backlog_old(drill: Drill) -> None:
    film = drill.film()
    data = {"id": "u1", "email": "u1@example.com"}
    drill.rosterd.tell(drill.feed, "user.upserted", data, drain=False)
    drill.age(rows.events, "received_at", 600)
    film.scene(FIRES)
    with drill.process("worker", "--lanes", "standard,bulk"):
        await_true(lambda: drill.rosterd.user("u1"))
    film.scene(OVER)
    played(film, "RosterdBacklogOld")


def test_drill_dead_letters_grow(drill: Drill) -> None:
    film = drill.film()
    for number in range(12):
        data = {"id": f"x{number}", "email": f"x{number}@elsewhere.org"}
        drill.rosterd.tell(drill.feed, "user.upserted", data)
    film.scene(FIRES, minutes=10)
    assert "domain_not_allowed" in drill.command("dead", "groups")
    drill.command("domain", "allow", "acme", "elsewhere.org")
    said = drill.command("dead", "groups", "--json")
    fingerprint = re.findall(r'"fingerprint": "([^"]+)"', said)[0]
    replay = ("dead", "replay", "--fingerprint", fingerprint)
    assert "12" in drill.command(*replay, "--dry-run")
    with drill.process("worker"):
        drill.command(*replay, "--reason", "domain allowed", "--yes")
    assert drill.rosterd.dead() == []
    film.scene(OVER)
    played(film, "RosterdDeadLettersGrow")


def test_drill_broker_away(drill: Drill) -> None:
    film = drill.film()
    drill.broker.stop()
    film.scene(FIRES)
    assert "out of reach" in drill.command("doctor")
    drill.broker.start()
    film.scene(OVER)
    played(film, "RosterdBrokerAway")


def test_drill_not_authentic(drill: Drill) -> None:
    film = drill.film()
    elsewhere = Feed(drill.feed.id, drill.feed.connection, "whsec_" + "QUJD" * 8)
    for number in range(100):
        sent = drill.rosterd.request(elsewhere, "user.suspended", {"id": f"u{number}"})
        assert drill.rosterd.post(sent) == 401
    film.scene(FIRES)
    told = drill.command("feed", "rotate", drill.feed.id, "--json")
    (secret,) = re.findall(r"whsec_[A-Za-z0-9+/=]+", told)
    mended = Feed(drill.feed.id, drill.feed.connection, secret)
    for number in range(100):
        sent = drill.rosterd.request(mended, "user.suspended", {"id": f"u{number}"})
        assert drill.rosterd.post(sent) == 200
    film.scene(OVER)
    played(film, "RosterdNotAuthentic")


def test_drill_ack_slow(drill: Drill) -> None:
    film = drill.film()
    sent = [
        drill.rosterd.request(drill.feed, "user.suspended", {"id": f"u{number}"})
        for number in range(4)
    ]
    with drill.rosterd.parts.database.writer_turn():  # a long transaction of somebody's
        posting = [threading.Thread(target=drill.rosterd.post, args=(one,)) for one in sent[:2]]
        for thread in posting:
            thread.start()
        time.sleep(3)
    for thread in posting:
        thread.join()
    film.scene(FIRES)
    for one in sent[2:]:
        assert drill.rosterd.post(one) == 200
    film.scene(OVER)
    played(film, "RosterdAckSlow")


def test_drill_connection_silent(drill: Drill) -> None:
    film = drill.film()
    drill.age(rows.feeds, "last_heard_at", 4 * 86400)
    film.scene(FIRES)
    drill.port = free_port()
    with drill.process("web", "--port", str(drill.port)):
        url = f"http://127.0.0.1:{drill.port}"
        await_true(lambda: urllib.request.urlopen(f"{url}/readyz"))
        # Nobody applies it: no worker runs in this drill.
        told = drill.rosterd.cli(
            "connection", "check", "standard", "--wait", "1", ROSTERD_PUBLIC_URL=url
        )
        assert "stored" in told.stdout + told.stderr
    film.scene(OVER)
    played(film, "RosterdConnectionSilent")


def test_drill_clock_wrong(drill: Drill) -> None:
    film = drill.film()
    gauges = drill.rosterd.parts.gauges
    right, gauges._clock = gauges._clock, lambda: datetime.now(UTC) + timedelta(seconds=10)
    film.scene(FIRES)
    gauges._clock = right
    film.scene(OVER)
    played(film, "RosterdClockWrong")


def test_drill_mail_fails(drill: Drill) -> None:
    film = drill.film()

    class Refusing:
        async def handle_RCPT(self, *_: object) -> str:  # noqa: N802 - aiosmtpd's name
            return "550 no such user"

    port = free_port()
    server = Controller(Refusing(), hostname="127.0.0.1", port=port)
    server.start()
    mailer = SMTPMailer(f"smtp://127.0.0.1:{port}", sender="rosterd@example.org")
    replace(drill.rosterd.parts.notify, mailer=mailer).run()
    server.stop()
    film.scene(FIRES)
    person = drill.rosterd.table(rows.people)[0]
    drill.command("user", "resend", person["id"], "--reason", "the server is mended")
    assert drill.rosterd.mails()
    film.scene(OVER)
    played(film, "RosterdMailFails")


def test_drill_invariant_violated(drill: Drill) -> None:
    drill.rosterd.parts.report("marker_unrepairable", {})
    film = drill.film()
    drill.rosterd.parts.report("marker_unrepairable", {})
    film.scene(FIRES, minutes=10)
    film.scene(OVER)
    played(film, "RosterdInvariantViolated")

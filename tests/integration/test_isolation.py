"""One that is slow, or loud, or broken moves nobody else: with a real worker of one pool child."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session

from domain.inbox import Kind
from domain.replays import Selection
from tests.conftest import missing
from tests.harness import Rosterd
from tests.servers import RedisServer, await_true, free_port
from worker.adapters.db import rows
from worker.cli.processes import worker_command
from worker.settings import LANES_VARIABLE
from worker.tasks import base

pytestmark = pytest.mark.every_database


class Slow:
    """A mail server that takes each letter only when it is let."""

    def __init__(self) -> None:
        self.asked = threading.Event()
        self.let = threading.Event()
        self.taken: list[str] = []

    async def handle_DATA(  # noqa: N802 - aiosmtpd's name
        self, _server: SMTP, _session: Session, envelope: Envelope
    ) -> str:
        self.asked.set()
        await asyncio.to_thread(self.let.wait)
        self.taken += envelope.rcpt_tos
        return "250 OK"


@pytest.fixture
def slow() -> Iterator[tuple[Slow, str]]:
    handler, port = Slow(), free_port()
    controller = Controller(handler, hostname="127.0.0.1", port=port)
    controller.start()
    yield handler, f"smtp://127.0.0.1:{port}"
    handler.let.set()
    controller.stop()


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[str]:
    if shutil.which("redis-server") is None:
        missing("redis", "there is no redis-server to start")
    server = RedisServer(tmp_path / "redis")
    server.start()
    yield server.url
    server.stop()


@pytest.mark.timeout(120)
def test_a_slow_mail_server_holds_up_no_event_and_no_mail_is_lost_or_sent_twice(
    postgres_url: str, tmp_path: Path, broker: str, slow: tuple[Slow, str]
) -> None:
    server, url = slow
    rosterd = Rosterd(postgres_url, tmp_path, broker_url=broker)
    environment = {
        "ROSTERD_DATA_DIR": str(tmp_path),
        "ROSTERD_DATABASE_URL": postgres_url,
        "ROSTERD_BROKER_URL": broker,
        "ROSTERD_SMTP_URL": url,
        "ROSTERD_LOG_LEVEL": "error",
        LANES_VARIABLE: "urgent,standard,bulk",
    }
    command = worker_command(["urgent", "standard", "bulk"], 1)
    with (
        rosterd.serving(),
        subprocess.Popen(command, env={**os.environ, **environment}) as worker,
    ):
        feed = rosterd.account()
        hired = [f"u{number}" for number in range(5)]
        for key in hired:
            data = {"id": key, "email": f"{key}@example.com"}
            rosterd.tell(feed, "user.upserted", data, drain=False)
            await_true(lambda key=key: rosterd.user(key), name=key)  # type: ignore[misc]
            await_true(server.asked.is_set, name="the first mail")
        assert server.taken == [], "all five were applied while the first mail hung"
        worker.send_signal(signal.SIGTERM)
        server.let.set()
        assert worker.wait(timeout=60) == 0
        assert len(server.taken) >= 1, "the mail in hand was finished"
    again = subprocess.Popen(command, env={**os.environ, **environment})
    everyone = {f"{key}@example.com" for key in hired}
    with rosterd.parts.database.begin() as connection:
        # Leases of the mails that were claimed and not sent; a minute is long for a test.
        connection.exec_driver_sql("UPDATE notices SET due_at = now() WHERE state <> 'sent'")
        connection.commit()
    with again as worker:
        await_true(lambda: everyone <= set(server.taken), name="the other mails")
        worker.send_signal(signal.SIGTERM)
        worker.wait(timeout=60)
    assert sorted(server.taken) == sorted(everyone)
    rosterd.close()


def test_a_kind_with_a_backlog_gives_way_to_the_others_of_its_lane(
    rosterd: Rosterd, monkeypatch: pytest.MonkeyPatch
) -> None:
    feed = rosterd.account()
    for number in range(5):
        data = {"id": f"u{number}", "email": f"u{number}@example.com"}
        rosterd.tell(feed, "user.upserted", data, drain=False)
    rosterd.tell(feed, "group.upserted", {"id": "g1", "name": "Crew"}, drain=False)
    # One event a batch, and no time: the first batch is all that a task does of its own kind.
    small = replace(rosterd.parts.drain, batch_size=1)
    monkeypatch.setitem(rosterd.parts.__dict__, "drain", small)
    monkeypatch.setattr(base, "SLICE", timedelta(0))
    monkeypatch.setattr(base, "container", lambda: rosterd.parts)
    base.drain(Kind.USERS_CREATE)("standard", base.Ring())
    assert len(rosterd.users()) == 1
    assert [line["name"] for line in rosterd.export() if line["kind"] == "group"] == ["Crew"]


def test_a_replay_lets_what_is_live_go_first_in_every_task_of_its_own(
    rosterd: Rosterd, monkeypatch: pytest.MonkeyPatch
) -> None:
    feed = rosterd.account()
    for number in range(3):
        rosterd.hire(feed, f"u{number}", f"u{number}@partner.example")
    rosterd.allow("partner.example")
    rosterd.parts.replay.start(Selection(account=rosterd.account_id), actor="ana", reason="r")
    live = {"id": "live", "email": "live@example.com"}
    rosterd.tell(feed, "user.upserted", live, drain=False)
    small = replace(rosterd.parts.drain, batch_size=1)
    monkeypatch.setitem(rosterd.parts.__dict__, "drain", small)
    monkeypatch.setattr(base, "SLICE", timedelta(0))
    monkeypatch.setattr(base, "container", lambda: rosterd.parts)
    base.drain(Kind.SORT)("bulk", base.Ring())
    assert sorted(user["external_id"] for user in rosterd.users()) == ["live", "u0"]


def test_what_comes_live_during_a_replay_waits_for_one_batch_of_it(
    rosterd: Rosterd, monkeypatch: pytest.MonkeyPatch
) -> None:
    """G7, G8: not for as many as a task takes."""
    feed = rosterd.account()
    for number in range(3):
        rosterd.hire(feed, f"u{number}", f"u{number}@partner.example")
    rosterd.allow("partner.example")
    rosterd.parts.replay.start(Selection(account=rosterd.account_id), actor="ana", reason="r")
    small = replace(rosterd.parts.drain, batch_size=1)
    monkeypatch.setitem(rosterd.parts.__dict__, "drain", small)
    monkeypatch.setattr(base, "SLICE", timedelta(minutes=1))
    monkeypatch.setattr(base, "container", lambda: rosterd.parts)
    looks: list[int] = []

    def look() -> None:
        looks.append(len(rosterd.users()))
        if len(looks) == 2:
            live = {"id": "live", "email": "live@example.com"}
            rosterd.tell(feed, "user.upserted", live, drain=False)
        help_live()

    help_live = base.help_live
    monkeypatch.setattr(base, "help_live", look)
    base.drain(Kind.SORT)("bulk", base.Ring())
    invited = [json.loads(row["after"]) for row in rosterd.table(rows.audit) if row["event_id"]]
    assert [after["email"].partition("@")[0] for after in invited] == ["u0", "live", "u1", "u2"]
    assert looks[:2] == [0, 1]

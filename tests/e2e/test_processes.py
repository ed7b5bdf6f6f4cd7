"""The real processes: web, workers, beat and broker, killed and flushed while events come in.

G2, G6, T06, T12 on what is embedded; `tests/chaos` does worse to production's servers.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import redis
from kombu import Connection
from sqlalchemy import make_url, select

from domain.policy import Scope
from tests.conftest import BROKER_URL, missing
from tests.preloaded import Popen, run
from tests.servers import await_true
from worker.adapters.db import rows
from worker.bootstrap import Container
from worker.cli.processes import BULK_NICENESS
from worker.cli.sender import send
from worker.cli.stage import Stage
from worker.settings import load_settings

EVENTS = int(os.environ.get("ROSTERD_TEST_CHAOS_EVENTS", "300"))
KILLS = 10


class Up:
    """`rosterd up` as a user starts it."""

    def __init__(self, folder: Path, *options: str) -> None:
        self.folder = folder
        self.options = options
        self.settings = load_settings(
            data_dir=folder,
            **{
                name.removeprefix("--").replace("-", "_"): value
                for name, value in zip(options[::2], options[1::2], strict=True)
            },
        )

    def start(self, popen: type[subprocess.Popen[Any]] = Popen) -> Stage:
        """popen: `subprocess.Popen` starts it from nothing, as a user does."""
        environment = {**os.environ, "ROSTERD_SWEEP_SECONDS": "1", "ROSTERD_LOG_LEVEL": "warning"}
        command = [sys.executable, "-m", "worker", "up", "--data-dir", str(self.folder)]
        self.log = (self.folder / "up.log").open("ab")
        self.process = popen(
            [*command, *self.options], stdout=self.log, stderr=self.log, env=environment
        )
        ready = await_true(self._address)
        assert ready, (self.folder / "up.log").read_text()
        return Stage(Container(self.settings), ready)

    def _address(self) -> str | None:
        lines = (self.folder / "up.log").read_text().splitlines()
        found = [line.rpartition(" ")[2] for line in lines if line.startswith("rosterd: ready")]
        stopped = [line for line in lines if line.startswith("rosterd: stopped")]
        return found[-1] if len(found) > len(stopped) else None

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(60)
        self.log.close()
        return code

    def pids(self, name: str) -> list[int]:
        """Processes of this set that `ps` calls so: a worker and its pool."""
        found = []
        for pid in below(self.process.pid):
            with suppress(OSError):
                if Path(f"/proc/{pid}/comm").read_text().strip() == name:
                    found.append(pid)
        return found


def below(pid: int) -> Iterator[int]:
    """Its children, and theirs."""
    with suppress(OSError):
        for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
            yield int(child)
            yield from below(int(child))


def redis_url() -> str:
    """A Redis that answers; its database is emptied first."""
    url = make_url(BROKER_URL)
    # Tests that run beside each other each have a database of their own.
    number = int(url.database or 15) - int(os.environ.get("PYTEST_XDIST_WORKER", "gw0")[2:])
    mine = url.set(database=str(number)).render_as_string(hide_password=False)
    client = redis.Redis.from_url(mine, socket_connect_timeout=1)
    try:
        client.flushdb()
    except redis.RedisError as error:
        missing("redis", str(error))
    finally:
        client.close()
    return mine


@pytest.fixture
def up(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Up]:
    """A set that is not started yet."""
    options: list[str] = []
    if request.param != "embedded":
        options = ["--database-url", request.getfixturevalue("postgres_url")]
    if request.param == "postgres+redis":
        options += ["--broker-url", redis_url()]
    if request.param == "postgres+rabbitmq":
        options += ["--broker-url", request.getfixturevalue("rabbitmq_url")]
    running = Up(tmp_path, *options)
    yield running
    if running.process.poll() is None:
        running.process.kill()
        running.process.wait(10)
    running.log.close()


def broker_of(up: Up) -> redis.Redis:
    url = up.settings.broker.replace("redis+socket://", "unix://")
    return redis.Redis.from_url(url)


@pytest.mark.timeout(900)
@pytest.mark.parametrize("up", ["embedded"], indirect=True)
def test_g2_g6_killed_and_flushed_the_directory_is_what_the_idp_said(up: Up) -> None:
    stage = up.start()
    wide = {"domain": "example.com", "breaker_min": str(EVENTS)}
    idp = stage.connect("acme", "standard", Scope(), **wide)
    dice = random.Random(11)
    expected: dict[str, str] = {}
    killed = flushed = 0
    for number in range(EVENTS):
        key = f"u{dice.randrange(EVENTS // 3)}"
        if key in expected and dice.random() < 0.5:
            assert idp.standard("user.suspended", {"id": key}) == 200
            expected[key] = "invited_suspended"
        elif expected.get(key) != "invited_suspended":
            assert idp.standard("user.upserted", {"id": key, "email": f"{key}@example.com"}) == 200
            expected.setdefault(key, "invited")
        if dice.random() < 0.2 and idp.sent:
            assert send(dice.choice(idp.sent)) == 200
        if number % (EVENTS // KILLS) == EVENTS // KILLS - 1:
            victims = await_true(lambda: [*up.pids("rosterd-worker"), *up.pids("rosterd-urgent")])
            os.kill(dice.choice(victims), signal.SIGKILL)
            killed += 1
        if number in (EVENTS // 3, 2 * EVENTS // 3):
            with broker_of(up) as broker:
                broker.flushdb()
            flushed += 1

    def states() -> dict[str, str]:
        users = [x for x in stage.directory("acme") if x["kind"] == "user"]
        return {x["external_id"]: x["state"] for x in users}

    await_true(lambda: states() == expected and stage.open_events() == 0, seconds=300)
    found = states()
    sys.stdout.write(
        f"\nevents {len(idp.sent)}, kills {killed}, flushes {flushed}, "
        f"lost {len(set(expected) - set(found))}, "
        f"differing {sum(1 for key, state in found.items() if expected.get(key) != state)}\n"
    )
    assert states() == expected
    assert stage.open_events() == 0
    assert killed == KILLS
    stage.parts.close()
    assert up.stop() == 0


@pytest.mark.timeout(900)
@pytest.mark.parametrize("up", ["embedded", "postgres+redis", "postgres+rabbitmq"], indirect=True)
def test_a_restart_keeps_everything_and_a_dead_broker_costs_nothing(up: Up) -> None:
    # One of all starts from nothing: what only that shows is the same for each of them.
    is_embedded = up.options == ()
    stage = up.start(subprocess.Popen if is_embedded else Popen)
    idp = stage.connect("acme", "standard", Scope(), domain="example.com")
    assert idp.standard("user.upserted", {"id": "u1", "email": "u1@example.com"}) == 200
    assert await_true(lambda: stage.user("acme", "u1"))
    assert await_true(lambda: stage.link_for("u1@example.com"))
    _no_messages(up)
    _unknown_task(up)

    def foreign() -> list[Any]:
        with stage.parts.database.read() as connection:
            found = connection.execute(select(rows.dead_letters)).mappings()
            return [row for row in found if row["reason"] == "foreign_message"]

    assert await_true(lambda: len(foreign()) >= 3), foreign()
    assert idp.standard("user.upserted", {"id": "u2", "email": "u2@example.com"}) == 200
    assert await_true(lambda: stage.user("acme", "u2")), "consumption goes on"
    with urllib.request.urlopen(f"{stage.url}/metrics", timeout=10) as answer:
        counted = answer.read().decode()
    assert 'rosterd_task_events_total{outcome="applied",task="users.create"} 2.0' in counted
    before = stage.directory("acme")
    stage.parts.close()
    assert up.stop() == 0
    again = up.start()
    again.accounts = stage.accounts
    assert again.directory("acme") == before
    again.parts.close()
    assert up.stop() == 0


@pytest.mark.parametrize("up", ["postgres+redis"], indirect=True)
def test_g7_bulk_work_and_mails_run_behind_whatever_is_live(up: Up) -> None:
    stage = up.start()
    own = os.getpriority(os.PRIO_PROCESS, 0)
    wanted = {"worker": {own}, "urgent": {own}, "bulk": {min(19, own + BULK_NICENESS)}}

    def priorities() -> dict[str, set[int]]:
        return {
            name: {os.getpriority(os.PRIO_PROCESS, pid) for pid in up.pids(f"rosterd-{name}")}
            for name in wanted
        }

    await_true(lambda: priorities() == wanted)
    stage.parts.close()
    assert up.stop() == 0


def _no_messages(up: Up) -> None:
    """Another program writes into our queues what no worker can read."""
    garbage = {"standard": b"this is no message", "urgent": b'{"body": 7}'}
    if not up.settings.broker.startswith("amqp"):
        with broker_of(up) as broker:
            for lane, raw in garbage.items():
                broker.lpush(f"rosterd:{lane}", raw)
        return
    with Connection(up.settings.broker) as connection:
        producer = connection.Producer()
        for lane, raw in garbage.items():
            producer.publish(
                raw, routing_key=lane, content_type="x/garbage", content_encoding="binary"
            )


def _unknown_task(up: Up) -> None:
    """Another program publishes a task that nobody has."""
    code = (
        "import sys; from worker.adapters.broker.app import make_celery; "
        "make_celery(sys.argv[1], sweep_seconds=5).send_task('nobody.knows', queue='standard')"
    )
    run([sys.executable, "-c", code, up.settings.broker], check=True, timeout=60)

"""`rosterd doctor`, and what processes say at their start, of brokers and mail servers."""

from __future__ import annotations

import shutil
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult, LoginPassword
from kombu import Connection, Exchange, Queue

from domain.inbox import Lane
from tests.command import Done, run_command
from tests.conftest import missing
from tests.harness import Rosterd
from tests.marked import processes
from tests.servers import RedisServer, free_port
from worker.adapters.broker.topology import DEAD_QUEUE
from worker.adapters.db import rows
from worker.adapters.mail import SMTPMailer
from worker.cli.doctor import examine

EVICTS = "maxmemory-policy is allkeys-lru, which drops rings under pressure: set it to noeviction"


@pytest.fixture
def evicting(tmp_path: Path) -> Iterator[str]:
    """The URL of a Redis that may throw rings away."""
    if shutil.which("redis-server") is None:
        missing("redis", "there is no redis-server to start")
    server = RedisServer(tmp_path / "redis")
    server.start()
    with redis.Redis.from_url(server.url) as client:
        client.config_set("maxmemory-policy", "allkeys-lru")
    yield server.url
    server.stop()


@pytest.fixture
def other_queue(rabbitmq_url: str) -> Iterator[str]:
    """The URL of a RabbitMQ that has the queue `bulk` with other settings."""
    _without_queues(rabbitmq_url)
    with Connection(rabbitmq_url) as connection:
        Queue("bulk", Exchange("rosterd", "topic"), routing_key="bulk")(connection).declare()
    yield rabbitmq_url
    _without_queues(rabbitmq_url)


def _without_queues(url: str) -> None:
    with Connection(url) as connection:
        for name in (*(lane.value for lane in Lane), DEAD_QUEUE):
            with connection.channel() as channel:
                channel.queue_delete(name)


def surroundings(database_url: str, folder: Path, broker_url: str) -> dict[str, str]:
    return {
        "ROSTERD_DATA_DIR": str(folder),
        "ROSTERD_DATABASE_URL": database_url,
        "ROSTERD_BROKER_URL": broker_url,
        "ROSTERD_LOG_FORMAT": "json",
        "ROSTERD_SWEEP_SECONDS": "1",
    }


def doctor(environment: dict[str, str]) -> Done:
    return run_command(("doctor",), {**environment, "NO_COLOR": "1"})


def line_of(done: Done, what: str) -> str:
    (found,) = [line for line in done.stdout.splitlines() if line.split()[1] == what]
    return found


@pytest.mark.parametrize(
    ("broker", "says"),
    [("evicting", EVICTS), ("other_queue", "rabbitmqctl delete_queue bulk")],
)
@pytest.mark.timeout(240)
def test_t07_t12_an_unfit_broker_fails_the_doctor_and_is_said_by_every_process(
    request: pytest.FixtureRequest, sqlite_url: str, tmp_path: Path, broker: str, says: str
) -> None:
    environment = surroundings(sqlite_url, tmp_path, request.getfixturevalue(broker))
    done = doctor(environment)
    assert done.returncode == 1
    assert line_of(done, "broker").startswith("fail")
    assert says in line_of(done, "broker")
    with processes(tmp_path / "logs") as start:
        web = start("web", "web", "--port", str(free_port()), **environment)
        web.await_said(f"{says}.*broker_unfit")
        if broker == "evicting":
            # With the queue of another kind a worker cannot consume, and says that itself.
            worker = start("worker", "worker", "--concurrency", "1", **environment)
            worker.await_said(f"{says}.*broker_unfit")


def test_a_broker_that_is_away_is_a_warning(sqlite_url: str, tmp_path: Path) -> None:
    done = doctor(surroundings(sqlite_url, tmp_path, "redis://127.0.0.1:1/0"))
    assert line_of(done, "broker").startswith("warn")
    assert "ROSTERD_BROKER_URL" in line_of(done, "broker")


class _Password:
    """Takes one password."""

    def __call__(
        self, _server: object, _session: object, _envelope: object, _way: str, told: object
    ) -> AuthResult:
        is_right = isinstance(told, LoginPassword) and told.password == b"right"
        return AuthResult(success=is_right, handled=False)


@pytest.fixture
def mail_server() -> Iterator[str]:
    """A mail server that asks for a password; the URL lacks it."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    controller = Controller(
        object(), hostname="127.0.0.1", port=port, authenticator=_Password(), auth_require_tls=False
    )
    controller.start()
    yield f"smtp://rosterd:{{}}@127.0.0.1:{port}"
    controller.stop()


def test_a_mail_server_that_takes_no_password_of_ours_fails_the_doctor_and_mails_wait(
    sqlite_url: str, tmp_path: Path, mail_server: str
) -> None:
    environment = surroundings(sqlite_url, tmp_path, "redis://127.0.0.1:1/0")
    wrong = doctor({**environment, "ROSTERD_SMTP_URL": mail_server.format("wrong")})
    assert wrong.returncode == 1
    assert "fail mail      mail server refuses us (535)" in wrong.stdout
    rosterd = Rosterd(sqlite_url, tmp_path, smtp_url=mail_server.format("wrong"))
    with rosterd.serving():
        rosterd.hire(rosterd.account(), "u1")
        assert rosterd.parts.notify.run()["retrying"] == 1
        (notice,) = rosterd.table(rows.notices)
        assert notice["state"] == "pending", "a wrong password is no reason to give a mail up"
    rosterd.close()
    right = doctor({**environment, "ROSTERD_SMTP_URL": mail_server.format("right")})
    assert line_of(right, "mail").startswith("ok")
    SMTPMailer(mail_server.format("right"), sender="a@example.com").greet()


def test_a_lane_that_nobody_works_at_is_said(rosterd: Rosterd) -> None:
    sweeper = rosterd.parts.sweep.sweeper
    sweeper.heartbeat(["standard", "urgent"])
    (found,) = [one for one in examine(rosterd.parts) if one.what == "workers"]
    assert found.state == "warn"
    assert "start `rosterd worker --lanes bulk`; until then no mail leaves" in found.says

"""T08: a worker that answers and takes nothing is found out, its work done, its process ended."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.conftest import missing
from tests.harness import Rosterd
from tests.integration.test_database_faults import beside
from tests.servers import RedisServer, await_true
from worker.cli.processes import worker_command
from worker.settings import LANES_VARIABLE
from worker.tasks.watchdog import Watchdog


def forgotten(rosterd: Rosterd) -> None:
    """An event that is due and that nobody takes."""
    rosterd.tell(rosterd.account(), "user.suspended", {"id": "u1"}, drain=False)


@contextmanager
def consuming() -> Iterator[subprocess.Popen[bytes]]:
    """A process that stands for a consumer."""
    with subprocess.Popen(["sleep", "60"]) as process:
        yield process
        process.kill()


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_t08_what_does_not_move_is_done_here_and_the_consumer_is_ended(rosterd: Rosterd) -> None:
    forgotten(rosterd)
    clock = Clock()
    with consuming() as consumer:
        watchdog = Watchdog(rosterd.parts, ["urgent"], consumer=consumer.pid, clock=clock)
        watchdog.look()
        clock.now = rosterd.parts.settings.stall_seconds - 1
        watchdog.look()
        assert rosterd.events()[0]["state"] == "pending"
        clock.now += 1
        watchdog.look()
        assert rosterd.events()[0]["state"] == "ended"
        assert consumer.wait(timeout=10) == -signal.SIGTERM


def test_t08_a_head_that_moves_is_a_backlog_and_not_a_stall(rosterd: Rosterd) -> None:
    feed = rosterd.account()
    clock = Clock()
    with consuming() as consumer:
        watchdog = Watchdog(
            rosterd.parts, ["urgent", "standard"], consumer=consumer.pid, clock=clock
        )
        for number in range(5):
            rosterd.tell(feed, "user.suspended", {"id": f"u{number}"}, drain=False)
            watchdog.look()
            clock.now += rosterd.parts.settings.stall_seconds - 1
            rosterd.drain()
        assert consumer.poll() is None


def test_t08_paused_connections_hold_events_back_and_stall_nobody(rosterd: Rosterd) -> None:
    forgotten(rosterd)
    with rosterd.setup() as use:
        use.set_connection_state(use.connection("standard"), "paused", reason="test")
    clock = Clock()
    with consuming() as consumer:
        watchdog = Watchdog(rosterd.parts, ["urgent"], consumer=consumer.pid, clock=clock)
        for _ in range(3):
            watchdog.look()
            clock.now += rosterd.parts.settings.stall_seconds
        assert consumer.poll() is None


def test_t08_a_row_that_somebody_holds_is_told_and_ends_no_process(
    postgres_url: str, tmp_path: Path
) -> None:
    rosterd = Rosterd(postgres_url, tmp_path)
    with rosterd.serving():
        feed = rosterd.account()
        rosterd.hire(feed, "u1")
        rosterd.tell(feed, "user.suspended", {"id": "u1"}, drain=False)
        clock = Clock()
        with consuming() as consumer, beside(rosterd) as other:
            other.execute("SELECT * FROM events FOR UPDATE")
            watchdog = Watchdog(rosterd.parts, ["urgent"], consumer=consumer.pid, clock=clock)
            watchdog.look()
            clock.now += rosterd.parts.settings.stall_seconds
            watchdog.look()
            assert consumer.poll() is None
            other.rollback()
    rosterd.close()


@pytest.mark.timeout(120)
def test_t08_a_worker_whose_consumer_hangs_goes_on_and_then_ends(
    postgres_url: str, tmp_path: Path
) -> None:
    if shutil.which("redis-server") is None:
        missing("redis", "there is no redis-server to start")
    server = RedisServer(tmp_path / "redis")
    server.start()
    rosterd = Rosterd(postgres_url, tmp_path, broker_url=server.url)
    environment = {
        "ROSTERD_DATA_DIR": str(tmp_path),
        "ROSTERD_DATABASE_URL": postgres_url,
        "ROSTERD_BROKER_URL": server.url,
        "ROSTERD_STALL_SECONDS": "2",
        "ROSTERD_SWEEP_SECONDS": "0.5",
        "ROSTERD_LOG_LEVEL": "error",
        LANES_VARIABLE: "urgent,standard",
    }
    command = worker_command(["urgent", "standard"], 1)
    with (
        rosterd.serving(),
        subprocess.Popen(command, env={**os.environ, **environment}) as worker,
    ):
        feed = rosterd.account()
        rosterd.tell(feed, "user.upserted", {"id": "u0", "email": "u0@example.com"}, drain=False)
        await_true(lambda: rosterd.user("u0"), name="the worker")
        os.kill(worker.pid, signal.SIGSTOP)
        for key in ("u1", "u2"):
            data = {"id": key, "email": f"{key}@example.com"}
            rosterd.tell(feed, "user.upserted", data, drain=False)
            await_true(lambda key=key: rosterd.user(key), name=key)  # type: ignore[misc]
        assert worker.wait(timeout=30) == -signal.SIGKILL, "SIGTERM did not reach it"
    rosterd.close()
    server.stop()

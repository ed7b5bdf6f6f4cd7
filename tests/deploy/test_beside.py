"""What others run beside rosterd on the same broker: Flower, celery-exporter, a proxy (F43)."""

from __future__ import annotations

import base64
import json
import os
import shutil
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest
from celery import Celery

from tests.conftest import missing
from tests.deploy.test_commands import COMPOSE, DEPLOY
from tests.harness import Rosterd
from tests.preloaded import Popen
from tests.servers import RedisServer, await_true, free_port
from worker.adapters.broker.app import REDIS_OPTIONS
from worker.cli.sender import Sent, send

pytestmark = pytest.mark.long

AUTH = "ops:secret"


def running(words: list[str], environment: dict[str, str]) -> AbstractContextManager[None]:
    """A module of this interpreter's, ended with SIGTERM."""
    return program([sys.executable, "-m", *words], environment)


@contextmanager
def program(command: list[str], environment: dict[str, str]) -> Iterator[None]:
    """A program, ended with SIGTERM."""
    process = Popen(command, env=environment)
    try:
        yield
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=40)


def asked(port: int, path: str) -> Any:
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}")
    request.add_header("authorization", f"Basic {base64.b64encode(AUTH.encode()).decode()}")
    with urllib.request.urlopen(request, timeout=10) as answer:
        return json.load(answer)


@pytest.mark.timeout(120)
def test_t43_flower_as_compose_starts_it_sees_the_work_and_takes_none(
    postgres_url: str, tmp_path: Path
) -> None:
    if shutil.which("redis-server") is None:
        missing("redis", "there is no redis-server to start")
    server = RedisServer(tmp_path / "redis")
    server.start()
    rosterd = Rosterd(postgres_url, tmp_path, broker_url=server.url)
    environment = {
        **os.environ,
        "ROSTERD_DATA_DIR": str(tmp_path),
        "ROSTERD_DATABASE_URL": postgres_url,
        "ROSTERD_BROKER_URL": server.url,
        "ROSTERD_LOG_LEVEL": "error",
        "FLOWER_BASIC_AUTH": AUTH,
    }
    port = free_port()
    service = COMPOSE["services"]["flower"]
    flower = [*service["entrypoint"], *service["command"]]
    flower = [word.replace("5555", str(port)) for word in flower]
    try:
        with running(["worker", "worker"], environment), running(flower, environment):
            names = await_true(lambda: asked(port, "/api/workers?refresh=1"), name="Flower")
            feed = rosterd.account()
            with rosterd.serving():
                rosterd.hire(feed, "u1", drain=False)
            await_true(lambda: rosterd.user("u1"), name="the worker")
            tasks = await_true(lambda: asked(port, "/api/tasks"), name="the task in Flower")
            stranger = Celery(broker=server.url, set_as_current=False)
            assert stranger.control.ping(timeout=1.0) == []
            stranger.close()
            assert [event["attempts"] for event in rosterd.events()] == [0]
    finally:
        server.stop()
        rosterd.close()
    assert len(names) == 1
    assert {task["state"] for task in tasks.values()} <= {"SUCCESS", "STARTED", "RECEIVED"}


def test_t43_the_exporter_gets_the_transport_options_of_rosterds_app() -> None:
    command = COMPOSE["services"]["celery-exporter"]["command"]
    told = [word.split("=", 2)[1:] for word in command if "transport-option=" in word]
    given = dict(told)
    wanted = {name: str(REDIS_OPTIONS[name]) for name in ("visibility_timeout", "global_keyprefix")}
    assert given == wanted


def test_the_proxy_takes_its_file_and_lets_nobody_read_the_counters(tmp_path: Path) -> None:
    caddy = shutil.which("caddy")
    if caddy is None:
        missing("caddy", "there is no caddy to start")
    environment = {**os.environ, "HOME": str(tmp_path), "XDG_DATA_HOME": str(tmp_path)}
    done = subprocess.run(
        [str(caddy), "validate", "--config", str(DEPLOY / "tls" / "Caddyfile")],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "Valid configuration" in done.stdout + done.stderr


@pytest.mark.timeout(120)
def test_through_the_proxy_come_webhooks_and_pages_and_nothing_for_machines_inside(
    sqlite_url: str, tmp_path: Path
) -> None:
    if shutil.which("caddy") is None:
        missing("caddy", "there is no caddy to start")
    rosterd = Rosterd(sqlite_url, tmp_path)
    feed = rosterd.account()
    inner, outer = free_port(), free_port()
    environment = {
        **os.environ,
        "ROSTERD_DATA_DIR": str(tmp_path),
        "ROSTERD_LOG_LEVEL": "error",
        "HOME": str(tmp_path),
        "XDG_DATA_HOME": str(tmp_path),
        "ROSTERD_HOST": f"http://127.0.0.1:{outer}",
        "ROSTERD_UPSTREAM": f"127.0.0.1:{inner}",
    }
    proxy = ["caddy", "run", "--config", str(DEPLOY / "tls" / "Caddyfile")]
    web = ["worker", "web", "--port", str(inner)]
    with running(web, environment), program(proxy, environment):
        url = f"http://127.0.0.1:{outer}"
        await_true(lambda: httpx2.get(f"{url}/member.css").status_code == 200, name="the proxy")
        sent = rosterd.request(feed, "user.upserted", {"id": "u1", "email": "u1@example.com"})
        assert send(Sent(f"{url}{sent.url}", sent.headers, sent.body)) == 200
        for path in ("/metrics", "/health", "/livez", "/readyz"):
            assert httpx2.get(f"http://127.0.0.1:{inner}{path}").status_code == 200
            assert httpx2.get(f"{url}{path}").status_code == 404, path
    rosterd.close()

"""Procfile, compose file, chart and units start the same processes; started so, they work."""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.conftest import missing
from tests.deploy.test_helm import pods, procfile, rendered
from tests.harness import Rosterd
from tests.servers import RedisServer, await_true, free_port
from worker.cli.sender import Sent, send

DEPLOY = Path(__file__).parents[2] / "deploy"
COMPOSE: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text(encoding="utf-8"))
PROCESSES = ("web", "worker", "urgent", "beat")


def test_compose_starts_what_the_procfile_starts_and_lets_none_of_it_write() -> None:
    wanted = procfile()
    for name, words in wanted.items():
        service = COMPOSE["services"][name]
        assert service["command"][: len(words)] == words
        assert service["read_only"] is True
        assert service["cap_drop"] == ["ALL"]
    profiles = {name: s.get("profiles") for name, s in COMPOSE["services"].items()}
    assert profiles["rabbitmq"] == ["rabbitmq"]
    assert profiles["prometheus"] == profiles["grafana"] == ["monitoring"]
    assert profiles["caddy"] == ["tls"]
    named = {
        volume.partition(":")[0]
        for service in COMPOSE["services"].values()
        for volume in service.get("volumes", [])
        if not volume.startswith((".", "/", "$"))
    }
    assert named == set(COMPOSE["volumes"])
    for path in ("monitoring/prometheus.yaml", "Dockerfile", "monitoring/grafana/provisioning"):
        assert (DEPLOY / path).exists()


@pytest.mark.timeout(120)
def test_the_charts_processes_work_on_postgres_and_redis_and_end_when_told(
    postgres_url: str, tmp_path: Path
) -> None:
    if shutil.which("redis-server") is None:
        missing("redis", "there is no redis-server to start")
    server = RedisServer(tmp_path / "redis")
    server.start()
    ports = {"8080": free_port(), "9101": free_port()}
    environment = {
        **os.environ,
        "ROSTERD_DATA_DIR": str(tmp_path),
        "ROSTERD_DATABASE_URL": postgres_url,
        "ROSTERD_BROKER_URL": server.url,
        "ROSTERD_LOG_LEVEL": "error",
    }
    rosterd = Rosterd(postgres_url, tmp_path, broker_url=server.url)
    feed = rosterd.account()
    running: dict[str, subprocess.Popen[bytes]] = {}
    for name, pod in pods(rendered()):
        if name == "migrate":
            continue
        words = [str(ports.get(word, word)) for word in pod["containers"][0]["args"]]
        if name == "urgent":
            # Pods have an address of their own each.
            words = [str(free_port()) if word == str(ports["9101"]) else word for word in words]
        command = [sys.executable, "-m", "worker", *words]
        running[name] = subprocess.Popen(command, env=environment)
    assert running.keys() == set(PROCESSES)
    try:
        url = f"http://127.0.0.1:{ports['8080']}"
        sent = rosterd.request(feed, "user.upserted", {"id": "u1", "email": "u1@example.com"})
        await_true(lambda: _post(f"{url}{sent.url}", sent) == 200, name="web")
        await_true(lambda: rosterd.user("u1"), name="the worker")
        leaving = rosterd.request(feed, "user.suspended", {"id": "u1"})
        assert _post(f"{url}{leaving.url}", leaving) == 200
        await_true(
            lambda: "suspended" in (rosterd.user("u1") or {})["state"], name="the urgent worker"
        )
    finally:
        for process in running.values():
            process.send_signal(signal.SIGTERM)
        codes = {name: process.wait(timeout=40) for name, process in running.items()}
        server.stop()
    assert set(codes.values()) == {0}, codes
    rosterd.close()


def _post(url: str, sent: Sent) -> int:
    return send(Sent(url, sent.headers, sent.body))

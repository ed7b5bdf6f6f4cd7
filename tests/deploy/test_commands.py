"""Procfile, compose file, chart and units start the same processes; started so, they work."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import signal
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml
from typer.main import get_command

from tests.conftest import missing
from tests.deploy.test_helm import pods, procfile, rendered
from tests.harness import Rosterd
from tests.preloaded import of_this_process
from tests.servers import RedisServer, await_true, free_port
from worker.cli.main import build_cli
from worker.cli.sender import Sent, send

DEPLOY = Path(__file__).parents[2] / "deploy"
COMPOSE: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text(encoding="utf-8"))
PROCESSES = ("web", "worker", "bulk", "urgent", "beat")
WAYS = ("chart", "compose", "systemd")


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


def started_by(what: str) -> dict[str, list[str]]:
    """Process and words after `rosterd`, as the chart, the compose file or the units have them."""
    if what == "compose":
        services = COMPOSE["services"]
        return {name: list(services[name]["command"]) for name in PROCESSES}
    if what == "systemd":
        units = {name: DEPLOY / "systemd" / f"rosterd-{name}.service" for name in PROCESSES}
        return {name: _exec_start(unit.read_text("utf-8")) for name, unit in units.items()}
    return {
        name: list(pod["containers"][0]["args"])
        for name, pod in pods(rendered("web.workers=2"))
        if name != "migrate"
    }


def _exec_start(unit: str) -> list[str]:
    (line,) = re.findall(r"^ExecStart=(.*)$", unit, re.MULTILINE)
    program, *words = shlex.split(line)
    assert program == "/srv/rosterd/.venv/bin/rosterd"
    return words


@pytest.mark.parametrize("what", WAYS)
def test_each_way_starts_what_the_procfile_starts_and_every_option_exists(what: str) -> None:
    wanted, commands = procfile(), get_command(build_cli())
    started = started_by(what)
    assert started.keys() == wanted.keys() - {"release"}
    for name, words in started.items():
        assert words[: len(wanted[name])] == wanted[name]
        command = commands.get_command(typer.Context(commands), words[0])  # type: ignore[attr-defined]
        command.make_context(words[0], words[1:])


def test_units_share_one_machine_and_no_port() -> None:
    ports = re.findall(r"\b\d{4,5}\b", str(started_by("systemd")))
    assert len(set(ports)) == len(ports) == 4


@pytest.mark.long
@pytest.mark.timeout(300)
@pytest.mark.parametrize("what", WAYS)
def test_started_so_they_work_on_postgres_and_redis_and_end_when_told(
    what: str, postgres_url: str, tmp_path: Path
) -> None:
    if shutil.which("redis-server") is None:
        missing("redis", "there is no redis-server to start")
    server = RedisServer(tmp_path / "redis")
    server.start()
    rosterd = Rosterd(postgres_url, tmp_path, broker_url=server.url)
    feed = rosterd.account()
    environment = {
        **os.environ,
        "ROSTERD_DATA_DIR": str(tmp_path),
        "ROSTERD_DATABASE_URL": postgres_url,
        "ROSTERD_BROKER_URL": server.url,
        "ROSTERD_LOG_LEVEL": "error",
    }
    # Pods and containers have an address of their own each; here they share this machine's.
    words = {name: [_free(word) for word in said] for name, said in started_by(what).items()}
    start = partial(of_this_process().start, environment=environment)
    running = {name: start(*said) for name, said in words.items()}
    try:
        port = words["web"][words["web"].index("--port") + 1]
        url = f"http://127.0.0.1:{port}"
        sent = rosterd.request(feed, "user.upserted", {"id": "u1", "email": "u1@example.com"})
        await_true(lambda: _accepted(f"{url}{sent.url}", sent), seconds=150, name="web")
        await_true(lambda: rosterd.user("u1"), name="the worker")
        leaving = rosterd.request(feed, "user.suspended", {"id": "u1"})
        assert _accepted(f"{url}{leaving.url}", leaving)
        await_true(
            lambda: "suspended" in (rosterd.user("u1") or {})["state"], name="the urgent worker"
        )
    finally:
        for process in running.values():
            process.send_signal(signal.SIGTERM)
        codes = {name: process.wait(timeout=40) for name, process in running.items()}
        server.stop()
        rosterd.close()
    assert codes == dict.fromkeys(PROCESSES, 0)


def _free(word: str) -> str:
    """A port of this machine in place of one in the command."""
    return str(free_port()) if re.fullmatch(r"\d{4,5}", word) else word


def _accepted(url: str, sent: Sent) -> bool:
    """True; AssertionError with the status of a refusal."""
    status = send(Sent(url, sent.headers, sent.body))
    assert status == 200, status
    return True

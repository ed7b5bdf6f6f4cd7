"""The stage of a drill: a rosterd, its processes, and what an operator types from the runbook."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import update

from tests.conftest import missing
from tests.deploy.film import Film
from tests.harness import Feed, Rosterd
from tests.preloaded import of_this_process
from tests.servers import RedisServer, await_true, free_port
from worker.cli.supervisor import Process

RUNBOOK = Path(__file__).parents[2] / "deploy" / "runbook.md"
#: What is read as the interpreter starts: such a process starts from nothing.
BEFORE_PYTHON = frozenset({"PYTHONPATH", "LD_PRELOAD"})
QUIET, FIRES, OVER = "all is well", "outage", "mended"
#: What stands for the operator's own in a command of the runbook.
PLACEHOLDERS = re.compile(
    r"\b(?:ACCOUNT|DOMAIN|FEED|F|ID|NAME|NUMBER|PID|WEB|WHY)\b|\\\.\\\.(?=\\ |$)"
)


class Drill:
    """A rosterd in this process, and the processes that an operator starts beside it."""

    def __init__(self, rosterd: Rosterd, **environment: str) -> None:
        self.rosterd = rosterd
        settings = rosterd.settings
        self.environment = {
            "ROSTERD_DATA_DIR": str(settings.data_dir),
            "ROSTERD_DATABASE_URL": settings.database,
            "ROSTERD_BROKER_URL": settings.broker,
            "ROSTERD_METRICS_TOKEN": "own",
            "ROSTERD_SWEEP_SECONDS": "0.5",
            "ROSTERD_LOG_LEVEL": "error",
            # As env.example has it, and as the commands of PostgreSQL take it.
            "DATABASE": settings.database.replace("+psycopg", ""),
            **environment,
        }
        self.typed: list[str] = []
        self.feed: Feed = rosterd.account()
        rosterd.hire(self.feed, "u0")
        rosterd.parts.sweep.run()

    # -- what Prometheus does ------------------------------------------------------------

    def film(self, *, workers: Callable[[], str | None] | None = None) -> Film:
        """Of the web application in this process, or of a worker alone."""
        film = Film(None if workers else self._scrape_here, workers=workers)
        film.scene(QUIET)
        return film

    def _scrape_here(self) -> str:
        self.rosterd.parts.gauges._known = None
        bearer = {"Authorization": f"Bearer {self._token()}"}
        return str(self.rosterd.http.get("/metrics", headers=bearer).text)

    def _token(self) -> str:
        if not hasattr(self, "_made"):
            with self.rosterd.setup() as use:
                self._made = use.add_token(None, name="prometheus", scopes=["metrics"])
        return self._made

    # -- what the operator does ----------------------------------------------------------

    def command(self, *words: str, code: int = 0, **environment: str) -> str:
        """A command of rosterd's; all that it said."""
        self.typed.append(" ".join(("rosterd", *words)))
        done = self.rosterd.cli(*words, **{**self.environment, **environment})
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout + done.stderr

    def shell(self, line: str) -> str:
        """A line as the runbook has it; its output."""
        program = line.partition(" ")[0]
        if shutil.which(program) is None:
            missing(program, f"there is no {program}")
        self.typed.append(line)
        done = subprocess.run(
            ["bash", "-c", line],
            env={**os.environ, **self.environment},
            capture_output=True,
            text=True,
            check=False,
        )
        return done.stdout + done.stderr

    @contextmanager
    def process(
        self, *words: str, log: Path | None = None, ends: int = signal.SIGTERM, **environment: str
    ) -> Iterator[Process]:
        """A process that the section says to start, or that was there before.

        ends: how its whole group is ended, for a process that cannot be trusted to end itself.
        """
        self.typed.append(" ".join(("rosterd", *words)))
        process = self._started(words, log, {**self.environment, **environment})
        try:
            yield process
        finally:
            _end(process, ends)

    def _started(
        self, words: tuple[str, ...], log: Path | None, environment: dict[str, str]
    ) -> Process:
        if not environment.keys() & BEFORE_PYTHON:
            whole = {**os.environ, **environment}
            return of_this_process().start(*words, log=log, environment=whole)
        with (log or Path(os.devnull)).open("ab") as told:
            return subprocess.Popen(
                [sys.executable, "-m", "worker", *words],
                env={**os.environ, **environment},
                stdout=told if log else None,
                stderr=told if log else None,
                start_new_session=True,
            )

    @contextmanager
    def measured(
        self, *words: str, within: float = 120, **more: Any
    ) -> Iterator[Callable[[], str | None]]:
        """A worker that tells its metrics; how to scrape it, once it reads the state.

        within: seconds until then at most, or TimeoutError.
        """
        port = free_port()
        with self.process("worker", *words, "--metrics-port", str(port), **more):
            scrape = scraped(port)
            readable = "rosterd_state_readable 1.0"
            await_true(lambda: readable in (scrape() or ""), seconds=within, name="the state")
            yield scrape

    # -- what happens --------------------------------------------------------------------

    def age(self, table: Any, column: str, seconds: float) -> None:
        """As if it had happened so long ago."""
        then = datetime.now(UTC) - timedelta(seconds=seconds)
        with self.rosterd.parts.database.begin() as connection:
            connection.execute(update(table).values({column: then}))
            connection.commit()


def _end(process: Process, number: int) -> None:
    """By a signal to the parent alone, which tells its children, or by SIGKILL to all of them."""
    if number != signal.SIGKILL:
        process.send_signal(number)
    try:
        process.wait(timeout=0 if number == signal.SIGKILL else 40)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        assert number == signal.SIGKILL, "it did not end by itself"


@contextmanager
def staged(
    database_url: str, folder: Path, *, settings: dict[str, object] | None = None, **more: str
) -> Iterator[tuple[Drill, RedisServer]]:
    """A drill on this database, with a broker of its own."""
    if shutil.which("redis-server") is None:
        missing("redis", "there is no redis-server to start")
    broker = RedisServer(folder / "redis")
    with ExitStack() as stack:
        stack.callback(broker.stop)
        broker.start()
        rosterd = Rosterd(database_url, folder, broker_url=broker.url, **(settings or {}))
        stack.callback(rosterd.close)
        stack.enter_context(rosterd.serving())
        yield Drill(rosterd, **more), broker


def scraped(port: int) -> Callable[[], str | None]:
    """How to scrape a process at this port; None where it does not answer."""
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/metrics", headers={"Authorization": "Bearer own"}
    )

    def scrape() -> str | None:
        with suppress(OSError), urllib.request.urlopen(request, timeout=8) as answer:
            return str(answer.read().decode())
        return None

    return scrape


def played(drill: Drill, film: Film, alert: str) -> None:
    """The alert fired during the outage only, and every command of its section was typed."""
    assert film.firing(alert) == {QUIET: False, FIRES: True, OVER: False}
    for written in commands_of(alert):
        pattern = re.compile(PLACEHOLDERS.sub(r"\\S+", re.escape(written)))
        assert any(pattern.match(line) for line in drill.typed), f"not played: {written}"


def commands_of(alert: str) -> list[str]:
    """The commands of an alert's section, as they are written."""
    text = RUNBOOK.read_text(encoding="utf-8")
    sections = dict(re.findall(r"^## (\w+)\n(.*?)(?=^## |\Z)", text, re.DOTALL | re.MULTILINE))
    return re.findall(r"`((?:rosterd|curl|psql) [^`]+)`", sections[alert])

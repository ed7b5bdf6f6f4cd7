"""`rosterd web`, `worker`, `beat`: one process each, as the Procfile calls them."""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path
from typing import Annotated

import typer

from domain.errors import UsageError
from domain.inbox import Lane
from worker.cli.session import container
from worker.settings import LANES_VARIABLE, METRICS_PORT_VARIABLE
from worker.telemetry import share_counters


def beside(program: str) -> str:
    """A program of the same environment as this interpreter."""
    return str(Path(sys.executable).parent / program)


def web_command(host: str, port: int, workers: int) -> list[str]:
    """The ASGI server over `worker.web.asgi`."""
    return [
        beside("granian"),
        *("--interface", "asgi"),
        *("--host", host),
        *("--port", str(port)),
        *("--workers", str(workers)),
        # A status page left open would hold the end up for as long as this.
        *("--workers-kill-timeout", "5"),
        # A web process that dies is replaced while the others go on.
        "--respawn-failed-workers",
        *("--respawn-interval", "0.2"),
        "--no-ws",
        *("--log-level", "warning"),
        "worker.web.asgi:app",
    ]


def worker_command(lanes: list[str], concurrency: int) -> list[str]:
    """A Celery worker of these lanes."""
    return [
        beside("celery"),
        "--quiet",
        *("-A", "worker.tasks.app"),
        "worker",
        *("-Q", ",".join(lanes)),
        *("-c", str(concurrency)),
        *("-n", f"{'-'.join(lanes)}-{os.getpid()}@%h"),
        "--without-gossip",
        "--without-mingle",
        *("--loglevel", "WARNING"),
    ]


def beat_command() -> list[str]:
    """Celery's clock; its schedule is code, so it keeps no file."""
    celery = [beside("celery"), "--quiet", "-A", "worker.tasks.app"]
    return [*celery, "beat", "--loglevel", "WARNING", "--pidfile="]


def register(app: typer.Typer) -> None:
    """Add the commands."""

    @app.command("web")
    def web(
        host: Annotated[str, typer.Option()] = "127.0.0.1",
        port: Annotated[int, typer.Option(envvar="PORT")] = 8080,
        workers: Annotated[int, typer.Option(help="Web processes.")] = 1,
    ) -> None:
        """Serve HTTP: hooks, members' pages, status."""
        if workers > 1:
            # Whichever of them a scraper meets tells the counters of all.
            _count_together(f"web-{port}")
        _become(web_command(host, port, workers))

    @app.command("worker")
    def worker(
        lanes: Annotated[str, typer.Option(help="urgent, standard, bulk")] = "urgent,standard,bulk",
        concurrency: Annotated[int | None, typer.Option(help="Pool children.")] = None,
        metrics_port: Annotated[
            int | None, typer.Option(help="Serve this worker's counters to Prometheus there.")
        ] = None,
    ) -> None:
        """Consume rings and drain the inbox."""
        names = [name.strip() for name in lanes.split(",") if name.strip()]
        unknown = [name for name in names if name not in list(Lane)]
        if unknown or not names:
            raise UsageError(f"--lanes {lanes!r}: any of {', '.join(Lane)}")
        os.environ[LANES_VARIABLE] = ",".join(names)
        if metrics_port is not None:
            os.environ[METRICS_PORT_VARIABLE] = str(metrics_port)
            _count_together(str(metrics_port))
        _become(worker_command(names, concurrency or default_concurrency(names)))

    @app.command("beat")
    def beat() -> None:
        """Ring the sweep on time. Workers sweep without it, too."""
        _become(beat_command())


def default_concurrency(lanes: list[str]) -> int:
    """SQLite has one writer; urgent work needs one child that is never busy with other work."""
    if container().settings.database.startswith("sqlite") or lanes == [Lane.URGENT.value]:
        return 1
    return 2


def _count_together(name: str) -> None:
    """Let the processes that this one becomes share their counters, under a name of the set's own.

    Not in the data directory: containers that have it in common have ports in common.
    """
    folder = Path(tempfile.gettempdir()) / f"rosterd-{os.getuid()}-metrics-{name}"
    os.environ.update(share_counters(folder))


def _become(command: list[str]) -> None:
    """Replace this process, so that signals reach the real one."""
    sys.stdout.flush()
    os.execv(command[0], command)  # noqa: S606 - no shell, our own arguments

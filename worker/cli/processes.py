"""`rosterd web`, `worker`, `beat`: one process each, as the Procfile calls them."""

from __future__ import annotations

import os
import signal
import sys
import tempfile
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any

import typer

from domain.errors import UsageError
from domain.inbox import Lane
from worker.cli.options import HIGHEST_PORT, Host
from worker.settings import LANES_VARIABLE, METRICS_PORT_VARIABLE, load_settings
from worker.shared_counters import share_counters

#: Processes of one kind, at most.
MOST = 1_000

WEB_APP = "worker.web.asgi:app"
TASKS = "worker.tasks.app"


def serve(host: str, port: int, workers: int, app: str = WEB_APP) -> None:
    """Be the ASGI server until a signal ends it."""
    from granian.constants import Interfaces  # noqa: PLC0415 - only who serves needs it
    from granian.http import HTTP1Settings  # noqa: PLC0415
    from granian.log import LogLevels  # noqa: PLC0415
    from granian.server import Server  # noqa: PLC0415

    Server(
        app,
        address=host,
        port=port,
        interface=Interfaces.ASGI,
        workers=workers,
        http1_settings=HTTP1Settings(),
        websockets=False,
        log_level=LogLevels.warning,
        # A status page left open would hold the end up for as long as this.
        workers_kill_timeout=5,
        # A web process that dies is replaced while the others go on.
        respawn_failed_workers=True,
        respawn_interval=0.2,
    ).serve(target_loader=_loaded)


def _loaded(app: str) -> Any:
    """In a web process, not served yet: told to end now, it must not take it for its parent's."""
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    module, name = app.split(":")
    return getattr(import_module(module), name)


#: Of a worker of nothing but replays, backfills and mails, beside whoever is waited for.
BULK_NICENESS = 10


def consume(lanes: list[str], concurrency: int) -> None:
    """Be the Celery worker of these lanes until a signal ends it."""
    os.environ[LANES_VARIABLE] = ",".join(lanes)
    if lanes == [Lane.BULK.value]:
        os.nice(BULK_NICENESS)
    worker = tasks().Worker(
        hostname=f"{'-'.join(lanes)}-{os.getpid()}@%h",
        queues=lanes,
        concurrency=concurrency,
        pool_cls="prefork",
        loglevel="WARNING",
        quiet=True,
        without_gossip=True,
        without_mingle=True,
    )
    worker.start()
    sys.exit(worker.exitcode)


def ring_on_time() -> None:
    """Be Celery's clock; its schedule is code, so it keeps no file."""
    tasks().Beat(loglevel="WARNING", quiet=True).run()


def tasks() -> Any:
    """The Celery app with every task, found by its name as `celery -A` finds it."""
    return import_module(TASKS).app


def web_command(host: str, port: int, workers: int) -> list[str]:
    """How to start a web process."""
    return rosterd("web", "--host", host, "--port", str(port), "--workers", str(workers))


def worker_command(lanes: list[str], concurrency: int) -> list[str]:
    """How to start a worker of these lanes."""
    return rosterd("worker", "--lanes", ",".join(lanes), "--concurrency", str(concurrency))


def beat_command() -> list[str]:
    """How to start the clock."""
    return rosterd("beat")


def beside(program: str) -> str:
    """A program of the same environment as this interpreter."""
    return str(Path(sys.executable).parent / program)


def rosterd(*words: str) -> list[str]:
    """A command of this very installation."""
    return [sys.executable, "-m", "worker", *words]


def register(app: typer.Typer) -> None:
    """Add the commands."""

    @app.command("web")
    def web(
        host: Host = "127.0.0.1",
        port: Annotated[int, typer.Option(envvar="PORT", min=1, max=HIGHEST_PORT)] = 8080,
        workers: Annotated[int, typer.Option(min=1, max=MOST, help="Web processes.")] = 1,
    ) -> None:
        """Serve HTTP: hooks, members' pages, status."""
        if workers > 1:
            # Whichever of them a scraper meets tells the counters of all.
            _count_together(f"web-{port}")
        serve(host, port, workers)

    @app.command("worker")
    def worker(
        lanes: Annotated[str, typer.Option(help="urgent, standard, bulk")] = "urgent,standard,bulk",
        concurrency: Annotated[
            int | None, typer.Option(min=1, max=MOST, help="Pool children.")
        ] = None,
        metrics_port: Annotated[
            int | None,
            typer.Option(
                min=1, max=HIGHEST_PORT, help="Serve this worker's counters to Prometheus there."
            ),
        ] = None,
    ) -> None:
        """Consume rings and drain the inbox."""
        names = [name.strip() for name in lanes.split(",") if name.strip()]
        unknown = [name for name in names if name not in list(Lane)]
        if unknown or not names:
            raise UsageError(f"--lanes {lanes!r}: any of {', '.join(Lane)}")
        if metrics_port is not None:
            os.environ[METRICS_PORT_VARIABLE] = str(metrics_port)
            _count_together(str(metrics_port))
        consume(names, concurrency or default_concurrency(names))

    @app.command("beat")
    def beat() -> None:
        """Ring the sweep on time. Workers sweep without it, too."""
        ring_on_time()


def default_concurrency(lanes: list[str]) -> int:
    """SQLite has one writer; urgent work needs one child that is never busy with other work.

    Bulk work is as fast by one, whose mails leave in a thread of their own.
    """
    is_single = lanes in ([Lane.URGENT.value], [Lane.BULK.value])
    return 1 if is_single or load_settings().database.startswith("sqlite") else 2


def _count_together(name: str) -> None:
    """Let the processes that this one becomes share their counters, under a name of the set's own.

    Not in the data directory: containers that have it in common have ports in common.
    """
    folder = Path(tempfile.gettempdir()) / f"rosterd-{os.getuid()}-metrics-{name}"
    os.environ.update(share_counters(folder))

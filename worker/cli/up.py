"""`rosterd up`: everything in one terminal; what dies is started again, Ctrl-C stops it cleanly.

What all processes need is loaded once, here, and shared: this process forks them. It keeps neither
threads nor open connections, which would be halved by a fork.
"""

from __future__ import annotations

import fcntl
import os
import sys
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from domain.errors import RefusedError
from domain.inbox import Lane
from worker.adapters.embedded import start_broker
from worker.cli.addresses import free_port, is_ready, take_port
from worker.cli.forked import Forked
from worker.cli.options import HIGHEST_PORT, Host
from worker.cli.output import out
from worker.cli.processes import consume, default_concurrency, ring_on_time, serve, tasks
from worker.cli.running import told_by_environment
from worker.cli.supervisor import Child, Supervisor
from worker.settings import PUBLIC_URL_FILE, Settings, load_settings
from worker.shared_counters import share_counters

PATIENCE_SECONDS = 30.0


def bring_up(
    settings: Settings,
    supervisor: Supervisor,
    *,
    host: str,
    port: int | None,
    public_url: str | None,
) -> str:
    """Migrate, start everything, wait until it is ready: its address. Raises RefusedError."""
    _hold_directory(settings.made_data_dir())
    port = port or free_port(host)
    take_port(host, port)
    url = f"http://{'127.0.0.1' if host == '0.0.0.0' else host}:{port}"  # noqa: S104
    (settings.data_dir / PUBLIC_URL_FILE).write_text(public_url or url)
    os.environ.update(_environment(settings, public_url or url))
    _start(settings, supervisor, host, port)
    deadline = time.monotonic() + PATIENCE_SECONDS
    supervisor.watch(lambda: is_ready(url) or time.monotonic() > deadline)
    if not is_ready(url):
        raise RefusedError(f"{url} did not become ready within 30 s; see the log above")
    return url


def _start(settings: Settings, supervisor: Supervisor, host: str, port: int) -> None:
    """Each as soon as what it shares is loaded: the web process loads the rest meanwhile."""
    # Counters look at the environment as they are loaded.
    from worker.adapters.db.migrate import migrate  # noqa: PLC0415
    from worker.bootstrap import build  # noqa: PLC0415

    parts = build()
    parts.vault  # noqa: B018 - makes the key before two processes could
    if settings.is_embedded_broker:
        broker = partial(start_broker, settings.broker_socket, settings.data_dir)
        supervisor.add(Child("broker", broker))
    # Not ready before the schema is.
    supervisor.add(Child("web", _forked("web", partial(serve, host, port, 1))))
    migrate(parts.database)
    parts.close()
    tasks()
    for name, lanes in _workers(settings).items():
        run = partial(consume, lanes, default_concurrency(lanes))
        supervisor.add(Child(name, _forked(name, run)))
    supervisor.add(Child("beat", _forked("beat", ring_on_time)))


def _workers(settings: Settings) -> Mapping[str, list[str]]:
    """Lanes by process, as the Procfile has them; SQLite has one writer, whoever asks."""
    urgent, standard, bulk = (lane.value for lane in Lane)
    if settings.database.startswith("sqlite"):
        return {"worker": [standard, bulk], "urgent": [urgent]}
    return {"worker": [standard], "bulk": [bulk], "urgent": [urgent]}


def _forked(name: str, run: Callable[[], None]) -> Callable[[], Forked]:
    return partial(Forked, f"rosterd-{name}", run)


def _environment(settings: Settings, public_url: str) -> Mapping[str, str]:
    """What the children are told. The web process's /metrics tells the workers' counters, too."""
    return {
        **told_by_environment(settings),
        **share_counters(settings.data_dir.resolve() / "metrics"),
        "ROSTERD_PUBLIC_URL": public_url,
    }


def _hold_directory(data_dir: Path) -> None:
    """One `rosterd up` per data directory; the lock goes with the process."""
    handle = os.open(data_dir / "up.lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise RefusedError(f"another `rosterd up` is running on {data_dir.resolve()}") from error


def _say(text: str) -> None:
    out.print(f"rosterd: {text}", markup=False)


def register(app: typer.Typer) -> None:
    """Add the command."""

    @app.command("up")
    def up(
        host: Host = "127.0.0.1",
        port: Annotated[
            int | None, typer.Option(min=1, max=HIGHEST_PORT, help="Default: the next free one.")
        ] = None,
        public_url: Annotated[str | None, typer.Option(help="How the world reaches it.")] = None,
        data_dir: Annotated[Path | None, typer.Option()] = None,
        database_url: Annotated[str | None, typer.Option()] = None,
        broker_url: Annotated[str | None, typer.Option()] = None,
    ) -> None:
        """Run web, workers and beat here; embedded database and broker where no URL is given."""
        settings = load_settings(
            data_dir=data_dir, database_url=database_url, broker_url=broker_url
        )
        supervisor = Supervisor([], told=_say)
        supervisor.stop_on_signals()
        public_url = public_url or os.environ.get("ROSTERD_PUBLIC_URL")
        try:
            url = bring_up(settings, supervisor, host=host, port=port, public_url=public_url)
            _say(f"ready {url}")
            sys.stdout.flush()
            supervisor.watch()
            _say("stopping")
        finally:
            supervisor.stop()
        _say("stopped")

"""`rosterd up`: everything in one terminal; what dies is started again, Ctrl-C stops it cleanly."""

from __future__ import annotations

import fcntl
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import typer

from domain.errors import RefusedError
from worker.adapters.db.migrate import migrate
from worker.adapters.embedded import end_with_parent, start_broker
from worker.bootstrap import build
from worker.cli.output import out
from worker.cli.processes import beat_command, web_command, worker_command
from worker.settings import LANES_VARIABLE, PUBLIC_URL_FILE, Settings, load_settings
from worker.telemetry import share_counters

FIRST_PORT = 8080
GRACE_SECONDS = 20
#: A child that dies is started again after this long, doubled while it keeps dying.
RESTART_SECONDS = 0.2
LONGEST_RESTART_SECONDS = 5.0
STEADY_SECONDS = 10


@dataclass(slots=True)
class Child:
    """One supervised process."""

    name: str
    start: Callable[[], subprocess.Popen[bytes]]
    process: subprocess.Popen[bytes] | None = None
    restart_at: float = 0.0
    delay: float = RESTART_SECONDS
    started_at: float = 0.0


@dataclass(slots=True)
class Supervisor:
    """Starts children in order, restarts who dies, stops them in the opposite order."""

    children: list[Child]
    told: Callable[[str], None]
    is_stopping: bool = False
    _asked: list[int] = field(default_factory=list)

    def start(self) -> None:
        """Start every child."""
        for child in self.children:
            self._launch(child)

    def stop_on_signals(self) -> None:
        """Ctrl-C and SIGTERM end `watch`."""
        if threading.current_thread() is not threading.main_thread():
            return
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, lambda got, _frame: self._asked.append(got))

    def watch(self, tick: Callable[[], bool] = lambda: False) -> None:
        """Until asked to stop, or until tick says so."""
        while not self._asked and not self.is_stopping and not tick():
            for child in self.children:
                self._look_after(child)
            time.sleep(0.1)

    def stop(self) -> None:
        """Ask each child to end, the last started first; kill who does not."""
        self.is_stopping = True
        for child in reversed(self.children[1:] or self.children):
            _signal(child, signal.SIGTERM)
        self._await(self.children[1:])
        for child in self.children[:1]:
            _signal(child, signal.SIGTERM)
        self._await(self.children[:1])

    def _await(self, children: list[Child]) -> None:
        deadline = time.monotonic() + GRACE_SECONDS
        for child in children:
            if child.process is None:
                continue
            try:
                child.process.wait(max(0.1, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                self.told(f"{child.name} did not stop in time and is killed")
                _signal(child, signal.SIGKILL)
                child.process.wait()

    def _launch(self, child: Child) -> None:
        child.process = child.start()
        child.started_at = time.monotonic()
        child.restart_at = 0.0

    def _look_after(self, child: Child) -> None:
        if child.process is None or child.process.poll() is None:
            return
        now = time.monotonic()
        if child.restart_at == 0.0:
            lived = now - child.started_at
            child.delay = (
                RESTART_SECONDS
                if lived > STEADY_SECONDS
                else min(child.delay * 2, LONGEST_RESTART_SECONDS)
            )
            child.restart_at = now + child.delay
            self.told(f"{child.name} ended ({child.process.returncode}), starting it again")
        elif now >= child.restart_at:
            self._launch(child)


def _signal(child: Child, number: int) -> None:
    """To the child's whole group: a pool's children must not outlive their parent."""
    if child.process is None or child.process.poll() is not None:
        return
    if number == signal.SIGKILL:
        with suppress(ProcessLookupError):
            os.killpg(child.process.pid, number)
    child.process.send_signal(number)


@dataclass(frozen=True, slots=True)
class Running:
    """A running set: where it answers, and how to stop it."""

    url: str
    settings: Settings
    supervisor: Supervisor


def bring_up(settings: Settings, *, host: str, port: int | None, public_url: str | None) -> Running:
    """Migrate, start everything, wait until it is ready; raises RefusedError."""
    settings.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    _hold_directory(settings.data_dir)
    port = port or free_port(host)
    url = f"http://{'127.0.0.1' if host == '0.0.0.0' else host}:{port}"  # noqa: S104
    (settings.data_dir / PUBLIC_URL_FILE).write_text(public_url or url)
    environment = _environment(settings, public_url or url)
    parts = build(
        data_dir=settings.data_dir,
        database_url=settings.database_url,
        broker_url=settings.broker_url,
    )
    migrate(parts.database)
    parts.vault  # noqa: B018 - makes the key before two processes could
    parts.close()
    supervisor = Supervisor(_children(settings, host, port, environment), told=_say)
    supervisor.stop_on_signals()
    supervisor.start()
    try:
        _await_ready(url, supervisor)
    except BaseException:
        supervisor.stop()
        raise
    return Running(url, settings, supervisor)


def _children(
    settings: Settings, host: str, port: int, environment: Mapping[str, str]
) -> list[Child]:
    embedded = []
    if settings.is_embedded_broker:
        broker = lambda: start_broker(settings.broker_socket, settings.data_dir)  # noqa: E731
        embedded.append(Child("broker", broker))
    width = 1 if settings.database.startswith("sqlite") else 2
    commands = {
        "web": web_command(host, port, 1),
        "worker": worker_command(["standard", "bulk"], width),
        "urgent": worker_command(["urgent"], 1),
        "beat": beat_command(),
    }
    lanes = {"worker": "standard,bulk", "urgent": "urgent"}
    return embedded + [
        Child(name, _starter(command, {**environment, LANES_VARIABLE: lanes.get(name, "")}))
        for name, command in commands.items()
    ]


def _starter(
    command: list[str], environment: dict[str, str]
) -> Callable[[], subprocess.Popen[bytes]]:
    def start() -> subprocess.Popen[bytes]:
        return subprocess.Popen(  # noqa: S603 - no shell, our own arguments
            command,
            env=environment,
            start_new_session=True,
            stdin=subprocess.DEVNULL,
            preexec_fn=end_with_parent,  # noqa: PLW1509 - one system call, no locks
        )

    return start


def _environment(settings: Settings, public_url: str) -> dict[str, str]:
    environment = dict(os.environ)
    environment["ROSTERD_DATA_DIR"] = str(settings.data_dir.resolve())
    environment["ROSTERD_PUBLIC_URL"] = public_url
    environment["ROSTERD_LOG_LEVEL"] = settings.log_level
    # The web process's /metrics then tells the workers' counters, too.
    environment |= share_counters(settings.data_dir.resolve() / "metrics")
    environment["ROSTERD_SWEEP_SECONDS"] = str(settings.sweep_seconds)
    for name, value in (
        ("ROSTERD_DATABASE_URL", settings.database_url),
        ("ROSTERD_BROKER_URL", settings.broker_url),
    ):
        if value is not None:
            environment[name] = value.get_secret_value()
    return environment


def _hold_directory(data_dir: Path) -> None:
    """One `rosterd up` per data directory; the lock goes with the process."""
    handle = os.open(data_dir / "up.lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise RefusedError(f"another `rosterd up` is running on {data_dir.resolve()}") from error


def free_port(host: str) -> int:
    """The first from 8080 on that nobody listens on; raises RefusedError."""
    for port in range(FIRST_PORT, FIRST_PORT + 200):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((host, port))
            except OSError:
                continue
            if _reserved(port):
                return port
    raise RefusedError(f"no free port on {host} from {FIRST_PORT} on; name one with --port")


def _reserved(port: int) -> bool:
    """Take the port until this process ends: two that start together must not both choose it.

    The server that listens later shares its port among its own processes, so the kernel would
    let a second set in, and requests would reach either.
    """
    path = Path(tempfile.gettempdir()) / f"rosterd-{os.getuid()}-port-{port}.lock"
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(handle)
        return False
    return True


def _await_ready(url: str, supervisor: Supervisor, seconds: float = 30.0) -> None:
    deadline = time.monotonic() + seconds

    def is_over() -> bool:
        return is_ready(url) or time.monotonic() > deadline

    supervisor.watch(is_over)
    if not is_ready(url):
        raise RefusedError(f"{url} did not become ready within {seconds:.0f} s; see the log above")


def is_ready(url: str) -> bool:
    """Whether the web process at this address takes requests."""
    try:
        with urllib.request.urlopen(f"{url}/readyz", timeout=2) as answer:  # noqa: S310
            return bool(answer.status == 200)  # noqa: PLR2004
    except (urllib.error.URLError, OSError):
        return False


def _say(text: str) -> None:
    out.print(f"rosterd: {text}", markup=False)


def register(app: typer.Typer) -> None:
    """Add the command."""

    @app.command("up")
    def up(
        host: Annotated[str, typer.Option()] = "127.0.0.1",
        port: Annotated[int | None, typer.Option(help="Default: the next free one.")] = None,
        public_url: Annotated[str | None, typer.Option(help="How the world reaches it.")] = None,
        data_dir: Annotated[Path | None, typer.Option()] = None,
        database_url: Annotated[str | None, typer.Option()] = None,
        broker_url: Annotated[str | None, typer.Option()] = None,
    ) -> None:
        """Run web, workers and beat here; embedded database and broker where no URL is given."""
        settings = load_settings(
            data_dir=data_dir, database_url=database_url, broker_url=broker_url
        )
        running = bring_up(settings, host=host, port=port, public_url=public_url or _given_url())
        _say(f"ready {running.url}")
        sys.stdout.flush()
        running.supervisor.watch()
        _say("stopping")
        running.supervisor.stop()
        _say("stopped")


def _given_url() -> str | None:
    return os.environ.get("ROSTERD_PUBLIC_URL")

"""Servers of the harness's own, so that they can be killed, frozen and restarted at will."""

from __future__ import annotations

import contextlib
import getpass
import os
import random
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import redis
from kombu import Connection


def pg_bin() -> Path | None:
    """Where the server's commands are; Debian keeps them out of the path."""
    found = shutil.which("initdb")
    debian = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    path = Path(found) if found else next(iter(debian[-1:]), None)
    return path.parent if path else None


def free_port() -> int:
    """A port that nobody listens on right now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def await_true(what: Callable[[], Any], *, seconds: float = 60.0, name: str = "it") -> Any:
    """Wait until it answers something true, whatever it raises meanwhile; that answer.

    TimeoutError tells what it last answered or raised.
    """
    deadline, last = time.monotonic() + seconds, "nothing yet"
    while time.monotonic() < deadline:
        try:
            if found := what():
                return found
            last = repr(found)
        except Exception as error:  # noqa: BLE001 - whatever it raises is what it last said
            last = repr(error)
        time.sleep(0.05)
    raise TimeoutError(f"{name} did not come within {seconds:.0f} s, but at last {last}")


class PostgresServer:
    """A cluster in a folder, with fsync on, in which a backend's death restarts all of it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        self.bin = pg_bin() or Path()
        # PostgreSQL refuses to run as root.
        self._as = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"]
        if getpass.getuser() != "root":
            self._as = []

    @property
    def url(self) -> str:
        return f"postgresql://postgres@127.0.0.1:{self.port}/postgres"

    def start(self) -> None:
        self.folder.mkdir(parents=True)
        if self._as:
            shutil.chown(self.folder, "postgres", "postgres")
            for parent in self.folder.parents[:2]:
                parent.chmod(0o755)
        data = str(self.folder / "data")
        self._run("initdb", "-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8")
        with (self.folder / "data" / "postgresql.conf").open("a") as conf:
            conf.write(
                f"port={self.port}\nlisten_addresses='127.0.0.1'\n"
                f"unix_socket_directories=''\nmax_connections=100\n"
            )
        self._control("start")

    def start_again(self) -> None:
        """After `stop`: with what it held."""
        self._control("start")

    def restart(self, mode: str) -> None:
        """`fast`: everybody is thrown out. `immediate`: as a crash, recovery from the log."""
        self._control("restart", "-m", mode)

    def kill_backend(self) -> None:
        """SIGKILL one backend that rosterd uses: the server restarts all of them."""
        with psycopg.connect(self.url, autocommit=True) as connection:
            found = connection.execute(
                "SELECT pid FROM pg_stat_activity WHERE backend_type = 'client backend' "
                "AND pid <> pg_backend_pid()"
            ).fetchall()
        if found:
            os.kill(random.choice(found)[0], signal.SIGKILL)
        await_true(self.is_answering, seconds=60, name="postgresql")

    def is_answering(self) -> bool:
        with psycopg.connect(self.url, connect_timeout=2) as connection:
            return connection.execute("SELECT 1").fetchone() == (1,)

    def stop(self) -> None:
        with contextlib.suppress(subprocess.CalledProcessError):
            self._control("stop", "-m", "immediate")

    def _control(self, *words: str) -> None:
        data, log = str(self.folder / "data"), str(self.folder / "log")
        self._run("pg_ctl", "-D", data, "-l", log, "-w", *words)

    def _run(self, program: str, *words: str) -> None:
        command = [*self._as, str(self.bin / program), *words]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


class _Broker:
    """A broker in a process group of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        self.process: subprocess.Popen[bytes] | None = None

    url: str

    def start(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        self._launch()
        await_true(self.is_answering, seconds=60, name="broker")

    def is_answering(self) -> bool:
        with Connection(self.url, connect_timeout=2) as connection:
            connection.ensure_connection(max_retries=0, timeout=2)
            return True

    def kill(self) -> None:
        """SIGKILL, then start it again."""
        self.away()
        self.back()

    def away(self) -> None:
        """SIGKILL, until it is `back`."""
        self._signal(signal.SIGKILL)
        assert self.process is not None
        self.process.wait()

    def back(self) -> None:
        self._launch()
        await_true(self.is_answering, seconds=60, name="broker")

    def freeze(self, seconds: float) -> None:
        """It accepts connections and answers nothing."""
        self._signal(signal.SIGSTOP)
        time.sleep(seconds)
        self._signal(signal.SIGCONT)

    def flush(self) -> None:
        raise NotImplementedError

    def stop(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self._signal(signal.SIGKILL)
            self.process.wait()

    def _launch(self) -> None:
        raise NotImplementedError

    def _signal(self, number: int) -> None:
        assert self.process is not None
        os.killpg(self.process.pid, number)

    def _spawn(self, command: list[str], environment: dict[str, str]) -> None:
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                command,
                env={**os.environ, **environment},
                stdout=log,
                stderr=log,
                start_new_session=True,
            )


class RedisServer(_Broker):
    """Nothing on disk: a kill loses all, as a flush does."""

    @property
    def url(self) -> str:  # type: ignore[override]
        return f"redis://127.0.0.1:{self.port}/0"

    def _launch(self) -> None:
        options = ["--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
        self._spawn(["redis-server", "--port", str(self.port), *options], {})

    def flush(self) -> None:
        with redis.Redis.from_url(self.url) as client:
            client.flushall()


class RabbitServer(_Broker):
    """A node of its own name, whose quorum queues live in the folder."""

    @property
    def url(self) -> str:  # type: ignore[override]
        return f"amqp://guest:guest@127.0.0.1:{self.port}//"

    def _launch(self) -> None:
        (self.folder / "plugins").write_text("[].\n")
        name = f"chaos{self.port}@localhost"
        environment = {
            "HOME": str(self.folder),
            "RABBITMQ_NODENAME": name,
            "RABBITMQ_NODE_PORT": str(self.port),
            "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
            "RABBITMQ_DIST_PORT": str(free_port()),
            "RABBITMQ_MNESIA_BASE": str(self.folder / "mnesia"),
            "RABBITMQ_LOG_BASE": str(self.folder),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(self.folder / "plugins"),
            "RABBITMQ_CONFIG_FILE": str(self.folder / "none"),
        }
        server = next(
            (p for p in Path("/usr/lib/rabbitmq/bin").glob("rabbitmq-server")),
            Path(shutil.which("rabbitmq-server") or "rabbitmq-server"),
        )
        self._spawn([str(server)], environment)

    def flush(self) -> None:
        """Purge every lane."""
        with Connection(self.url) as connection:
            for lane in ("urgent", "standard", "bulk"):
                with contextlib.suppress(Exception):
                    connection.default_channel.queue_purge(lane)

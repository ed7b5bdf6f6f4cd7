"""Starts `python -m worker ..` from a process that has loaded libraries and rosterd already.

Most of what a process of rosterd costs until it works is loading SQLAlchemy, Celery, FastAPI
and its own four hundred modules; a test that starts forty of them loads them once. What looks at
the environment as it is loaded (counters, and the applications that are built then) is loaded after
the fork: each process reads its environment as if it had been started by itself.
"""

from __future__ import annotations

import atexit
import gc
import importlib
import json
import os
import pkgutil
import runpy
import select
import signal
import socket
import subprocess
import sys
import threading
import traceback
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from worker.shared_counters import SHARED_FOLDER

#: Built from the environment as they are loaded, or not for a process of rosterd.
NOT_BEFORE = (".__main__", ".asgi", ".bench", ".migrations", "worker.tasks.app")
#: What rosterd's processes load of others and do not name at the top of a module.
LIBRARIES = (
    *("alembic.config", "celery.app.amqp", "celery.apps.beat", "celery.apps.worker"),
    *("celery.backends.base", "celery.concurrency.prefork", "celery.worker.consumer"),
    *("cryptography.fernet", "cryptography.hazmat.primitives.asymmetric.ed25519", "fastapi"),
    *("fastapi.openapi.utils", "granian.server", "httpcore2", "idna", "itsdangerous", "jinja2"),
    *("jsonpatch", "jwt", "kombu.transport.pyamqp", "kombu.transport.redis", "orjson"),
    *("psycopg", "pydantic", "pydantic_settings", "redis", "rich.console", "rich.table"),
    *("sqlalchemy.dialects.postgresql.psycopg", "sqlalchemy.dialects.sqlite.pysqlite"),
    *("standardwebhooks", "starlette.applications", "starlette.routing", "structlog", "typer"),
)


class Preloaded:
    """The process that has them. environment: what its children are started with."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._here, there = socket.socketpair()
        code = f"from tests.preloaded import serve; serve({there.fileno()})"
        self._process = subprocess.Popen(
            [sys.executable, "-c", code],
            env=dict(environment),
            pass_fds=[there.fileno()],
            stdin=subprocess.DEVNULL,
            cwd=Path(__file__).parents[1],
        )
        there.close()
        self._ended: dict[int, int] = {}
        self._started: list[int] = []
        self._heard = threading.Condition()
        self._starting = threading.Lock()
        threading.Thread(target=self._listen, daemon=True).start()

    def start(
        self, *words: str, environment: Mapping[str, str], log: Path | None = None
    ) -> Started:
        """A command of rosterd's, in a session of its own.

        environment: what it has beside the common one. log: where it writes to.
        """
        asked = {"words": words, "environment": dict(environment), "log": str(log or "")}
        with self._starting:
            self._here.sendall(json.dumps(asked).encode() + b"\n")
            with self._heard:
                if not self._heard.wait_for(lambda: self._started, timeout=60):
                    raise TimeoutError("the process that has loaded the libraries does not answer")
                return Started(self, self._started.pop())

    def stop(self) -> None:
        """It starts nothing more; what it started goes on."""
        self._here.shutdown(socket.SHUT_WR)
        self._process.wait(timeout=60)
        self._here.close()

    def how_it_ended(self, pid: int, timeout: float | None) -> int | None:
        """As Popen tells it; None while it runs, or after so many seconds."""
        with self._heard:
            self._heard.wait_for(lambda: pid in self._ended, timeout)
            return self._ended.get(pid)

    def _listen(self) -> None:
        with self._here.makefile("rb") as lines:
            for line in lines:
                told = json.loads(line)
                with self._heard:
                    if "code" in told:
                        self._ended[told["pid"]] = told["code"]
                    else:
                        self._started.append(told["pid"])
                    self._heard.notify_all()


class Started:
    """One of its children, with the part of Popen that a supervisor needs."""

    def __init__(self, parent: Preloaded, pid: int) -> None:
        self._parent = parent
        self.pid = pid

    @property
    def returncode(self) -> int | None:
        return self.poll()

    def poll(self) -> int | None:
        return self._parent.how_it_ended(self.pid, 0)

    def wait(self, timeout: float | None = None) -> int:
        """How it ended; raises TimeoutExpired."""
        found = self._parent.how_it_ended(self.pid, timeout)
        if found is None:
            raise subprocess.TimeoutExpired(str(self.pid), timeout or 0.0)
        return found

    def send_signal(self, sig: int) -> None:
        if self.poll() is None:
            with suppress(ProcessLookupError):
                os.kill(self.pid, sig)


# -- in the process that has them -------------------------------------------------------------


def serve(handle: int) -> None:
    """Start what is asked for and tell how it ended, until nobody asks and all have ended."""
    shared = {name: os.environ.pop(name) for name in (SHARED_FOLDER,) if name in os.environ}
    for module in (*LIBRARIES, *_own("domain", "worker")):
        importlib.import_module(module)
    os.environ.update(shared)
    # The collector of a child would write to every page that it shares with the others.
    gc.freeze()
    asking = socket.socket(fileno=handle)
    ended, wake = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    signal.set_wakeup_fd(wake)
    signal.signal(signal.SIGCHLD, lambda _number, _frame: None)
    # Ctrl-C is for who asks.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    running: set[int] = set()
    lines: Iterator[bytes] | None = asking.makefile("rb")
    while lines is not None or running:
        heard: list[Any] = [ended, *([asking] if lines is not None else [])]
        ready, _, _ = select.select(heard, [], [])
        if ended in ready:
            os.read(ended, 1024)
            for pid, code in _reaped():
                running.discard(pid)
                _tell(asking, pid=pid, code=code)
        if asking in ready and lines is not None:
            # One line at a time: who asks waits for the answer before the next.
            line = next(lines, None)
            if line is None:
                lines = None
                continue
            pid = _forked(json.loads(line))
            running.add(pid)
            _tell(asking, pid=pid)


def _own(*packages: str) -> Iterator[str]:
    """The names of rosterd's modules."""
    for package in packages:
        folder = Path(__file__).parents[1] / package.replace(".", "/")
        for found in pkgutil.iter_modules([str(folder)], f"{package}."):
            if not found.name.endswith(NOT_BEFORE):
                yield found.name
                if found.ispkg:
                    yield from _own(found.name)


def _count_where_told() -> None:
    """Choose anew where counters are kept, now and when the command names a folder for them."""
    share = importlib.import_module("worker.shared_counters").share_counters

    def shared(folder: Path) -> dict[str, str]:
        told: dict[str, str] = share(folder)
        os.environ.update(told)
        _choose()
        return told

    for command in ("processes", "up"):
        vars(importlib.import_module(f"worker.cli.{command}"))["share_counters"] = shared
    _choose()


def _choose() -> None:
    """As prometheus_client did as it was loaded, and whoever counts after it."""
    values = importlib.import_module("prometheus_client.values")
    vars(values)["ValueClass"] = values.get_value_class()
    importlib.reload(importlib.import_module("worker.telemetry"))


def _tell(asking: socket.socket, **told: int) -> None:
    with suppress(OSError):
        asking.sendall(json.dumps(told).encode() + b"\n")


def _reaped() -> Iterator[tuple[int, int]]:
    with suppress(ChildProcessError):
        while (found := os.waitpid(-1, os.WNOHANG))[0]:
            yield found[0], os.waitstatus_to_exitcode(found[1])


def _forked(asked: dict[str, Any]) -> int:
    begun, beginning = os.pipe()
    pid = os.fork()
    if pid:
        os.close(beginning)
        # Empty once the child has closed its end: whoever hears of it may signal its session.
        os.read(begun, 1)
        os.close(begun)
        return pid
    code = 1
    try:
        code = _be(asked)
    finally:
        os._exit(code)


def _be(asked: dict[str, Any]) -> int:
    """In the child: the command, as the interpreter runs it; its exit code."""
    os.setsid()
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    # Neither the pipes nor the socket are the command's.
    os.closerange(3, 64)
    os.environ.update(asked["environment"])
    if asked["log"]:
        log = os.open(asked["log"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        os.dup2(log, 1)
        os.dup2(log, 2)
        os.close(log)
    _count_where_told()
    sys.argv = ["rosterd", *asked["words"]]
    try:
        runpy.run_module("worker", run_name="__main__", alter_sys=True)
        code = 0
    except SystemExit as end:
        code = int(end.code or 0)
    except BaseException:  # noqa: BLE001 - as the interpreter does at the end of a process
        traceback.print_exc()
        code = 1
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    return code

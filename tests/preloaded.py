"""Starts `python -m worker ..` from a process that has loaded libraries and rosterd already.

Most of what a process of rosterd costs until it works is loading SQLAlchemy, Celery, FastAPI
and its own four hundred modules; all tests of a process load them once. What looks at
the environment as it is loaded (counters, and the applications that are built then) is loaded after
the fork: each process reads its environment as if it had been started by itself.
"""

from __future__ import annotations

import atexit
import fcntl
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
import time
import traceback
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, suppress
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any
from unittest import mock

from worker.shared_counters import SHARED_FOLDER

ROOT = Path(__file__).parents[1]
#: Bytes of a message, at most: an environment.
MOST = 1 << 18
#: By this handle a child asks for more; its line, in a child.
_FROM = 3
_lines: dict[int, socket.socket] = {}
_PATH = os.environ.get("PYTHONPATH", "")
#: Kept, for while all others fork.
_Exec = subprocess.Popen
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
    """The process that has them. environment: what its children are started with.

    here: a line to one that runs already; otherwise one is started.
    """

    def __init__(self, environment: Mapping[str, str], here: socket.socket | None = None) -> None:
        self._environment = dict(environment)
        self._process: subprocess.Popen[bytes] | None = None
        self._here = here or self._made()
        self._ended: dict[int, int] = {}
        self._started: list[int] = []
        self._heard = threading.Condition()
        self._starting = threading.Lock()
        threading.Thread(target=self._listen, daemon=True).start()

    def _made(self) -> socket.socket:
        here, there = _line()
        code = f"from tests.preloaded import serve; serve({there.fileno()})"
        self._process = _Exec(
            [sys.executable, "-c", code],
            env={name: value for name, value in os.environ.items() if name != SHARED_FOLDER},
            pass_fds=[there.fileno()],
            stdin=subprocess.DEVNULL,
            cwd=ROOT,
        )
        there.close()
        return here

    def start(
        self, *words: str, environment: Mapping[str, str], log: Path | None = None
    ) -> Started:
        """A command of rosterd's, in a session of its own.

        environment: what it has beside the common one. log: where it writes to.
        """
        whole = {**self._environment, **environment}
        with Path(os.devnull).open("rb") as nothing, (log or Path(os.devnull)).open("ab") as said:
            told = (said.fileno(), said.fileno()) if log else (1, 2)
            files = (nothing.fileno(), *told)
            return self.python("-m", "worker", *words, environment=whole, files=files)

    def python(
        self,
        *words: str,
        environment: Mapping[str, str],
        files: Sequence[int],
        folder: str | None = None,
    ) -> Started:
        """What the interpreter does that is called with these words: `-m` or `-c` and the rest.

        environment: all of it. files: what it reads from, writes to and complains to.
        """
        where = folder or str(Path.cwd())
        asked = {"words": words, "environment": dict(environment), "folder": where}
        with self._starting:
            socket.send_fds(self._here, [json.dumps(asked).encode()], files)
            with self._heard:
                if not self._heard.wait_for(lambda: self._started, timeout=60):
                    raise TimeoutError("the process that has loaded the libraries does not answer")
                return Started(self, self._started.pop())

    @property
    def pid(self) -> int:
        """Of the process itself, where it was started by this one."""
        assert self._process is not None
        return self._process.pid

    def stop(self) -> None:
        """It starts nothing more, and ends what still runs."""
        self._here.shutdown(socket.SHUT_WR)
        if self._process is not None:
            self._process.wait(timeout=60)
        self._here.close()

    def how_it_ended(self, pid: int, timeout: float | None) -> int | None:
        """As Popen tells it; None while it runs, or after so many seconds."""
        with self._heard:
            self._heard.wait_for(lambda: pid in self._ended, timeout)
            return self._ended.get(pid)

    def _listen(self) -> None:
        while line := self._here.recv(MOST):
            told = json.loads(line)
            with self._heard:
                if "code" in told:
                    self._ended[told["pid"]] = told["code"]
                else:
                    # Somebody who has ended may have had this number.
                    self._ended.pop(told["pid"], None)
                    self._started.append(told["pid"])
                self._heard.notify_all()


class Started:
    """One of its children, with the part of Popen that a supervisor needs."""

    def __init__(self, parent: Preloaded, pid: int) -> None:
        self._parent = parent
        self._code: int | None = None
        self.pid = pid

    @property
    def returncode(self) -> int | None:
        return self.poll()

    def poll(self) -> int | None:
        if self._code is None:
            self._code = self._parent.how_it_ended(self.pid, 0)
        return self._code

    def wait(self, timeout: float | None = None) -> int:
        """How it ended; raises TimeoutExpired."""
        if self._code is None:
            self._code = self._parent.how_it_ended(self.pid, timeout)
        if self._code is None:
            raise subprocess.TimeoutExpired(str(self.pid), timeout or 0.0)
        return self._code

    def send_signal(self, sig: int) -> None:
        if self.poll() is None:
            with suppress(ProcessLookupError):
                os.kill(self.pid, sig)


@cache
def of_this_process() -> Preloaded:
    """The one that all tests of this process share; the first who needs it has it load.

    In a child it is the one that it is from: `rosterd play` starts `rosterd up`.
    """
    if _FROM in _lines:
        return Preloaded({}, _lines[_FROM])
    made = Preloaded({})
    atexit.register(made.stop)
    return made


def _line() -> tuple[socket.socket, socket.socket]:
    return socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)


class Popen(subprocess.Popen[Any]):
    """`subprocess.Popen` for this interpreter with `-m` or `-c`, which is not started but forked.

    Such a process is in a session of its own, and its parent is none of its kin.
    """

    _forked: Started | None = None

    def _execute_child(self, *given: Any) -> None:
        words, folder, pipes = given[0], given[5], given[10:16]
        environment = os.environ if given[6] is None else given[6]
        if not _is_python(words, environment):
            super()._execute_child(*given)  # type: ignore[misc]
            return
        # Ends that the child has: what it reads from, writes to and complains to; -1 is our own.
        files = [own if pipe == -1 else pipe for own, pipe in enumerate((*pipes[0:4:3], pipes[5]))]
        self._forked = of_this_process().python(
            *(os.fspath(word) for word in words[1:]),
            environment=environment,
            files=files,
            folder=None if folder is None else os.fspath(folder),
        )
        self.pid = self._forked.pid
        self._close_pipe_fds(*pipes)  # type: ignore[attr-defined]

    def _internal_poll(self, *given: Any, **more: Any) -> int | None:
        if self._forked is None:
            found: int | None = super()._internal_poll(*given, **more)  # type: ignore[misc]
            return found
        self.returncode = self._forked.poll()
        return self.returncode

    def _wait(self, timeout: float | None) -> int:
        if self._forked is None:
            return int(super()._wait(timeout))  # type: ignore[misc]
        self.returncode = self._forked.wait(timeout)
        return self.returncode


def _is_python(words: Any, environment: Mapping[str, str]) -> bool:
    """Whether this interpreter is to do something, and would find the modules that are loaded."""
    is_same = environment.get("PYTHONPATH", "") == _PATH
    return is_same and list(words[:1]) == [sys.executable] and words[1] in ("-m", "-c")


def run(command: Sequence[str], **more: Any) -> subprocess.CompletedProcess[Any]:
    """`subprocess.run` by that Popen."""
    with forking():
        return subprocess.run(command, check=more.pop("check", False), **more)


def forking() -> AbstractContextManager[Any]:
    """Whatever starts this interpreter meanwhile starts it so."""
    return mock.patch.object(subprocess, "Popen", Popen)


# -- in the process that has them -------------------------------------------------------------


def serve(handle: int) -> None:
    """Start what is asked for and tell how it ended, until nobody asks and all have ended."""
    gc.disable()
    for module in (*LIBRARIES, *_own("domain", "worker")):
        importlib.import_module(module)
    # The collector of a child would write to every page that it shares with the others.
    gc.freeze()
    gc.enable()
    first = socket.socket(fileno=handle)
    ended, wake = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    signal.set_wakeup_fd(wake)
    signal.signal(signal.SIGCHLD, lambda _number, _frame: None)
    # Ctrl-C is for who asks.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    asking, running = [first], dict[int, socket.socket]()
    while first in asking or running:
        heard: list[Any] = [ended, *asking]
        ready, _, _ = select.select(heard, [], [])
        if ended in ready:
            os.read(ended, 1024)
            for pid, code in _reaped():
                _tell(running.pop(pid), pid=pid, code=code)
        for one in [line for line in asking if line in ready]:
            _answer(one, asking, running)


def _answer(
    one: socket.socket, asking: list[socket.socket], running: dict[int, socket.socket]
) -> None:
    """Start what somebody asks for; end what they started, if they are gone."""
    said, files, _, _ = socket.recv_fds(one, MOST, 3)
    if said:
        line, childs = _line()
        pid = _forked(json.loads(said), files, childs)
        for handle in files:
            os.close(handle)
        childs.close()
        asking.append(line)
        running[pid] = one
        _tell(one, pid=pid)
        return
    asking.remove(one)
    one.close()
    for pid in [pid for pid, whose in running.items() if whose is one]:
        os.kill(pid, signal.SIGTERM)


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
        asking.send(json.dumps(told).encode())


def _reaped() -> Iterator[tuple[int, int]]:
    with suppress(ChildProcessError):
        while (found := os.waitpid(-1, os.WNOHANG))[0]:
            yield found[0], os.waitstatus_to_exitcode(found[1])


def _forked(asked: dict[str, Any], files: Sequence[int], line: socket.socket) -> int:
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
        code = _be(asked, [*files, line.fileno()])
    finally:
        os._exit(code)


def _be(asked: dict[str, Any], handles: Sequence[int]) -> int:
    """In the child: the command, as the interpreter runs it; its exit code."""
    os.setsid()
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    _take(handles)
    os.chdir(asked["folder"])
    os.environ.clear()
    os.environ.update(asked["environment"])
    try:
        _begin()
        _run(*asked["words"])
        code = 0
    except SystemExit as end:
        code = _code_of(end)
    except BaseException:  # noqa: BLE001 - as the interpreter does at the end of a process
        traceback.print_exc()
        code = 1
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    return code


def _take(handles: Sequence[int]) -> None:
    """Standard files and a line to ask by; no other pipe or socket is the command's."""
    # Out of the way first: one that is put into its place must not be where another still is.
    high = [fcntl.fcntl(handle, fcntl.F_DUPFD, 32) for handle in handles]
    for own, given in enumerate(high):
        os.dup2(given, own, inheritable=own != _FROM)
    os.closerange(_FROM + 1, 1024)
    _lines[_FROM] = socket.socket(fileno=_FROM)
    subprocess.Popen = Popen  # type: ignore[misc]


def _begin() -> None:
    """Do what depends on the environment and was done before it was known."""
    time.tzset()
    for place in reversed(os.environ.get("PYTHONPATH", "").split(os.pathsep)):
        if place and place not in sys.path:
            sys.path.insert(1, place)
            if (custom := Path(place, "sitecustomize.py")).exists():
                runpy.run_path(str(custom), run_name="sitecustomize")
    output = importlib.import_module("worker.cli.output")
    output.out.__init__()
    output.err.__init__(stderr=True)
    _count_where_told()


def _run(flag: str, what: str, *words: str) -> None:
    sys.argv = [flag, *words]
    if flag == "-m":
        runpy.run_module(what, run_name="__main__", alter_sys=True)
        return
    sys.modules["__main__"] = main = ModuleType("__main__")
    exec(compile(what, "<string>", "exec"), vars(main))


def _code_of(end: SystemExit) -> int:
    """As the interpreter takes it: None is 0, and words are said."""
    if end.code is None or isinstance(end.code, int):
        return int(end.code or 0)
    sys.stderr.write(f"{end.code}\n")
    return 1

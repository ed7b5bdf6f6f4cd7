"""Looks after processes: starts them in order, again who dies, and ends them."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Protocol

GRACE_SECONDS = 20
#: A child that dies is started again after this long, doubled while it keeps dying.
RESTART_SECONDS = 0.2
LONGEST_RESTART_SECONDS = 5.0
STEADY_SECONDS = 10


class Process(Protocol):
    """What is asked of a running process: a part of `subprocess.Popen`."""

    @property
    def pid(self) -> int:
        """Its id."""
        ...

    @property
    def returncode(self) -> int | None:
        """How it ended; None while it runs, or nobody has looked."""
        ...

    def poll(self) -> int | None:
        """How it ended; None while it runs."""
        ...

    def wait(self, timeout: float | None = None) -> int:
        """How it ended; raises TimeoutExpired if it has not by then."""
        ...

    def send_signal(self, sig: int) -> None:
        """Send it a signal."""
        ...


@dataclass(slots=True)
class Child:
    """One supervised process."""

    name: str
    start: Callable[[], Process]
    process: Process | None = None
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

    def add(self, child: Child) -> None:
        """One more, started now."""
        self.children.append(child)
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

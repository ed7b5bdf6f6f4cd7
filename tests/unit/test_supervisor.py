"""`rosterd up` looks after its children: real processes, killed and stubborn ones."""

from __future__ import annotations

import itertools
import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from worker.cli import supervisor as looking_after
from worker.cli.supervisor import Child, Supervisor

_SLEEPS = "import time; print('up', flush=True); time.sleep(60)"
_STUBBORN = f"import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); {_SLEEPS}"


def child(name: str, code: str) -> Child:
    def start() -> subprocess.Popen[bytes]:
        process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
        assert process.stdout is not None
        process.stdout.readline()
        process.stdout.close()
        return process

    return Child(name, start)


def test_a_child_that_is_killed_is_started_again() -> None:
    told: list[str] = []
    web = child("web", _SLEEPS)
    supervisor = Supervisor([web], told.append)
    supervisor.start()
    assert web.process is not None
    first = web.process
    os.kill(first.pid, signal.SIGKILL)
    supervisor.watch(tick=lambda: web.process is not first)
    assert web.process.poll() is None
    assert told == [f"web ended ({-signal.SIGKILL}), starting it again"]
    supervisor.stop()
    assert web.process.poll() == -signal.SIGTERM


def test_what_keeps_dying_is_started_ever_more_slowly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(looking_after, "LONGEST_RESTART_SECONDS", 1.0)
    starts: list[float] = []

    def start() -> subprocess.Popen[bytes]:
        starts.append(time.monotonic())
        process = subprocess.Popen([sys.executable, "-c", "raise SystemExit(3)"])
        process.wait()
        return process

    supervisor = Supervisor([Child("beat", start)], lambda _line: None)
    supervisor.start()
    supervisor.watch(tick=lambda: len(starts) == 4)
    gaps = [later - earlier for earlier, later in itertools.pairwise(starts)]
    assert gaps[0] >= looking_after.RESTART_SECONDS
    assert all(later > earlier for earlier, later in itertools.pairwise(gaps))


def test_who_does_not_stop_in_time_is_killed_and_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(looking_after, "GRACE_SECONDS", 0.3)
    told: list[str] = []
    children = [child("broker", _SLEEPS), child("worker", _STUBBORN)]
    supervisor = Supervisor(children, told.append)
    supervisor.start()
    supervisor.stop()
    assert [one.process.poll() for one in children] == [-15, -9]  # type: ignore[union-attr]
    assert told == ["worker did not stop in time and is killed"]


def test_a_signal_ends_the_watch() -> None:
    before = {n: signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    supervisor = Supervisor([], lambda _line: None)
    try:
        supervisor.stop_on_signals()
        timer = threading.Timer(0.2, signal.raise_signal, [signal.SIGTERM])
        timer.start()
        supervisor.watch()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    assert not supervisor.is_stopping

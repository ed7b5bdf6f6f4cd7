"""Processes that start from loaded libraries are processes of rosterd like any other."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.preloaded import Popen, Preloaded, of_this_process, run
from worker.cli.processes import rosterd


@pytest.fixture
def preloaded() -> Preloaded:
    return of_this_process()


def test_it_says_and_ends_as_one_that_starts_by_itself(
    preloaded: Preloaded, tmp_path: Path
) -> None:
    for words in (["domain", "list"], ["worker", "--lanes", "none"], ["--version"]):
        environment = {**os.environ, "ROSTERD_DATA_DIR": str(tmp_path / "data"), "COLUMNS": "80"}
        alone = subprocess.run(
            rosterd(*words),
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            check=False,
        )
        log = tmp_path / words[-1]
        started = preloaded.start(*words, log=log, environment=environment)
        assert started.wait(60) == alone.returncode
        assert log.read_bytes() == alone.stdout


def test_how_it_was_killed_is_told(preloaded: Preloaded, tmp_path: Path) -> None:
    environment = {**os.environ, "ROSTERD_DATA_DIR": str(tmp_path)}
    started = preloaded.start("beat", log=tmp_path / "log", environment=environment)
    assert started.poll() is None
    assert os.getpgid(started.pid) == started.pid
    started.send_signal(signal.SIGKILL)
    assert started.wait(60) == -signal.SIGKILL
    assert started.returncode == -signal.SIGKILL


#: What a process finds: what it was given to read, words, its folder, two variables, its parent.
FINDS = """
import os, sys
print(sys.stdin.read(), sys.argv[1:], os.getcwd(), os.environ.get("TOLD"), os.environ.get("HOME"))
print("complains", file=sys.stderr)
sys.exit(3)
"""
#: Starts one of its own, which says so before it waits, and waits for it.
STARTS = """
import subprocess, sys
wait = "import os, time; print(os.getpid(), flush=True); time.sleep(600)"
sys.exit(subprocess.Popen([sys.executable, "-c", wait]).wait())
"""


def test_what_it_is_given_and_what_it_says_is_as_with_subprocess(tmp_path: Path) -> None:
    given = {"input": "read", "text": True, "capture_output": True, "env": {"TOLD": "so"}}
    command = [sys.executable, "-c", FINDS, "word"]
    alone = subprocess.run(command, cwd=tmp_path, check=False, **given)  # type: ignore[call-overload]
    forked = run(command, cwd=tmp_path, **given)
    assert alone.returncode == 3
    assert (forked.returncode, forked.stdout, forked.stderr) == (3, alone.stdout, alone.stderr)


@pytest.mark.timeout(120)
def test_what_one_of_them_starts_is_one_of_them_and_ends_with_it() -> None:
    whole = of_this_process()
    with Popen([sys.executable, "-c", STARTS], stdout=subprocess.PIPE, text=True) as started:
        assert started.stdout is not None
        inner = int(started.stdout.readline())
        parents = {_parent(pid) for pid in (inner, started.pid)}
        assert parents == {whole.pid}
        started.kill()
        assert started.wait(60) == -signal.SIGKILL
        assert started.stdout.read() == "", "nobody is left who could say anything"


def _parent(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])

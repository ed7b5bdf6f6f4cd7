"""Processes that start from loaded libraries are processes of rosterd like any other."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.preloaded import Preloaded
from worker.cli.processes import rosterd


@pytest.fixture(scope="module")
def preloaded() -> Iterator[Preloaded]:
    made = Preloaded(os.environ)
    yield made
    made.stop()


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
    started = preloaded.start(
        "beat", log=tmp_path / "log", environment={"ROSTERD_DATA_DIR": str(tmp_path)}
    )
    assert started.poll() is None
    assert os.getpgid(started.pid) == started.pid
    started.send_signal(signal.SIGKILL)
    assert started.wait(60) == -signal.SIGKILL
    assert started.returncode == -signal.SIGKILL

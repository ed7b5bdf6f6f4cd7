"""What an operator does on the first day: check a connection, watch it, follow its events."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from domain.policy import Scope, ScopeRule
from tests.e2e.test_processes import Up
from tests.preloaded import Popen
from tests.servers import await_true


@pytest.fixture
def up(tmp_path: Path) -> Iterator[Up]:
    # A test run in the background ignores Ctrl-C, and so would the commands that it starts.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    folder = tmp_path / "data"
    folder.mkdir()
    whole = Up(folder)
    yield whole
    if whole.process.poll() is None:
        whole.stop()


def rosterd(up: Up, *words: str) -> subprocess.Popen[str]:
    """A command as the operator runs it."""
    return Popen(
        [sys.executable, "-m", "worker", *words],
        env={**os.environ, "ROSTERD_DATA_DIR": str(up.folder)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def done(command: subprocess.Popen[str]) -> tuple[int, str]:
    """Exit code, and all that it said."""
    said, complained = command.communicate(timeout=120)
    return command.returncode, said + complained


@pytest.mark.timeout(300)
def test_check_watch_and_tail_see_what_comes_through(up: Up) -> None:
    stage = up.start()
    scope = Scope(ScopeRule.ASSIGNMENT, frozenset({"app"}))
    stage.connect("acme", "standard", Scope(), domain="example.com")
    stage.connect("other", "okta", scope, domain="example.com")
    stage.connect("third", "workos", Scope(), domain="example.com")
    for source in ("standard", "okta", "workos"):
        code, said = done(rosterd(up, "connection", "check", source, "--json"))
        assert code == 0, said
        assert json.loads(said)["outcome"] == "ignored"
    watching = rosterd(up, "connection", "watch", "standard", "--json", "--wait", "60")
    tailing = rosterd(up, "event", "tail", "--subject", "u1")
    assert tailing.stderr is not None
    assert tailing.stderr.readline().startswith("following what comes after event ")
    idp = stage.senders["acme"]

    def is_heard() -> bool:
        idp.standard("user.upserted", {"id": "u1", "email": "u1@example.com"})
        return watching.poll() is not None

    assert await_true(is_heard, seconds=60)
    code, said = done(watching)
    assert code == 0, said
    assert json.loads(said)["type"] == "user.upserted"
    assert tailing.stdout is not None
    assert "user.upserted u1 -> " in tailing.stdout.readline()
    tailing.send_signal(signal.SIGINT)
    code, said = done(tailing)
    assert code == 0, said
    stage.parts.close()
    assert up.stop() == 0
    code, said = done(rosterd(up, "connection", "check", "standard", "--wait", "2"))
    assert code == 1
    assert "is out of reach" in said
    assert "rosterd web" in said

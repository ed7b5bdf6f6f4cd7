"""Who is told to end before it serves ends at once; who has lost its parent, soon."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

from tests.preloaded import run
from tests.servers import await_true, free_port

SLOW = """
import time
from pathlib import Path
Path("loading").touch()
time.sleep(60)
"""


def test_told_to_end_while_it_loads_it_is_not_killed_for_refusing(tmp_path: Path) -> None:
    (tmp_path / "slow.py").write_text(SLOW)
    serve = (
        f"from worker.cli.processes import serve; serve('127.0.0.1', {free_port()}, 1, 'slow:app')"
    )
    web = subprocess.Popen(
        [sys.executable, "-c", serve],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        stderr=subprocess.PIPE,
        text=True,
    )
    await_true((tmp_path / "loading").exists, name="the web process")
    web.send_signal(signal.SIGTERM)
    _, said = web.communicate(timeout=60)
    assert web.returncode == 0, said
    assert "refused" not in said


KEEPS_HOUSE = """
import os, sys, time
from worker.bootstrap import build
from worker.tasks.keeper import Keeper
parent = os.fork()
if parent == 0:
    sys.exit()
os.waitpid(parent, 0)
Keeper(build(), consumer=parent).start()
time.sleep(60)
"""


def test_d6_a_pool_child_whose_parent_was_killed_ends(sqlite_url: str, tmp_path: Path) -> None:
    """It may be left without work or a word to end, if that happened as the pool was starting.

    It would sweep, read directories and hold connections by the old code for ever.
    """
    environment = {
        **os.environ,
        "ROSTERD_DATA_DIR": str(tmp_path),
        "ROSTERD_DATABASE_URL": sqlite_url,
        "ROSTERD_BROKER_URL": f"redis+socket://{tmp_path}/no-broker.sock",
        "ROSTERD_SWEEP_SECONDS": "0.2",
    }
    command = [sys.executable, "-c", KEEPS_HOUSE]
    done = run(command, env=environment, capture_output=True, text=True, timeout=50)
    assert done.returncode == 1, done.stderr
    assert "consumer_gone" in done.stderr

"""A web process that is told to end before it serves ends at once."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

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

"""What `rosterd up` forks is a process like any other: named, in a group of its own, ended."""

from __future__ import annotations

import json
import signal
import subprocess
import sys

import pytest

FORKS = """
import json, os, signal, subprocess, time
from functools import partial
from pathlib import Path
from worker.cli.forked import Forked

# As `rosterd up` hears signals: the child must not.
signal.signal(signal.SIGTERM, lambda *_: None)
child = Forked("rosterd-web", partial(time.sleep, 60))
name = Path(f"/proc/{child.pid}/comm")
while name.read_text().strip() != "rosterd-web":
    time.sleep(0.01)
told = {"group": os.getpgid(child.pid) == child.pid, "runs": child.poll() is None}
try:
    child.wait(0.01)
except subprocess.TimeoutExpired:
    told["waits"] = True
child.send_signal(signal.SIGTERM)
told["ended"] = child.wait(20)
child.send_signal(signal.SIGTERM)
failed = Forked("rosterd-beat", partial(int, "no number"))
told["failed"] = failed.wait(20)
print(json.dumps(told))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="names of processes are read from /proc")
def test_a_forked_process_is_one_of_its_own() -> None:
    done = subprocess.run(
        [sys.executable, "-c", FORKS], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {
        "group": True,
        "runs": True,
        "waits": True,
        "ended": -signal.SIGTERM,
        "failed": 1,
    }
    assert "ValueError" in done.stderr, "what ended it is said"

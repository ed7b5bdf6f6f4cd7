"""How long `rosterd up` takes from nothing to ready, beside a Python that imports Celery."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path

from worker.cli.processes import beside


def cold_start() -> tuple[float, float]:
    """Seconds to `ready`, in an empty data directory, and of `celery --version`."""
    with tempfile.TemporaryDirectory(prefix="rosterd-cold-") as folder:
        command = [sys.executable, "-m", "worker", "up", "--data-dir", str(Path(folder) / "data")]
        began = time.perf_counter()
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:  # noqa: S603
            assert process.stdout is not None
            next((line for line in process.stdout if "ready" in line), None)
            ready = time.perf_counter() - began
            process.terminate()
            process.wait()
    began = time.perf_counter()
    subprocess.run([beside("celery"), "--version"], check=True, stdout=subprocess.DEVNULL)  # noqa: S603
    return ready, time.perf_counter() - began

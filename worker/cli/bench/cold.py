"""How long `rosterd up` takes from nothing to ready, beside a Python that imports Celery."""

from __future__ import annotations

import os
import subprocess
import tempfile
import time
from pathlib import Path

from worker.cli.processes import beside, rosterd


def cold_start() -> tuple[float, float]:
    """Seconds to `ready`, in an empty data directory, and of `celery --version`."""
    with tempfile.TemporaryDirectory(prefix="rosterd-cold-") as folder:
        command = rosterd("up", "--data-dir", str(Path(folder) / "data"))
        # As where it is installed: whoever told this process not to keep bytecode meant something
        # else than compiling a thousand modules at every start.
        environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
        began = time.perf_counter()
        with subprocess.Popen(  # noqa: S603 - our own arguments
            command, env=environment, stdout=subprocess.PIPE, text=True
        ) as process:
            assert process.stdout is not None
            next((line for line in process.stdout if "ready" in line), None)
            ready = time.perf_counter() - began
            process.terminate()
            process.wait()
    began = time.perf_counter()
    subprocess.run([beside("celery"), "--version"], check=True, stdout=subprocess.DEVNULL)  # noqa: S603
    return ready, time.perf_counter() - began

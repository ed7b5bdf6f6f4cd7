"""`rosterd up` as a child of this process: what demo and bench speak to."""

from __future__ import annotations

import os
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from domain.errors import RefusedError
from worker.adapters.embedded import end_with_parent
from worker.cli.addresses import free_port, is_ready
from worker.cli.processes import rosterd
from worker.settings import Settings, load_settings

#: Where what is started says what it says: our own output may be JSON.
STDERR = 2
PATIENCE_SECONDS = 40.0
#: `up` gives its own children twenty.
GRACE_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Running:
    """A running set: where it answers, and how to stop it."""

    url: str
    settings: Settings
    process: subprocess.Popen[bytes]

    def is_over(self) -> bool:
        """Whether it has ended by itself."""
        return self.process.poll() is not None

    def stop(self) -> None:
        """End it, with all that it started."""
        self.process.terminate()
        try:
            self.process.wait(GRACE_SECONDS)
        except subprocess.TimeoutExpired:
            # Its children are told when it goes.
            self.process.kill()
            self.process.wait()


def bring_up(settings: Settings, *, port: int | None = None) -> Running:
    """Start it and wait until it is ready; raises RefusedError. What it says goes to stderr."""
    port = port or free_port("127.0.0.1")
    url = f"http://127.0.0.1:{port}"
    process = subprocess.Popen(  # noqa: S603 - our own arguments
        rosterd("up", "--port", str(port)),
        env={**os.environ, **told_by_environment(settings)},
        # Ctrl-C is this process's to hear.
        start_new_session=True,
        stdin=subprocess.DEVNULL,
        stdout=STDERR,
        preexec_fn=end_with_parent,  # noqa: PLW1509 - one system call, no locks
    )
    running = Running(url, settings, process)
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not is_ready(url):
        if running.is_over() or time.monotonic() > deadline:
            running.stop()
            raise RefusedError(f"{url} did not become ready; see the log above")
        time.sleep(0.05)
    return running


@contextmanager
def throwaway(
    *, port: int | None = None, database_url: str | None = None, broker_url: str | None = None
) -> Iterator[Running]:
    """A running set in a folder of its own, which is gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="rosterd-") as folder:
        settings = load_settings(
            data_dir=Path(folder),
            database_url=database_url,
            broker_url=broker_url,
            log_level="warning",
            sweep_seconds=1.0,
        )
        running = bring_up(settings, port=port)
        try:
            yield running
        finally:
            running.stop()


def told_by_environment(settings: Settings) -> Mapping[str, str]:
    """Settings as other processes of this set are told them."""
    environment = {
        "ROSTERD_DATA_DIR": str(settings.data_dir.resolve()),
        "ROSTERD_LOG_LEVEL": settings.log_level,
        "ROSTERD_SWEEP_SECONDS": str(settings.sweep_seconds),
    }
    for name, value in (
        ("ROSTERD_DATABASE_URL", settings.database_url),
        ("ROSTERD_BROKER_URL", settings.broker_url),
    ):
        if value is not None:
            environment[name] = value.get_secret_value()
    return environment

"""One port, one rosterd: requests would reach either of two."""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from domain.errors import RefusedError
from worker.cli import addresses

HERE = "127.0.0.1"


@pytest.fixture
def listening() -> Iterator[int]:
    """A port at which somebody listens who would share it, as web processes do."""
    with socket.socket() as server:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        server.bind((HERE, 0))
        server.listen()
        yield server.getsockname()[1]


def test_up_refuses_a_port_at_which_another_listens(listening: int, tmp_path: Path) -> None:
    words = ["up", "--port", str(listening), "--data-dir", str(tmp_path)]
    command = [sys.executable, "-m", "worker", *words]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    told = f"cannot listen on {HERE} port {listening}: address already in use"
    assert told in done.stderr
    assert "ready" not in done.stdout
    assert "Traceback" not in done.stdout + done.stderr


def test_a_port_that_is_taken_is_no_other_process_s(monkeypatch: pytest.MonkeyPatch) -> None:
    """It does not listen yet: two that start at once must not both have it."""
    port = addresses.free_port(HERE)
    addresses.take_port(HERE, port)
    monkeypatch.setattr(addresses, "PATIENCE_SECONDS", 0.0)
    code = (
        "import sys; from worker.cli import addresses as a; a.PATIENCE_SECONDS = 0;"
        f"print(a.free_port({HERE!r})); sys.stdout.flush(); a.take_port({HERE!r}, {port})"
    )
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert int(done.stdout) != port
    assert "another rosterd is starting there" in done.stderr


def test_a_port_that_one_may_not_have_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(addresses, "PATIENCE_SECONDS", 0.0)
    with pytest.raises(RefusedError, match=r"192\.0\.2\.1 port 8080: cannot assign"):
        addresses.take_port("192.0.2.1", 8080)


def test_whoever_starts_another_chooses_its_port() -> None:
    """`rosterd demo` chooses one, and the `rosterd up` that it starts takes it."""
    port = addresses.free_port(HERE)
    code = f"from worker.cli import addresses as a; a.take_port({HERE!r}, {port})"
    subprocess.run([sys.executable, "-c", code], timeout=60, check=True)

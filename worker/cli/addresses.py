"""Ports that are free, and whether somebody answers there."""

from __future__ import annotations

import fcntl
import http.client
import os
import socket
import tempfile
import time
from pathlib import Path
from urllib.parse import urlsplit

from domain.errors import RefusedError

FIRST_PORT = 8080
#: For a port to become free.
PATIENCE_SECONDS = 3.0
_STARTING = "another rosterd is starting there"


def free_port(host: str) -> int:
    """The first from 8080 on that nobody listens on; raises RefusedError."""
    for port in range(FIRST_PORT, FIRST_PORT + 200):
        if _why_not(host, port) is None and _locked(port, "chosen") is not None:
            return port
    raise RefusedError(f"no free port on {host} from {FIRST_PORT} on; name one with --port")


def take_port(host: str, port: int) -> None:
    """Keep a port for this process until it ends; raises RefusedError where another has it.

    The server that listens later shares its port among its own processes, so the kernel would
    let a second set in, and requests would reach either. Whoever chose the port for this process
    to listen on may be another, which started it: a lock for each.
    """
    deadline = time.monotonic() + PATIENCE_SECONDS
    while (why := _why_not(host, port)) is not None or _locked(port, "taken") is None:
        # One that was killed may not have ended yet.
        if time.monotonic() > deadline:
            told = why or _STARTING
            raise RefusedError(f"cannot listen on {host} port {port}: {told}; name another: --port")
        time.sleep(0.1)


def _why_not(host: str, port: int) -> str | None:
    """Why nobody could listen there now; None where somebody could."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            return (error.strerror or str(error)).lower()
    handle = _locked(port, "taken")
    if handle is None:
        return _STARTING
    os.close(handle)
    return None


def _locked(port: int, word: str) -> int | None:
    """A lock that goes with this process, or when it is closed; None where another has it."""
    path = Path(tempfile.gettempdir()) / f"rosterd-{os.getuid()}-port-{port}-{word}.lock"
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(handle)
        return None
    return handle


def is_ready(url: str) -> bool:
    """Whether the web process at this address takes requests."""
    where = urlsplit(url)
    assert where.hostname is not None
    connection = http.client.HTTPConnection(where.hostname, where.port, timeout=2)
    try:
        connection.request("GET", "/readyz")
        return connection.getresponse().status == http.client.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()

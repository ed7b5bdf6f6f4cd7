"""A whole dialogue with a server within a time, however it spreads its bytes.

A socket's time-out is begun anew by every byte: a server that sends one every nine seconds holds a
thread for hours, in a greeting, a TLS handshake or an answer.
"""

from __future__ import annotations

import socket
import threading
from contextlib import suppress
from types import TracebackType
from typing import Self, TypeVar

Sock = TypeVar("Sock", bound=socket.socket)


class Deadline:
    """Shuts the sockets it watches after this time: whoever waits in one gets an OSError."""

    def __init__(self, seconds: float) -> None:
        self._timer = threading.Timer(seconds, self._end)
        self._timer.daemon = True
        self._lock = threading.Lock()
        self._watched: socket.socket | None = None
        self._is_over = False

    def watch(self, sock: Sock) -> Sock:
        """Watch this one from now on; at once shut where the time is over."""
        with self._lock:
            self._watched = sock
            if self._is_over:
                _shut(sock)
        return sock

    def __enter__(self) -> Self:
        self._timer.start()
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        self._timer.cancel()

    def _end(self) -> None:
        with self._lock:
            self._is_over = True
            if self._watched is not None:
                _shut(self._watched)


def _shut(sock: socket.socket) -> None:
    """Below TLS, whose own shutdown would let go of what the other thread is at work in."""
    with suppress(OSError):
        socket.socket.shutdown(sock, socket.SHUT_RDWR)

"""A whole dialogue with a mail server within a time, however it spreads its bytes.

A socket's time-out is begun anew by every byte: a server that sends one every nine seconds holds a
thread for hours.
"""

from __future__ import annotations

import smtplib
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress


@contextmanager
def deadline(server: smtplib.SMTP, seconds: float) -> Iterator[None]:
    """Shut the connection after this time: whoever waits in it gets an OSError."""
    timer = threading.Timer(seconds, _shut, [server])
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _shut(server: smtplib.SMTP) -> None:
    if server.sock is not None:
        with suppress(OSError):
            server.sock.shutdown(socket.SHUT_RDWR)

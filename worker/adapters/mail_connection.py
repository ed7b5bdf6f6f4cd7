"""A connection to a mail server, signed in, within a deadline; kept for the next mail."""

from __future__ import annotations

import smtplib
import socket
import ssl
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from urllib.parse import SplitResult, parse_qs, unquote

from domain.notices import MailError
from worker.adapters.deadline import Deadline

#: One command of a mail server.
TIMEOUT_SECONDS = 10
#: Its word on a mail that it has: filters look at it meanwhile (RFC 5321, 4.5.3.2.6: minutes).
ANSWER_SECONDS = 90
#: A connection serves so many mails, and is so old at most: servers count both.
KEPT_MAILS, KEPT_SECONDS = 100, 60.0
_GREETS = 220
_OK = 250
#: Whatever the code, another mail would fare the same: a password is wrong, or a name not known.
_REFUSES_US = (
    smtplib.SMTPAuthenticationError,
    smtplib.SMTPConnectError,
    smtplib.SMTPHeloError,
)


class MailConnection:
    """One dialogue after the other over one connection."""

    def __init__(self, server: smtplib.SMTP, tls: _Handshake) -> None:
        self.server = server
        self._tls = tls
        self._opened_at = time.monotonic()
        self._mails = 0

    @property
    def is_fit(self) -> bool:
        """Whether it may be kept for another mail."""
        age = time.monotonic() - self._opened_at
        return self._mails < KEPT_MAILS and age < KEPT_SECONDS and self.server.sock is not None

    def begin(self, deadline: Deadline) -> bool:
        """Ready for a mail, under the deadline; False where the server has left meanwhile."""
        self._mails += 1
        if self.server.sock is None:
            return False
        self._tls.deadline = deadline
        deadline.watch(self.server.sock)
        self.server.sock.settimeout(TIMEOUT_SECONDS)
        if self._mails == 1:
            return True
        try:
            # Also ends what a refused mail before has begun.
            return self.server.rset()[0] == _OK
        except (OSError, smtplib.SMTPException):
            return False

    def leave(self) -> None:
        """Say good-bye; what the server makes of that changes nothing about the mail."""
        with suppress(OSError, smtplib.SMTPException), Deadline(2) as deadline:
            if self.server.sock is not None:
                deadline.watch(self.server.sock)
                self.server.sock.settimeout(min(TIMEOUT_SECONDS, 2))
                self.server.quit()
        self.server.close()


class _Handshake:
    """Stands in for the TLS context that smtplib asks: the handshake is under the deadline, too."""

    def __init__(self, context: ssl.SSLContext, deadline: Deadline) -> None:
        self._context = context
        self.deadline = deadline

    def wrap_socket(self, sock: socket.socket, server_hostname: str | None = None) -> ssl.SSLSocket:
        """As a context does it; raises OSError where the deadline ends it."""
        wrapped = self._context.wrap_socket(
            sock, server_hostname=server_hostname, do_handshake_on_connect=False
        )
        try:
            self.deadline.watch(wrapped).do_handshake()
        except BaseException:
            wrapped.close()
            raise
        return wrapped


def tls_of(url: SplitResult) -> ssl.SSLContext:
    """By the system's authorities; `?verify=no` at the end of the URL takes any."""
    context = ssl.create_default_context()
    if parse_qs(url.query).get("verify") == ["no"]:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def connected(url: SplitResult, context: ssl.SSLContext, deadline: Deadline) -> MailConnection:
    """Connected, greeted and signed in; raises MailError."""
    handshake = _Handshake(context, deadline)
    with told_of_server():
        server, default_port = _unconnected(url, handshake)
        # The constructor notes it when it connects; here the greeting is under the deadline.
        vars(server)["_host"] = url.hostname or "127.0.0.1"
        server.deadline = deadline
        try:
            _greet_and_sign_in(server, url, url.port or default_port, handshake)
        except BaseException:
            server.close()
            raise
        return MailConnection(server, handshake)


class _Plain(smtplib.SMTP):
    deadline: Deadline

    def _get_socket(self, host: str, port: int, timeout: float) -> socket.socket:
        found: socket.socket = super()._get_socket(host, port, timeout)  # type: ignore[misc]
        return self.deadline.watch(found)


class _Wrapped(smtplib.SMTP_SSL):
    """What it connects is watched from the handshake on."""

    deadline: Deadline


def _unconnected(url: SplitResult, tls: _Handshake) -> tuple[_Plain | _Wrapped, int]:
    if url.scheme == "smtps":
        return _Wrapped(timeout=TIMEOUT_SECONDS, context=tls), 465  # type: ignore[call-overload]
    return _Plain(timeout=TIMEOUT_SECONDS), 25


def _greet_and_sign_in(server: smtplib.SMTP, url: SplitResult, port: int, tls: _Handshake) -> None:
    code, said = server.connect(url.hostname or "127.0.0.1", port)
    if code != _GREETS:
        raise smtplib.SMTPConnectError(code, said)
    server.ehlo_or_helo_if_needed()
    if url.scheme != "smtps" and server.has_extn("starttls"):
        server.starttls(context=tls)  # type: ignore[call-overload]
        server.ehlo_or_helo_if_needed()
    if url.username:
        server.login(unquote(url.username), unquote(url.password or ""))


@contextmanager
def told_of_server() -> Iterator[None]:
    """Errors before the first word about a mail concern every mail."""
    try:
        yield
    except ssl.SSLCertVerificationError as error:
        raise MailError(
            f"the mail server's certificate is not trusted ({error.verify_message}): "
            "have it signed, or end ROSTERD_SMTP_URL with ?verify=no",
            is_server=True,
        ) from error
    except _REFUSES_US as error:
        raise MailError(f"mail server refuses us ({error.smtp_code})", is_server=True) from error
    except smtplib.SMTPResponseException as error:
        raise MailError(f"mail server says {error.smtp_code}", is_server=True) from error
    except (OSError, ValueError, smtplib.SMTPException) as error:
        raise MailError(f"mail server out of reach: {error}", is_server=True) from error

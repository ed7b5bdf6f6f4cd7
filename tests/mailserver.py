"""A real mail server that does what servers do to mails: refuse, put off, hang, hang up."""

from __future__ import annotations

import asyncio
import email
import email.policy
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from pathlib import Path
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, Session
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

HOUR = timedelta(hours=1)

#: Recipients whose address begins so are answered so.
ANSWERS = {"gone": "550 5.1.1 no such user", "later": "451 4.7.1 greylisted, try later"}


class MailServer:
    """What a mail server has taken, and how it misbehaves.

    hang_at: a verb after which it says nothing any more. answers: verb -> what it says instead
    of yes. drops: it hangs up when it has the whole mail, and has taken it; hangs_up: after its
    yes to that. greeted, left: connections that said hello, and good-bye.
    """

    def __init__(self) -> None:
        self.taken: list[tuple[str, EmailMessage]] = []
        self.froms: list[tuple[str | None, list[str]]] = []
        self.hang_at = ""
        self.answers: dict[str, str] = {}
        self.drops = self.hangs_up = False
        self.greeted = self.left = 0

    def authenticate(self, *_: Any) -> AuthResult:
        """AUTH: nobody gets in."""
        return AuthResult(success=False, handled=False)

    async def handle_EHLO(  # noqa: N802 - aiosmtpd's name
        self, _s: SMTP, session: Session, _e: Envelope, name: str, responses: list[str]
    ) -> list[str]:
        self.greeted += 1
        await self._hang("EHLO")
        session.host_name = name
        return responses

    async def handle_MAIL(  # noqa: N802 - aiosmtpd's name
        self, _s: SMTP, _session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        self.froms.append((address, list(options)))
        envelope.mail_from = address
        envelope.mail_options.extend(options)
        return await self._say("MAIL")

    async def handle_RCPT(  # noqa: N802 - aiosmtpd's name
        self, _s: SMTP, _session: Session, envelope: Envelope, address: str, _options: Any
    ) -> str:
        for start, answer in ANSWERS.items():
            if address.startswith(start):
                return answer
        envelope.rcpt_tos.append(address)
        return await self._say("RCPT")

    async def handle_DATA(  # noqa: N802 - aiosmtpd's name
        self, server: SMTP, _session: Session, envelope: Envelope
    ) -> str:
        answer = await self._say("DATA")
        if not answer.startswith("250"):
            return answer
        content = envelope.content
        assert isinstance(content, bytes)
        message = email.message_from_bytes(content, policy=email.policy.default)
        assert isinstance(message, EmailMessage)
        self.taken.append((envelope.rcpt_tos[0], message))
        if self.drops:
            assert server.transport is not None
            server.transport.close()
        if self.hangs_up:
            assert server.transport is not None
            asyncio.get_running_loop().call_later(0.01, server.transport.close)
        return answer

    async def handle_RSET(  # noqa: N802 - aiosmtpd's name
        self, _s: SMTP, _session: Session, _envelope: Envelope
    ) -> str:
        return await self._say("RSET")

    async def handle_QUIT(  # noqa: N802 - aiosmtpd's name
        self, _s: SMTP, _session: Session, _envelope: Envelope
    ) -> str:
        self.left += 1
        await self._hang("QUIT")
        return self.answers.get("QUIT", "221 Bye")

    async def _hang(self, verb: str) -> None:
        if verb == self.hang_at:
            await asyncio.sleep(3600)

    async def _say(self, verb: str) -> str:
        await self._hang(verb)
        return self.answers.get(verb, "250 OK")

    @property
    def recipients(self) -> list[str]:
        """Who got mail, in the order in which they did."""
        return [to for to, _ in self.taken]


@contextmanager
def mail_server(
    *,
    tls: ssl.SSLContext | None = None,
    utf8: bool = True,
    auth: bool = False,
    is_wrapped: bool = False,
) -> Iterator[tuple[MailServer, str]]:
    """A server on a port of its own, and its URL. is_wrapped: TLS from the first byte on."""
    server = MailServer()
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    more: dict[str, Any] = {}
    if is_wrapped:
        more |= {"ssl_context": tls}
    elif tls is not None:
        more |= {"tls_context": tls, "require_starttls": True}
    if auth:
        more |= {"authenticator": server.authenticate, "auth_require_tls": False}
    controller = Controller(
        server,
        hostname="127.0.0.1",
        port=port,
        enable_SMTPUTF8=utf8,
        **more,
    )
    controller.start()
    user = "user:wrong@" if auth else ""
    try:
        scheme = "smtps" if is_wrapped else "smtp"
        yield server, f"{scheme}://{user}{'localhost' if tls else '127.0.0.1'}:{port}"
    finally:
        controller.stop(no_assert=True)


def parts(message: EmailMessage) -> tuple[str, str]:
    """The plain text and the HTML of a mail."""
    plain, html = message.get_body(("plain",)), message.get_body(("html",))
    assert plain is not None
    assert html is not None
    return plain.get_content(), html.get_content()


#: The head of a TLS record of 16 KiB that never gets there whole.
TLS_RECORD = b"\x16\x03\x03\x40\x00"


@contextmanager
def dripping_server(*, begins: bytes = b"220-", says: tuple[bytes, ...] = ()) -> Iterator[str]:
    """A server whose greeting comes byte by byte and never ends; its host and port.

    says: what it says first, each time but the first as an answer to whatever it is told. begins:
    with what it begins to drip.
    """
    with socket.create_server(("127.0.0.1", 0)) as listener:
        ended = threading.Event()

        def drip() -> None:
            with suppress(OSError):
                peer, _ = listener.accept()
                with peer:
                    for line in says:
                        peer.sendall(line)
                        peer.recv(1024)
                    peer.sendall(begins)
                    while not ended.wait(0.05):
                        peer.sendall(b"x")

        thread = threading.Thread(target=drip)
        thread.start()
        try:
            yield f"127.0.0.1:{listener.getsockname()[1]}"
        finally:
            ended.set()
            thread.join()


def self_signed(path: Path) -> Path:
    """A certificate for localhost that nobody else signed, with its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - HOUR)
        .not_valid_after(now + HOUR)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    path.write_bytes(private + certificate.public_bytes(serialization.Encoding.PEM))
    return path

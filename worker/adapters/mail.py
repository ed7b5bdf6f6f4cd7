"""Mail: over SMTP, or as .eml files where no server is set."""

from __future__ import annotations

import os
import re
import smtplib
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from email.errors import MessageError
from email.headerregistry import Address
from email.message import EmailMessage
from email.utils import formatdate, parseaddr
from pathlib import Path
from urllib.parse import urlsplit

from domain.display import ascii_domain, has_hidden
from domain.letters import Letter
from domain.notices import MailError
from worker.adapters.deadline import Deadline
from worker.adapters.mail_connection import (
    ANSWER_SECONDS,
    MailConnection,
    connected,
    tls_of,
    told_of_server,
)
from worker.adapters.mail_form import BOUNDARY, FILE, SEVEN_BITS, WIDE

#: A whole mail, however the server spreads its time; within `notify.LONGEST`.
WHOLE_SECONDS = 110
_FINAL_FROM = 500
_CLOSING = 421
_ACCEPTED = (250, 251)
_LONGEST_DOMAIN = 253
_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9])?"
_DOMAIN = re.compile(rf"{_LABEL}(?:\.{_LABEL})*")
#: Letters of every script, no sign that ends or joins addresses; two dots in a row do occur.
_LOCAL = re.compile(r'[^\x00-\x20\x7f-\xa0"(),:;<>@\[\\\]\u2028\u2029\ud800-\udfff]+')


def compose(letter: Letter, *, sender: str, id_: str, reply_to: str | None = None) -> EmailMessage:
    """The letter as a message; the same notice always has the same Message-ID.

    Raises ValueError for an address that is not exactly one address.
    """
    message = EmailMessage(SEVEN_BITS)
    message["From"] = sender
    message["To"] = recipient(letter.to)
    if reply_to:
        message["Reply-To"] = reply_to
    message["Subject"] = letter.subject
    message["Date"] = formatdate(usegmt=True)
    domain = parseaddr(sender)[1].rpartition("@")[2] or "localhost"
    message["Message-ID"] = f"<{id_}@{domain}>"
    message["Auto-Submitted"] = "auto-generated"
    # Seven bits and short lines, whatever a server between here and there can do.
    message.set_content(letter.text, cte="quoted-printable")
    if letter.html:
        message.add_alternative(letter.html, subtype="html", cte="quoted-printable")
        message.set_boundary(BOUNDARY)
    return message


def recipient(address: str) -> Address:
    """One address, its domain in ASCII; raises ValueError for anything else."""
    local, _, named = address.rpartition("@")
    domain = ascii_domain(named)
    if has_hidden(named) or len(domain) > _LONGEST_DOMAIN or not _DOMAIN.fullmatch(domain):
        raise ValueError("no domain that mail can go to")
    if local.startswith('"'):
        return Address(addr_spec=f"{local}@{domain}")
    if not _LOCAL.fullmatch(local):
        raise ValueError("characters before the @ that stand in no address")
    return Address(username=local, domain=domain)


class SMTPMailer:
    """smtp://[user:password@]host[:port] with STARTTLS where offered, or smtps://.

    Certificates are checked against the system's authorities; `?verify=no` at the end of the
    URL takes any, for a server of one's own.
    """

    def __init__(self, url: str, *, sender: str, reply_to: str | None = None) -> None:
        self._url = urlsplit(url)
        self._sender = sender
        self._reply_to = reply_to
        self._tls = tls_of(self._url)
        # Each thread has its own: mails of one follow each other over one connection.
        self._kept = _Kept()

    def send(self, letter: Letter, *, id_: str) -> None:
        """Hand over to the server, over the connection of the mail before if that is still there.

        Raises MailError. Where the server has the mail and its answer is lost, the mail counts as
        not sent: it goes out again under the same Message-ID.
        """
        with _told_of_address():
            message = compose(letter, sender=self._sender, id_=id_, reply_to=self._reply_to)
            to = recipient(letter.to).addr_spec
        with Deadline(WHOLE_SECONDS) as deadline:
            connection = self._begun(deadline)
            try:
                with _told_of_mail():
                    self._deliver(connection.server, message, to)
            except MailError as error:
                self._keep(connection, is_whole=error.is_answer)
                raise
            except BaseException:
                connection.server.close()
                raise
            self._keep(connection, is_whole=True)

    def rest(self) -> None:
        """Let go of the connection that was kept for the next mail."""
        kept, self._kept.connection = self._kept.connection, None
        if kept is not None:
            kept.leave()

    def _begun(self, deadline: Deadline) -> MailConnection:
        kept, self._kept.connection = self._kept.connection, None
        if kept is not None:
            if kept.begin(deadline):
                return kept
            kept.server.close()
        fresh = connected(self._url, self._tls, deadline)
        fresh.begin(deadline)
        return fresh

    def _keep(self, connection: MailConnection, *, is_whole: bool) -> None:
        """For the next mail, unless the dialogue ended in the middle."""
        if not is_whole:
            connection.server.close()
        elif connection.is_fit:
            self._kept.connection = connection
        else:
            connection.leave()

    def _deliver(self, server: smtplib.SMTP, message: EmailMessage, to: str) -> None:
        is_wide = not to.isascii()
        if is_wide and not server.has_extn("smtputf8"):
            raise MailError(
                "the mail server takes no address with letters beyond ASCII before the @",
                is_final=True,
                is_answer=True,
            )
        form = WIDE if is_wide else SEVEN_BITS
        options = ["SMTPUTF8", "BODY=8BITMIME"] if is_wide else []
        code, said = server.mail(parseaddr(self._sender)[1], options)
        _insist(code, said, "sender")
        code, said = server.rcpt(to)
        _insist(code, said, "recipient")
        if server.sock is not None:
            server.sock.settimeout(ANSWER_SECONDS)
        code, said = server.data(message.as_bytes(policy=form))
        _insist(code, said, "mail")

    def greet(self) -> None:
        """Connect and sign in as for a mail, and send none; raises MailError."""
        with Deadline(WHOLE_SECONDS / 2) as deadline:
            connection = connected(self._url, self._tls, deadline)
            try:
                with told_of_server():
                    connection.server.noop()
            finally:
                connection.leave()


class _Kept(threading.local):
    connection: MailConnection | None = None


def _insist(code: int, said: bytes, what: str) -> None:
    """Raise MailError unless the server agreed.

    Its word on us (the sender) is a matter of set-up, never of the person who is to get the mail.
    """
    if code in _ACCEPTED:
        return
    is_server = what == "sender" or code == _CLOSING
    told = said.decode("utf-8", "replace")
    raise MailError(
        f"the mail server refuses the {what}: {code} {told}",
        is_final=code >= _FINAL_FROM and not is_server,
        is_server=is_server,
        is_answer=code != _CLOSING,
    )


@contextmanager
def _told_of_address() -> Iterator[None]:
    try:
        yield
    except (ValueError, IndexError, MessageError) as error:
        why = f"not an address that mail can go to: {error}"
        raise MailError(why, is_final=True) from error


@contextmanager
def _told_of_mail() -> Iterator[None]:
    """Errors between MAIL and the answer to DATA concern this mail."""
    try:
        yield
    except (smtplib.SMTPDataError, smtplib.SMTPNotSupportedError) as error:
        code, said = getattr(error, "smtp_code", 0), getattr(error, "smtp_error", str(error))
        _insist(code, said if isinstance(said, bytes) else str(said).encode(), "mail")
    except (OSError, smtplib.SMTPException) as error:
        raise MailError(f"the mail server fell silent: {error}") from error


class FileMailer:
    """Writes each mail to a folder, atomically; the name is the notice's id."""

    def __init__(self, folder: Path, *, sender: str, reply_to: str | None = None) -> None:
        self._folder = folder
        self._sender = sender
        self._reply_to = reply_to

    def send(self, letter: Letter, *, id_: str) -> None:
        """Write the message; raises MailError."""
        with _told_of_address():
            message = compose(letter, sender=self._sender, id_=id_, reply_to=self._reply_to)
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            draft = self._folder / f".{id_}.{os.getpid()}"
            draft.write_bytes(message.as_bytes(policy=FILE))
            draft.replace(self._folder / f"{id_}.eml")
        except OSError as error:
            raise MailError(f"cannot write to {self._folder}: {error}", is_server=True) from error

    def rest(self) -> None:
        """Nothing is kept."""

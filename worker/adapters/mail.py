"""Mail: over SMTP, or as .eml files where no server is set."""

from __future__ import annotations

import os
import smtplib
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from email.message import EmailMessage
from email.utils import formatdate, parseaddr
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

from domain.letters import Letter
from domain.notices import MailError

TIMEOUT_SECONDS = 10
_FINAL_FROM = 500
#: Whatever the code, another mail would fare the same: a password is wrong, or a name not known.
_REFUSES_US = (
    smtplib.SMTPAuthenticationError,
    smtplib.SMTPConnectError,
    smtplib.SMTPHeloError,
)


def compose(letter: Letter, *, sender: str, id_: str) -> EmailMessage:
    """The letter as a message; the same notice always has the same Message-ID."""
    message = EmailMessage()
    message["From"] = sender
    message["To"] = letter.to
    message["Subject"] = letter.subject
    message["Date"] = formatdate(usegmt=True)
    domain = parseaddr(sender)[1].rpartition("@")[2] or "localhost"
    message["Message-ID"] = f"<{id_}@{domain}>"
    message["Auto-Submitted"] = "auto-generated"
    message.set_content(letter.text)
    return message


class SMTPMailer:
    """smtp://[user:password@]host[:port] with STARTTLS where offered, or smtps://.

    Certificates are checked against the system's authorities; `?verify=no` at the end of the
    URL takes any, for a server of one's own.
    """

    def __init__(self, url: str, *, sender: str) -> None:
        self._url = urlsplit(url)
        self._sender = sender
        self._tls = ssl.create_default_context()
        if parse_qs(self._url.query).get("verify") == ["no"]:
            self._tls.check_hostname = False
            self._tls.verify_mode = ssl.CERT_NONE

    def send(self, letter: Letter, *, id_: str) -> None:
        """Hand over to the server; raises MailError."""
        with _told():
            message = compose(letter, sender=self._sender, id_=id_)
            with self._server() as server:
                server.send_message(message)

    def greet(self) -> None:
        """Connect and sign in as for a mail, and send none; raises MailError."""
        with _told(), self._server() as server:
            server.noop()

    def _server(self) -> smtplib.SMTP:
        server = self._connected()
        try:
            if self._url.scheme != "smtps":
                server.ehlo()
                if server.has_extn("starttls"):
                    server.starttls(context=self._tls)
            if self._url.username:
                server.login(unquote(self._url.username), unquote(self._url.password or ""))
        except BaseException:
            server.close()
            raise
        return server

    def _connected(self) -> smtplib.SMTP:
        host, port = self._url.hostname or "127.0.0.1", self._url.port
        if self._url.scheme == "smtps":
            return smtplib.SMTP_SSL(host, port or 465, timeout=TIMEOUT_SECONDS, context=self._tls)
        return smtplib.SMTP(host, port or 25, timeout=TIMEOUT_SECONDS)


@contextmanager
def _told() -> Iterator[None]:
    """Turn the library's errors into MailError; final is only what concerns the mail itself."""
    try:
        yield
    except ssl.SSLCertVerificationError as error:
        raise MailError(
            f"the mail server's certificate is not trusted ({error.verify_message}): "
            "have it signed, or end ROSTERD_SMTP_URL with ?verify=no",
            is_final=False,
        ) from error
    except smtplib.SMTPRecipientsRefused as error:
        codes = [code for code, _ in error.recipients.values()]
        final = all(code >= _FINAL_FROM for code in codes)
        raise MailError(f"recipient refused ({codes})", is_final=final) from error
    except _REFUSES_US as error:
        raise MailError(f"mail server refuses us ({error.smtp_code})", is_final=False) from error
    except smtplib.SMTPResponseException as error:
        final = error.smtp_code >= _FINAL_FROM
        raise MailError(f"mail server says {error.smtp_code}", is_final=final) from error
    except ValueError as error:
        raise MailError(f"not an address that mail can go to: {error}", is_final=True) from error
    except (OSError, smtplib.SMTPException) as error:
        raise MailError(f"mail server out of reach: {error}", is_final=False) from error


class FileMailer:
    """Writes each mail to a folder, atomically; the name is the notice's id."""

    def __init__(self, folder: Path, *, sender: str) -> None:
        self._folder = folder
        self._sender = sender

    def send(self, letter: Letter, *, id_: str) -> None:
        """Write the message; raises MailError."""
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            draft = self._folder / f".{id_}.{os.getpid()}"
            draft.write_bytes(compose(letter, sender=self._sender, id_=id_).as_bytes())
            draft.replace(self._folder / f"{id_}.eml")
        except ValueError as error:
            raise MailError(
                f"not an address that mail can go to: {error}", is_final=True
            ) from error
        except OSError as error:
            raise MailError(f"cannot write to {self._folder}: {error}", is_final=False) from error

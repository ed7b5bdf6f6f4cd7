"""Everybody whom a rosterd meets, each real: its processes, a mail server, a browser, an IdP."""

from __future__ import annotations

import email
import email.policy
import json
import os
import re
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from email.message import EmailMessage
from pathlib import Path
from typing import Any, cast

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session
from playwright.sync_api import Browser

from tests.command import Done, run_command
from tests.preloaded import Popen
from tests.servers import await_true, free_port
from tests.story.application import Application
from worker.cli.sender import Hook, Sender

_LINK = re.compile(r"https?://\S+/(?:invitations|email-changes)/\S+")


class Post:
    """What the mail server has taken; some addresses it refuses for good."""

    def __init__(self) -> None:
        self.taken: list[tuple[str, EmailMessage]] = []

    async def handle_RCPT(  # noqa: N802 - aiosmtpd's name
        self, _server: SMTP, _session: Session, envelope: Envelope, address: str, _options: Any
    ) -> str:
        if address.startswith("nobody@"):
            return "550 no such mailbox"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(  # noqa: N802 - aiosmtpd's name
        self, _server: SMTP, _session: Session, envelope: Envelope
    ) -> str:
        content = cast("bytes", envelope.content)
        letter = email.message_from_bytes(content, policy=email.policy.default)
        self.taken.append((envelope.rcpt_tos[0], letter))
        return "250 OK"

    def to(self, address: str) -> list[EmailMessage]:
        """Letters to an address, oldest first."""
        return [letter for to, letter in self.taken if to == address]

    def within(self, domain: str) -> list[str]:
        """Whom letters went to at a domain, oldest first."""
        return [to for to, _ in self.taken if to.endswith(f"@{domain}")]

    def link(self, address: str) -> str | None:
        """The link of the newest letter to an address."""
        for letter in reversed(self.to(address)):
            body = letter.get_body(("plain",))
            found = _LINK.search(body.get_content()) if body is not None else None
            if found is not None:
                return found.group(0)
        return None


class Town:
    """One rosterd and its surroundings; every question goes the way that its users go."""

    def __init__(self, url: str, environment: dict[str, str], browser: Browser) -> None:
        self.url = url
        self.environment = environment
        self.post: Post = Post()
        self.application = Application()
        # One for all members: each of their own would cost as much as all that they do.
        self._page = browser.new_page(
            java_script_enabled=False, viewport={"width": 360, "height": 640}
        )
        self._tokens: dict[str, str] = {}
        self.idps: dict[str, Sender] = {}
        self.feeds: dict[str, str] = {}

    # -- operators ---------------------------------------------------------------------

    def types(self, *words: str, code: int = 0) -> Done:
        """A command, as an operator types it."""
        done = run_command(words, self.environment)
        assert done.returncode == code, (words, done.stdout, done.stderr)
        return done

    def asks(self, *words: str) -> Any:
        """What a command prints as JSON."""
        return json.loads(self.types(*words, "--json").stdout)

    def opens_account(self, name: str, *options: str) -> None:
        """With a token by which its application reads and writes the directory."""
        self.types("account", "add", name, *options)
        scopes = ("--scope", "directory:read", "--scope", "directory:write")
        self._tokens[name] = self.asks("token", "add", "app", "--account", name, *scopes)["token"]

    def connects(self, account: str, name: str, *options: str, source: str = "standard") -> Sender:
        """A connection, and somebody who speaks as its identity provider."""
        words = ("connection", "add", "--account", account, "--source", source, "--name", name)
        made = self.asks(*words, *options)
        self.feeds[name] = made["feed"]
        self.idps[name] = Sender(Hook(f"{self.url}/hooks/{made['feed']}", made["signing_secret"]))
        return self.idps[name]

    # -- the application ---------------------------------------------------------------

    def calls(
        self, account: str, method: str, path: str, body: object = None, **headers: str
    ) -> tuple[int, Any]:
        """A request to the API; its status and what it says."""
        request = urllib.request.Request(
            f"{self.url}/api/v1{path}",
            json.dumps(body).encode() if body is not None else None,
            {
                "Authorization": f"Bearer {self._tokens[account]}",
                "Content-Type": "application/json",
                **headers,
            },
            method=method,
        )
        try:
            with urllib.request.urlopen(request, timeout=20) as answer:
                return answer.status, json.loads(answer.read() or b"null")
        except urllib.error.HTTPError as error:
            return error.code, json.loads(error.read() or b"null")

    def person(self, account: str, **asked: str) -> dict[str, Any] | None:
        """The one person whom a search finds."""
        query = "&".join(f"{name}={value}" for name, value in asked.items())
        status, found = self.calls(account, "GET", f"/users?{query}")
        assert status == 200, found
        people: list[dict[str, Any]] = found["items"]
        assert len(people) <= 1, people
        return people[0] if people else None

    def is_so(self, account: str, key: str, **wanted: object) -> bool:
        """Whether the person of an external id is as told."""
        found = self.person(account, external_id=key)
        return found is not None and all(found[name] == value for name, value in wanted.items())

    def is_invited(self, account: str, address: str) -> bool:
        """Whether somebody of that address is there and has not accepted."""
        found = self.person(account, email=address)
        return found is not None and found["state"] == "invited"

    def newest(self, subject: str) -> dict[str, Any]:
        """What became of the newest event about somebody."""
        found = self.asks("event", "list", "--subject", subject)
        return max(found, key=lambda event: int(event["id"]))

    # -- members -----------------------------------------------------------------------

    def clicks(self, address: str) -> str:
        """The member opens the newest letter's link and presses the button; the page's text.

        On a phone, without JavaScript.
        """
        link = await_true(lambda: self.post.link(address), name=f"a letter to {address}")
        return self.visits(link, presses=True)

    def visits(self, link: str, *, presses: bool = False) -> str:
        """A page that a member opens; its text."""
        self._page.context.clear_cookies()
        self._page.goto(link)
        if presses:
            self._page.get_by_role("button").click()
            self._page.wait_for_load_state()
        return self._page.inner_text("body")


@contextmanager
def town(folder: Path, browser: Browser, *options: str) -> Iterator[Town]:
    """Everything started, and stopped at the end. options: of `rosterd up`."""
    port = free_port()
    post = Post()
    mail = Controller(post, hostname="127.0.0.1", port=free_port())
    mail.start()
    names = dict(zip(options[::2], options[1::2], strict=True))
    environment = {
        "ROSTERD_DATA_DIR": str(folder),
        "ROSTERD_SMTP_URL": f"smtp://127.0.0.1:{mail.port}",
        "ROSTERD_PUBLIC_URL": f"http://127.0.0.1:{port}",
        "ROSTERD_SWEEP_SECONDS": "1",
        "ROSTERD_LOG_LEVEL": "warning",
        "ROSTERD_OUTBOUND_ALLOW": "127.0.0.0/8",
        "NO_COLOR": "1",
    }
    if "--database-url" in names:
        environment["ROSTERD_DATABASE_URL"] = names["--database-url"]
    log = folder / "up.log"
    with log.open("wb") as said, _running(folder, port, options, environment, said):
        try:
            ready = f"http://127.0.0.1:{port}/readyz"
            await_true(lambda: urllib.request.urlopen(ready).status == 200, name="rosterd")
            found = Town(f"http://127.0.0.1:{port}", environment, browser)
            found.post = post
            with found.application.listening():
                yield found
        finally:
            mail.stop()


@contextmanager
def _running(
    folder: Path, port: int, options: tuple[str, ...], environment: Mapping[str, str], said: Any
) -> Iterator[None]:
    command = [sys.executable, "-m", "worker", "up", "--data-dir", str(folder)]
    process = Popen(
        [*command, "--port", str(port), *options],
        env={**os.environ, **environment},
        stdout=said,
        stderr=said,
    )
    try:
        yield
    finally:
        process.terminate()
        process.wait(60)

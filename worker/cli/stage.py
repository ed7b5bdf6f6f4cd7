"""What a demo or a play stands on: accounts, senders, and a look at what became of it."""

from __future__ import annotations

import re
import time
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sqlalchemy import select

from domain.policy import Scope
from worker.adapters.db import rows
from worker.adapters.db.engine import translated
from worker.adapters.db.export import export_lines
from worker.adapters.db.setup import setting_up
from worker.adapters.sources.registry import SOURCES
from worker.bootstrap import Container
from worker.cli.sender import Hook, Sender

PATIENCE_SECONDS = 20.0
_LINK = re.compile(r"https?://\S+/(?:invitations|email-changes)/\S+")


@dataclass(slots=True)
class Stage:
    """One running rosterd with a few accounts, seen from the outside."""

    parts: Container
    url: str
    accounts: dict[str, str] = field(default_factory=dict)
    senders: dict[str, Sender] = field(default_factory=dict)

    def connect(
        self, account: str, source: str, scope: Scope, *, domain: str, **settings: str
    ) -> Sender:
        """An account with one connection, and somebody who speaks as its identity provider."""
        with setting_up(self.parts.database, self.parts.vault, actor="demo") as use:
            self.accounts[account] = use.add_account(
                account, owner=f"owner@{domain}", domains=[domain], parent=None, several=False
            )
            made = use.add_connection(
                use.account(account),
                name=source,
                source=source,
                scope=scope,
                settings=settings,
                secret=SOURCES[source].new_secret(),
                observe=False,
            )
        hook = Hook(f"{self.url}/hooks/{made.feed}", made.signing_secret)
        self.senders[account] = Sender(hook)
        return self.senders[account]

    def allow(self, account: str, domain: str) -> None:
        """Put a domain on the account's list."""
        with setting_up(self.parts.database, self.parts.vault, actor="demo") as use:
            use.allow_domain(self.accounts[account], domain)

    def directory(self, account: str) -> list[dict[str, Any]]:
        """The exported lines of an account, without the owner whom no IdP made."""
        with translated(), self.parts.database.read() as connection:
            lines = [line.model_dump() for line in export_lines(connection, self.accounts[account])]
        return [line for line in lines if not str(line.get("email", "")).startswith("owner@")]

    def user(self, account: str, key: str) -> dict[str, Any] | None:
        """The exported line of the person behind an external id."""
        users = [line for line in self.directory(account) if line["kind"] == "user"]
        return next((line for line in users if line["external_id"] == key), None)

    def open_events(self) -> int:
        """Events that are neither ended, dead nor waiting."""
        events = rows.events
        with translated(), self.parts.database.read() as connection:
            found = connection.execute(
                select(events.c.id).where(events.c.state.in_(["pending", "retrying"]))
            )
            return len(found.all())

    def dead(self, account: str) -> list[Mapping[str, Any]]:
        """Open dead letters of an account."""
        letters = rows.dead_letters
        statement = select(letters).where(
            letters.c.account_id == self.accounts[account], letters.c.state == "open"
        )
        with translated(), self.parts.database.read() as connection:
            return [dict(row) for row in connection.execute(statement).mappings()]

    def link_for(self, address: str) -> str | None:
        """The newest link mailed to an address, from the mail folder."""
        folder = Path(self.parts.settings.data_dir) / "mail"
        mails = sorted(folder.glob("*.eml"), key=lambda path: path.stat().st_mtime_ns)
        for mail in reversed(mails):
            text = mail.read_text()
            if f"To: {address}" in text:
                found = _LINK.search(text.replace("=\n", ""))
                return found.group(0) if found else None
        return None

    def say_yes(self, link: str) -> None:
        """Open a member's page, then press its button."""
        for data in (None, b""):
            with urllib.request.urlopen(link, data, timeout=10):  # noqa: S310
                pass

    def sign_in_link(self) -> str:
        """A one-time link to the status page."""
        return f"{self.url}/sign-in/{self.parts.operators.demo_link()}"


def wait_for(what: Callable[[], Any]) -> Any:
    """Whatever `what` gives, as soon as it gives something; None when patience ends."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        found = what()
        if found:
            return found
        time.sleep(0.05)
    return None

"""The ports by which members are told something."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Protocol

from domain.consequences import NoticeKind
from domain.letters import Letter


class MailError(Exception):
    """The mail could not be handed over; is_final: the server will never take it (E7)."""

    def __init__(self, why: str, *, is_final: bool) -> None:
        super().__init__(why)
        self.is_final = is_final


@dataclass(frozen=True, slots=True)
class DueNotice:
    """A notice under this worker's lease. fence: the number that a finish must still find."""

    id: str
    kind: NoticeKind
    address: str
    account: str
    token: str
    fence: int
    attempts: int


class Outbox(Protocol):
    """The notices of the database."""

    def claim(self, *, limit: int, lease: timedelta) -> list[DueNotice]:
        """Notices that are due, leased to the caller."""
        ...

    def sent(self, notice: DueNotice) -> bool:
        """Done, unless the lease was lost; its secret is forgotten."""
        ...

    def failed(self, notice: DueNotice, why: str, retry_in: timedelta | None) -> bool:
        """Try again after this wait, or never (None); False if the lease was lost."""
        ...


class Mailer(Protocol):
    """Hands a letter to a mail server, or to a folder."""

    def send(self, letter: Letter, *, id_: str) -> None:
        """Send under a Message-ID made of the notice's id; raises MailError."""
        ...

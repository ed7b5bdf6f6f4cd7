"""The ports by which members and operators are told something."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from domain.consequences import NoticeKind
from domain.letters import Letter
from domain.wording import Wording


class MailError(Exception):
    """The mail could not be handed over.

    is_final: the server will never take it for this address (E7). is_server: the server itself is
    the matter, so that every other mail would fare the same now. is_answer: it said so, and may
    be asked about the next mail on the same connection.
    """

    def __init__(
        self,
        why: str,
        *,
        is_final: bool = False,
        is_server: bool = False,
        is_answer: bool = False,
    ) -> None:
        super().__init__(why)
        self.is_final = is_final
        self.is_server = is_server
        self.is_answer = is_answer


@dataclass(frozen=True, slots=True)
class DueNotice:
    """A notice under this worker's lease. fence: the number that a finish must still find.

    token: of the member's link, "" without one. expires_at: when that link dies. name: of the
    person who is told. wording: the account's own words. headline, details: of an alert;
    concerns: the name of its account. is_marked: mail to the person did not arrive lately (E7).
    """

    id: str
    kind: NoticeKind
    address: str
    account: str
    token: str
    fence: int
    attempts: int
    person: str = ""
    account_id: str = ""
    name: str = ""
    expires_at: datetime | None = None
    wording: Wording | None = None
    headline: str = ""
    details: tuple[str, ...] = ()
    concerns: str = ""
    is_marked: bool = False

    @property
    def is_hook(self) -> bool:
        """Whether a program is told, by a request to that address."""
        return self.address.startswith(("https://", "http://"))


class Outbox(Protocol):
    """The notices of the database."""

    def claim(self, *, limit: int, lease: timedelta) -> list[DueNotice]:
        """Notices that are due, leased to the caller."""
        ...

    def sent(self, notices: Sequence[DueNotice]) -> frozenset[str]:
        """Done, and their secrets forgotten: ids of those whose lease was not lost.

        A link that arrived takes a mark of the person as undeliverable away (E7).
        """
        ...

    def failed(
        self, notice: DueNotice, why: str, retry_in: timedelta | None, *, is_refused: bool
    ) -> bool:
        """Try again after this wait, or never (None); False if the lease was lost.

        is_refused: the server will never take mail for this address: the person is marked (E7).
        """
        ...

    def release(self, notices: list[DueNotice]) -> None:
        """Give leases back: these are due at once, for whoever comes."""
        ...


class Mailer(Protocol):
    """Hands a letter to a mail server, or to a folder."""

    def send(self, letter: Letter, *, id_: str) -> None:
        """Send under a Message-ID made of the notice's id; raises MailError."""
        ...

    def rest(self) -> None:
        """No mail follows for now: let go of what was kept for it."""
        ...


class Hook(Protocol):
    """Tells a program of an alert."""

    def send(self, notice: DueNotice) -> None:
        """One request; raises MailError."""
        ...

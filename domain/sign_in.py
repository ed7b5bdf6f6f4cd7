"""How operators come in and how long they stay: ways, tries, passwords, sessions."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from string import ascii_lowercase, ascii_uppercase

from domain.errors import RefusedError, UsageError
from domain.permissions import Role

#: A sign-in link is good for so long.
LINK_LIFE = timedelta(minutes=15)
#: That a session is in use is written this often at most.
NOTED_EVERY = timedelta(minutes=1)
#: Wrong passwords in a row before a name has to wait, and before whoever guesses from one address.
FREE_OF_NAME, FREE_OF_ADDRESS = 5, 30
#: After that: so long, twice as long each time, never longer than the last.
FIRST_WAIT, LONGEST_WAIT = timedelta(seconds=30), timedelta(minutes=15)
#: Tries are forgotten this long after the last.
FORGOTTEN_AFTER = timedelta(hours=1)
SHORTEST_PASSWORD, LONGEST_PASSWORD = 12, 200
LONGEST_AGENT = 200
_LOWER = str.maketrans(ascii_uppercase, ascii_lowercase)


class Way(StrEnum):
    """How somebody signed in."""

    LINK = "link"
    PASSWORD = "password"  # noqa: S105 - the word for a way, not one
    OPENID = "openid"


@dataclass(frozen=True, slots=True)
class Visitor:
    """Where a request comes from. address: as `client_of` tells it; agent: the browser's word."""

    address: str
    agent: str

    @property
    def shown_agent(self) -> str:
        """What is kept of the browser's word: printable, of bounded length."""
        return "".join(c for c in self.agent if c.isprintable())[:LONGEST_AGENT]


@dataclass(frozen=True, slots=True)
class SessionRule:
    """idle: how long a session lasts unused; whole: how long in all."""

    idle: timedelta
    whole: timedelta

    def expires_at(self, now: datetime, ends_at: datetime) -> datetime:
        """Until when one that is used now is good."""
        return min(now + self.idle, ends_at)


@dataclass(frozen=True, slots=True)
class Operator:
    """Who operates. account: the id of the one they belong to with its children, None for all."""

    id: str
    email: str
    role: Role
    account: str | None


@dataclass(frozen=True, slots=True)
class Session:
    """One browser in which an operator is signed in. account: id of the operator's, None for all.

    expires_at: when it ends unless it is used; ends_at: when it ends whatever happens.
    """

    id: str
    email: str
    account: str | None
    way: str
    address: str
    agent: str
    made_at: datetime
    seen_at: datetime
    expires_at: datetime
    ends_at: datetime


@dataclass(frozen=True, slots=True)
class Tries:
    """Wrong tries in a row, of a name or from an address. free_at: when the next may be made."""

    count: int
    last_at: datetime
    free_at: datetime

    def wait(self, now: datetime) -> timedelta:
        """How long the next has to wait; nothing if it may be made."""
        return max(self.free_at - now, timedelta())


def one_more(tries: Tries | None, now: datetime, free: int) -> Tries:
    """After one more that may turn out wrong. free: so many in a row need not wait."""
    is_forgotten = tries is None or now - tries.last_at > FORGOTTEN_AFTER
    count = 1 if tries is None or is_forgotten else tries.count + 1
    return Tries(count, now, now + _wait_after(count - free))


def _wait_after(beyond: int) -> timedelta:
    if beyond < 0:
        return timedelta()
    doublings = min(beyond, (LONGEST_WAIT // FIRST_WAIT).bit_length())
    return min(FIRST_WAIT * (1 << doublings), LONGEST_WAIT)


def operator_key(address: str) -> str:
    """The form in which two operators' addresses are the same.

    A to Z are lowered, nothing else: a letter of another script that lowers to one of these would
    let in whoever got hold of an address with it.
    """
    return address.strip().translate(_LOWER)


def check_password(password: str, email: str) -> None:
    """Raises UsageError for one that is guessed too easily, or is too long to be hashed."""
    if not SHORTEST_PASSWORD <= len(password) <= LONGEST_PASSWORD:
        raise UsageError(f"a password has {SHORTEST_PASSWORD} to {LONGEST_PASSWORD} characters")
    told = operator_key(password)
    if any(part in told for part in (operator_key(email), "rosterd")) or len(set(told)) < 5:  # noqa: PLR2004 - fewer are a row of one key
        raise UsageError("this password is guessed too easily: take words of no meaning together")


def local_path(wanted: str) -> str:
    """Where to go after signing in: a path of this site, `/` for anything else."""
    is_path = wanted.startswith("/") and not wanted.startswith(("//", "/\\"))
    is_plain = (
        wanted.isascii() and wanted.isprintable() and "\\" not in wanted and " " not in wanted
    )
    return wanted if is_path and is_plain else "/"


class NotSignedInError(RefusedError):
    """No session, or none that is live."""

    def __init__(self) -> None:
        super().__init__("sign in first", code="unauthenticated")


class WrongSignInError(RefusedError):
    """Name and password do not go together; nobody learns which of them is wrong."""

    def __init__(self) -> None:
        super().__init__("name or password is wrong", code="unauthenticated")


class TooManyTriesError(RefusedError):
    """wait: until the next try may be made."""

    def __init__(self, wait: timedelta) -> None:
        super().__init__(
            f"too many wrong tries: wait {int(wait.total_seconds()) + 1} seconds, or sign in by a "
            "link (`rosterd operator link`)",
            code="rate_limited",
        )
        self.wait = wait


class NoOperatorError(RefusedError):
    """Whom the identity provider names is no operator here."""

    def __init__(self) -> None:
        super().__init__(
            "your identity provider knows you, but you are no operator here; an admin adds you "
            "(`rosterd operator add`)",
            code="no_operator",
        )

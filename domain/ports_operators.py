"""What signing in needs from outside."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Protocol

from domain.permissions import Role
from domain.sign_in import Operator, Session, Visitor, Way


@dataclass(frozen=True, slots=True)
class SignedIn:
    """Whose live session a token is. accounts: ids of theirs and its children, None for all."""

    session: str
    operator: Operator
    accounts: frozenset[str] | None


class SessionStore(Protocol):
    """Sessions, links and tries; each method is one transaction. Tokens are digested at once."""

    def holder(self, token: str, *, is_use: bool) -> SignedIn | None:
        """Whose session this is, as operators are at this moment; None if it is not live.

        is_use: it is a request of theirs, which keeps the session alive.
        """
        ...

    def is_link(self, token: str) -> bool:
        """Whether a sign-in link would work; looking does not use it up."""
        ...

    def use_link(self, token: str, visitor: Visitor, former: str) -> str | None:
        """Use a link up; the token of a new session, None if the link is not good.

        former: token of the session that the browser had, which ends; empty for none.
        """
        ...

    def open(self, email: str, way: Way, visitor: Visitor, former: str) -> str | None:
        """The token of a new session; None if nobody of this address is an operator."""
        ...

    def end(self, token: str) -> None:
        """End a session by its token."""
        ...

    def password_of(self, email: str) -> str | None:
        """What is stored of an operator's password; None where there is none."""
        ...

    def take_try(self, keys: Mapping[str, int]) -> timedelta:
        """Take one try of each key, with how many of it are free; nothing if it may be made.

        Else how long to wait: then none is taken.
        """
        ...

    def was_right(self, name: str, address: str) -> None:
        """Take back the try of both keys: those of the name are forgotten, of the address one."""
        ...


class SessionList(Protocol):
    """Sessions as operators look at them and end them."""

    def all(self, accounts: frozenset[str] | None, email: str | None = None) -> list[Session]:
        """Live sessions of operators of these accounts, None for all; of one operator if named."""
        ...

    def end(self, ended: list[Session], *, actor: str, reason: str) -> None:
        """End them at once; raises NothingFoundError for one that is over."""
        ...


class OperatorStore(Protocol):
    """Operators; each change is one transaction with its audit row. actor: who did it."""

    def one(self, email: str) -> Operator | None:
        """The operator of this address."""
        ...

    def all(self, accounts: frozenset[str] | None) -> list[dict[str, Any]]:
        """Operators of these accounts, None for all, by address."""
        ...

    def add(self, email: str, role: Role, account: str | None, *, actor: str, reason: str) -> str:
        """The id of a new one; raises UsageError where the address is one's already."""
        ...

    def set_role(self, operator: Operator, role: Role, *, actor: str, reason: str) -> None:
        """Another role, from their next request on; raises NothingFoundError."""
        ...

    def remove(self, operator: Operator, *, actor: str, reason: str) -> None:
        """No operator any more, and signed out; raises NothingFoundError."""
        ...

    def link(self, operator: Operator, *, actor: str, reason: str) -> str:
        """A token for one sign-in, soon."""
        ...

    def set_password(
        self, operator: Operator, stored: str | None, *, actor: str, reason: str
    ) -> None:
        """Another password, None for none any more; the operator is signed out."""
        ...


class Passwords(Protocol):
    """How passwords are kept."""

    def stored(self, password: str) -> str:
        """What is stored of one."""
        ...

    def is_right(self, password: str, stored: str | None) -> bool:
        """Whether it is the one; takes as long where nothing is stored."""
        ...

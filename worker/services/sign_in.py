"""Signing in and out: by a link, by a password, by an identity provider's word."""

from __future__ import annotations

from collections.abc import Callable

from domain.errors import RefusedError
from domain.permissions import Asker, permissions_of
from domain.ports_operators import Passwords, SessionStore, SignedIn
from domain.sign_in import (
    FREE_OF_ADDRESS,
    FREE_OF_NAME,
    LONGEST_PASSWORD,
    NoOperatorError,
    TooManyTriesError,
    Visitor,
    Way,
    WrongSignInError,
    operator_key,
)

#: way, result -> counted.
Told = Callable[[str, str], None]


class SignIn:
    """Who is signed in, and how they came to be. former: the token that the browser had, or ""."""

    def __init__(
        self, *, sessions: SessionStore, passwords: Callable[[], Passwords], told: Told
    ) -> None:
        self._sessions = sessions
        self._passwords = passwords
        self._told = told

    def asker(self, token: str, *, is_use: bool = True) -> Asker | None:
        """Whoever holds this session, with what they may at this moment; None if it is not live.

        is_use: False for what asks by itself, such as a stream, and so keeps no session alive.
        """
        held = self._sessions.holder(token, is_use=is_use) if token else None
        return asker_of(held) if held is not None else None

    def is_link(self, token: str) -> bool:
        """Whether a link would work; looking does not use it up."""
        return self._sessions.is_link(token)

    def by_link(self, token: str, visitor: Visitor, former: str = "") -> str | None:
        """A session's token for a link, which is used up; None if the link is not good."""
        opened = self._sessions.use_link(token, visitor, former)
        self._told(Way.LINK, "refused" if opened is None else "done")
        return opened

    def by_password(self, email: str, password: str, visitor: Visitor, former: str = "") -> str:
        """A session's token; raises TooManyTriesError, WrongSignInError.

        The try counts before it is looked at, so that many at once gain nothing; whoever is no
        operator, or has no password, is answered alike and as late.
        """
        name, address = f"name:{operator_key(email)}", f"address:{visitor.address}"
        wait = self._sessions.take_try({name: FREE_OF_NAME, address: FREE_OF_ADDRESS})
        if wait:
            raise self._refused(Way.PASSWORD, TooManyTriesError(wait))
        stored = self._sessions.password_of(email)
        is_right = self._passwords().is_right(password[: LONGEST_PASSWORD + 1], stored)
        opened = self._sessions.open(email, Way.PASSWORD, visitor, former) if is_right else None
        if opened is None:
            raise self._refused(Way.PASSWORD, WrongSignInError())
        self._sessions.was_right(name, address)
        self._told(Way.PASSWORD, "done")
        return opened

    def by_address(self, email: str, visitor: Visitor, former: str = "") -> str:
        """A session's token for an address that an identity provider vouched for.

        Raises NoOperatorError.
        """
        opened = self._sessions.open(email, Way.OPENID, visitor, former)
        if opened is None:
            raise self._refused(Way.OPENID, NoOperatorError())
        self._told(Way.OPENID, "done")
        return opened

    def out(self, token: str) -> None:
        """End a session."""
        if token:
            self._sessions.end(token)

    def _refused(self, way: Way, error: RefusedError) -> RefusedError:
        self._told(way, "refused" if error.code != "rate_limited" else "limited")
        return error


def asker_of(held: SignedIn) -> Asker:
    """Whoever is signed in, with what their role lets them do."""
    operator = held.operator
    return Asker(
        name=f"operator:{operator.email}",
        permissions=permissions_of(operator.role),
        accounts=held.accounts,
        home=operator.account,
    )

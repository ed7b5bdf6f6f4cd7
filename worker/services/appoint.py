"""Who is an operator: added, given a role, a link, a password, signed out, removed by others."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from domain.connecting import check_address
from domain.errors import NothingFoundError, UsageError
from domain.permissions import Asker, Permission, role_named
from domain.ports_operators import OperatorStore, Passwords, SessionList
from domain.sign_in import Operator, Session, check_password


class Appoint:
    """What admins do to operators, each of their own accounts only (C4).

    Everything raises NotPermittedError where the asker may not, and NothingFoundError for an
    operator or account that is not there for the asker.
    """

    def __init__(
        self, *, operators: OperatorStore, sessions: SessionList, passwords: Callable[[], Passwords]
    ) -> None:
        self._operators = operators
        self._sessions = sessions
        self._passwords = passwords

    def all(self, asker: Asker) -> list[dict[str, Any]]:
        """Operators by address, with their account's name and when they were last seen."""
        asker.check(Permission.OPERATORS)
        return self._operators.all(asker.accounts)

    def add(
        self, asker: Asker, email: str, role: str, *, account: str | None, reason: str = ""
    ) -> str:
        """The id of a new operator of an account and its children, None: of all. UsageError."""
        asker.check(Permission.OPERATORS)
        if account is None and asker.accounts is not None:
            raise UsageError("an operator of all accounts is added by one of all: name an account")
        if account is not None:
            asker.check_account("account", account, account)
        given = role_named(role)
        return self._operators.add(
            check_address(email), given, account, actor=asker.name, reason=reason
        )

    def set_role(self, asker: Asker, email: str, role: str, *, reason: str = "") -> Operator:
        """Another role, from their next request on; what they were. Raises UsageError."""
        operator = self._theirs(asker, email)
        self._operators.set_role(operator, role_named(role), actor=asker.name, reason=reason)
        return operator

    def remove(self, asker: Asker, email: str, *, reason: str) -> None:
        """No operator any more, signed out at once."""
        operator = self._theirs(asker, email)
        self._operators.remove(operator, actor=asker.name, reason=reason)

    def link(self, asker: Asker, email: str, *, reason: str = "") -> str:
        """A token for one sign-in within a quarter of an hour."""
        operator = self._theirs(asker, email)
        return self._operators.link(operator, actor=asker.name, reason=reason)

    def set_password(
        self, asker: Asker, email: str, password: str | None, *, reason: str = ""
    ) -> None:
        """Another password, None for none; the operator is signed out. Raises UsageError."""
        operator = self._theirs(asker, email)
        if password is not None:
            check_password(password, operator.email)
        stored = self._passwords().stored(password) if password is not None else None
        self._operators.set_password(operator, stored, actor=asker.name, reason=reason)

    def sessions(self, asker: Asker, email: str | None = None) -> list[Session]:
        """Live sessions, last used first: one's own, and those of others for an admin."""
        if email is None or not _is_own(asker, email):
            if email is not None:
                email = self._theirs(asker, email).email
            asker.check(Permission.OPERATORS)
            return self._sessions.all(asker.accounts, email)
        return self._sessions.all(None, email)

    def end_session(
        self, asker: Asker, session: str, *, email: str | None = None, reason: str = ""
    ) -> Session:
        """Sign one browser out; whose it was. One's own needs no permission.

        email: whose it has to be, None for anybody's that are there for the asker.
        """
        known = {one.id: one for one in self._sessions.all(None, email)}
        found = known.get(session)
        if found is None or not (_is_own(asker, found.email) or _may(asker, found)):
            raise NothingFoundError("live session", session)
        self._sessions.end([found], actor=asker.name, reason=reason)
        return found

    def end_sessions(self, asker: Asker, email: str, *, reason: str = "") -> int:
        """Sign an operator out everywhere; how many sessions that were."""
        if not _is_own(asker, email):
            email = self._theirs(asker, email).email
        found = self._sessions.all(None, email)
        self._sessions.end(found, actor=asker.name, reason=reason)
        return len(found)

    def _theirs(self, asker: Asker, email: str) -> Operator:
        asker.check(Permission.OPERATORS)
        operator = self._operators.one(email)
        if operator is None or not asker.may_see(operator.account):
            raise NothingFoundError("operator", email)
        return operator


def _is_own(asker: Asker, email: str) -> bool:
    return asker.name == f"operator:{email}"


def _may(asker: Asker, session: Session) -> bool:
    return asker.may(Permission.OPERATORS) and asker.may_see(session.account)

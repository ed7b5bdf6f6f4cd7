"""The parts that deal with operators: signing in, and who is one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

from domain.permissions import ALL, Asker
from domain.sign_in import SessionRule
from worker.adapters.db.engine import Database
from worker.adapters.db.operators import SQLOperators
from worker.adapters.db.sessions import SQLSessionList, SQLSessions
from worker.adapters.passwords import Argon2Passwords
from worker.services.appoint import Appoint
from worker.services.sign_in import SignIn
from worker.settings import Settings

DEMO_OPERATOR = "demo@localhost"
#: Who the audit says it was where rosterd does something by itself.
ITSELF = Asker("rosterd", ALL)


@dataclass(frozen=True)
class OperatorParts:
    """Lazily built, once a process. told: counts how signing in went (way, result)."""

    database: Database
    settings: Settings
    told: Callable[[str, str], None]

    @cached_property
    def passwords(self) -> Argon2Passwords:
        """How passwords are kept; the first use costs a hash."""
        return Argon2Passwords()

    @cached_property
    def sessions(self) -> SQLSessions:
        """Sessions, links, tries."""
        rule = SessionRule(idle=self.settings.session_idle, whole=self.settings.session_life)
        return SQLSessions(self.database, rule)

    @cached_property
    def sign_in(self) -> SignIn:
        """Signing in and out."""
        return SignIn(sessions=self.sessions, passwords=lambda: self.passwords, told=self.told)

    @cached_property
    def appoint(self) -> Appoint:
        """Who is an operator."""
        return Appoint(
            operators=SQLOperators(self.database),
            sessions=SQLSessionList(self.database),
            passwords=lambda: self.passwords,
        )

    def demo_link(self) -> str:
        """A sign-in token for whoever runs the demo, who may do everything in it."""
        known = {one["email"] for one in self.appoint.all(ITSELF)}
        if DEMO_OPERATOR not in known:
            self.appoint.add(ITSELF, DEMO_OPERATOR, "admin", account=None, reason="demo")
        return self.appoint.link(ITSELF, DEMO_OPERATOR, reason="demo")

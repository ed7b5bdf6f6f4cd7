"""The parts that deal with operators: signing in, and who is one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from urllib.parse import urlsplit

import structlog

from domain.open_identity import IdentityProvider
from domain.outbound import Allowed, parse_allowed
from domain.permissions import ALL, Asker
from domain.sign_in import SessionRule
from worker import telemetry
from worker.adapters.alert_hook import AlertHook
from worker.adapters.db.engine import Changing, Database
from worker.adapters.db.gauges import Gauges
from worker.adapters.db.operators import SQLOperators
from worker.adapters.db.sessions import SQLSessionList, SQLSessions
from worker.adapters.db.sweeping import Report, SQLSweep
from worker.adapters.db.watching import SQLWatch, WatchRule
from worker.adapters.outbound_http import OutboundHTTP
from worker.adapters.passwords import Argon2Passwords
from worker.services.appoint import Appoint
from worker.services.sign_in import SignIn
from worker.settings import Settings

#: Where the provider sends browsers back to.
CALLBACK = "/sign-in/openid/callback"
DEMO_OPERATOR = "demo@localhost"
#: Who the audit says it was where rosterd does something by itself.
ITSELF = Asker("rosterd", ALL)


@dataclass(frozen=True)
class OperatorParts:
    """Lazily built, once a process. outbound: the way to addresses from settings."""

    database: Database
    settings: Settings
    gauges: Gauges
    outbound: Callable[[], OutboundHTTP]

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
        return SignIn(sessions=self.sessions, passwords=lambda: self.passwords, told=_told)

    @cached_property
    def appoint(self) -> Appoint:
        """Who is an operator."""
        return self.appoint_on(self.database)

    def appoint_on(self, changing: Changing) -> Appoint:
        """The same, its changes in these transactions."""
        return Appoint(
            operators=SQLOperators(self.database, changing),
            sessions=SQLSessionList(self.database, changing),
            passwords=lambda: self.passwords,
        )

    @cached_property
    def watch(self) -> SQLWatch:
        """What operators are told of while it stands."""
        rule = WatchRule(
            dead_per_hour=self.settings.alert_dead_per_hour,
            suspension=timedelta(seconds=self.settings.alert_suspension_seconds),
        )
        return SQLWatch(self.database, self.gauges, rule)

    def sweeper(self, worker: str, report: Report) -> SQLSweep:
        """What a sweep does in the database, for this worker."""
        hook = self.settings.alert_webhook_url or ""
        return SQLSweep(self.database, worker, report, hook=hook)

    @property
    def alert_hook(self) -> AlertHook | None:
        """How a program is told of alerts, where one is set."""
        secret = self.settings.alert_webhook_secret
        if secret is None:
            return None
        return AlertHook(self.outbound(), secret.get_secret_value(), lambda: datetime.now(UTC))

    @cached_property
    def openid(self) -> IdentityProvider | None:
        """The provider by whose word operators sign in, where one is set."""
        if self.settings.openid_issuer is None:
            return None
        # A third of a second and some megabytes that few installations need.
        from worker.adapters.openid import OpenIDProvider, Registration  # noqa: PLC0415

        ours = Registration(
            issuer=self.settings.openid_issuer,
            client_id=self.settings.openid_client_id,
            client_secret=self.settings.openid_client_secret.get_secret_value(),
            redirect_uri=f"{self.settings.public_url.rstrip('/')}{CALLBACK}",
            claim=self.settings.openid_claim,
        )
        return OpenIDProvider(ours, self.openid_http)

    @cached_property
    def openid_http(self) -> OutboundHTTP:
        """The way to that provider, which may be inside: its host is a setting of ours."""
        allowed = parse_allowed(self.settings.outbound_allow)
        host = urlsplit(self.settings.openid_issuer or "").hostname or ""
        return OutboundHTTP(Allowed(allowed.networks, allowed.hosts | {host}))

    def close(self) -> None:
        """Let go of connections."""
        if "openid_http" in self.__dict__:
            self.openid_http.close()

    def demo_link(self) -> str:
        """A sign-in token for whoever runs the demo, who may do everything in it."""
        known = {one["email"] for one in self.appoint.all(ITSELF)}
        if DEMO_OPERATOR not in known:
            self.appoint.add(ITSELF, DEMO_OPERATOR, "admin", account=None, reason="demo")
        return self.appoint.link(ITSELF, DEMO_OPERATOR, reason="demo")


def _told(way: str, result: str) -> None:
    """Count and log how signing in went; who it was stands in the audit."""
    telemetry.SIGN_INS.labels(way, result).inc()
    structlog.get_logger("rosterd").info("sign_in_handled", way=way, result=result)

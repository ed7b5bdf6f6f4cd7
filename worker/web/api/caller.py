"""Who asks: a bearer token, its scopes, its account (C3)."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Security
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer, SecurityScopes
from starlette.requests import Request

from domain.errors import NothingFoundError, UsageError
from worker.adapters.db.engine import translated
from worker.adapters.db.family import family_of
from worker.adapters.db.token_use import TokenInUse, live_token, note_use
from worker.bootstrap import Container
from worker.web.api.problems import ProblemError

READ, WRITE = "directory:read", "directory:write"
#: Tokens whose rate is remembered at most.
REMEMBERED = 10_000

_bearer = HTTPBearer(
    auto_error=False,
    scheme_name="token",
    description="A token of `rosterd token add`. The scope `operator` opens all of the others.",
)


@dataclass(frozen=True, slots=True)
class Caller:
    """The token behind a request. account: None where it is for all accounts.

    family: ids of the account and of everybody below it (C4), asked for only where another account
    is named than the token's own.
    """

    token: str
    name: str
    account: str | None
    scopes: frozenset[str]
    family: Callable[[], frozenset[str]] = frozenset

    @property
    def actor(self) -> str:
        """Who the audit says it was."""
        return f"token:{self.token}"

    def may_see(self, account: str) -> bool:
        """Whether what belongs to this account is there for the caller (G7, C4)."""
        return self.account in (None, account) or account in self.family()

    def check(self, what: str, id_: str, account: str) -> None:
        """Another account's is unknown; raises NothingFoundError."""
        if not self.may_see(account):
            raise NothingFoundError(what, id_)

    def one_account(self, named: str | None) -> str:
        """The id of the account that is asked about; raises UsageError or NothingFoundError."""
        if named is None:
            if self.account is None:
                raise UsageError("this token is for all accounts: say ?account=ID")
            return self.account
        self.check("account", named, named)
        return named


class Rates:
    """At most so many requests a second of each token in this process, twice that at once."""

    def __init__(self, per_second: float) -> None:
        self._per_second = per_second
        self._burst = max(2 * per_second, 1.0)
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()
        self._lock = threading.Lock()

    def wait(self, token: str) -> float:
        """Take one request; 0, or the seconds after which there is room for one."""
        now = time.monotonic()
        with self._lock:
            left, at = self._left.pop(token, (self._burst, now))
            left = min(self._burst, left + (now - at) * self._per_second)
            is_free = left >= 1
            self._left[token] = (left - 1 if is_free else left, now)
            if len(self._left) > REMEMBERED:
                self._left.popitem(last=False)
        return 0.0 if is_free else (1 - left) / self._per_second


async def _parts(request: Request) -> Container:
    parts: Container = request.app.state.parts
    return parts


Parts = Annotated[Container, Depends(_parts)]


def authenticated(
    request: Request,
    parts: Parts,
    wanted: SecurityScopes,
    bearer: Annotated[HTTPAuthorizationCredentials | None, Security(_bearer)],
) -> Caller:
    """The caller; raises ProblemError. Revoked is revoked at once: nothing is remembered."""
    token = live_token(parts.database, bearer.credentials) if bearer is not None else None
    if token is None:
        raise ProblemError(
            "unauthenticated",
            "no token, or none that is live",
            headers={"WWW-Authenticate": 'Bearer realm="rosterd"'},
        )
    _check_scopes(token, wanted.scopes)
    wait = request.app.state.rates.wait(token.id)
    if wait:
        raise ProblemError(
            "rate_limited",
            "this token asks too often",
            headers={"Retry-After": str(int(wait) + 1)},
        )
    if token.is_use_untold:
        note_use(parts.database, token.id)
    return Caller(
        token.id, token.name, token.account, token.scopes, lambda: _family(parts, token.account)
    )


def _family(parts: Container, account: str | None) -> frozenset[str]:
    if account is None:
        return frozenset()
    with translated(), parts.database.read() as connection:
        return family_of(connection, account)


def _check_scopes(token: TokenInUse, wanted: list[str]) -> None:
    missing = token.lacks(wanted)
    if missing:
        told = " ".join(missing)
        raise ProblemError(
            "insufficient_scope",
            f"this needs a token with scope {told}",
            headers={
                "WWW-Authenticate": f'Bearer realm="rosterd", error="insufficient_scope", '
                f'scope="{told}"'
            },
            scope=told,
        )


Reader = Annotated[Caller, Security(authenticated, scopes=[READ])]
Writer = Annotated[Caller, Security(authenticated, scopes=[WRITE])]

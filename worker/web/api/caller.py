"""Who asks: a bearer token, its scopes, its account (C3)."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Annotated, Any

from fastapi import Depends, Security
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from starlette.requests import Request

from domain.errors import NothingFoundError, UsageError
from domain.permissions import Asker, Permission, permissions_of_scopes, scope_with
from domain.sign_in import NotSignedInError
from worker.adapters.db.engine import translated
from worker.adapters.db.family import family_of, is_account
from worker.adapters.db.token_use import live_token, note_use
from worker.bootstrap import Container
from worker.web.api.problems import ProblemError
from worker.web.signin.session import check_csrf, session_token, signed_in

SAFE = frozenset({"GET", "HEAD"})
#: Tokens whose rate is remembered at most.
REMEMBERED = 10_000

_bearer = HTTPBearer(
    auto_error=False,
    scheme_name="token",
    description="A token of `rosterd token add`. The scope `operator` opens all of the others.",
)
Bearer = Annotated[HTTPAuthorizationCredentials | None, Security(_bearer)]


@dataclass(frozen=True)
class Caller:
    """The token behind a request. account: None where it is for all accounts.

    family: ids of the account and of everybody below it (C4), asked for only where another account
    is named than the token's own. is_there: whether an account has this id.
    """

    token: str
    name: str
    account: str | None
    permissions: frozenset[Permission]
    family: Callable[[], frozenset[str]]
    is_there: Callable[[str], bool]
    #: Of somebody who is signed in and has no token: who the audit says it was.
    operator: str = ""

    @property
    def actor(self) -> str:
        """Who the audit says it was."""
        return self.operator or f"token:{self.token}"

    @cached_property
    def asker(self) -> Asker:
        """The same for services: who asks, what they may do, in which accounts."""
        return Asker(self.actor, self.permissions, self.accounts, self.account)

    @cached_property
    def accounts(self) -> frozenset[str] | None:
        """Ids of the accounts that are there for the caller; None for all."""
        return None if self.account is None else self.family() | {self.account}

    def may(self, permission: Permission) -> bool:
        """Whether the caller may do something, in any account that is there for them."""
        return permission in self.permissions

    def may_see(self, account: str | None) -> bool:
        """Whether what belongs to this account is there for the caller (G7, C4)."""
        if self.account is None or account == self.account:
            return True
        return account is not None and account in (self.accounts or ())

    def check(self, what: str, id_: str, account: str | None) -> None:
        """Another account's is unknown; raises NothingFoundError."""
        if not self.may_see(account):
            raise NothingFoundError(what, id_)

    def one_account(self, named: str | None) -> str:
        """The id of the account that is asked about; raises UsageError or NothingFoundError."""
        if named is None:
            if self.account is None:
                raise UsageError("this token is for all accounts: say ?account=ID")
            return self.account
        return self.named_account(named)

    def named_account(self, id_: str) -> str:
        """The id of an account that somebody names; raises NothingFoundError.

        A slip is no empty list: an operator who reads "no dead letters" believes it.
        """
        self.check("account", id_, id_)
        if self.account is None and not self.is_there(id_):
            raise NothingFoundError("account", id_)
        return id_

    def some_accounts(self, named: str | None) -> frozenset[str] | None:
        """Ids of the one that is named, else of all that are there; None for every one."""
        if named is None:
            return self.accounts
        return frozenset({self.named_account(named)})


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


def authenticated(request: Request, bearer: Bearer, permission: Permission) -> Caller:
    """The caller; raises ProblemError. Revoked is revoked at once: nothing is remembered.

    Without a token it is whoever is signed in; what changes something must come from a page of
    that session, as its header proves.
    """
    parts: Container = request.app.state.parts
    if bearer is None and session_token(request):
        return _signed_in(request, permission)
    token = live_token(parts.database, bearer.credentials) if bearer is not None else None
    if token is None:
        raise ProblemError(
            "unauthenticated",
            "no token, or none that is live",
            headers={"WWW-Authenticate": 'Bearer realm="rosterd"'},
        )
    permissions = permissions_of_scopes(token.scopes)
    if permission not in permissions:
        raise _lacking(permission)
    wait = request.app.state.rates.wait(token.id)
    if wait:
        raise _too_often(wait)
    if token.is_use_untold:
        note_use(parts.database, token.id)
    return Caller(
        token.id,
        token.name,
        token.account,
        permissions,
        lambda: _family(parts, token.account),
        partial(_is_there, parts),
    )


def _signed_in(request: Request, permission: Permission) -> Caller:
    try:
        asker = signed_in(request)
    except NotSignedInError:
        raise ProblemError("unauthenticated", "no token, and nobody is signed in") from None
    if request.method not in SAFE:
        check_csrf(request, {})
    asker.check(permission)
    wait = request.app.state.rates.wait(asker.name)
    if wait:
        raise _too_often(wait)
    family = asker.accounts or frozenset()
    return Caller(
        asker.name,
        asker.name,
        asker.home,
        asker.permissions,
        lambda: family,
        partial(_is_there, request.app.state.parts),
        asker.name,
    )


def _too_often(wait: float) -> ProblemError:
    told = {"Retry-After": str(int(wait) + 1)}
    return ProblemError("rate_limited", "too many requests at once", headers=told)


def _is_there(parts: Container, account: str) -> bool:
    with translated(), parts.database.read() as connection:
        return is_account(connection, account)


def _family(parts: Container, account: str | None) -> frozenset[str]:
    if account is None:
        return frozenset()
    with translated(), parts.database.read() as connection:
        return family_of(connection, account)


def _lacking(permission: Permission) -> ProblemError:
    scope = scope_with(permission)
    return ProblemError(
        "insufficient_scope",
        f"this needs a token with scope {scope}",
        headers={
            "WWW-Authenticate": f'Bearer realm="rosterd", error="insufficient_scope", '
            f'scope="{scope}"'
        },
        scope=scope,
    )


class Asking:
    """What an operation needs whoever asks to be permitted; gives the `Caller`."""

    def __init__(self, permission: Permission) -> None:
        self._permission = permission

    def __call__(self, request: Request, bearer: Bearer) -> Caller:
        """See `authenticated`."""
        return authenticated(request, bearer, self._permission)


def needs(permission: Permission) -> Any:
    """What goes beside `Caller` in an annotation, for the description, too."""
    return Security(Asking(permission), scopes=[scope_with(permission)])


Reader = Annotated[Caller, needs(Permission.DIRECTORY_READ)]
Viewer = Annotated[Caller, needs(Permission.VIEW)]
Tokens = Annotated[Caller, needs(Permission.TOKENS)]
Appointer = Annotated[Caller, needs(Permission.OPERATORS)]
Configurer = Annotated[Caller, needs(Permission.CONFIGURE)]

"""Signing in by an identity provider's word (OpenID Connect): what is begun, what goes wrong."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Protocol

from domain.errors import RefusedError

#: Whoever was sent to the provider comes back within this time.
ROUND_TRIP = timedelta(minutes=10)


@dataclass(frozen=True, slots=True)
class Begun:
    """A sign-in on its way: only the browser that began it can end it.

    url: where the browser goes. state comes back with it, nonce in the provider's token; verifier
    is what only we know (PKCE).
    """

    url: str
    state: str
    nonce: str
    verifier: str


class OpenIDError(RefusedError):
    """The provider's answer lets nobody in. why: for the log, without anybody's data."""

    def __init__(self, message: str, *, why: str) -> None:
        super().__init__(message, code="openid")
        self.why = why


class ProviderAwayError(Exception):
    """The provider cannot be reached or makes no sense. why: for the log."""

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why


class IdentityProvider(Protocol):
    """An OpenID provider."""

    def begin(self) -> Begun:
        """Where to send a browser; raises ProviderAwayError."""
        ...

    def address(self, answer: Mapping[str, str], begun: Begun) -> str:
        """The address of whoever comes back, which the provider says they have.

        answer: the query that the browser brought. Raises OpenIDError, ProviderAwayError.
        """
        ...

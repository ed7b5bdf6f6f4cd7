"""A service account of Google's that stands in for an administrator (RFC 7523, JWT bearer)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from authlib.oauth2.auth import TokenAuth
from authlib.oauth2.rfc7521 import AssertionClient
from authlib.oauth2.rfc7523 import JWTBearerGrant

from domain.errors import UsageError
from worker.adapters.directories.keys import read_key

#: Google takes an hour at most, by its own clock.
ASSERTION_SECONDS = 3000
_BASE = "https://www.googleapis.com/auth"
#: All of them read only.
SCOPES = " ".join(
    f"{_BASE}/admin.{name}.readonly"
    for name in ("directory.user", "directory.group", "directory.group.member", "reports.audit")
)


@dataclass(frozen=True, slots=True)
class ServiceAccount:
    """What Google's key file tells. token_url: where tokens are fetched."""

    email: str
    key_id: str
    token_url: str
    key: Any = field(repr=False)


def read_account(secret: str) -> ServiceAccount:
    """The account of a key file; raises UsageError, which repeats nothing of it."""
    try:
        told = json.loads(secret)
        email, pem, url = (told[name] for name in ("client_email", "private_key", "token_uri"))
        key, _ = read_key(pem)
    except (ValueError, TypeError, KeyError, AttributeError, UsageError):
        raise UsageError(
            "the secret is no key of a service account: give the JSON file that Google made, "
            "with client_email, private_key and token_uri"
        ) from None
    return ServiceAccount(str(email), str(told.get("private_key_id", "")), str(url), key)


class DelegatedClient(AssertionClient):  # type: ignore[misc]
    """Authlib's, asked for tokens as its other clients are."""

    DEFAULT_GRANT_TYPE = JWTBearerGrant.GRANT_TYPE
    ASSERTION_METHODS: Mapping[str, Any] = {JWTBearerGrant.GRANT_TYPE: JWTBearerGrant.sign}
    token_auth_class = TokenAuth

    def fetch_token(self, url: str, **_told: Any) -> Mapping[str, Any]:  # noqa: ARG002
        """A new token, by an assertion of its own."""
        self.claims = {"scope": SCOPES}
        token: Mapping[str, Any] = self.refresh_token()
        return token


def delegated_client(session: Any, *, account: ServiceAccount, subject: str) -> DelegatedClient:
    """A client that signs as this account. subject: the administrator in whose name it reads."""
    header = {"alg": "RS256", "kid": account.key_id} if account.key_id else {"alg": "RS256"}
    return DelegatedClient(
        session,
        account.token_url,
        account.email,
        subject,
        key=account.key,
        header=header,
        expires_in=ASSERTION_SECONDS,
    )

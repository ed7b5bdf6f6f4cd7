"""A client that proves itself by a private key (RFC 7523), read from PEM or JWK."""

from __future__ import annotations

import json
from typing import Any

from authlib.oauth2.client import OAuth2Client
from authlib.oauth2.rfc7523 import PrivateKeyJWT
from authlib.oauth2.rfc7523.assertion import private_key_jwt_sign
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, RSAKey

from domain.errors import UsageError

#: Okta takes an hour at most, by its own clock.
ASSERTION_SECONDS = 300
_CURVES = {"P-256": "ES256", "P-384": "ES384", "P-521": "ES512"}
_PEM = "-----BEGIN"


class KeyProof(PrivateKeyJWT):  # type: ignore[misc]
    """Authlib's, with assertions that live for minutes."""

    def sign(self, auth: Any, token_endpoint: str) -> str:
        """A fresh assertion."""
        made: str = private_key_jwt_sign(
            auth.client_secret,
            client_id=auth.client_id,
            token_endpoint=token_endpoint,
            header=dict(self.headers),
            alg=self.alg,
            expires_in=ASSERTION_SECONDS,
        )
        return made


def is_key(secret: str) -> bool:
    """Whether this is a private key, or the secret of another kind."""
    return secret.strip().startswith((_PEM, "{"))


def key_client(
    session: Any, *, client_id: str, secret: str, token_url: str, scope: str, key_id: str
) -> OAuth2Client:
    """A client that signs with this key; raises UsageError for what is none."""
    key, told_id = read_key(secret)
    name = key_id or told_id
    headers = {"kid": name} if name else {}
    client = OAuth2Client(
        session,
        client_id=client_id,
        client_secret=key,
        token_endpoint_auth_method=KeyProof.name,
        scope=scope,
    )
    client.register_client_auth_method(KeyProof(token_url, headers=headers, alg=algorithm(key)))
    return client


def read_key(secret: str) -> tuple[RSAKey | ECKey, str]:
    """The key, and the id that it bears; raises UsageError, which repeats nothing of it."""
    text = secret.strip()
    try:
        key, name = _from_jwk(json.loads(text)) if text.startswith("{") else (_from_pem(text), "")
    except (ValueError, TypeError, KeyError, JoseError):
        key = None
    if key is None or not key.is_private:
        raise UsageError(
            "the secret is no private RSA or EC key, in PEM without a password or as a JWK"
        ) from None
    return key, name


def algorithm(key: RSAKey | ECKey) -> str:
    """What a key signs with."""
    return "RS256" if isinstance(key, RSAKey) else _CURVES[key.curve_name]


def _from_jwk(told: dict[str, Any]) -> tuple[RSAKey | ECKey | None, str]:
    kind = {"RSA": RSAKey, "EC": ECKey}.get(told.get("kty", ""))
    key = kind.import_key(told) if kind is not None else None  # type: ignore[attr-defined]
    return key, str(told.get("kid", ""))


def _from_pem(text: str) -> RSAKey | ECKey:
    try:
        return RSAKey.import_key(text)
    except (ValueError, TypeError, JoseError):
        return ECKey.import_key(text)

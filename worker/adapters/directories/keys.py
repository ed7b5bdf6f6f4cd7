"""A client that proves itself by a private key (RFC 7523), read from PEM or JWK."""

from __future__ import annotations

import json
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any
from urllib.parse import urlencode

from authlib.oauth2.client import OAuth2Client
from authlib.oauth2.rfc7523 import PrivateKeyJWT
from authlib.oauth2.rfc7523.assertion import private_key_jwt_sign
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, RSAKey

from domain.errors import UsageError

#: Okta takes an hour at most, by its own clock.
ASSERTION_SECONDS = 300
SHA1_BYTES = 20
NO_MARKS: Mapping[str, str] = MappingProxyType({})
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


class NamedKeyProof(KeyProof):
    """The same for a server that wants to hear the client's id beside the assertion, too."""

    name = "private_key_jwt_named"

    def __call__(
        self, auth: Any, method: str, uri: str, headers: Any, body: str
    ) -> tuple[str, Any, str]:
        """What is sent: address, headers, form."""
        uri, headers, body = super().__call__(auth, method, uri, headers, body)
        return uri, headers, f"{body}&{urlencode({'client_id': auth.client_id})}"


def is_key(secret: str) -> bool:
    """Whether this is a private key, or the secret of another kind."""
    return secret.strip().startswith((_PEM, "{"))


def key_client(
    session: Any,
    *,
    client_id: str,
    secret: str,
    token_url: str,
    scope: str,
    key_id: str = "",
    marks: Mapping[str, str] = NO_MARKS,
) -> OAuth2Client:
    """A client that signs with this key; raises UsageError for what is none.

    marks: what else the head of its assertions says of the key, for a server that wants it so.
    """
    key, told_id = read_key(secret)
    name = key_id or told_id
    headers = {**({"kid": name} if name else {}), **marks}
    proof = NamedKeyProof if marks else KeyProof
    client = OAuth2Client(
        session,
        client_id=client_id,
        client_secret=key,
        token_endpoint_auth_method=proof.name,
        scope=scope,
    )
    client.register_client_auth_method(proof(token_url, headers=headers, alg=algorithm(key)))
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


def certificate_mark(thumbprint: str) -> str:
    """`x5t` (RFC 7515) of the SHA-1 thumbprint that a portal shows in hex; raises UsageError."""
    try:
        told = bytes.fromhex(thumbprint.replace(":", ""))
    except ValueError:
        told = b""
    if len(told) != SHA1_BYTES:
        raise UsageError("thumbprint=.. is a certificate's SHA-1 thumbprint: 40 hex digits")
    return urlsafe_b64encode(told).decode().rstrip("=")


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

"""JSON Web Signatures of senders (RFC 7515), checked by PyJWT; their key sets (RFC 7517)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import orjson
from jwt import PyJWK, PyJWS, PyJWTError, get_unverified_header
from jwt.exceptions import InvalidKeyError

from domain.ports import (
    KeysNeededError,
    NotAuthenticError,
    SigningSecret,
    UnparseableError,
)
from worker.adapters.sources import proofs
from worker.adapters.sources.strict_json import read_json
from worker.adapters.sources.trust import Trust

#: Algorithm -> type of key and, where there is one, its curve. `none` and HMAC are not among them.
_KEY_OF: Mapping[str, tuple[str, str | None]] = {
    "EdDSA": ("OKP", "Ed25519"),
    "ES256": ("EC", "P-256"),
    "ES384": ("EC", "P-384"),
    "ES512": ("EC", "P-521"),
    **{f"{family}{bits}": ("RSA", None) for family in ("RS", "PS") for bits in (256, 384, 512)},
}
_SHARED = ("HS256", "HS384", "HS512")
#: Keys of one set that may bear no id and are tried one after the other.
_MOST_KEYS = 16
#: RFC 7518, 3.2 and 3.3: a shared key as long as the hash, RSA from 2,048 bits on.
_JWS = PyJWS(options={"enforce_minimum_key_length": True})
INVALID_REQUEST, INVALID_KEY, FAILED = "invalid_request", "invalid_key", "authentication_failed"


@dataclass(frozen=True, slots=True)
class Keys:
    """The keys of one sender, as published."""

    jwks: tuple[Mapping[str, Any], ...]
    _made: dict[tuple[int, str], PyJWK | None] = field(default_factory=dict, repr=False)

    def fitting(self, kid: object, algorithm: str) -> Iterator[PyJWK]:
        """Keys that may have signed so; kid: None where the token names none."""
        kind, curve = _KEY_OF[algorithm]
        for index, jwk in enumerate(self.jwks):
            is_named = kid is None or jwk.get("kid") == kid
            fits = jwk.get("kty") == kind and (curve is None or jwk.get("crv") == curve)
            is_meant = jwk.get("use", "sig") == "sig" and jwk.get("alg", algorithm) == algorithm
            if is_named and fits and is_meant:
                key = self._key(index, algorithm)
                if key is not None:
                    yield key

    def knows(self, kid: object) -> bool:
        """Whether a key bears this id."""
        return kid is not None and any(jwk.get("kid") == kid for jwk in self.jwks)

    def _key(self, index: int, algorithm: str) -> PyJWK | None:
        """Made once for an algorithm: with RSA that costs more than a check."""
        place = (index, algorithm)
        if place not in self._made:
            try:
                self._made[place] = PyJWK(dict(self.jwks[index]), algorithm)
            except (PyJWTError, ValueError, TypeError):
                self._made[place] = None
        return self._made[place]


def read_keys(body: bytes) -> Keys:
    """A published key set; raises ValueError for what is none, or empty."""
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError:
        raise ValueError("no JSON") from None
    listed = document.get("keys") if isinstance(document, dict) else None
    found = [one for one in listed if isinstance(one, dict)] if isinstance(listed, list) else []
    if not found:
        raise ValueError("no key set")
    return Keys(tuple(found[: _MOST_KEYS * 4]))


@dataclass(frozen=True, slots=True)
class Signed:
    """A token whose signature was checked."""

    header: Mapping[str, Any]
    payload: bytes

    @property
    def claims(self) -> Mapping[str, Any]:
        """The payload, which must be a JSON object; raises NotAuthenticError."""
        try:
            claims = read_json(self.payload)
        except UnparseableError:
            raise NotAuthenticError(proofs.WRONG, INVALID_REQUEST) from None
        if not isinstance(claims, dict):
            raise NotAuthenticError(proofs.WRONG, INVALID_REQUEST)
        return claims


def opened(token: bytes, secret: SigningSecret) -> Signed:
    """The token, proven by the secret or by a key of whom it says to trust.

    Raises NotAuthenticError, and KeysNeededError where the key is not among those known.
    """
    trust = Trust.of(secret.value)
    try:
        header = get_unverified_header(token)
        algorithm = header.get("alg")
        if not trust.jwks_url:
            return _checked(token, trust.secret, _SHARED)
        if algorithm not in _KEY_OF:
            raise NotAuthenticError(proofs.WRONG, FAILED)
        return _by_published_key(token, header, secret, trust.jwks_url)
    except InvalidKeyError:
        raise NotAuthenticError(proofs.WRONG, INVALID_KEY) from None
    except (PyJWTError, ValueError, TypeError, RecursionError):
        raise NotAuthenticError(proofs.WRONG, INVALID_REQUEST) from None


def _by_published_key(
    token: bytes, header: Mapping[str, Any], secret: SigningSecret, url: str
) -> Signed:
    if not isinstance(secret.keys, Keys):
        raise KeysNeededError(url)
    algorithm = str(header["alg"])
    candidates = list(secret.keys.fitting(header.get("kid"), algorithm))[:_MOST_KEYS]
    for key in candidates:
        try:
            return _checked(token, key, (algorithm,))
        except NotAuthenticError:
            continue
    if not candidates and not secret.keys.knows(header.get("kid")):
        # Its owner may have begun to use another one.
        raise KeysNeededError(url)
    raise NotAuthenticError(proofs.WRONG, FAILED)


def _checked(token: bytes, key: PyJWK | str, algorithms: tuple[str, ...]) -> Signed:
    # Anybody can sign with an empty key.
    if not key:
        raise NotAuthenticError(proofs.WRONG, FAILED)
    try:
        found = _JWS.decode_complete(token, key, list(algorithms))
    except InvalidKeyError:
        raise
    except PyJWTError as error:
        why = INVALID_REQUEST if type(error).__name__ == "DecodeError" else FAILED
        raise NotAuthenticError(proofs.WRONG, why) from None
    return Signed(found["header"], found["payload"])


def prove(token: bytes, secrets: Sequence[SigningSecret]) -> tuple[SigningSecret, Signed]:
    """The first secret that proves the token; raises as `opened` does.

    Keys that are missing for one of several are asked for only if none of the others proves it.
    """
    refusal: NotAuthenticError | KeysNeededError = NotAuthenticError(proofs.WRONG, FAILED)
    for secret in secrets:
        try:
            return secret, opened(token, secret)
        except KeysNeededError as needed:
            refusal = needed
        except NotAuthenticError as error:
            if isinstance(refusal, NotAuthenticError):
                refusal = error
    raise refusal


def refuse_expired(claims: Mapping[str, Any], now: datetime, tolerance: timedelta) -> None:
    """Raise where a proven token says that it is over (`exp`, seconds); one need not say so."""
    ends = claims.get("exp")
    if isinstance(ends, int | float) and now.timestamp() > ends + tolerance.total_seconds():
        raise NotAuthenticError(proofs.STALE, FAILED)

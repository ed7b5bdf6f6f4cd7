"""Secrets at rest: sealing with rotating keys, tokens that are stored only as digests (C3)."""

from __future__ import annotations

import os
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Sequence
from hashlib import sha256

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCMSIV

_KEY_BYTES = 32
#: Crockford's base 32 in lower case: no letter that reads like a figure. By tens of bits.
_DIGITS = "0123456789abcdefghjkmnpqrstvwxyz"
_PAIRS = [high + low for high in _DIGITS for low in _DIGITS]


class SealError(Exception):
    """No key of ROSTERD_SECRET_KEYS opens this; it was sealed with a key that is gone."""


#: What a sealed value begins with; another way to seal would begin otherwise.
_SEALED = b"rs1:"
_KEY_NAME = slice(4, 8)
_NONCE = slice(8, 20)
_TEXT = slice(20, None)


class Vault:
    """Seals bytes with the newest key and opens them with any key that is still listed.

    A sealed value: version, name of its key, nonce, AES-256-GCM-SIV (RFC 8452: a nonce drawn
    twice tells only that the same was sealed twice, however many rows there are).
    """

    def __init__(self, keys: Sequence[str]) -> None:
        """keys: as `new_key` makes them, the newest first; raises ValueError for another text."""
        named = [_named(key) for key in keys]
        self._newest, self._cipher = named[0]
        self._ciphers = dict(reversed(named))

    def seal(self, plain: bytes) -> bytes:
        """Encrypted and authenticated bytes."""
        nonce = os.urandom(12)
        return _SEALED + self._newest + nonce + self._cipher.encrypt(nonce, plain, None)

    def open(self, sealed: bytes) -> bytes:
        """The plain bytes; raises SealError."""
        cipher = self._ciphers.get(sealed[_KEY_NAME])
        if cipher is None or not sealed.startswith(_SEALED):
            raise SealError(SealError.__doc__)
        try:
            return cipher.decrypt(sealed[_NONCE], sealed[_TEXT], None)
        except (InvalidTag, ValueError) as error:
            raise SealError(SealError.__doc__) from error

    def renewed(self, sealed: bytes) -> bytes:
        """The same under the newest key; what it sealed stays as it is. Raises SealError."""
        plain = self.open(sealed)
        return sealed if sealed[_KEY_NAME] == self._newest else self.seal(plain)


def _named(key: str) -> tuple[bytes, AESGCMSIV]:
    """A key under the name that its values carry, which says nothing of the key itself."""
    raw = urlsafe_b64decode(key)
    if len(raw) != _KEY_BYTES:
        raise ValueError(f"a key is {_KEY_BYTES} bytes in base64; `rosterd keys new` makes one")
    return sha256(b"rosterd key name" + raw).digest()[:4], AESGCMSIV(raw)


def new_key() -> str:
    """A key for ROSTERD_SECRET_KEYS."""
    return urlsafe_b64encode(os.urandom(_KEY_BYTES)).decode()


def new_token() -> str:
    """256 random bits as URL-safe text (D18)."""
    return urlsafe_b64encode(os.urandom(32)).decode().rstrip("=")


def token_digest(token: str) -> bytes:
    """What is stored of a token."""
    return sha256(token.encode()).digest()


def new_id(prefix: str) -> str:
    """A random id of one length per prefix, such as `con_4m2..`: 80 bits, lower case."""
    number = int.from_bytes(os.urandom(10))
    return f"{prefix}_" + "".join([_PAIRS[number >> shift & 1023] for shift in range(0, 80, 10)])

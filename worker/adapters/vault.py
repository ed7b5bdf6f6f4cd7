"""Secrets at rest: sealing with rotating keys, tokens that are stored only as digests (C3)."""

from __future__ import annotations

import hashlib
import secrets
from base64 import b32encode, urlsafe_b64encode
from collections.abc import Sequence

from cryptography.fernet import Fernet, InvalidToken, MultiFernet

#: RFC 4648's base 32 digits in Crockford's lower case: no letter that reads like a figure.
_DIGITS = bytes.maketrans(b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567", b"0123456789abcdefghjkmnpqrstvwxyz")


class SealError(Exception):
    """No key of ROSTERD_SECRET_KEYS opens this; it was sealed with a key that is gone."""


class Vault:
    """Seals bytes with the newest key and opens them with any key that is still listed."""

    def __init__(self, keys: Sequence[str]) -> None:
        self._newest = Fernet(keys[0])
        self._fernet = MultiFernet([Fernet(key) for key in keys])

    def seal(self, plain: bytes) -> bytes:
        """Encrypted and authenticated bytes."""
        return self._fernet.encrypt(plain)

    def open(self, sealed: bytes) -> bytes:
        """The plain bytes; raises SealError."""
        try:
            return self._fernet.decrypt(sealed)
        except InvalidToken as error:
            raise SealError(SealError.__doc__) from error

    def renewed(self, sealed: bytes) -> bytes:
        """The same under the newest key; what it sealed stays as it is. Raises SealError."""
        try:
            self._newest.decrypt(sealed)
        except InvalidToken:
            return self.seal(self.open(sealed))
        return sealed


def new_key() -> str:
    """A key for ROSTERD_SECRET_KEYS."""
    return Fernet.generate_key().decode()


def new_token() -> str:
    """256 random bits as URL-safe text (D18)."""
    return urlsafe_b64encode(secrets.token_bytes(32)).decode().rstrip("=")


def token_digest(token: str) -> bytes:
    """What is stored of a token."""
    return hashlib.sha256(token.encode()).digest()


def new_id(prefix: str) -> str:
    """A random id of one length per prefix, such as `con_4m2..`: 80 bits, lower case."""
    text = b32encode(secrets.token_bytes(10)).translate(_DIGITS).decode()
    return f"{prefix}_{text}"

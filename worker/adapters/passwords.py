"""Passwords by Argon2id (RFC 9106), with the salt and the costs in what is stored."""

from __future__ import annotations

import os
import threading
import unicodedata

from cryptography.exceptions import InvalidKey
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

#: OWASP's smallest costs: 19 MiB, two passes, one lane. A sign-in is rare, a web process small.
MEMORY_KIB, PASSES, LANES = 19 * 1024, 2, 1
_LENGTH, _SALT = 32, 16
#: So many are worked out at a time in a process; the others wait, and memory stays bounded.
AT_ONCE = 2


class Argon2Passwords:
    """Hashes and compares; safe to use from threads."""

    def __init__(self) -> None:
        self._turns = threading.BoundedSemaphore(AT_ONCE)
        # Nobody's: what a name without a password is compared with, for as long.
        self._nobodys = _argon2(b"\0" * _SALT).derive_phc_encoded(os.urandom(_LENGTH))

    def stored(self, password: str) -> str:
        """What is stored of one: `$argon2id$v=19$m=..`."""
        with self._turns:
            return _argon2(os.urandom(_SALT)).derive_phc_encoded(_raw(password))

    def is_right(self, password: str, stored: str | None) -> bool:
        """Whether it is the one; takes as long where nothing is stored."""
        with self._turns:
            try:
                Argon2id.verify_phc_encoded(_raw(password), stored or self._nobodys)
            except InvalidKey:
                return False
        return stored is not None


def _argon2(salt: bytes) -> Argon2id:
    return Argon2id(
        salt=salt, length=_LENGTH, iterations=PASSES, lanes=LANES, memory_cost=MEMORY_KIB
    )


def _raw(password: str) -> bytes:
    """The same password is the same however a keyboard puts its accents together."""
    return unicodedata.normalize("NFKC", password).encode()

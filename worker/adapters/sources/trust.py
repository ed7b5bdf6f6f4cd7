"""Whom to trust, for senders that sign with a key of their own: stored as a feed's secret."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field

from domain.errors import UsageError

_BEGINS = "{"


@dataclass(frozen=True, slots=True)
class Trust:
    """What proves a sender.

    secret: shared, for an HMAC or as a bearer token beside the signature. jwks_url: where the
    sender publishes its keys (RFC 7517). issuer, audience: what a token must say. Each may be "".
    """

    secret: str = field(default="", repr=False)
    jwks_url: str = ""
    issuer: str = ""
    audience: str = ""

    @staticmethod
    def is_one(text: str) -> bool:
        """Whether a stored secret is more than a secret."""
        return text.startswith(_BEGINS)

    @classmethod
    def of(cls, text: str) -> Trust:
        """What a stored secret says."""
        if not cls.is_one(text):
            return cls(secret=text)
        return cls(**json.loads(text))

    @classmethod
    def told(cls, secret: str, given: Mapping[str, str], *, needs: tuple[str, ...]) -> Trust:
        """What an operator says; raises UsageError where something is unknown or missing."""
        names = ("issuer", "audience", "jwks_url")
        unknown = sorted(given.keys() - set(names))
        if unknown:
            raise UsageError(f"--trust {unknown[0]}=..: there are {', '.join(names)}")
        missing = [name for name in needs if not given.get(name, "").strip()]
        if missing:
            raise UsageError("say whom to trust: " + " ".join(f"--trust {n}=.." for n in missing))
        return cls(secret=secret, **{name: text.strip() for name, text in given.items()})

    @property
    def text(self) -> str:
        """As it is stored."""
        return json.dumps({name: value for name, value in asdict(self).items() if value})

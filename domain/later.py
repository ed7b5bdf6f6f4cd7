"""SCIM requests that are answered later, as the use case sees them (RFC 9967)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Protocol

from domain.resources import Speaker


@dataclass(frozen=True, slots=True)
class LaterRequest:
    """A request that was accepted. id: its txn. told: the request as the protocol stored it.

    speaker: who asked, as the connection is now; None where the token or the connection is gone.
    done: ids of the resources of operations that were applied already, by their place.
    """

    id: str
    told: Mapping[str, Any]
    speaker: Speaker | None
    fence: int
    made_at: datetime
    done: Mapping[int, str] = field(default_factory=dict)


class PostponedError(Exception):
    """It cannot be answered now. wait: how long until it may be."""

    def __init__(self, wait: timedelta) -> None:
        super().__init__(f"postponed for {wait}")
        self.wait = wait


class LaterStore(Protocol):
    """Where such requests wait, under leases with fences."""

    def claim(self, *, lease: timedelta) -> LaterRequest | None:
        """A request that is due, leased; None where none is. Connections take turns."""
        ...

    def answered(self, request: LaterRequest, answers: Sequence[Mapping[str, Any]]) -> bool:
        """Store what it came to; False where the lease was lost."""
        ...

    def postponed(self, request: LaterRequest, wait: timedelta) -> None:
        """Give the lease back, to be due again then."""
        ...

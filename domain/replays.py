"""Which dead letters an operator means, and the set that a replay froze (G8)."""

from __future__ import annotations

from dataclasses import dataclass, fields
from datetime import datetime

from domain.errors import UsageError
from domain.inbox import Kind


@dataclass(frozen=True, slots=True)
class Selection:
    """Which dead letters: by event ids, or by a filter; an empty one selects nothing (G8).

    domain: an entry of a list of domains; those that were refused for want of it (E4).
    """

    ids: tuple[int, ...] = ()
    account: str | None = None
    connection: str | None = None
    reason: str | None = None
    fingerprint: str | None = None
    type: str | None = None
    detail: str | None = None
    domain: str | None = None
    since: datetime | None = None
    until: datetime | None = None

    def insist(self) -> None:
        """Raise UsageError unless something narrows the selection."""
        if all(not getattr(self, field.name) for field in fields(self)):
            raise UsageError("name events, or a filter such as --reason-code or --account")


@dataclass(frozen=True, slots=True)
class Started:
    """A replay under way: the frozen set of events, each with its kind."""

    id: str
    events: tuple[tuple[int, Kind], ...]

    @property
    def ids(self) -> tuple[int, ...]:
        """Its events, in the order in which they are tried."""
        return tuple(number for number, _ in self.events)

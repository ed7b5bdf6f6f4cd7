"""What of the announcements is on its way to whom: the ports of delivery, and its patience."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Protocol

from domain.announcements import AnnouncementType
from domain.errors import UsageError
from domain.inbox import Lane
from domain.retry import RetryPolicy

#: Tries over some three days on average, with full jitter: 45 waits of up to four hours.
DELIVERY = RetryPolicy(max_attempts=45, base=timedelta(seconds=5), cap=timedelta(hours=4))
#: An endpoint that fails again and again is left alone between tries, so long at most.
REST = RetryPolicy(base=timedelta(seconds=1), cap=timedelta(minutes=1))
#: Failures in a row after which an endpoint rests.
PATIENCE = 5
#: Nobody waits longer for what an endpoint asks to wait.
LONGEST_REST = timedelta(hours=1)
#: An endpoint that took nothing for so long is disabled.
DISABLED_AFTER = timedelta(days=5)
#: What is refused so often, while others are taken, gives way to a suspension of its subject.
GIVES_WAY_AFTER = 3
#: And until then it is tried again within this, for the suspension waits behind it.
LEAVERS_WAIT = timedelta(seconds=2)


class EndpointState(StrEnum):
    """Whether requests are sent. Of a paused or disabled one they are kept until it is resumed."""

    ACTIVE = "active"
    PAUSED = "paused"
    DISABLED = "disabled"
    REMOVED = "removed"


def parse_types(given: Sequence[str]) -> tuple[AnnouncementType, ...]:
    """The types that an endpoint hears of, sorted; none given: all. Raises UsageError."""
    known = set(AnnouncementType) - {AnnouncementType.ENDPOINT_TEST}
    unknown = [text for text in given if text not in known]
    if unknown:
        raise UsageError(f"type {unknown[0]!r} is unknown; there are: {', '.join(sorted(known))}")
    return tuple(sorted({AnnouncementType(text) for text in given}))


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where an application listens. secrets: the live ones, newest first; all of them sign."""

    id: str
    account: str
    url: str
    secrets: tuple[str, ...]
    failures: int = 0


@dataclass(frozen=True, slots=True)
class Dispatch:
    """One announcement under this worker's lease. fence: what a finish must still find.

    data: the JSON object of the body's `data`, without its sequence.
    """

    id: int
    endpoint: str
    message_id: str
    type: str
    sequence: int
    data: bytes
    made_at: datetime
    subject: str
    lane: Lane = Lane.STANDARD
    attempts: int = 0
    fence: int = 0


@dataclass(frozen=True, slots=True)
class Due:
    """An endpoint for which something waits."""

    endpoint: str
    lane: Lane
    is_failing: bool


class Dispatches(Protocol):
    """What is to be delivered, by the database's clock."""

    def due(self) -> list[Due]:
        """Active endpoints with something to send now."""
        ...

    def endpoint(self, endpoint: str) -> Endpoint | None:
        """An active endpoint with its live secrets."""
        ...

    def claim(self, endpoint: str, *, lane: Lane, limit: int, lease: timedelta) -> list[Dispatch]:
        """The first undelivered of each subject, leased; urgent: of those who lose access."""
        ...

    def delivered(self, dispatch: Dispatch, *, was_failing: bool) -> bool:
        """Done, unless the lease was lost; an endpoint that is back gets all that waits."""
        ...

    def failed(
        self,
        dispatch: Dispatch,
        why: str,
        *,
        wait: timedelta | None,
        rest: timedelta | None,
        gives_way: bool,
    ) -> bool:
        """Try again after the wait, or never (None); rest: of the whole endpoint.

        gives_way: never, if a loss of access waits behind it.
        """
        ...

    def release(self, dispatches: Sequence[Dispatch]) -> None:
        """Not tried: as if it had not been claimed."""
        ...

    def disable(self, endpoint: str, why: str) -> bool:
        """Send nothing more until an operator resumes it; whether it was active."""
        ...


class DeliveryError(Exception):
    """The request got no answer."""


@dataclass(frozen=True, slots=True)
class Reply:
    """What an endpoint answered. retry_after: what it asked to wait."""

    status: int
    retry_after: timedelta | None = None


class Poster(Protocol):
    """Sends a request to an address that an operator gave."""

    def post(self, url: str, headers: Mapping[str, str], body: bytes) -> Reply:
        """Raises DeliveryError."""
        ...

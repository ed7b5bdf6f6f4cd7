"""Announce once more: what an application missed, from a cursor or a moment on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol


class Reannounce(Protocol):
    """Queues what was announced before."""

    def again(
        self,
        endpoint: str,
        *,
        since: int | datetime,
        actor: str,
        reason: str,
        account: str | None,
        is_dry: bool,
    ) -> int:
        """How many are queued, or would be; raises NothingFoundError."""
        ...


@dataclass(frozen=True, slots=True)
class Announce:
    """Replays of announcements. ring: lets them be sent at once."""

    store: Reannounce
    ring: Callable[[], None]

    def replay(
        self,
        endpoint: str,
        *,
        since: int | datetime,
        actor: str,
        reason: str,
        account: str | None = None,
        is_dry: bool = False,
    ) -> int:
        """Send an endpoint everything after a cursor, or from an aware moment on, once more.

        Under the old ids, behind what is new; what is under way already goes on as it is. How many
        that are. account: another account's endpoint is unknown. Raises NothingFoundError.
        """
        count = self.store.again(
            endpoint, since=since, actor=actor, reason=reason, account=account, is_dry=is_dry
        )
        if not is_dry:
            self.ring()
        return count

"""Waking workers for what a command had said in a connection's name."""

from __future__ import annotations

from collections.abc import Sequence

from domain.inbox import Lane, lane_of
from domain.intake import StoredEvent
from worker.cli.session import container


def ring(events: Sequence[StoredEvent], connection: str) -> None:
    """Ring for events of `OwnWords.say`, unless they are held; a lost ring costs a sweep."""
    for kind in sorted({event.kind for event in events if not event.is_held}):
        lane = lane_of(kind)
        told = (Lane.BULK if lane is Lane.STANDARD else lane).value
        ids = [event.id for event in events if event.kind is kind]
        container().ringer.ring(kind, told, connection=connection, event_ids=ids)
    container().ringer.stop()

"""What operators look for among events and in the audit."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from domain.inbox import Outcome, Reason, State
from domain.keys import group_known_as


@dataclass(frozen=True, slots=True)
class EventFilter:
    """Which events; all that is given must fit, None asks nothing.

    accounts: ids of those that are looked at, None for all. subject: external id of the person or
    group. external_id: the source's own id of the event. address: one that somebody holds, or
    waits for. since, until: aware, of the receipt.
    """

    accounts: frozenset[str] | None = None
    connection: str | None = None
    source: str | None = None
    state: State | None = None
    outcome: Outcome | None = None
    reason: Reason | None = None
    type: str | None = None
    subject: str | None = None
    external_id: str | None = None
    address: str | None = None
    since: datetime | None = None
    until: datetime | None = None


def subjects_of(id_: str | None) -> frozenset[str]:
    """What an id means that somebody asks for: a group is known by two."""
    return frozenset() if id_ is None else frozenset({group_known_as(id_)})


@dataclass(frozen=True, slots=True)
class AuditFilter:
    """Which rows of the audit; all that is given must fit, None asks nothing.

    accounts: ids, None for all and for what belongs to none. subjects: ids of what was changed.
    with_events: what events changed, too, not only what people did.
    """

    accounts: frozenset[str] | None = None
    subjects: frozenset[str] = frozenset()
    actor: str | None = None
    action: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    with_events: bool = False

"""An access review as lines: what was asked, a line for each membership, how many there were.

A file that ends without its last line was cut off.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, select

from domain.access import ERASED, Interval, Turn
from worker.adapters.db import bulk, rows
from worker.adapters.db.access_review import (
    ReviewAsked,
    Reviewed,
    begin_review,
    history_began,
    review,
)

Line = dict[str, Any]


def review_lines(connection: Connection, asked: ReviewAsked) -> Iterator[Line]:
    """JSON objects, one a line, in the order of groups; raises NothingFoundError before the first.

    A moment is {"at", "by"}, {"before"} the history, {"recorded": false}, or None for what lasts.
    by: the event with its type, connection and the provider's own id and time of it; or the actor
    and the reason.
    """
    now = begin_review(connection)
    began = history_began(connection)
    yield {
        "kind": "review",
        "account": asked.account,
        "made_at": _iso(now),
        "history_began": _iso(began),
        "group": asked.group,
        "at": _iso(asked.window.at),
        "since": _iso(asked.window.since),
        "until": _iso(asked.window.until),
    }
    count = 0
    for found in review(connection, asked):
        events = _events(connection, found)
        for one in found:
            count += 1
            yield _line(one, began, events)
    yield {"kind": "end", "memberships": count}


def _iso(at: datetime | None) -> str | None:
    return at.isoformat() if at is not None else None


def _line(one: Reviewed, began: datetime | None, events: Mapping[int, Line]) -> Line:
    group, who = one.group, one.who
    is_erased = one.person.startswith(ERASED)
    return {
        "kind": "membership",
        "group": {
            "id": group.id,
            "name": group.name,
            "connection": group.connection,
            "external_id": group.external_id,
        },
        "person": {
            "id": None if is_erased else one.person,
            "erased": one.person.removeprefix(ERASED) if is_erased else None,
            "email": who.email if who else None,
            "external_id": who.user if who else None,
            "state": who.state.value if who else None,
        },
        "member": _between(one.member, began, events),
        "access": [_between(part, began, events) for part in one.access],
    }


def _between(interval: Interval, began: datetime | None, events: Mapping[int, Line]) -> Line:
    first = _moment(interval.began, events)
    if first is None:
        first = {"recorded": False} if _is_untold(interval) else {"before": _iso(began)}
    last = _moment(interval.ended, events)
    if last is None and interval.is_lost and not _is_untold(interval):
        last = {"recorded": False}
    return {"from": first, "to": last}


def _is_untold(interval: Interval) -> bool:
    """Whether the beginning is what was not recorded: it lasts, and no turn says since when."""
    return interval.is_lost and interval.began is None and interval.ended is None


def _moment(turn: Turn | None, events: Mapping[int, Line]) -> Line | None:
    if turn is None:
        return None
    by: Line = {"actor": turn.actor}
    if turn.event is not None:
        by |= {"event": turn.event, **events.get(turn.event, {})}
    if turn.reason:
        by["reason"] = turn.reason
    return {"at": _iso(turn.at), "by": by}


def _events(connection: Connection, found: Sequence[Reviewed]) -> dict[int, Line]:
    """What each event was, as far as retention has kept it."""
    ids = {turn.event for one in found for turn in one.turns if turn.event is not None}
    events, connections = rows.events, rows.connections
    told = connection.execute(
        select(
            events.c.id,
            events.c.type,
            events.c.external_id,
            events.c.occurred_at,
            connections.c.name,
        )
        .join(connections, connections.c.id == events.c.connection_id)
        .where(bulk.among(events.c.id, sorted(ids), connection))
    )
    return {
        row.id: {
            "type": row.type,
            "connection": row.name,
            "external_id": row.external_id,
            "occurred_at": _iso(row.occurred_at),
        }
        for row in told
    }

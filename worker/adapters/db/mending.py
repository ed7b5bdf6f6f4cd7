"""What the sweep mends after a race between a request and a change of a connection's state.

A request reads the state in the transaction that stores it. One that commits just after the change
leaves an event held that nobody would release, or open where nobody would take it.
"""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Connection, exists, select, update

from domain.inbox import Lane, State
from worker.adapters.db import bulk, rows
from worker.adapters.db.retiring import UNENDED, end_events
from worker.adapters.db.setup_connections import AT_ONCE, is_held_back

SWEEPER = "rosterd"


def mend_states(connection: Connection, now: datetime) -> None:
    """Release what an active connection holds, end what a retired one left open."""
    connections, events = rows.connections, rows.events
    its = events.c.connection_id == connections.c.id
    # Named lane by lane, so that each is one probe of the index whatever the backlog.
    lanes = events.c.lane.in_([lane.value for lane in Lane])
    left = exists().where(its, lanes, events.c.state.in_(UNENDED))
    gone = select(connections.c.id).where(connections.c.state == "retired", left)
    for retired in connection.execute(gone).scalars().all():
        end_events(connection, retired, now, by=SWEEPER)
    stuck = exists().where(its, lanes, events.c.state == State.HELD.value, ~is_held_back())
    held = select(connections.c.id).where(connections.c.state == "active", stuck)
    for active in connection.execute(held).scalars().all():
        _release(connection, active, now)


def _release(connection: Connection, active: str, now: datetime) -> None:
    events = rows.events
    chosen = (
        select(events.c.id)
        .where(events.c.connection_id == active, events.c.state == State.HELD.value)
        .where(~is_held_back())
        .limit(AT_ONCE)
        .with_for_update(skip_locked=True, key_share=True)
    )
    ids = connection.execute(chosen).scalars().all()
    connection.execute(
        update(events)
        .where(bulk.among(events.c.id, ids, connection))
        .values(state=State.PENDING.value, due_at=now)
    )

"""Retention: bodies go a set time after their events ended; nothing is trimmed by count (G9)."""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy import delete, exists, select, update

from worker.adapters.db import bulk, rows
from worker.adapters.db.engine import Database, translated
from worker.adapters.db.outbound_rows import announcements, dispatches, endpoints
from worker.adapters.db.reconciliation_rows import differences, reconciliations
from worker.adapters.db.replay_rows import replay_items, replays
from worker.adapters.db.uow import database_now

AT_ONCE = 1000


def retain_bodies(database: Database, *, days: int) -> dict[str, int]:
    """Delete old deliveries in small batches; what an open or dead event needs stays."""
    deleted = 0
    while True:
        gone = _batch(database, timedelta(days=days))
        deleted += gone
        if gone < AT_ONCE:
            return {"deleted": deleted}


def retain_announcements(database: Database, *, days: int) -> dict[str, int]:
    """Delete old announcements whose deliveries ended; what an endpoint waits for stays.

    What a disabled endpoint was not told for so long is dropped, and counted apart.
    """
    announced = dropped = 0
    after: int | None = 0
    while after is not None:
        gone, lost, after = _old_announcements(database, timedelta(days=days), after)
        announced, dropped = announced + gone, dropped + lost
    return {"announcements": announced, "dropped": dropped}


def retain_replays(database: Database, *, days: int) -> dict[str, int]:
    """Delete the events' list of replays that ended so long ago, and plans that nobody carried out.

    What a replay was, who had it done and why stays.
    """
    dropped = 0
    while True:
        gone = _old_items(database, timedelta(days=days))
        dropped += gone
        if gone < AT_ONCE:
            return {"replay_items": dropped}


def _old_items(database: Database, age: timedelta) -> int:
    with translated(), database.begin() as connection:
        before = database_now(connection) - age
        unused = replays.c.state.in_(["planning", "planned"]) & (replays.c.made_at < before)
        table = replay_items
        old = select(replays.c.id).where((replays.c.ended_at < before) | unused)
        mine = select(table.c.replay_id, table.c.place).where(table.c.replay_id.in_(old))
        found = connection.execute(mine.order_by(table.c.replay_id).limit(AT_ONCE)).all()
        for replay in {row.replay_id for row in found}:
            places = [row.place for row in found if row.replay_id == replay]
            which = bulk.among(table.c.place, places, connection)
            connection.execute(delete(table).where(table.c.replay_id == replay, which))
        ended = {"state": "cancelled", "why": "nobody carried it out", "left_count": 0}
        connection.execute(
            update(replays).where(unused).values(**ended, ended_at=database_now(connection))
        )
        connection.commit()
        return len(found)


def retain_reconciliations(database: Database, *, days: int) -> dict[str, int]:
    """Delete what runs found that were over so long ago; what a run was, and its counts, stay."""
    dropped = 0
    while gone := _old_differences(database, timedelta(days=days)):
        dropped += gone
    return {"differences": dropped}


def _old_differences(database: Database, age: timedelta) -> int:
    with translated(), database.begin() as connection:
        before, table = database_now(connection) - age, differences
        old = select(reconciliations.c.id).where(reconciliations.c.ended_at < before)
        run = connection.scalar(select(table.c.run_id).where(table.c.run_id.in_(old)).limit(1))
        if run is None:
            return 0
        some = select(table.c.place).where(table.c.run_id == run).limit(AT_ONCE)
        gone = delete(table).where(table.c.run_id == run, table.c.place.in_(some))
        count = connection.execute(gone).rowcount
        connection.commit()
        return count


def _old_announcements(
    database: Database, age: timedelta, after: int
) -> tuple[int, int, int | None]:
    """Of those behind this one: how many went, untold ones, and where to go on; None at the end."""
    with translated(), database.begin() as connection:
        before = database_now(connection) - age
        first = select(announcements.c.id, announcements.c.made_at).order_by(announcements.c.id)
        page = first.where(announcements.c.id > after).limit(AT_ONCE)
        found = connection.execute(page).all()
        is_more = len(found) == AT_ONCE and found[-1].made_at < before
        onward = found[-1].id if is_more else None
        oldest = page.subquery()
        disabled = select(endpoints.c.id).where(endpoints.c.state == "disabled")
        waits = exists().where(
            dispatches.c.announcement_id == oldest.c.id,
            dispatches.c.due_at.is_not(None),
            dispatches.c.endpoint_id.not_in(disabled),
        )
        old = select(oldest.c.id).where(oldest.c.made_at < before, ~waits)
        ids = list(connection.scalars(old))
        if not ids:
            return 0, 0, onward
        mine = bulk.among(dispatches.c.announcement_id, ids, connection)
        lost = connection.execute(delete(dispatches).where(mine, dispatches.c.due_at.is_not(None)))
        connection.execute(delete(dispatches).where(mine))
        connection.execute(
            delete(announcements).where(bulk.among(announcements.c.id, ids, connection))
        )
        connection.commit()
        return len(ids), lost.rowcount, onward


def _batch(database: Database, age: timedelta) -> int:
    deliveries, events = rows.deliveries, rows.events
    with translated(), database.begin() as connection:
        before = database_now(connection) - age
        needed = exists().where(
            events.c.delivery_id == deliveries.c.id,
            (events.c.state != "ended") | (events.c.ended_at > before),
        )
        found = connection.execute(
            select(deliveries.c.id)
            .where(deliveries.c.received_at < before, ~needed)
            .order_by(deliveries.c.received_at)
            .limit(AT_ONCE)
        )
        ids = [row.id for row in found]
        if ids:
            connection.execute(
                delete(deliveries).where(bulk.among(deliveries.c.id, ids, connection))
            )
            connection.commit()
        return len(ids)

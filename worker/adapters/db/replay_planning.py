"""What is predicted of the events of a plan, kept beside them in SQL (G8).

Of people nothing is kept but the word for what would be done: no address, no name.
"""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import ColumnElement, Connection, func, select, update

from domain.replays import Foreseen, ItemState, ReplayState, Unforeseen
from worker.adapters.db import bulk
from worker.adapters.db.engine import Database, translated
from worker.adapters.db.replay_rows import replay_items, replays
from worker.adapters.db.replay_turns import looked_at, skip_of
from worker.adapters.db.replaying import BATCH

#: A subject with more events than a batch has is predicted in several.
AT_ONCE = 2 * BATCH


class SQLReplayPlanning:
    """`ReplayPlanning` on both databases. Two at once do the same twice, and harm nothing."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def unforeseen(self, replay: str) -> Unforeseen:
        """See the port."""
        items = replay_items
        mine = _unpredicted(replay)
        with translated(), self._database.read() as sql:
            first = select(func.min(items.c.batch)).where(mine).scalar_subquery()
            wanted = looked_at().where(mine, items.c.batch == first).order_by(items.c.place)
            found = sql.execute(wanted.limit(AT_ONCE)).all()
        skips = {one.place: skip for one in found if (skip := skip_of(one)) is not None}
        sound = {one.event_id: one.place for one in found if one.place not in skips}
        return Unforeseen(sound, skips)

    def note(self, replay: str, foreseen: Sequence[Foreseen]) -> bool:
        """See the port."""

        def work(sql: Connection) -> bool:
            for one in foreseen:
                _write(sql, replay, one)
            return self._is_planned(sql, replay)

        return self._database.change(work, is_repeatable=True)

    def _is_planned(self, sql: Connection, replay: str) -> bool:
        items = replay_items
        mine = _unpredicted(replay)
        if sql.execute(select(items.c.place).where(mine).limit(1)).first() is not None:
            return False
        planning = (replays.c.id == replay) & (replays.c.state == ReplayState.PLANNING.value)
        given_back = {"lease_by": None, "lease_until": None, "ended_at": None}
        done = update(replays).where(planning)
        sql.execute(done.values(state=ReplayState.PLANNED.value, **given_back))
        return True


def _unpredicted(replay: str) -> ColumnElement[bool]:
    items = replay_items
    frozen = (items.c.replay_id == replay) & (items.c.state == ItemState.FROZEN.value)
    return frozen & items.c.predicted.is_(None)


def _write(sql: Connection, replay: str, one: Foreseen) -> None:
    """Events that would end alike are one statement."""
    items = replay_items
    mine = (items.c.replay_id == replay) & bulk.among_neighbours(items.c.place, one.places, sql)
    told = {"predicted": one.outcome, "predicted_reason": one.reason, "does": one.does}
    still = items.c.state == ItemState.FROZEN.value
    sql.execute(update(items).where(mine, still).values(**told))

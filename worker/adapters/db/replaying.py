"""Replays in SQL: frozen, started, paused, cancelled; each one transaction with its audit row (G8).

How one goes on by itself: `replay_turns`.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import orjson
from sqlalchemy import ColumnElement, Connection, exists, func, insert, literal, select, update

from domain.inbox import State
from domain.pacing import PaceChange, changed_pace
from domain.replays import (
    OVER,
    UNDER_WAY,
    ItemState,
    NothingChosenError,
    Order,
    ReplayState,
    Selection,
    Skip,
    Started,
)
from worker.adapters.db import bulk, rows
from worker.adapters.db.auditing import Deed, audit
from worker.adapters.db.choosing import narrowed
from worker.adapters.db.engine import Changing, Database, translated
from worker.adapters.db.replay_moves import (
    Within,
    begin,
    go_on,
    insist,
    locked,
    move,
    pace_of,
    state_of,
    take_turn,
)
from worker.adapters.db.replay_rows import replay_items, replays
from worker.adapters.db.replay_turns import move_on, pull_back, settle
from worker.adapters.db.uow import database_now
from worker.adapters.vault import new_id

#: Events that are predicted in one transaction; those of one subject are not parted.
BATCH = 200


class SQLReplays:
    """`ReplayStore` on both databases."""

    def __init__(self, database: Database, changing: Changing | None = None) -> None:
        self._database = database
        self._changing = changing or database

    def choose(self, selection: Selection, *, within: Within = None) -> list[int]:
        """See the port."""
        with translated(), self._database.read() as sql:
            found = _replayable(sql, selection, within)
            return list(sql.scalars(found.order_by(rows.events.c.id)))

    def freeze(
        self,
        selection: Selection,
        *,
        actor: str,
        within: Within = None,
        home: str | None = None,
    ) -> str:
        """See the port."""
        replay = new_id("rpl")

        def work(sql: Connection) -> str:
            count = _freeze(sql, replay, selection, actor=actor, within=within, home=home)
            account = locked(sql, replay)["account_id"]
            deed = Deed("dead.plan", replay, account, actor, after={"count": count})
            audit(sql, database_now(sql), deed)
            return replay

        return self._changing.change(work)

    def start(
        self, selection: Selection, order: Order, *, actor: str, within: Within = None
    ) -> Started:
        """See the port."""
        replay = new_id("rpl")

        def work(sql: Connection) -> Started:
            take_turn(sql)
            _freeze(sql, replay, selection, actor=actor, within=within)
            begin(sql, replay, order, actor=actor)
            move_on(sql, locked(sql, replay))
            items = replay_items
            ids = select(items.c.event_id).where(items.c.replay_id == replay)
            return Started(replay, tuple(sql.scalars(ids.order_by(items.c.place))))

        return self._changing.change(work)

    def start_planned(
        self, replay: str, order: Order, *, actor: str, within: Within = None
    ) -> None:
        """See the port."""

        def work(sql: Connection) -> None:
            take_turn(sql)
            insist(locked(sql, replay, within), {ReplayState.PLANNED}, "started")
            _leave_out_taken(sql, replay)
            begin(sql, replay, order, actor=actor)
            move_on(sql, locked(sql, replay))

        self._changing.change(work)

    def pause(self, replay: str, *, actor: str, reason: str, within: Within = None) -> None:
        """See the port."""

        def work(sql: Connection) -> None:
            row = locked(sql, replay, within)
            if state_of(row) is ReplayState.PAUSED:
                return
            insist(row, {ReplayState.RUNNING, ReplayState.STOPPED}, "paused")
            left = row["left_count"] + pull_back(sql, replay)
            # What a worker had in hand is tried by now: taking back waited for it.
            settle(sql, replay)
            action, told = "dead.pause", {"left": left}
            values = {"left_count": left, "why": reason or None}
            state = ReplayState.PAUSED
            move(sql, row, state, action=action, actor=actor, reason=reason, told=told, **values)

        self._changing.change(work)

    def resume(
        self,
        replay: str,
        *,
        actor: str,
        reason: str,
        change: PaceChange | None = None,
        within: Within = None,
    ) -> None:
        """See the port."""

        def work(sql: Connection) -> None:
            row = locked(sql, replay, within)
            if state_of(row) is ReplayState.RUNNING:
                return
            insist(row, {ReplayState.PAUSED, ReplayState.STOPPED}, "resumed")
            pace = changed_pace(pace_of(row), change or PaceChange())
            go_on(sql, row, pace, actor=actor, reason=reason)
            move_on(sql, locked(sql, replay))

        self._changing.change(work)

    def cancel(self, replay: str, *, actor: str, reason: str = "", within: Within = None) -> int:
        """See the port."""

        def work(sql: Connection) -> int:
            row = locked(sql, replay, within)
            if state_of(row) is ReplayState.CANCELLED:
                return 0
            # One of the release before has no state, and may have left events due.
            if row["state"] is not None:
                insist(row, set(ReplayState) - OVER, "cancelled")
            give_up = _give_up if row["state"] is not None else _pull_back_all
            gone = give_up(sql, replay)
            settle(sql, replay)
            values = {"left_count": 0, "why": reason or None, "ended_at": database_now(sql)}
            action, told = "dead.cancel", {"count": gone}
            state = ReplayState.CANCELLED
            move(sql, row, state, action=action, actor=actor, reason=reason, told=told, **values)
            return gone

        return self._changing.change(work)


def _replayable(sql: Connection, selection: Selection, within: Within) -> Any:
    """Events of open letters that nobody is trying again already."""
    letters, events = rows.dead_letters, rows.events
    statement = (
        select(events.c.id, events.c.kind, events.c.connection_id, events.c.subject)
        .select_from(letters.join(events, events.c.id == letters.c.event_id))
        .where(letters.c.state == "open", events.c.state == State.DEAD.value)
        .where(~_is_taken(events.c.id))
    )
    return narrowed(sql, statement, selection, within)


def _is_taken(event: ColumnElement[int]) -> ColumnElement[bool]:
    """Whether an event is to be tried yet by a replay that is under way."""
    items = replay_items.alias("others")
    its = replays.alias("its")
    return exists().where(
        items.c.event_id == event,
        items.c.state == ItemState.FROZEN.value,
        its.c.id == items.c.replay_id,
        its.c.state.in_([state.value for state in UNDER_WAY]),
    )


def _freeze(
    sql: Connection,
    replay: str,
    selection: Selection,
    *,
    actor: str,
    within: Within,
    home: str | None = None,
) -> int:
    """Write the set down, in the order in which its events came; how many they are.

    Raises NothingChosenError.
    """
    found = _replayable(sql, selection, within).subquery()
    of_subject = [found.c.connection_id, found.c.subject]
    place = func.row_number().over(order_by=found.c.id)
    rank = func.row_number().over(order_by=[*of_subject, found.c.id])
    ranked = select(found, place.label("place"), rank.label("rank")).subquery()
    of_subject = [ranked.c.connection_id, ranked.c.subject]
    first = func.min(ranked.c.rank).over(partition_by=of_subject)
    wanted = select(
        literal(replay),
        ranked.c.place,
        ranked.c.id,
        ranked.c.kind,
        first // BATCH,
        literal(ItemState.FROZEN.value),
    )
    names = ["replay_id", "place", "event_id", "kind", "batch", "state"]
    sql.execute(insert(replay_items).from_select(names, wanted))
    count, account = _extent(sql, replay, home)
    if not count:
        raise NothingChosenError
    row = {
        "id": replay,
        "actor": actor,
        "reason": "",
        "selection": orjson.dumps(asdict(selection)),
        "count": count,
        "made_at": database_now(sql),
        "account_id": account,
        "state": ReplayState.PLANNING.value,
        "left_count": count,
    }
    bulk.insert(sql, replays, [row])
    return count


def _extent(sql: Connection, replay: str, home: str | None) -> tuple[int, str | None]:
    """How many events it has, and the account that all of them are of; of several, whose it is.

    home: the account of the operator who froze it and sees it again, with its children (C4).
    """
    account, items = rows.events.c.account_id, replay_items
    mine = (items.c.replay_id == replay) & (items.c.event_id == rows.events.c.id)
    wanted = select(func.count(), func.min(account), func.max(account)).where(mine)
    count, first, last = sql.execute(wanted).one()
    return count, first if first == last else home


def _leave_out_taken(sql: Connection, replay: str) -> None:
    """What another replay took since the plan was made is that one's."""
    items = replay_items
    mine = (items.c.replay_id == replay) & (items.c.state == ItemState.FROZEN.value)
    told = {"outcome": "skipped", "reason": Skip.ELSEWHERE.value, "settled_at": database_now(sql)}
    taken = update(items).where(mine, _is_taken(items.c.event_id))
    gone = sql.execute(taken.values(state=ItemState.SKIPPED.value, **told)).rowcount
    if gone:
        less = update(replays).where(replays.c.id == replay)
        sql.execute(less.values(left_count=replays.c.left_count - gone))


def _give_up(sql: Connection, replay: str) -> int:
    """What has not been tried yet will not be; how many."""
    pulled = pull_back(sql, replay)
    items = replay_items
    mine = (items.c.replay_id == replay) & (items.c.state == ItemState.FROZEN.value)
    ended = {"state": ItemState.CANCELLED.value, "settled_at": database_now(sql)}
    return max(sql.execute(update(items).where(mine).values(**ended)).rowcount, pulled)


def _pull_back_all(sql: Connection, replay: str) -> int:
    """What a replay of the release before left due, for it kept no list of its events."""
    events, letters = rows.events, rows.dead_letters
    why = select(letters.c.reason).where(letters.c.event_id == events.c.id).scalar_subquery()
    mine = (events.c.replay_id == replay) & (events.c.state == State.PENDING.value)
    back = {"state": State.DEAD.value, "outcome": "dead", "reason": why, "due_at": None}
    return sql.execute(update(events).where(mine).values(**back)).rowcount

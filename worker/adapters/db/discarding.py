"""Discards and restores in SQL: each one transaction with its audit row (G8)."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import NamedTuple

from sqlalchemy import Connection, select, update

from domain.inbox import State
from worker.adapters.db import bulk, rows
from worker.adapters.db.auditing import Deed, audit
from worker.adapters.db.engine import Changing
from worker.adapters.db.replay_traces import note_attempts
from worker.adapters.db.uow import database_now


class _Move(NamedTuple):
    """What a discard or a restore makes of a letter and its event, and from what."""

    before: str
    after: str
    from_outcome: str
    state: State
    outcome: str


_DISCARD = _Move("open", "discarded", "dead", State.ENDED, "discarded")
_RESTORE = _Move("discarded", "open", "discarded", State.DEAD, "dead")


class SQLDiscards:
    """Dead letters given up, and taken back. within: accounts that there are; None for all."""

    def __init__(self, database: Changing) -> None:
        self._database = database

    def discard(
        self,
        ids: Sequence[int],
        *,
        actor: str,
        reason: str,
        within: Collection[str] | None = None,
    ) -> list[int]:
        """Give open letters up; ids of those that were. A foreign message is minus its letter's."""
        return self._database.change(
            lambda sql: discard(sql, ids, actor=actor, reason=reason, within=within)
        )

    def restore(
        self,
        ids: Sequence[int],
        *,
        actor: str,
        reason: str,
        within: Collection[str] | None = None,
    ) -> list[int]:
        """Take discards back; ids of those that were discarded."""
        return self._database.change(
            lambda sql: _moved(sql, ids, _RESTORE, actor=actor, reason=reason, within=within)
        )


def discard(
    sql: Connection,
    ids: Sequence[int],
    *,
    actor: str,
    reason: str,
    within: Collection[str] | None = None,
) -> list[int]:
    """Give open letters up, in this transaction."""
    return _moved(sql, ids, _DISCARD, actor=actor, reason=reason, within=within)


def _moved(
    sql: Connection,
    ids: Sequence[int],
    move: _Move,
    *,
    actor: str,
    reason: str,
    within: Collection[str] | None,
) -> list[int]:
    found = _movable(sql, ids, move, within)
    if not found:
        return []
    letters, events = rows.dead_letters, rows.events
    mine = [event for _, event, _ in found if event is not None]
    sql.execute(
        update(letters)
        .where(bulk.among(letters.c.id, [letter for letter, *_ in found], sql))
        .values(state=move.after, note=reason, last_at=database_now(sql))
    )
    sql.execute(
        update(events)
        .where(bulk.among(events.c.id, mine, sql))
        .values(state=move.state.value, outcome=move.outcome, due_at=None)
    )
    note_attempts(sql, mine, move.after, reason, actor)
    moved = [event if event is not None else -letter for letter, event, _ in found]
    for account in sorted({account or "" for *_, account in found}):
        its = [n for n, (*_, of) in zip(moved, found, strict=True) if (of or "") == account]
        named = ",".join(map(str, its))[:200]
        told = {"count": len(its)}
        deed = Deed(f"dead.{move.after}", named, account or None, actor, reason, after=told)
        audit(sql, database_now(sql), deed)
    return moved


def _movable(
    sql: Connection, ids: Sequence[int], move: _Move, within: Collection[str] | None
) -> list[tuple[int, int | None, str | None]]:
    """Letter, event and account of those that are still as the move expects them, locked.

    An event under replay has no outcome: it is left alone, whatever its letter says.
    """
    letters, events = rows.dead_letters, rows.events
    mine = bulk.among(letters.c.event_id, [i for i in ids if i > 0], sql)
    foreign = bulk.among(letters.c.id, [-i for i in ids if i < 0], sql)
    statement = (
        select(letters.c.id, letters.c.event_id, letters.c.account_id)
        .select_from(letters.outerjoin(events, events.c.id == letters.c.event_id))
        .where(mine | (foreign & letters.c.event_id.is_(None)), letters.c.state == move.before)
        .where(letters.c.event_id.is_(None) | (events.c.outcome == move.from_outcome))
        .order_by(letters.c.id)
        .with_for_update(of=letters)
    )
    if within is not None:
        statement = statement.where(bulk.among(letters.c.account_id, sorted(within), sql))
    return [(row.id, row.event_id, row.account_id) for row in sql.execute(statement)]

"""Replays, discards and restores in SQL: each one transaction with its audit row (G8)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Any, NamedTuple

import orjson
from sqlalchemy import ColumnElement, Connection, Select, exists, select, update

from domain.domains import BELOW
from domain.errors import NothingFoundError
from domain.inbox import Kind, Lane, Reason, State
from domain.replays import Selection, Started
from worker.adapters.db import bulk, rows
from worker.adapters.db.engine import Database, translated
from worker.adapters.db.uow import database_now
from worker.adapters.vault import new_id


def chosen(selection: Selection, *, state: str = "open") -> Select[Any]:
    """Dead letters with their events, by the fields of a `Selection`."""
    letters, events = rows.dead_letters, rows.events
    statement = (
        select(letters, events.c.kind, events.c.type, events.c.subject, events.c.external_id)
        .select_from(letters.outerjoin(events, events.c.id == letters.c.event_id))
        .where(letters.c.state == state)
        .order_by(letters.c.id)
    )
    for column, wanted in (
        (letters.c.account_id, selection.account),
        (letters.c.connection_id, selection.connection),
        (letters.c.reason, selection.reason),
        (letters.c.fingerprint, selection.fingerprint),
        (events.c.type, selection.type),
    ):
        if wanted is not None:
            statement = statement.where(column == wanted)
    if selection.ids:
        statement = statement.where(letters.c.event_id.in_(selection.ids))
    if selection.detail is not None:
        statement = statement.where(
            letters.c.last_error.contains(selection.detail, autoescape=True)
        )
    if selection.domain is not None:
        statement = statement.where(_refused_for(selection.domain))
    if selection.since is not None:
        statement = statement.where(letters.c.last_at >= selection.since)
    if selection.until is not None:
        statement = statement.where(letters.c.last_at <= selection.until)
    return statement


def _refused_for(entry: str) -> ColumnElement[bool]:
    """Letters that died for want of this entry on the account's list of domains (E4).

    Their error says "domain HOST is not ..", and a host has no blanks.
    """
    letters = rows.dead_letters
    host = entry.removeprefix(BELOW).replace("/", "//").replace("_", "/_").replace("%", "/%")
    below = "%." if entry.startswith(BELOW) else ""
    says = letters.c.last_error.like(f"domain {below}{host} is not %", escape="/")
    return (letters.c.reason == Reason.DOMAIN_NOT_ALLOWED.value) & says


class SQLReplays:
    """`ReplayStore` on both databases."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def choose(self, selection: Selection) -> list[tuple[int, Kind]]:
        """See the port."""
        with translated(), self._database.read() as connection:
            return _replayable(connection, selection)

    def start(
        self, selection: Selection, *, actor: str, reason: str, interval: timedelta
    ) -> Started | None:
        """See the port."""
        replay = new_id("rpl")

        def freeze(connection: Connection) -> Started | None:
            frozen = _replayable(connection, selection, lock=True)
            if not frozen:
                return None
            now = database_now(connection)
            ids = [number for number, _ in frozen]
            entry = {
                "id": replay,
                "actor": actor,
                "reason": reason,
                "selection": orjson.dumps(asdict(selection)),
                "rate": None,
                "count": len(ids),
                "made_at": now,
            }
            bulk.insert(connection, rows.replays, [entry])
            due = [_due(number, replay, now + interval * at) for at, number in enumerate(ids)]
            bulk.update(connection, rows.events, sorted(due, key=lambda row: int(row["id"])))
            _note(connection, ids, "replayed", reason, actor)
            _audit(connection, "dead.replay", replay, actor, reason, {"count": len(ids)})
            return Started(replay, tuple(frozen))

        return self._database.change(freeze)

    def cancel(self, replay: str, *, actor: str, account: str | None = None) -> int:
        """See the port."""
        events, letters = rows.events, rows.dead_letters
        why = select(letters.c.reason).where(letters.c.event_id == events.c.id).scalar_subquery()

        def undo(connection: Connection) -> int:
            _insist_known(connection, replay, account)
            gone = connection.execute(
                update(events)
                .where(events.c.replay_id == replay, events.c.state == State.PENDING.value)
                .values(state=State.DEAD.value, outcome="dead", reason=why, due_at=None)
            ).rowcount
            _audit(connection, "dead.cancel", replay, actor, "", {"count": gone})
            return gone

        return self._database.change(undo)

    def discard(self, ids: Sequence[int], *, actor: str, reason: str) -> int:
        """See the port; a foreign message is named by minus the letter's id."""
        return self._move(ids, _DISCARD, actor=actor, reason=reason)

    def restore(self, ids: Sequence[int], *, actor: str, reason: str) -> int:
        """See the port."""
        return self._move(ids, _RESTORE, actor=actor, reason=reason)

    def _move(self, ids: Sequence[int], move: _Move, *, actor: str, reason: str) -> int:

        def put(connection: Connection) -> int:
            found = _movable(connection, ids, move)
            if not found:
                return 0
            mine = [event for _, event in found if event is not None]
            connection.execute(
                update(rows.dead_letters)
                .where(rows.dead_letters.c.id.in_([letter for letter, _ in found]))
                .values(state=move.after, note=reason, last_at=database_now(connection))
            )
            connection.execute(
                update(rows.events)
                .where(rows.events.c.id.in_(mine))
                .values(state=move.state.value, outcome=move.outcome, due_at=None)
            )
            _note(connection, mine, move.after, reason, actor)
            named = ",".join(str(event or -letter) for letter, event in found)
            _audit(connection, f"dead.{move.after}", named[:200], actor, reason, {})
            return len(found)

        return self._database.change(put)


class _Move(NamedTuple):
    """What a discard or a restore makes of a letter and its event, and from what."""

    before: str
    after: str
    from_outcome: str
    state: State
    outcome: str


_DISCARD = _Move("open", "discarded", "dead", State.ENDED, "discarded")
_RESTORE = _Move("discarded", "open", "discarded", State.DEAD, "dead")


def _movable(
    connection: Connection, ids: Sequence[int], move: _Move
) -> list[tuple[int, int | None]]:
    """Letter and event of those that are still as the move expects them, locked.

    An event under replay has no outcome: it is left alone, whatever its letter says.
    """
    letters, events = rows.dead_letters, rows.events
    mine = letters.c.event_id.in_([i for i in ids if i > 0])
    foreign = letters.c.id.in_([-i for i in ids if i < 0])
    statement = (
        select(letters.c.id, letters.c.event_id)
        .select_from(letters.outerjoin(events, events.c.id == letters.c.event_id))
        .where(mine | foreign, letters.c.state == move.before)
        .where(letters.c.event_id.is_(None) | (events.c.outcome == move.from_outcome))
        .order_by(letters.c.id)
        .with_for_update(of=letters)
    )
    return [(row.id, row.event_id) for row in connection.execute(statement)]


def _insist_known(connection: Connection, replay: str, account: str | None) -> None:
    """Raises NothingFoundError, also for a replay that is not wholly of the account."""
    events, replays = rows.events, rows.replays
    known = select(replays.c.id).where(replays.c.id == replay)
    if account is not None:
        its = events.c.replay_id == replay
        known = known.where(
            exists().where(its, events.c.account_id == account),
            ~exists().where(its, events.c.account_id != account),
        )
    if connection.execute(known).first() is None:
        raise NothingFoundError("replay", replay)


def _replayable(
    connection: Connection, selection: Selection, *, lock: bool = False
) -> list[tuple[int, Kind]]:
    """Events of open letters that nobody is trying again already, oldest letter first."""
    statement = chosen(selection).where(rows.events.c.state == State.DEAD.value)
    if lock:
        statement = statement.with_for_update(of=rows.dead_letters)
    return [(row.event_id, Kind(row.kind)) for row in connection.execute(statement)]


def _due(number: int, replay: str, at: datetime) -> dict[str, object]:
    return {
        "id": number,
        "state": State.PENDING.value,
        "lane": Lane.BULK.value,
        "outcome": None,
        "reason": None,
        "ended_at": None,
        "attempts": 0,
        "crashes": 0,
        "waiting_since": None,
        "due_at": at,
        "replay_id": replay,
    }


def _note(
    connection: Connection, ids: Sequence[int], outcome: str, detail: str, actor: str
) -> None:
    now = database_now(connection)
    attempts = [
        {
            "event_id": number,
            "at": now,
            "outcome": outcome,
            "reason": None,
            "detail": detail,
            "worker": actor,
        }
        for number in ids
    ]
    bulk.insert(connection, rows.attempts, attempts)


def _audit(
    connection: Connection, action: str, subject: str, actor: str, reason: str, after: object
) -> None:
    entry = {
        "account_id": None,
        "at": database_now(connection),
        "actor": actor,
        "action": action,
        "subject": subject,
        "event_id": None,
        "before": None,
        "after": orjson.dumps(after),
        "reason": reason,
    }
    bulk.insert(connection, rows.audit, [entry])

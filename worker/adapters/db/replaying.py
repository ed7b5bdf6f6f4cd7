"""Replays, discards and restores in SQL: each one transaction with its audit row (G8)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from datetime import timedelta
from typing import Any

import orjson
from sqlalchemy import Connection, Select, select, update

from domain.inbox import Kind, Lane, State
from worker.adapters.db import bulk, rows
from worker.adapters.db.engine import Database, translated
from worker.adapters.db.uow import database_now
from worker.adapters.vault import new_id


def chosen(selection: Any, *, state: str = "open") -> Select[Any]:
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
    if selection.since is not None:
        statement = statement.where(letters.c.last_at >= selection.since)
    if selection.until is not None:
        statement = statement.where(letters.c.last_at <= selection.until)
    return statement


class SQLReplays:
    """`ReplayStore` on both databases."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def choose(self, selection: Any) -> list[tuple[int, Kind]]:
        """See the port."""
        with translated(), self._database.read() as connection:
            found = connection.execute(chosen(selection)).mappings().all()
        return [(row["event_id"], Kind(row["kind"])) for row in found if row["event_id"]]

    def start(
        self,
        ids: Sequence[int],
        selection: Any,
        *,
        actor: str,
        reason: str,
        interval: timedelta,
    ) -> str:
        """See the port."""
        replay = new_id("rpl")
        with translated(), self._database.begin() as connection:
            now = database_now(connection)
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
            due = [
                {
                    "id": number,
                    "state": State.PENDING.value,
                    "lane": Lane.BULK.value,
                    "outcome": None,
                    "reason": None,
                    "ended_at": None,
                    "attempts": 0,
                    "crashes": 0,
                    "waiting_since": None,
                    "due_at": now + interval * place,
                    "replay_id": replay,
                }
                for place, number in enumerate(ids)
            ]
            bulk.update(connection, rows.events, sorted(due, key=lambda row: int(row["id"])))
            _note(connection, ids, "replayed", reason, actor)
            _audit(connection, "dead.replay", replay, actor, reason, {"count": len(ids)})
            connection.commit()
        return replay

    def cancel(self, replay: str, *, actor: str) -> int:
        """See the port."""
        events = rows.events
        with translated(), self._database.begin() as connection:
            gone = connection.execute(
                update(events)
                .where(events.c.replay_id == replay, events.c.state == State.PENDING.value)
                .values(state=State.DEAD.value, outcome="dead", due_at=None)
            ).rowcount
            _audit(connection, "dead.cancel", replay, actor, "", {"count": gone})
            connection.commit()
        return gone

    def discard(self, ids: Sequence[int], *, actor: str, reason: str) -> int:
        """See the port; a foreign message is named by minus the letter's id."""
        return self._move(
            ids, "open", "discarded", State.ENDED, "discarded", actor=actor, reason=reason
        )

    def restore(self, ids: Sequence[int], *, actor: str, reason: str) -> int:
        """See the port."""
        return self._move(ids, "discarded", "open", State.DEAD, "dead", actor=actor, reason=reason)

    def _move(
        self,
        ids: Sequence[int],
        before: str,
        after: str,
        state: State,
        outcome: str,
        *,
        actor: str,
        reason: str,
    ) -> int:
        letters, events = rows.dead_letters, rows.events
        mine = letters.c.event_id.in_([i for i in ids if i > 0])
        foreign = letters.c.id.in_([-i for i in ids if i < 0])
        with translated(), self._database.begin() as connection:
            now = database_now(connection)
            moved = connection.execute(
                update(letters)
                .where(mine | foreign, letters.c.state == before)
                .values(state=after, note=reason, last_at=now)
            ).rowcount
            connection.execute(
                update(events)
                .where(events.c.id.in_([i for i in ids if i > 0]))
                .where(events.c.state.in_([State.DEAD.value, State.ENDED.value]))
                .values(state=state.value, outcome=outcome, due_at=None)
            )
            _note(connection, [i for i in ids if i > 0], after, reason, actor)
            _audit(connection, f"dead.{after}", ",".join(map(str, ids))[:200], actor, reason, {})
            connection.commit()
        return moved


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

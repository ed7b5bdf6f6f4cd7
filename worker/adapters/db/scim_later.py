"""SCIM requests that are answered later, in SQL: leases with fences, by the database's clock."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

import orjson
from sqlalchemy import Connection, RowMapping, Update, delete, select, update

from domain.later import LaterRequest
from domain.resources import Speaker
from worker.adapters.db import bulk
from worker.adapters.db.engine import Database, translated
from worker.adapters.db.scim_later_rows import scim_done, scim_requests
from worker.adapters.db.scim_speakers import speaker_again
from worker.adapters.db.uow import database_now
from worker.adapters.vault import Vault

_TABLE = scim_requests
#: So many old answers go at once.
_AT_ONCE = 1_000


@dataclass(frozen=True, slots=True)
class Later:
    """What became of a request so far. answers: None until it is answered."""

    answers: Sequence[Mapping[str, Any]] | None
    ended_at: datetime | None


def done_row(later: tuple[str, int], event: int, resource: str) -> dict[str, Any]:
    """That an operation of such a request was applied."""
    return {
        "request_id": later[0],
        "place": later[1],
        "event_id": event,
        "resource_id": resource,
    }


class SQLLater:
    """`LaterStore` on both databases, and the web's side of it."""

    def __init__(self, database: Database, vault: Vault) -> None:
        self._database = database
        self._vault = vault
        self._last = ""

    def accept(self, speaker: Speaker, told: Mapping[str, Any]) -> str:
        """Keep a request; its txn, once it is committed."""
        txn = uuid4().hex

        def write(sql: Connection) -> str:
            now = database_now(sql)
            row = {
                "id": txn,
                "connection_id": speaker.connection,
                "feed_id": speaker.feed,
                "token_id": speaker.token,
                "request": self._vault.seal(orjson.dumps(told)),
                "fence": 0,
                "made_at": now,
                "due_at": now,
            }
            bulk.insert(sql, _TABLE, [row], conflict="ON CONFLICT (id) DO NOTHING")
            return txn

        return self._database.change(write, is_repeatable=True)

    def found(self, speaker: Speaker, txn: str) -> Later | None:
        """What became of a request of the same feed; None where it has none such."""
        mine = (_TABLE.c.id == txn) & (_TABLE.c.feed_id == speaker.feed)
        with translated(), self._database.read() as sql:
            row = sql.execute(select(_TABLE.c.answer, _TABLE.c.ended_at).where(mine)).first()
        if row is None:
            return None
        answers = None if row.answer is None else orjson.loads(self._vault.open(row.answer))
        return Later(answers, row.ended_at)

    def is_due(self) -> bool:
        """Whether any waits."""
        with translated(), self._database.read() as sql:
            due = _TABLE.c.due_at <= database_now(sql)
            return sql.execute(select(_TABLE.c.id).where(due).limit(1)).first() is not None

    def claim(self, *, lease: timedelta) -> LaterRequest | None:
        """See the port."""
        with translated(), self._database.begin() as sql:
            now = database_now(sql)
            # After the connection that had its turn last, the next one has its own.
            row = _first_due(sql, now, self._last) or _first_due(sql, now)
            self._last = row["connection_id"] if row is not None else ""
            if row is None:
                return None
            mine = update(_TABLE).where(_TABLE.c.id == row["id"])
            sql.execute(mine.values(fence=row["fence"] + 1, due_at=now + lease))
            done = sql.execute(select(scim_done).where(scim_done.c.request_id == row["id"]))
            request = LaterRequest(
                id=row["id"],
                told=orjson.loads(self._vault.open(row["request"])),
                speaker=speaker_again(sql, row["token_id"], row["feed_id"]),
                fence=row["fence"] + 1,
                made_at=row["made_at"],
                done={one.place: one.resource_id for one in done},
            )
            sql.commit()
        return request

    def answered(self, request: LaterRequest, answers: Sequence[Mapping[str, Any]]) -> bool:
        """See the port."""

        def write(sql: Connection) -> bool:
            sealed = self._vault.seal(orjson.dumps(list(answers)))
            ended = {"request": None, "due_at": None, "ended_at": database_now(sql)}
            done = sql.execute(_held(request).values(answer=sealed, **ended))
            if done.rowcount:
                sql.execute(delete(scim_done).where(scim_done.c.request_id == request.id))
            return done.rowcount == 1

        return self._database.change(write, is_repeatable=True)

    def postponed(self, request: LaterRequest, wait: timedelta) -> None:
        """See the port."""

        def write(sql: Connection) -> None:
            sql.execute(_held(request).values(due_at=database_now(sql) + wait))

        self._database.change(write, is_repeatable=True)

    def forget(self, *, days: int) -> int:
        """Delete answers older than that; how many went."""
        gone = 0
        while True:
            with translated(), self._database.begin() as sql:
                old = _TABLE.c.ended_at <= database_now(sql) - timedelta(days=days)
                ids = list(sql.scalars(select(_TABLE.c.id).where(old).limit(_AT_ONCE)))
                sql.execute(delete(_TABLE).where(bulk.among(_TABLE.c.id, ids, sql)))
                sql.commit()
            gone += len(ids)
            if len(ids) < _AT_ONCE:
                return gone


def _first_due(sql: Connection, now: datetime, after: str = "") -> RowMapping | None:
    """The first that a connection waits for; of the connections behind that one."""
    table = _TABLE
    statement = (
        select(table)
        .where(table.c.due_at <= now, table.c.connection_id > after)
        .order_by(table.c.connection_id, table.c.due_at)
        .limit(1)
        .with_for_update(skip_locked=True)
    )
    return sql.execute(statement).mappings().first()


def _held(request: LaterRequest) -> Update:
    table = _TABLE
    return update(table).where(table.c.id == request.id, table.c.fence == request.fence)

"""Announcements in SQL: numbered and queued for each endpoint in the transaction of their cause."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from functools import cache
from typing import Any

import orjson
from sqlalchemy import Connection, TextClause, bindparam, exists, func, select, text
from sqlalchemy.sql.elements import ColumnElement

from domain.announcements import Announcement
from worker.adapters.db import bulk
from worker.adapters.db.arrays import ArrayText, array_literal, array_type
from worker.adapters.db.engine import ANNOUNCED
from worker.adapters.db.outbound_rows import announcements, dispatches, endpoints, sequences
from worker.adapters.vault import new_id

#: Whoever has an endpoint that is not removed, paused and disabled ones included: these catch up.
REMOVED = "removed"


def has_listener(account: ColumnElement[str]) -> ColumnElement[bool]:
    """Whether the account of a row has an endpoint."""
    mine = endpoints.c.account_id == account
    return exists().where(mine, endpoints.c.state != REMOVED)


def listening(connection: Connection, accounts: Iterable[str]) -> set[str]:
    """Of these accounts those whose application listens."""
    mine = bulk.among(endpoints.c.account_id, sorted(accounts), connection)
    found = select(endpoints.c.account_id).distinct().where(mine, endpoints.c.state != REMOVED)
    return set(connection.execute(found).scalars())


def announce(connection: Connection, told: Sequence[Announcement], *, now: datetime) -> None:
    """Write what concerns accounts whose application listens; sent as soon as it is committed."""
    if not told:
        return
    hears = listening(connection, {one.account for one in told})
    heard = [one for one in told if one.account in hears]
    write(connection, heard, now=now)
    if heard:
        connection.info[ANNOUNCED] = True


def write(connection: Connection, told: Sequence[Announcement], *, now: datetime) -> None:
    """Number, store and queue them, in this order for each subject; reads nothing (PostgreSQL)."""
    if not told:
        return
    numbered = _numbered(told)
    if connection.dialect.name == "postgresql":
        given: dict[str, Any] = {
            name: array_literal(column, [row[name] for row in numbered])
            for name, column in _SHAPE.items()
        }
        connection.execute(_on_postgres(), {**given, "now": now})
    else:
        _on_sqlite(connection, numbered, now)


_SHAPE: Mapping[str, Any] = {
    "place": announcements.c.sequence,
    "message_id": announcements.c.message_id,
    "account_id": announcements.c.account_id,
    "subject": announcements.c.subject,
    "following": announcements.c.sequence,
    "type": announcements.c.type,
    "lane": announcements.c.lane,
    "data": announcements.c.data,
}


def _numbered(told: Sequence[Announcement]) -> list[dict[str, Any]]:
    """Rows; following: how many of the same subject come after it."""
    left = Counter(one.subject for one in told)
    found = []
    for place, one in enumerate(told):
        left[one.subject] -= 1
        found.append(
            {
                "place": place,
                "message_id": new_id("msg"),
                "account_id": one.account,
                "subject": one.subject,
                "following": left[one.subject],
                "type": one.type.value,
                "lane": one.lane.value,
                "data": orjson.dumps(one.data),
            }
        )
    return found


@cache
def _on_postgres() -> TextClause:
    """One statement: numbers are locked in the order of their subjects, so that none deadlock."""
    arrays = ", ".join(f"CAST(:{n} AS {array_type(c)})" for n, c in _SHAPE.items())
    names = ", ".join(_SHAPE)
    statement = (
        f"WITH v AS MATERIALIZED (SELECT * FROM unnest({arrays}) AS v({names})), "
        "counted AS (INSERT INTO sequences (subject, account_id, last) "
        "SELECT subject, min(account_id), count(*) FROM v GROUP BY subject ORDER BY subject "
        "ON CONFLICT (subject) DO UPDATE SET last = sequences.last + excluded.last "
        "RETURNING subject, last), "
        "stored AS (INSERT INTO announcements "
        "(message_id, account_id, subject, sequence, type, lane, data, made_at) "
        "SELECT v.message_id, v.account_id, v.subject, counted.last - v.following, "
        "v.type, v.lane, v.data, :now FROM v JOIN counted ON counted.subject = v.subject "
        "ORDER BY v.place RETURNING id, account_id, subject, sequence, type, lane) "
        f"{_QUEUE} FROM stored AS a {_TO}"
    )
    arrays_first = [bindparam(name, type_=ArrayText()) for name in _SHAPE]
    return text(statement).bindparams(
        *arrays_first, bindparam("now", type_=announcements.c.made_at.type)
    )


_QUEUE = (
    "INSERT INTO dispatches (announcement_id, endpoint_id, subject, sequence, lane, state, "
    "attempts, fence, due_at) "
    "SELECT a.id, e.id, a.subject, a.sequence, a.lane, 'pending', 0, 0, :now"
)
_TO = (
    "JOIN endpoints AS e ON e.account_id = a.account_id AND e.state <> 'removed' "
    "AND (e.types = '' OR e.types LIKE '%,' || a.type || ',%')"
)


def _on_sqlite(connection: Connection, numbered: Sequence[dict[str, Any]], now: datetime) -> None:
    """One writer at a time: what is read cannot change before it is written."""
    counts = Counter((row["subject"], row["account_id"]) for row in numbered)
    wanted = [{"subject": s, "account_id": a, "last": n} for (s, a), n in sorted(counts.items())]
    again = "ON CONFLICT (subject) DO UPDATE SET last = sequences.last + excluded.last"
    bulk.insert(connection, sequences, wanted, conflict=again)
    subjects = [row["subject"] for row in wanted]
    found = connection.execute(
        select(sequences.c.subject, sequences.c.last).where(
            bulk.among(sequences.c.subject, subjects, connection)
        )
    )
    last = {row.subject: row.last for row in found}
    newest = connection.execute(select(func.coalesce(func.max(announcements.c.id), 0))).scalar_one()
    stored = [
        {
            **{name: row[name] for name in _SHAPE if name not in ("place", "following")},
            "sequence": last[row["subject"]] - row["following"],
            "made_at": now,
        }
        for row in numbered
    ]
    bulk.insert(connection, announcements, stored)
    queue = text(f"{_QUEUE} FROM announcements AS a {_TO} WHERE a.id > :newest ORDER BY a.id")
    moment = bindparam("now", type_=dispatches.c.due_at.type)
    connection.execute(queue.bindparams(moment), {"now": now, "newest": newest})

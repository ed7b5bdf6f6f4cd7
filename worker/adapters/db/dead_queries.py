"""Dead letters in groups of one cause, page by page, with what was noted on them (G8)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Connection,
    Integer,
    func,
    literal,
    select,
    type_coerce,
)
from sqlalchemy import cast as as_type

from domain.errors import NothingFoundError
from domain.replays import Cause, DeadGroup, GroupNote, Selection, reasons_of
from domain.values import to_micros
from worker.adapters.db import bulk, rows
from worker.adapters.db.choosing import chosen
from worker.adapters.db.replay_rows import group_notes
from worker.adapters.db.uow import database_now

Within = Collection[str] | None
#: Hours that a trend tells of.
HOURS = 24


def dead_groups(
    sql: Connection,
    *,
    within: Within = None,
    cause: Cause | None = None,
    fingerprint: str | None = None,
) -> list[DeadGroup]:
    """Open dead letters by fingerprint, the largest group first."""
    letters = rows.dead_letters
    mine = _mine(sql, within, cause, fingerprint)
    groups = (
        select(
            letters.c.fingerprint,
            letters.c.reason,
            func.count().label("count"),
            func.min(letters.c.first_at, type_=letters.c.first_at.type).label("first_at"),
            func.max(letters.c.last_at, type_=letters.c.last_at.type).label("last_at"),
            func.max(letters.c.event_id).label("example"),
            func.max(letters.c.id).label("newest"),
        )
        .where(*mine)
        .group_by(letters.c.fingerprint, letters.c.reason)
        .subquery()
    )
    # Looked up for each group: to find the largest of a hundred thousand texts takes longer.
    newest = letters.alias("newest")
    told = [column for column in groups.c if column.name != "newest"]
    wanted = (
        select(*told, newest.c.last_error)
        .join(newest, newest.c.id == groups.c.newest)
        .order_by(groups.c["count"].desc(), groups.c.fingerprint)
    )
    trends, notes = _trends(sql, mine), _note_counts(sql, within)
    return [
        DeadGroup(
            **row,
            trend=trends.get((row["fingerprint"], row["reason"]), (0,) * HOURS),
            notes=notes.get(row["fingerprint"], 0),
        )
        for row in sql.execute(wanted).mappings()
    ]


def dead_group(sql: Connection, fingerprint: str, *, within: Within = None) -> DeadGroup:
    """One group; raises NothingFoundError where nothing open bears the fingerprint."""
    found = dead_groups(sql, within=within, fingerprint=fingerprint)
    if not found:
        raise NothingFoundError("group of dead letters", fingerprint)
    return found[0]


def letters_page(
    sql: Connection,
    selection: Selection,
    *,
    within: Within = None,
    state: str = "open",
    cause: Cause | None = None,
    after: int = 0,
    limit: int = 100,
) -> tuple[list[dict[str, Any]], int | None]:
    """Dead letters, the oldest first; named by their event, d<ID> where none is behind them."""
    letters = rows.dead_letters
    wanted = chosen(sql, selection, state=state, within=within).where(letters.c.id > after)
    if cause is not None:
        wanted = wanted.where(letters.c.reason.in_(sorted(reasons_of(cause))))
    found = sql.execute(wanted.limit(limit + 1)).mappings().all()
    page = [_letter(row) for row in found[:limit]]
    return page, found[limit - 1]["id"] if len(found) > limit else None


def one_letter(sql: Connection, number: int, *, within: Within = None) -> dict[str, Any]:
    """By its event's id, or minus its own where no event of ours is behind it.

    Raises NothingFoundError.
    """
    letters, events = rows.dead_letters, rows.events
    is_foreign = letters.c.event_id.is_(None) & (letters.c.id == -number)
    wanted = (
        select(letters, events.c.type, events.c.subject)
        .select_from(letters.outerjoin(events, events.c.id == letters.c.event_id))
        .where(letters.c.event_id == number if number > 0 else is_foreign)
    )
    if within is not None:
        wanted = wanted.where(bulk.among(letters.c.account_id, sorted(within), sql))
    row = sql.execute(wanted).mappings().first()
    if row is None:
        raise NothingFoundError("dead letter", str(number) if number > 0 else f"d{-number}")
    return _letter(row)


def newest_letters(
    sql: Connection, fingerprint: str, *, within: Within = None, limit: int = 5
) -> list[dict[str, Any]]:
    """Examples of a group, the newest first."""
    letters = rows.dead_letters
    wanted = chosen(sql, Selection(fingerprint=fingerprint), within=within)
    newest = wanted.order_by(None).order_by(letters.c.id.desc()).limit(limit)
    return [_letter(row) for row in sql.execute(newest).mappings()]


def _letter(row: Mapping[Any, Any]) -> dict[str, Any]:
    shown = {name: value for name, value in row.items() if name != "payload"}
    return {**shown, "letter": row["id"], "id": row["event_id"] or f"d{row['id']}"}


def notes_on(sql: Connection, fingerprint: str, *, within: Within = None) -> list[GroupNote]:
    """What operators wrote on a group, the oldest first."""
    table = group_notes
    wanted = select(table).where(table.c.fingerprint == fingerprint).order_by(table.c.id)
    if within is not None:
        wanted = wanted.where(bulk.among(table.c.account_id, sorted(within), sql))
    return [GroupNote(row.id, row.at, row.actor, row.text) for row in sql.execute(wanted)]


def _mine(
    sql: Connection, within: Within, cause: Cause | None, fingerprint: str | None
) -> list[ColumnElement[bool]]:
    letters = rows.dead_letters
    mine = [letters.c.state == "open"]
    if within is not None:
        mine.append(bulk.among(letters.c.account_id, sorted(within), sql))
    if cause is not None:
        mine.append(letters.c.reason.in_(sorted(reasons_of(cause))))
    if fingerprint is not None:
        mine.append(letters.c.fingerprint == fingerprint)
    return mine


def _trends(
    sql: Connection, mine: list[ColumnElement[bool]]
) -> dict[tuple[str, str], tuple[int, ...]]:
    letters, now = rows.dead_letters, database_now(sql)
    hours = _hours_ago(sql, letters.c.last_at, now).label("hours")
    recent = letters.c.last_at > now - timedelta(hours=HOURS)
    names = (letters.c.fingerprint, letters.c.reason, hours)
    counted = select(*names, func.count()).where(*mine, recent).group_by(*names)
    found: dict[tuple[str, str], list[int]] = defaultdict(lambda: [0] * HOURS)
    for fingerprint, reason, ago, count in sql.execute(counted):
        found[fingerprint, reason][HOURS - 1 - min(max(int(ago), 0), HOURS - 1)] += count
    return {key: tuple(counts) for key, counts in found.items()}


def _hours_ago(sql: Connection, column: Any, now: datetime) -> ColumnElement[int]:
    if sql.dialect.name == "postgresql":
        seconds = func.extract("epoch", literal(now, column.type) - column)
        return as_type(func.floor(seconds / 3600), Integer)
    micros = literal(to_micros(now)) - type_coerce(column, BigInteger)
    return micros // literal(3_600_000_000)


def _note_counts(sql: Connection, within: Within) -> dict[str, int]:
    table = group_notes
    wanted = select(table.c.fingerprint, func.count()).group_by(table.c.fingerprint)
    if within is not None:
        wanted = wanted.where(bulk.among(table.c.account_id, sorted(within), sql))
    return {row[0]: row[1] for row in sql.execute(wanted)}

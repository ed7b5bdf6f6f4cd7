"""Replays, their events and their reports as operators look at them (G8)."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

import orjson
from sqlalchemy import ColumnElement, Connection, Select, and_, case, func, or_, select

from domain.errors import NothingFoundError
from domain.replays import Compared, Foretold, ItemSeen, ItemState, ReplaySeen, Report
from worker.adapters.db import bulk, rows
from worker.adapters.db.replay_moves import pace_of, state_of
from worker.adapters.db.replay_rows import replay_items, replays
from worker.adapters.db.uow import database_now

Within = Collection[str] | None
#: States of items that say what there is to say: nothing became of them.
_BARE = (ItemState.FROZEN.value, ItemState.RELEASED.value, ItemState.CANCELLED.value)


def replay_seen(sql: Connection, replay: str, *, within: Within = None) -> ReplaySeen:
    """One replay; another account's is unknown. Raises NothingFoundError."""
    row = sql.execute(select(replays).where(replays.c.id == replay)).mappings().first()
    if row is None or not (within is None or row["account_id"] in within):
        raise NothingFoundError("replay", replay)
    return _seen(sql, [row])[0]


def replays_page(
    sql: Connection,
    *,
    within: Within = None,
    states: Sequence[str] = (),
    after: str = "",
    limit: int = 100,
) -> tuple[list[ReplaySeen], str | None]:
    """The newest first, and what the next page begins behind; None on the last."""
    wanted = select(replays).order_by(replays.c.made_at.desc(), replays.c.id.desc())
    if within is not None:
        wanted = wanted.where(bulk.among(replays.c.account_id, sorted(within), sql))
    if states:
        wanted = wanted.where(func.coalesce(replays.c.state, "finished").in_(states))
    if after:
        at = select(replays.c.made_at).where(replays.c.id == after).scalar_subquery()
        same = (replays.c.made_at == at) & (replays.c.id < after)
        wanted = wanted.where((replays.c.made_at < at) | same)
    found = sql.execute(wanted.limit(limit + 1)).mappings().all()
    page = found[:limit]
    return _seen(sql, page), page[-1]["id"] if len(found) > limit else None


def items_page(
    sql: Connection,
    replay: str,
    *,
    state: str | None = None,
    predicted: str | None = None,
    outcome: str | None = None,
    differs: bool | None = None,
    after: int = 0,
    limit: int = 100,
) -> tuple[list[ItemSeen], int | None]:
    """Events of a replay in its order; differs: whether something else became of them."""
    items = replay_items
    wanted = _with_outcome().where(items.c.replay_id == replay, items.c.place > after)
    for column, value in (
        (items.c.state, state),
        (items.c.predicted, predicted),
        (_outcome(), outcome),
    ):
        if value is not None:
            wanted = wanted.where(column == value)
    if differs is not None:
        is_tried = items.c.state.not_in(_BARE) & items.c.predicted.is_not(None)
        other = or_(
            items.c.predicted != _outcome(),
            func.coalesce(items.c.predicted_reason, "") != func.coalesce(_reason(), ""),
        )
        wanted = wanted.where(is_tried & other if differs else ~(is_tried & other))
    found = sql.execute(wanted.order_by(items.c.place).limit(limit + 1)).all()
    page = [
        ItemSeen(
            place=row.place,
            event=row.event_id,
            state=ItemState(row.state),
            predicted=row.predicted,
            predicted_reason=row.predicted_reason,
            does=row.does,
            outcome=row.became,
            reason=row.why,
            settled_at=row.settled_at,
        )
        for row in found[:limit]
    ]
    return page, page[-1].place if len(found) > limit else None


def report_of(sql: Connection, replay: str) -> Report:
    """What was predicted against what became, in counts."""
    items = replay_items
    became = func.coalesce(_outcome(), items.c.state)
    names = (items.c.predicted, items.c.predicted_reason, became, _reason())
    found = sql.execute(
        _joined(select(*names, func.count())).where(items.c.replay_id == replay).group_by(*names)
    )
    return Report(tuple(Compared(*row) for row in sorted(found, key=lambda row: -row[-1])))


def replays_of_event(sql: Connection, event: int) -> list[dict[str, Any]]:
    """Replays that had an event, the newest first."""
    items = replay_items
    wanted = (
        select(replays.c.id, replays.c.state, replays.c.actor, replays.c.reason, items.c.predicted)
        .add_columns(items.c.outcome, items.c.settled_at)
        .join(items, items.c.replay_id == replays.c.id)
        .where(items.c.event_id == event)
        .order_by(replays.c.made_at.desc())
    )
    return [dict(row) for row in sql.execute(wanted).mappings()]


def _seen(sql: Connection, found: Sequence[Mapping[Any, Any]]) -> list[ReplaySeen]:
    ids = [row["id"] for row in found]
    if not ids:
        return []
    counts, foretold = _counts(sql, ids), _foretold(sql, ids)
    waits, now = _waits(sql, ids), database_now(sql)
    return [
        _one(row, counts.get(row["id"], {}), foretold.get(row["id"], ()), waits, now)
        for row in found
    ]


def _one(
    row: Mapping[Any, Any],
    counts: Mapping[str, int],
    foretold: Sequence[Foretold],
    waits: Mapping[str, list[str]],
    now: datetime,
) -> ReplaySeen:
    return ReplaySeen(
        id=row["id"],
        account=row["account_id"],
        state=state_of(row),
        why=row["why"],
        made_by=row["actor"],
        made_at=row["made_at"],
        reason=row["reason"],
        moved_by=row["moved_by"],
        started_at=row["started_at"],
        ended_at=row["ended_at"],
        selection=orjson.loads(row["selection"]),
        pace=pace_of(row),
        count=row["count"],
        counts=counts,
        foretold=tuple(foretold),
        waits_for=tuple(waits.get(row["id"], ())),
        at=now,
    )


def _counts(sql: Connection, ids: Sequence[str]) -> dict[str, dict[str, int]]:
    items = replay_items
    ended = case((items.c.state.in_(_BARE), items.c.state), else_=items.c.outcome)
    found = sql.execute(
        select(items.c.replay_id, ended, func.count())
        .where(bulk.among(items.c.replay_id, ids, sql))
        .group_by(items.c.replay_id, ended)
    )
    counts: dict[str, dict[str, int]] = {}
    for replay, outcome, count in found:
        counts.setdefault(replay, {})[outcome] = count
    return counts


def _foretold(sql: Connection, ids: Sequence[str]) -> dict[str, list[Foretold]]:
    items = replay_items
    names = (items.c.replay_id, items.c.predicted, items.c.predicted_reason, items.c.does)
    found = sql.execute(
        select(*names, func.count())
        .where(bulk.among(items.c.replay_id, ids, sql), items.c.predicted.is_not(None))
        .group_by(*names)
        .order_by(func.count().desc())
    )
    told: dict[str, list[Foretold]] = {}
    for replay, *rest in found:
        told.setdefault(replay, []).append(Foretold(*rest))
    return told


def _waits(sql: Connection, ids: Sequence[str]) -> dict[str, list[str]]:
    """Names of paused connections that released events wait for."""
    items, events, connections = replay_items, rows.events, rows.connections
    found = sql.execute(
        select(items.c.replay_id, connections.c.name)
        .join(events, events.c.id == items.c.event_id)
        .join(connections, connections.c.id == events.c.connection_id)
        .where(bulk.among(items.c.replay_id, ids, sql))
        .where(items.c.state == ItemState.RELEASED.value, connections.c.state != "active")
        .distinct()
    )
    waits: dict[str, list[str]] = {}
    for replay, name in found:
        waits.setdefault(replay, []).append(name)
    return waits


def _joined(wanted: Select[Any]) -> Select[Any]:
    """With the event of what is still on its way, which may have ended since."""
    items, events = replay_items, rows.events
    on_its_way = and_(events.c.id == items.c.event_id, items.c.state == ItemState.TRIED.value)
    return wanted.select_from(items.outerjoin(events, on_its_way))


def _outcome() -> ColumnElement[str | None]:
    events = rows.events
    return func.coalesce(events.c.outcome, events.c.state, replay_items.c.outcome)


def _reason() -> ColumnElement[str | None]:
    is_on_its_way = rows.events.c.id.is_not(None)
    return case((is_on_its_way, rows.events.c.reason), else_=replay_items.c.reason)


def _with_outcome() -> Select[Any]:
    return _joined(select(replay_items, _outcome().label("became"), _reason().label("why")))

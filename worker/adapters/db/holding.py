"""Trips of the breaker as operators answer them: approve, reject, raise once (C6, D17)."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Any

import orjson
from sqlalchemy import (
    ColumnElement,
    Connection,
    and_,
    case,
    delete,
    exists,
    func,
    insert,
    literal,
    select,
    update,
)

from domain.breaker import Answer, HoldState, Released, Weight, explain, why_held
from domain.erasure import ERASED
from domain.errors import NothingFoundError, RefusedError
from domain.inbox import Kind, Lane, Outcome, Reason, State
from domain.keys import user_id
from domain.model import PersonState
from worker.adapters.db import bulk, rows
from worker.adapters.db.alerts import AGAIN, alert_id, settle_alert, tell_operators
from worker.adapters.db.breaker_rows import breaker_marks, breakers, holds
from worker.adapters.db.engine import Changing, Database, translated
from worker.adapters.db.mail_rows import alerts
from worker.adapters.db.uow import database_now

#: So many of whom a hold is about are named in its explanation.
NAMED = 5
#: Under which operators are told of a trip.
TOPIC = "breaker.tripped"
#: Who answers where the time of `breaker_auto_approve` is over.
CLOCK = "rosterd"


class SQLHolds:
    """Holds of the database. Every answer is one transaction with its decision and audit row.

    changing: where answers are made, if not in the database at once.
    """

    def __init__(self, database: Database, changing: Changing | None = None) -> None:
        self._database = database
        self._changing = changing or database

    def page(
        self,
        accounts: Collection[str] | None,
        *,
        connection: str | None,
        is_open: bool,
        after: str = "",
        limit: int = 1000,
    ) -> tuple[list[dict[str, Any]], str | None]:
        """Newest first, each with what it would do; and where to go on, behind a hold's id."""
        wanted = select(holds).order_by(holds.c.opened_at.desc(), holds.c.id.desc())
        if is_open:
            wanted = wanted.where(holds.c.state == HoldState.OPEN.value)
        if connection is not None:
            wanted = wanted.where(holds.c.connection_id == connection)
        with translated(), self._database.read() as sql:
            if accounts is not None:
                mine = bulk.among(holds.c.account_id, sorted(accounts), sql)
                wanted = wanted.where(mine)
            last = sql.execute(select(holds.c.opened_at).where(holds.c.id == after)).scalar()
            if last is not None:
                is_later = (holds.c.opened_at == last) & (holds.c.id < after)
                wanted = wanted.where((holds.c.opened_at < last) | is_later)
            now = database_now(sql)
            found = sql.execute(wanted.limit(limit + 1)).mappings().all()
            told = [_told(sql, dict(row), now) for row in found[:limit]]
        return told, told[-1]["id"] if len(found) > limit else None

    def show(self, hold: str, *, limit: int = 100) -> dict[str, Any]:
        """One hold with the events that it keeps; raises NothingFoundError."""
        with translated(), self._database.read() as sql:
            row = _known(sql, hold)
            told = _told(sql, row, database_now(sql))
            told["held"] = _held_events(sql, row, limit)
            return told

    def approve(self, hold: str, *, actor: str, reason: str) -> Answer:
        """What is held goes on, uncounted; the window begins anew.

        A rejected one may be approved after all. Raises NothingFoundError, RefusedError.
        """

        def answer(sql: Connection) -> Answer:
            row = _locked(sql, hold, HoldState.OPEN, HoldState.REJECTED)
            _insist_not_retired(sql, row)
            return approved(sql, row, actor=actor, reason=reason, now=database_now(sql))

        return self._changing.change(answer)

    def reject(self, hold: str, *, actor: str, reason: str) -> Answer:
        """What is held ends discarded; its facts stay out of the directory."""

        def answer(sql: Connection) -> Answer:
            row = _locked(sql, hold, HoldState.OPEN)
            now = database_now(sql)
            mine = _held(row)
            _note(sql, mine, f"hold {hold} was rejected: {reason}", actor, now)
            count = sql.execute(
                update(rows.events)
                .where(mine)
                .values(
                    state=State.ENDED.value,
                    outcome=Outcome.DISCARDED.value,
                    ended_at=now,
                    due_at=None,
                )
            ).rowcount
            _close(sql, row, HoldState.REJECTED, count, actor=actor, reason=reason, now=now)
            return Answer(count)

        return self._changing.change(answer)

    def raise_once(self, hold: str, *, to: int, actor: str, reason: str) -> Answer:
        """Until one window from now the limit is `to`; what is held is tried again under it."""

        def answer(sql: Connection) -> Answer:
            row = _locked(sql, hold, HoldState.OPEN)
            if to <= row["most"]:
                raise RefusedError(f"the limit is {row['most']:,} already: name a higher one")
            now = database_now(sql)
            released = _kinds(sql, row)
            count = _release(sql, row, now, bears=None)
            until = now + timedelta(seconds=row["window_seconds"])
            sql.execute(
                update(breakers)
                .where(breakers.c.connection_id == row["connection_id"])
                .values(raised_to=to, raised_until=until)
            )
            _close(sql, row, HoldState.RAISED, count, actor=actor, reason=reason, now=now, to=to)
            return Answer(count, released)

        return self._changing.change(answer)


def approve_overdue(sql: Connection, now: datetime) -> int:
    """Holds whose `breaker_auto_approve` is over are approved; how many."""
    overdue = (
        select(holds)
        .where(holds.c.state == HoldState.OPEN.value, holds.c.auto_at <= now)
        .order_by(holds.c.connection_id)
    )
    count = 0
    for found in sql.execute(overdue).mappings().all():
        lock_breaker(sql, found["connection_id"])
        row = _known(sql, found["id"])
        if row["state"] == HoldState.OPEN.value and row["auto_at"] <= now:
            why = "nobody answered in the time of breaker_auto_approve"
            approved(sql, row, actor=CLOCK, reason=why, now=now)
            count += 1
    return count


def retire_holds(
    sql: Connection, connection: str, *, actor: str, reason: str, now: datetime
) -> None:
    """C7: what a connection that is being retired still holds is never answered; say how much.

    Once its events have ended, and after every other lock: a drain locks its breaker last, too.
    """
    open_ones = select(holds.c.id).where(
        holds.c.connection_id == connection, holds.c.state == HoldState.OPEN.value
    )
    lock_breaker(sql, connection)
    for hold in sql.execute(open_ones.order_by(holds.c.id)).scalars().all():
        ended = (
            select(func.count())
            .select_from(rows.events)
            .where(rows.events.c.connection_id == connection, rows.events.c.replay_id == hold)
            .where(rows.events.c.reason == Reason.RETIRED.value)
        )
        count = int(sql.execute(ended).scalar_one())
        row = _known(sql, hold)
        _close(sql, row, HoldState.RETIRED, count, actor=actor, reason=reason, now=now)


def tell_of_holds(sql: Connection, now: datetime) -> None:
    """Operators hear of a trip, with names and numbers, and what to type.

    Once more when twice as much is held as they were told: the mail goes an hour later at the
    earliest. The number told rests in the column that the answer will fill.
    """
    is_open = holds.c.state == HoldState.OPEN.value
    for found in sql.execute(select(holds).where(is_open)).mappings().all():
        least = _least_told(sql, found, now)
        if least is None:
            continue
        row = _told(sql, dict(found), now)
        if row["events"] < least:
            continue
        mine = update(holds).where(holds.c.id == row["id"], is_open)
        if sql.execute(mine.values(events=row["events"])).rowcount == 0:
            continue
        where = f"{row['account']}/{row['connection']}"
        tell_operators(
            sql,
            now,
            topic=TOPIC,
            subject=row["id"],
            headline=f"The breaker of {where} holds {row['events']:,} events",
            details=[
                row["explanation"],
                why_held(
                    row["counted"],
                    row["people"],
                    row["most"],
                    timedelta(seconds=row["window_seconds"]),
                ),
                f"It is meant: rosterd hold approve {row['id']} --reason ..",
                f"It is a mistake: rosterd hold reject {row['id']} --reason ..",
            ],
            account=row["account_id"],
            is_urgent=True,
        )


def _least_told(sql: Connection, row: Any, now: datetime) -> int | None:
    """Of so many held events operators are told; None where they were told lately."""
    key = alert_id(row["account_id"], TOPIC, row["id"])
    known = sql.execute(select(alerts.c.told_at).where(alerts.c.id == key)).first()
    if known is None:
        return 0
    is_long_ago = known.told_at is not None and known.told_at <= now - AGAIN
    return 2 * max(row["events"] or 0, 1) if is_long_ago else None


def _insist_not_retired(sql: Connection, row: dict[str, Any]) -> None:
    table = rows.connections
    state = sql.execute(select(table.c.state).where(table.c.id == row["connection_id"])).scalar()
    if state == "retired":
        raise RefusedError(
            f"the connection of hold {row['id']} was retired: nothing of it is applied any more"
        )


def approved(
    sql: Connection, row: dict[str, Any], *, actor: str, reason: str, now: datetime
) -> Answer:
    """Let go what a locked hold keeps, or kept."""
    connection, undid = row["connection_id"], ""
    if row["state"] == HoldState.REJECTED.value:
        undid = _answered(row)
        _take_back(sql, row)
    released = _kinds(sql, row)
    count = _release(sql, row, now, bears=row["id"])
    mine = breakers.c.connection_id == connection
    is_open = sql.execute(select(breakers.c.hold_id).where(mine)).scalar()
    # What has been counted since, for another hold that is open, goes on counting.
    if is_open in (None, row["id"]):
        sql.execute(delete(breaker_marks).where(breaker_marks.c.connection_id == connection))
    _close(sql, row, HoldState.APPROVED, count, actor=actor, reason=reason, now=now)
    return Answer(count, released, undid)


def _take_back(sql: Connection, row: dict[str, Any]) -> None:
    """The events of a rejected hold rest as they did before, if there is a word of them left."""
    events, deliveries = rows.events, rows.deliveries
    is_kept = exists().where(deliveries.c.id == events.c.delivery_id)
    sql.execute(
        update(events)
        .where(events.c.connection_id == row["connection_id"], events.c.replay_id == row["id"])
        .where(events.c.outcome == Outcome.DISCARDED.value)
        .where(events.c.subject != ERASED, is_kept)
        .values(state=State.HELD.value, outcome=None, ended_at=None)
    )


def _held(hold: dict[str, Any]) -> ColumnElement[bool]:
    """Events that a hold keeps, and no other one; found by the index of what has not ended."""
    events = rows.events
    return and_(
        events.c.connection_id == hold["connection_id"],
        events.c.replay_id == hold["id"],
        events.c.state != State.ENDED.value,
        events.c.state == State.HELD.value,
        events.c.reason == Reason.BREAKER.value,
    )


def _release(sql: Connection, hold: dict[str, Any], now: datetime, *, bears: str | None) -> int:
    """Due at once; or held by what else keeps this connection or feed. bears: passes uncounted."""
    events, feeds, connections = rows.events, rows.feeds, rows.connections
    active = select(connections.c.id).where(
        connections.c.id == hold["connection_id"], connections.c.state == "active"
    )
    paused = select(feeds.c.id).where(feeds.c.state == "paused")
    ready = events.c.connection_id.in_(active) & events.c.feed_id.not_in(paused)
    go = update(events).where(_held(hold)).values(replay_id=bears)
    count = sql.execute(
        go.where(ready).values(state=State.PENDING.value, reason=None, due_at=now)
    ).rowcount
    return count + sql.execute(go.values(reason=Reason.PAUSED.value)).rowcount


def _kinds(sql: Connection, hold: dict[str, Any]) -> Released:
    events = rows.events
    found = sql.execute(select(events.c.kind, events.c.lane).where(_held(hold)).distinct())
    return [(Kind(row.kind), Lane(row.lane)) for row in found]


def lock_breaker(sql: Connection, connection: str) -> None:
    """Nobody counts meanwhile; a drain that is about to hold more is waited for."""
    sql.execute(
        select(breakers.c.connection_id)
        .where(breakers.c.connection_id == connection)
        .with_for_update(key_share=True)
    )


def _known(sql: Connection, hold: str) -> dict[str, Any]:
    row = sql.execute(select(holds).where(holds.c.id == hold)).mappings().first()
    if row is None:
        raise NothingFoundError("hold", hold)
    return dict(row)


def _locked(sql: Connection, hold: str, *may_be: HoldState) -> dict[str, Any]:
    """The hold under its connection's lock; raises RefusedError where it was answered already."""
    lock_breaker(sql, _known(sql, hold)["connection_id"])
    row = _known(sql, hold)
    if row["state"] not in may_be:
        raise RefusedError(f"hold {hold} was {_answered(row)}")
    return row


def _answered(row: dict[str, Any]) -> str:
    at = f"{row['closed_at']:%Y-%m-%d %H:%M} UTC"
    return f"{row['state']} by {row['closed_by']} at {at}: {row['reason']}"


def _close(
    sql: Connection,
    row: dict[str, Any],
    state: HoldState,
    count: int,
    *,
    actor: str,
    reason: str,
    now: datetime,
    **more: object,
) -> None:
    """The answer is a decision (D1): stored with what it was made of, and in the audit."""
    sql.execute(
        update(holds)
        .where(holds.c.id == row["id"])
        .values(state=state.value, closed_at=now, closed_by=actor, reason=reason, events=count)
    )
    sql.execute(update(breakers).where(breakers.c.hold_id == row["id"]).values(hold_id=None))
    settle_alert(sql, topic=TOPIC, subject=row["id"], account=row["account_id"])
    inputs = {
        "hold": row["id"],
        "events": str(count),
        **{name: str(row[name]) for name in ("counted", "most", "people", "window_seconds")},
        **{name: str(value) for name, value in more.items()},
    }
    decision = {
        "account_id": row["account_id"],
        "connection_id": row["connection_id"],
        "user_key": None,
        "person_id": None,
        "kind": f"breaker_{state.value}",
        "inputs": orjson.dumps(inputs),
        "event_id": None,
        "made_at": now,
        "made_by": actor,
    }
    bulk.insert(sql, rows.decisions, [decision])
    entry = {
        "account_id": row["account_id"],
        "at": now,
        "actor": actor,
        "action": f"hold.{state.value}",
        "subject": row["id"],
        "event_id": None,
        "before": orjson.dumps({"state": row["state"]}),
        "after": orjson.dumps({"state": state.value, "connection": row["connection_id"], **inputs}),
        "reason": reason,
    }
    bulk.insert(sql, rows.audit, [entry])


def _note(
    sql: Connection, mine: ColumnElement[bool], detail: str, actor: str, now: datetime
) -> None:
    """In the history of each event."""
    table, events = rows.attempts, rows.events
    moment = literal(now, type_=table.c.at.type)
    said = select(
        events.c.id,
        moment,
        literal(Outcome.DISCARDED.value),
        literal(Reason.BREAKER.value),
        literal(detail),
        literal(actor),
    ).where(mine)
    names = ["event_id", "at", "outcome", "reason", "detail", "worker"]
    sql.execute(insert(table).from_select(names, said))


# -- looking ---------------------------------------------------------------------------


def _told(sql: Connection, row: dict[str, Any], now: datetime) -> dict[str, Any]:
    """A hold with its names and numbers; once answered, the number that it was answered for."""
    names = _names(sql, row)
    told = {**row, "account": names[0], "connection": names[1]}
    if row["state"] != HoldState.OPEN.value:
        return {**told, "explanation": f"{row['state']}: {row['events']:,} events"}
    weights = _weights(sql, row)
    told["events"] = sum(weight.events for weight in weights)
    told["by_kind"] = [
        {"kind": w.kind, "subjects": w.subjects, "events": w.events} for w in weights
    ]
    told["explanation"] = explain(
        weights,
        _first(sql, row),
        people=row["people"],
        opened_at=row["opened_at"],
        now=now,
    )
    return told


def _names(sql: Connection, row: dict[str, Any]) -> tuple[str, str]:
    accounts, connections = rows.accounts, rows.connections
    found = sql.execute(
        select(accounts.c.name, connections.c.name)
        .join(accounts, accounts.c.id == connections.c.account_id)
        .where(connections.c.id == row["connection_id"])
    ).first()
    return (found[0], found[1]) if found is not None else ("", "")


def _weights(sql: Connection, hold: dict[str, Any]) -> list[Weight]:
    """Whom each kind would change: of suspensions those who are still in, whoever put them out."""
    events, users, people = rows.events, rows.users, rows.people
    is_in = exists().where(
        users.c.id == literal(user_id(hold["connection_id"], "")) + events.c.subject,
        people.c.id == users.c.person_id,
        people.c.state.in_([PersonState.ACTIVE.value, PersonState.INVITED.value]),
    )
    counts = (events.c.kind != Kind.USERS_SUSPEND.value) | is_in
    whom = case((counts, events.c.subject))
    found = sql.execute(
        select(events.c.kind, func.count(whom.distinct()), func.count())
        .where(_held(hold))
        .group_by(events.c.kind)
        .order_by(func.count().desc())
    )
    return [Weight(*row) for row in found]


def _first(sql: Connection, hold: dict[str, Any]) -> list[str]:
    """The addresses of the first who are kept waiting, or their ids where nobody is known."""
    return [str(event["email"] or event["subject"]) for event in _held_events(sql, hold, NAMED)]


def _held_events(sql: Connection, hold: dict[str, Any], limit: int) -> list[dict[str, Any]]:
    events, people, connection = rows.events, rows.people, str(hold["connection_id"])
    shown = ("id", "received_at", "type", "kind", "subject", "external_id")
    found = (
        sql.execute(
            select(*(events.c[name] for name in shown))
            .where(_held(hold))
            .order_by(events.c.id)
            .limit(limit)
        )
        .mappings()
        .all()
    )
    ids = {user_id(connection, row["subject"]) for row in found}
    known = {
        row.id: row.email
        for row in sql.execute(
            select(rows.users.c.id, people.c.email)
            .join(people, people.c.id == rows.users.c.person_id)
            .where(bulk.among(rows.users.c.id, sorted(ids), sql))
        )
    }
    return [{**row, "email": known.get(user_id(connection, row["subject"]))} for row in found]

"""What a run found, said as ordinary events; and the run's end."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import orjson
from sqlalchemy import Column, Connection, RowMapping, Table, and_, delete, or_, select, update

from domain.intake import StoredEvent
from domain.reconciliation import Purpose, Run, RunState
from domain.reconciling import Thing, What
from worker.adapters.db import bulk, rows
from worker.adapters.db.auditing import Deed, audit
from worker.adapters.db.observing_rows import backfills
from worker.adapters.db.own_words import OwnWord, OwnWords
from worker.adapters.db.reconciliation_rows import (
    differences,
    read_groups,
    read_members,
    read_people,
    reconciliations,
)
from worker.adapters.db.uow import database_now
from worker.adapters.sources import reconciliation as words
from worker.adapters.vault import Vault, new_id

#: Differences that one step says; rows that one step forgets.
AT_ONCE, FORGOTTEN_AT_ONCE = 500, 5_000
ITSELF = "rosterd"


def say_page(sql: Connection, vault: Vault, run: Run) -> tuple[str | None, list[StoredEvent]]:
    """Say what comes behind the run's cursor, in the bulk lane; the next cursor, None at the end.

    Each as of the moment when the IdP said it, so that whatever it said since wins.
    """
    table = differences
    wanted = select(table).where(table.c.run_id == run.id, _may_be_said())
    if run.cursor is not None:
        wanted = wanted.where(table.c.place > int(run.cursor))
    page = list(sql.execute(wanted.order_by(table.c.place).limit(AT_ONCE)).mappings())
    if not page:
        return None, []
    order = sql.execute(
        select(reconciliations.c.actor, reconciliations.c.reason).where(
            reconciliations.c.id == run.id
        )
    ).one()
    connection = rows.connections
    found = sql.execute(select(connection).where(connection.c.id == run.connection)).mappings()
    events = OwnWords(sql, vault, actor=order.actor).say(
        dict(found.one()),
        [_word(row) for row in page],
        at=page[0]["at"],
        why={"said": "reconcile", "reconciliation": run.id, "reason": order.reason},
        is_bulk=True,
    )
    places = [row["place"] for row in page]
    mine = (table.c.run_id == run.id) & bulk.among_neighbours(table.c.place, places, sql)
    sql.execute(update(table).where(mine).values(state="said", told=None))
    return (str(places[-1]) if len(page) == AT_ONCE else None), events


def _may_be_said() -> Any:
    """Who would be put out only once the IdP said so when it was asked after them."""
    table = differences
    is_edge = table.c.thing == Thing.MEMBERSHIP.value
    is_proven = is_edge | (table.c.state == "confirmed")
    is_new = table.c.what.in_([What.MISSING.value, What.DIFFERING.value])
    return and_(
        table.c.state != "said", or_(is_new, (table.c.what == What.EXTRA.value) & is_proven)
    )


def _word(row: RowMapping) -> OwnWord:
    told = {} if row["told"] is None else orjson.loads(row["told"])
    thing, what = Thing(row["thing"]), What(row["what"])
    word = word_of(thing, what, row["key"], row["group_key"], told)
    return replace(word, at=row["at"])


def word_of(thing: Thing, what: What, key: str, group: str, told: Mapping[str, Any]) -> OwnWord:
    """The event that mends a difference; told: see `Difference`."""
    is_extra = what is What.EXTRA
    if thing is Thing.MEMBERSHIP:
        type_ = words.MEMBER_ABSENT if is_extra else words.MEMBER_READ
        return OwnWord(type_, key, {"group": group})
    if is_extra:
        return OwnWord(words.UNLISTED if thing is Thing.USER else words.GROUP_ABSENT, key, {})
    if thing is Thing.GROUP:
        return OwnWord(words.GROUP_READ, key, told)
    return OwnWord(words.USER_READ if told["active"] else words.USER_READ_OUT, key, told)


def clear_page(sql: Connection, run: str, cursor: str | None) -> str | None:
    """Forget some of what was read, and of what could have been said, behind the cursor.

    The next cursor, None once nothing is left: a table's place among those that are emptied, and
    the last key that went. Asked for from its start, each page would pass by all rows that went
    before it.
    """
    place, _, after = (cursor or "0:").partition(":")
    number = int(place)
    if number < len(_EMPTIED):
        last = _forgotten(sql, _EMPTIED[number], run, after)
        return f"{number + 1}:" if last is None else f"{number}:{last}"
    return _unsaid(sql, run, number, int(after or -1))


#: Tables of what was read, by the key beside the run's id.
_EMPTIED = (read_members.c.id, read_groups.c.key, read_people.c.key)


def _forgotten(sql: Connection, key: Column[str], run: str, after: str) -> str | None:
    """Empty a table on behind this key; the last that went, None where none was left."""
    table = key.table
    assert isinstance(table, Table)
    behind = (table.c.run_id == run) & (key > after)
    some = select(key).where(behind).order_by(key).limit(FORGOTTEN_AT_ONCE)
    keys = sql.scalars(some).all()
    if not keys:
        return None
    sql.execute(delete(table).where(behind, key <= keys[-1]))
    return keys[-1]


def _unsaid(sql: Connection, run: str, number: int, after: int) -> str | None:
    table = differences
    left = (table.c.run_id == run) & (table.c.place > after) & table.c.told.is_not(None)
    some = select(table.c.place).where(left).order_by(table.c.place).limit(FORGOTTEN_AT_ONCE)
    places = sql.scalars(some).all()
    if not places:
        return None
    sql.execute(update(table).where(left, table.c.place <= places[-1]).values(told=None))
    return f"{number}:{places[-1]}"


def finish(sql: Connection, run: Run) -> None:
    """The run is over: finished, failed or cancelled, as was noted when that became clear."""
    now = database_now(sql)
    mine = reconciliations.c.id == run.id
    row = sql.execute(select(reconciliations).where(mine)).mappings().one()
    over = {"state": row["ends_as"], "ended_at": now, "lease_until": None}
    sql.execute(update(reconciliations).where(mine).values(**over))
    told = {"run": run.id, "state": row["ends_as"], "why": row["why"], **run.counts}
    deed = Deed("connection.reconciled", run.connection, run.account, ITSELF, "", None, told)
    audit(sql, now, deed)
    is_whole = row["ends_as"] == RunState.FINISHED.value and run.applies
    if is_whole and run.purpose is Purpose.BACKFILL:
        _note_backfill(sql, run, row["actor"])


def _note_backfill(sql: Connection, run: Run, actor: str) -> None:
    """S4: from now on the connection is backfilled."""
    row = {
        "id": new_id("bkf"),
        "account_id": run.account,
        "connection_id": run.connection,
        "at": database_now(sql),
        "actor": actor,
        "lines": run.counts.get("people", 0),
        "stored": run.counts.get("said", 0),
    }
    bulk.insert(sql, backfills, [row])


def forget_person(sql: Connection, connection: str, key: str) -> dict[str, int]:
    """U5: of somebody who is deleted for good nothing is kept of what was read or found.

    How many rows went, by table.
    """
    runs = select(reconciliations.c.id).where(reconciliations.c.connection_id == connection)
    columns = (differences.c.key, read_people.c.key, read_members.c.user_key)
    gone = {}
    for column in columns:
        table = column.table
        assert isinstance(table, Table)
        mine = delete(table).where(table.c.run_id.in_(runs), column == key)
        gone[str(table.name)] = sql.execute(mine).rowcount
    return gone

"""A snapshot as an operator of one account sees it: that account and everybody below it (C4)."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from typing import Any

from sqlalchemy import Connection, func, select

from domain.permissions import Asker
from worker.adapters.db import rows
from worker.adapters.db.engine import Database, translated
from worker.adapters.db.family import family_of
from worker.adapters.db.gauges import Gauges, Named, Snapshot, recent_events, unsent_notices

#: The last events are looked for among so many, however few of them are the account's.
AMONG = 20_000


def state_of(database: Database, gauges: Gauges, account: str | None) -> Snapshot:
    """The state of things, or of an account, by its id, and its children alone."""
    whole = gauges.snapshot()
    if account is None:
        return whole
    with translated(), database.read() as connection:
        return narrowed(connection, whole, account)


def state_for(database: Database, gauges: Gauges, asker: Asker) -> Snapshot:
    """The state of things as whoever asks may see it."""
    whole = gauges.snapshot()
    if asker.accounts is None:
        return whole
    with translated(), database.read() as connection:
        return _of_these(connection, whole, asker.accounts, asker.home)


def narrowed(connection: Connection, whole: Snapshot, account: str) -> Snapshot:
    """Nothing of anybody else's; that workers run and sweeps are done is everybody's."""
    return _of_these(connection, whole, family_of(connection, account), account)


def _of_these(
    connection: Connection, whole: Snapshot, family: frozenset[str], account: str | None
) -> Snapshot:
    accounts = rows.accounts
    known = connection.execute(
        select(accounts.c.id, accounts.c.name).where(accounts.c.id.in_(sorted(family)))
    )
    names = {row.id: row.name for row in known}
    theirs = set(names.values())
    connections = tuple(one for one in whole.connections if one.account in theirs)
    ids = {one.connection_id for one in connections}
    return replace(
        whole,
        of=names.get(account or "", ""),
        states=_of(whole.states, ids),
        connections=connections,
        backlog=tuple(one for one in whole.backlog if one.account in theirs),
        suspensions=_of(whole.suspensions, ids),
        tripped=tuple(one for one in whole.tripped if one in ids),
        backfilled=tuple(one for one in whole.backfilled if one in ids),
        dead=tuple(one for one in whole.dead if one.account in theirs),
        heard=tuple(one for one in whole.heard if one.account in theirs),
        listeners=tuple(one for one in whole.listeners if one.account in theirs),
        expiring=tuple(one for one in whole.expiring if one.account in family),
        openers=_of(whole.openers, theirs),
        dropped=tuple(one for one in whole.dropped if one.account in theirs),
        notices=unsent_notices(connection, rows.notices.c.account_id.in_(sorted(family))),
        recent=_recent(connection, connections),
    )


def _of(told: dict[str, Any], ids: Collection[str]) -> dict[str, Any]:
    return {id_: value for id_, value in told.items() if id_ in ids}


def _recent(connection: Connection, theirs: Collection[Named]) -> tuple[dict[str, Any], ...]:
    events = rows.events
    newest = select(func.max(events.c.id)).scalar_subquery()
    known = {one.connection_id: one for one in theirs}
    mine = events.c.connection_id.in_(sorted(known)) & (events.c.id > newest - AMONG)
    return recent_events(connection, known, mine)

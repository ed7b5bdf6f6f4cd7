"""Events as operators list them: page by page, whatever is asked, each page by an index."""

from __future__ import annotations

from collections.abc import Collection
from datetime import timedelta
from itertools import takewhile
from typing import Any

from sqlalchemy import ColumnElement, Connection, func, select, text
from sqlalchemy.sql import FromClause

from domain.inbox import Outcome, Reason, State
from domain.intake import digest_of
from domain.keys import address_id, when_free
from domain.looking import EventFilter
from domain.redaction import redacted
from worker.adapters.db import bulk, rows
from worker.adapters.db.engine import Database, translated
from worker.adapters.db.event_queries import event_story
from worker.adapters.db.finishing import settled_at
from worker.adapters.db.uow import database_now
from worker.adapters.db.windows import BRANCHES, Look, Row, RowPage, between, page_of
from worker.adapters.vault import Vault

LISTED = (
    *("id", "account_id", "connection_id", "feed_id", "received_at", "occurred_at"),
    *("type", "subject", "external_id", "kind", "lane", "state", "outcome", "reason"),
    *("attempts", "due_at", "ended_at", "superseded_by", "replay_id"),
)
COLUMNS = tuple(rows.events.c[name] for name in LISTED)
#: Reasons of what was ignored: few among what was applied, and found by an index of their own.
_IGNORED = (
    *(Reason.OUT_OF_SCOPE, Reason.GUEST, Reason.UNKNOWN_TYPE),
    *(Reason.NO_DIRECTORY_CHANGE, Reason.RETIRED),
)
#: As the partial indexes say it.
STUCK = text("events.state <> 'ended' AND events.state <> 'pending'")
GIVEN = text("events.reason IS NOT NULL")
#: What commits later may have a smaller id: a cursor that goes forward stays so far behind, and
#: behind whoever writes for longer.
SETTLED = timedelta(seconds=2)

Branches = list[ColumnElement[bool]]


class SQLEvents:
    """Events for whoever looks: command line, API and console."""

    def __init__(self, database: Database, vault: Vault) -> None:
        self._database = database
        self._vault = vault

    def page(self, wanted: EventFilter, *, before: int | None, limit: int) -> RowPage:
        """Newest first, those with a smaller id than `before`; columns: `LISTED`."""
        with translated(), self._database.read() as sql:
            found = _look(sql, wanted, before)
            return page_of(sql, found, limit=limit) if found is not None else RowPage([], None)

    def newest(self) -> int:
        """Where a tail begins: the id of the newest event of all; 0 where there is none."""
        with translated(), self._database.read() as sql:
            return int(sql.execute(select(func.max(rows.events.c.id))).scalar() or 0)

    def coming(
        self, wanted: EventFilter, *, after: int, limit: int, watched: Collection[int] = ()
    ) -> tuple[list[Row], int]:
        """What came since, oldest first, and the id to go on after, which loses none.

        watched: ids that are told again as they are now, where they fit.
        """
        events = rows.events
        with translated(), self._database.read() as sql:
            settled = settled_at(sql, database_now(sql) - SETTLED)
            # By id alone, so that a quiet account's tail is no longer than anybody's.
            came = sql.execute(
                select(events.c.id, events.c.received_at)
                .where(events.c.id > after)
                .order_by(events.c.id)
                .limit(limit)
            ).all()
            ids = [row[0] for row in takewhile(lambda row: row[1] <= settled, came)]
            mine = bulk.among(events.c.id, [*ids, *watched], sql)
            fits = _conditions(sql, wanted)(events)
            statement = select(*COLUMNS).where(mine, *fits).order_by(events.c.id)
            found = [dict(row) for row in sql.execute(statement).mappings()]
            return found, ids[-1] if ids else after

    def story(self, event: int, *, with_body: bool, may_read: bool = True) -> Row:
        """All that is known of one; raises NothingFoundError.

        may_read: whether the body is told as it is, or without what it says of people.
        """
        with translated(), self._database.read() as sql:
            found = event_story(sql, event, vault=self._vault, with_body=with_body)
        if with_body and not may_read:
            _hide(found)
        return found

    def account_of(self, event: int) -> str | None:
        """Id of the account that an event belongs to; None if there is no such event."""
        events = rows.events
        with translated(), self._database.read() as sql:
            return sql.execute(select(events.c.account_id).where(events.c.id == event)).scalar()


def _hide(story: Row) -> None:
    """What the body, and what was changed of it, says of people."""
    if "body" in story:
        story["body"] = redacted(story["body"])
    for edit in (*story["edited_as"], *story["edited_from"]):
        edit.pop("patch", None)


def _look(sql: Connection, wanted: EventFilter, before: int | None) -> Look | None:
    """How the page is read; None where nothing can fit."""
    events = rows.events
    branches, is_exact = _branches(sql, wanted)
    if branches is None:
        return None
    bounds = between(sql, events.c.id, events.c.received_at, since=wanted.since, until=wanted.until)
    if before is not None:
        bounds.append(events.c.id < before)
    return Look(COLUMNS, branches, bounds, None if is_exact else _conditions(sql, wanted))


def _branches(sql: Connection, wanted: EventFilter) -> tuple[Branches | None, bool]:
    """What an index answers, most telling first; and whether it is all that is asked."""
    events = rows.events
    known = _connections(sql, wanted)
    if known is not None and not known:
        return None, True
    mine = bulk.among(events.c.connection_id, known, sql) if known is not None else None
    if wanted.external_id is not None:
        same = bulk.among(events.c.digest, [digest_of(wanted.external_id)], sql)
        return [_both(mine, same)], False
    if wanted.address is not None:
        return _about(sql, wanted, wanted.address), False
    if wanted.subject is not None:
        return [_both(mine, events.c.subject == wanted.subject)], False
    is_plain = wanted == EventFilter(accounts=wanted.accounts, connection=wanted.connection)
    if known is None:
        return [], is_plain
    narrow = _narrow(wanted)
    if len(known) * max(len(narrow), 1) > BRANCHES:
        # Many connections: whatever is rare is read as one, the rest by the primary key.
        return [_both(mine, one) for one in narrow], False
    each = [events.c.connection_id == one for one in known]
    if not narrow:
        return each, is_plain
    return [one & rare for one in each for rare in narrow], False


def _both(mine: ColumnElement[bool] | None, other: ColumnElement[bool]) -> ColumnElement[bool]:
    return other if mine is None else mine & other


def _narrow(wanted: EventFilter) -> Branches:
    """What is rare, as its partial index has it."""
    events = rows.events
    if wanted.state is not None and wanted.state not in (State.ENDED, State.PENDING):
        return [(events.c.state == wanted.state.value) & STUCK]
    if wanted.reason is not None:
        return [(events.c.reason == wanted.reason.value) & GIVEN]
    if wanted.outcome is Outcome.IGNORED:
        return [(events.c.reason == one.value) & GIVEN for one in _IGNORED]
    return []


def _connections(sql: Connection, wanted: EventFilter) -> list[str] | None:
    """Ids of the connections that are looked at; None for all."""
    connections, feeds = rows.connections, rows.feeds
    if wanted.accounts is None and wanted.connection is None and wanted.source is None:
        is_rare = bool(_narrow(wanted)) or wanted.subject is not None
        is_rare = is_rare or wanted.external_id is not None
        if not is_rare:
            return None
    statement = select(connections.c.id).order_by(connections.c.id)
    if wanted.accounts is not None:
        statement = statement.where(
            bulk.among(connections.c.account_id, sorted(wanted.accounts), sql)
        )
    if wanted.connection is not None:
        statement = statement.where(connections.c.id == wanted.connection)
    if wanted.source is not None:
        spoken = select(feeds.c.connection_id).where(feeds.c.source == wanted.source)
        statement = statement.where(connections.c.id.in_(spoken))
    return list(sql.execute(statement).scalars())


def _about(sql: Connection, wanted: EventFilter, address: str) -> Branches | None:
    """Events of whoever holds the address, and those that wait for it."""
    events = rows.events
    accounts = wanted.accounts
    if accounts is None:
        accounts = frozenset(sql.execute(select(rows.accounts.c.id)).scalars())
    keys = [address_id(one, address) for one in sorted(accounts)]
    pairs = _subjects(sql, keys)
    branches: Branches = [
        (events.c.connection_id == connection) & (events.c.subject == subject)
        for connection, subject in pairs[:BRANCHES]
    ]
    waits = rows.waits
    behind = bulk.among(waits.c.key, [when_free(key) for key in keys], sql)
    waiting = list(sql.execute(select(waits.c.event_id).where(behind)).scalars())
    if waiting:
        branches.append(bulk.among(events.c.id, waiting, sql))
    return branches or None


def _subjects(sql: Connection, keys: list[str]) -> list[tuple[str, str]]:
    """Connection and external id of those who hold one of these addresses."""
    addresses, people = rows.addresses, rows.people
    held = select(addresses.c.person_id).where(bulk.among(addresses.c.id, keys, sql))
    found = sql.execute(
        select(people.c.connection_id, people.c.user_key)
        .where(people.c.id.in_(held), people.c.user_key.is_not(None))
        .order_by(people.c.id)
    )
    return [(row[0], row[1]) for row in found if row[0] is not None]


def _conditions(sql: Connection, wanted: EventFilter) -> Any:
    """What a row must satisfy, whatever found it."""
    feeds: list[str] | None = None
    if wanted.source is not None:
        table = rows.feeds
        named = select(table.c.id).where(table.c.source == wanted.source)
        feeds = list(sql.execute(named).scalars())

    def fits(seen: FromClause) -> list[ColumnElement[bool]]:
        equal = (
            *(("connection_id", wanted.connection), ("state", wanted.state)),
            *(("outcome", wanted.outcome), ("reason", wanted.reason)),
            *(("type", wanted.type), ("subject", wanted.subject)),
            ("external_id", wanted.external_id),
        )
        found = [seen.c[name] == str(value) for name, value in equal if value is not None]
        if wanted.accounts is not None:
            found.append(bulk.among(seen.c.account_id, sorted(wanted.accounts), sql))
        if feeds is not None:
            found.append(bulk.among(seen.c.feed_id, feeds, sql))
        if wanted.since is not None:
            found.append(seen.c.received_at >= wanted.since)
        if wanted.until is not None:
            found.append(seen.c.received_at <= wanted.until)
        return found

    return fits

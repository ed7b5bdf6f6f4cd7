"""Events by whatever an operator knows of them, newest first, page by page.

Whatever is asked, a page costs a bounded number of rows. What an index finds (a subject, an
address, an external id, what has not ended) is found by it; every other filter looks at `WINDOW`
events at most, so a page may be short or empty and still not be the last: `EventPage.after` says
where the next one begins, `looked_back_to` how far back this one has looked.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, func, or_, select

from domain.inbox import State
from domain.intake import digest_of
from domain.keys import address_id
from worker.adapters.db import bulk, rows

#: Events looked at for one page.
WINDOW = 50_000
#: What is written for "whatever has not ended and is not dead".
OPEN = "open"
_OPEN_STATES = ("held", "pending", "retrying", "waiting")
#: Persons whom one address may lead to, over all accounts.
MOST_HOLDERS = 200
_SHOWN = (
    *("id", "account_id", "connection_id", "feed_id", "received_at", "occurred_at", "ended_at"),
    *("type", "subject", "external_id", "kind", "lane", "state", "outcome", "reason", "attempts"),
)


@dataclass(frozen=True, slots=True)
class EventFilter:
    """What is asked; None asks nothing. accounts: ids of those whose events are there, None all.

    subject: external id of the person or group. email: of the person, in force or pending.
    external_id: the provider's id of the event. state: also `open`, whatever has not ended.
    before: only events with a smaller id.
    """

    accounts: frozenset[str] | None = None
    account: str | None = None
    connection: str | None = None
    source: str | None = None
    type: str | None = None
    kind: str | None = None
    subject: str | None = None
    email: str | None = None
    external_id: str | None = None
    state: str | None = None
    outcome: str | None = None
    reason: str | None = None
    replay: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    before: int | None = None


@dataclass(frozen=True, slots=True)
class EventPage:
    """Events, newest first, each with names of its account, connection and source.

    after: pass it as `before` for the next page; None at the end. looked_back_to: where a page
    that is short has ended its search, None where it has seen everything.
    """

    events: list[dict[str, Any]]
    after: int | None
    looked_back_to: datetime | None = None


def search_events(connection: Connection, wanted: EventFilter, *, limit: int) -> EventPage:
    """One page."""
    events = rows.events
    mine = _connections(connection, wanted)
    if not mine:
        return EventPage([], None)
    narrow = _found_by_index(connection, wanted, list(mine))
    conditions = _conditions(connection, wanted, list(mine))
    if narrow is None:
        return _windowed(connection, wanted, conditions, mine, limit)
    statement = _listed().where(narrow, *conditions).order_by(events.c.id.desc())
    found = connection.execute(statement.limit(limit + 1)).mappings().all()
    page = _named(connection, found[:limit], mine)
    return EventPage(page, page[-1]["id"] if len(found) > limit else None)


def _listed() -> Select[Any]:
    return select(*(rows.events.c[name] for name in _SHOWN))


def _windowed(
    connection: Connection,
    wanted: EventFilter,
    conditions: Sequence[ColumnElement[bool]],
    mine: dict[str, tuple[str, str]],
    limit: int,
) -> EventPage:
    """By number, newest first, among so many: stops as soon as the page is full."""
    events = rows.events
    top = wanted.before
    if wanted.until is not None:
        newest = _first_after(connection, wanted.until)
        top = newest if top is None or (newest is not None and newest < top) else top
    start = int(connection.execute(select(func.max(events.c.id))).scalar() or 0)
    # Ids have few gaps, and a bound on them is one that every plan can use.
    start = min(start, top - 1) if top is not None else start
    floor = start - WINDOW
    statement = (
        _listed()
        .where(events.c.id <= start, events.c.id > floor, *conditions)
        .order_by(events.c.id.desc())
        .limit(limit + 1)
    )
    found = connection.execute(statement).mappings().all()
    page = _named(connection, found[:limit], mine)
    if len(found) > limit:
        return EventPage(page, page[-1]["id"])
    if floor <= 0:
        return EventPage(page, None)
    looked = connection.execute(
        select(events.c.received_at)
        .where(events.c.id <= floor)
        .order_by(events.c.id.desc())
        .limit(1)
    ).scalar()
    if looked is None or (wanted.since is not None and looked < wanted.since):
        return EventPage(page, None)
    return EventPage(page, floor + 1, looked)


def _first_after(connection: Connection, moment: datetime) -> int | None:
    """The smallest id that was received after a moment: ids and times go together; a bisection."""
    events = rows.events
    low = int(connection.execute(select(func.min(events.c.id))).scalar() or 0)
    high = int(connection.execute(select(func.max(events.c.id))).scalar() or 0) + 1
    end = high
    while low < high:
        middle = (low + high) // 2
        at = connection.execute(
            select(events.c.received_at).where(events.c.id >= middle).order_by(events.c.id).limit(1)
        ).scalar()
        if at is None or at > moment:
            high = middle
        else:
            low = middle + 1
    return low if low < end else None


def _connections(connection: Connection, wanted: EventFilter) -> dict[str, tuple[str, str]]:
    """Connections that may be meant: id -> names of account and connection."""
    table, accounts = rows.connections, rows.accounts
    statement = select(table.c.id, accounts.c.name, table.c.name.label("connection")).join(
        accounts, accounts.c.id == table.c.account_id
    )
    if wanted.accounts is not None:
        statement = statement.where(table.c.account_id.in_(sorted(wanted.accounts)))
    if wanted.account is not None:
        statement = statement.where(table.c.account_id == wanted.account)
    if wanted.connection is not None:
        statement = statement.where(table.c.id == wanted.connection)
    return {row[0]: (row[1], row[2]) for row in connection.execute(statement)}


def _found_by_index(
    connection: Connection, wanted: EventFilter, mine: Sequence[str]
) -> ColumnElement[bool] | None:
    """The condition that an index answers, where there is one."""
    events = rows.events
    of_mine = bulk.among(events.c.connection_id, mine, connection)
    if wanted.external_id is not None:
        return of_mine & events.c.digest.in_([digest_of(wanted.external_id)])
    if wanted.email is not None:
        return _about(_subjects_of(connection, wanted.email, mine))
    if wanted.subject is not None:
        return of_mine & (events.c.subject == wanted.subject)
    if wanted.state is not None and wanted.state != State.ENDED.value:
        states = _OPEN_STATES if wanted.state == OPEN else (wanted.state,)
        return of_mine & (events.c.state != State.ENDED.value) & events.c.state.in_(states)
    return None


def _about(subjects: Sequence[tuple[str, str]]) -> ColumnElement[bool]:
    events = rows.events
    if not subjects:
        return events.c.id < 0
    return or_(
        *((events.c.connection_id == owner) & (events.c.subject == key) for owner, key in subjects)
    )


def _subjects_of(connection: Connection, email: str, mine: Sequence[str]) -> list[tuple[str, str]]:
    """Under which ids providers know who has this address: connection and external id."""
    addresses, connections = rows.addresses, rows.connections
    owners = connection.execute(
        select(connections.c.account_id)
        .where(bulk.among(connections.c.id, mine, connection))
        .distinct()
    ).scalars()
    keys = [address_id(account, email) for account in owners]
    people = connection.execute(
        select(addresses.c.person_id)
        .where(bulk.among(addresses.c.id, keys, connection), addresses.c.person_id.is_not(None))
        .limit(MOST_HOLDERS)
    ).scalars()
    table = rows.people
    found = connection.execute(
        select(table.c.connection_id, table.c.user_key).where(
            bulk.among(table.c.id, list(people), connection), table.c.user_key.is_not(None)
        )
    )
    return [(row[0], row[1]) for row in found if row[0] in set(mine)]


def _conditions(
    connection: Connection, wanted: EventFilter, mine: Sequence[str]
) -> list[ColumnElement[bool]]:
    events, feeds = rows.events, rows.feeds
    found: list[ColumnElement[bool]] = []
    if wanted.accounts is not None or wanted.account is not None or wanted.connection is not None:
        found.append(bulk.among(events.c.connection_id, mine, connection))
    for column, value in (
        (events.c.type, wanted.type),
        (events.c.kind, wanted.kind),
        (events.c.subject, wanted.subject),
        (events.c.outcome, wanted.outcome),
        (events.c.reason, wanted.reason),
        (events.c.replay_id, wanted.replay),
    ):
        if value is not None:
            found.append(column == value)
    if wanted.state == OPEN:
        found.append(events.c.state.in_(_OPEN_STATES))
    elif wanted.state is not None:
        found.append(events.c.state == wanted.state)
    if wanted.source is not None:
        of_source = select(feeds.c.id).where(feeds.c.source == wanted.source)
        found.append(events.c.feed_id.in_(of_source))
    if wanted.since is not None:
        found.append(events.c.received_at >= wanted.since)
    if wanted.until is not None:
        found.append(events.c.received_at <= wanted.until)
    if wanted.before is not None:
        found.append(events.c.id < wanted.before)
    return found


def _named(
    connection: Connection, found: Sequence[Any], mine: dict[str, tuple[str, str]]
) -> list[dict[str, Any]]:
    feeds = rows.feeds
    ids = sorted({row["feed_id"] for row in found})
    sources = {
        row.id: row.source
        for row in connection.execute(
            select(feeds.c.id, feeds.c.source).where(bulk.among(feeds.c.id, ids, connection))
        )
    }
    return [
        {
            **row,
            "account": mine.get(row["connection_id"], ("", ""))[0],
            "connection": mine.get(row["connection_id"], ("", ""))[1],
            "source": sources.get(row["feed_id"], ""),
        }
        for row in found
    ]

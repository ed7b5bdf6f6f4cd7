"""Turning provisioning off (C7): nobody is suspended, nobody is mailed, credentials die at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

import orjson
from sqlalchemy import ColumnElement, Connection, delete, func, literal, select, update

from domain.errors import RefusedError
from domain.inbox import Outcome, Reason, State
from domain.keys import address_id, when_free
from worker.adapters.db import bulk, rows
from worker.adapters.db.directory import SQLDirectory
from worker.adapters.db.directory_rows import accesses, reads
from worker.adapters.db.farewells import announce_farewell
from worker.adapters.db.holding import lock_breaker, retire_holds
from worker.adapters.db.setup_connections import AT_ONCE, ConnectionSetup
from worker.adapters.db.subscription_state import forget_subscriptions

UNENDED = (State.PENDING, State.RETRYING, State.WAITING, State.HELD)


@dataclass(frozen=True, slots=True)
class Farewell:
    """What retiring a connection comes to, in numbers.

    people: who leave management. invitations: open ones, which stay valid. pending: addresses
    that lapse. events: what is not applied any more. letters: open dead letters, which stay.
    """

    people: int
    invitations: int
    pending: int
    groups: int
    events: int
    letters: int
    credentials: int


class RetireSetup(ConnectionSetup):
    """Retirement of connections."""

    def farewell(self, connection: dict[str, Any]) -> Farewell:
        """What `retire_connection` would come to now; RefusedError if it was done already."""
        _insist_not_retired(connection["name"], connection["state"])
        mine, people, links = connection["id"], rows.people, rows.links
        managed = _managed(connection)
        invited = (links.c.state == "open") & (links.c.kind == "invitation")
        return Farewell(
            people=self._count(people, managed),
            invitations=self._count(
                links, invited, links.c.person_id.in_(select(people.c.id).where(managed))
            ),
            pending=self._count(people, managed, people.c.pending.is_not(None)),
            groups=self._count(rows.groups, rows.groups.c.connection_id == mine, "is_seen"),
            events=self._count(rows.events, _unended(mine)),
            letters=self._count(
                rows.dead_letters,
                rows.dead_letters.c.connection_id == mine,
                rows.dead_letters.c.state == "open",
            ),
            credentials=self._count(rows.feed_secrets, self._live_secrets(mine))
            + self._count(rows.tokens, self._live_tokens(mine)),
        )

    def _count(self, table: Any, *where: Any) -> int:
        wanted = [table.c[w] if isinstance(w, str) else w for w in where]
        found = self.sql.execute(select(func.count()).select_from(table).where(*wanted))
        return int(found.scalar_one())

    def _live_secrets(self, connection: str) -> ColumnElement[bool]:
        table = rows.feed_secrets
        mine = table.c.feed_id.in_(_feeds(connection))
        return mine & (table.c.expires_at.is_(None) | (table.c.expires_at > self.now))

    def _live_tokens(self, connection: str) -> ColumnElement[bool]:
        table = rows.tokens
        return table.c.feed_id.in_(_feeds(connection)) & table.c.revoked_at.is_(None)

    def retire_connection(self, connection: dict[str, Any], *, reason: str) -> Farewell:
        """C7: for good. Raises RefusedError for one that is retired already."""
        _insist_not_retired(connection["name"], self.lock_connection(connection["id"]))
        told = self.farewell(connection)
        self._close(connection["id"])
        end_events(self.sql, connection["id"], self.now, by=self.actor)
        self._let_people_go(connection, reason)
        mine = connection["id"]
        retire_holds(self.sql, mine, actor=self.actor, reason=reason, now=self.now)
        self.audit(
            connection["account_id"],
            "connection.retired",
            connection["id"],
            reason=reason,
            before={"state": connection["state"]},
            after=asdict(told),
        )
        return told

    def _close(self, connection: str) -> None:
        """The next request is 401, whatever it proves."""
        changes: tuple[tuple[Any, Any, dict[str, Any]], ...] = (
            (rows.connections, rows.connections.c.id == connection, {"state": "retired"}),
            (rows.feeds, rows.feeds.c.connection_id == connection, {"state": "retired"}),
            (rows.feed_secrets, self._live_secrets(connection), {"expires_at": self.now}),
            (rows.tokens, self._live_tokens(connection), {"revoked_at": self.now}),
        )
        for table, mine, values in changes:
            self.sql.execute(update(table).where(mine).values(**values))
        forget_subscriptions(self.sql, connection)
        for table, owner in ((accesses, accesses.c.id), (reads, reads.c.connection_id)):
            self.sql.execute(delete(table).where(owner == connection))

    def _let_people_go(self, connection: dict[str, Any], reason: str) -> None:
        """Who was managed is as they were, and nobody's; a pending address lapses."""
        users, people = rows.users, rows.people
        # Whoever accepts or is suspended right now comes first, or finds them unmanaged.
        self.sql.execute(
            select(func.count()).select_from(
                select(users.c.id)
                .where(users.c.connection_id == connection["id"])
                .order_by(users.c.id)
                .with_for_update(key_share=True)
                .subquery()
            )
        )
        managed = _managed(connection)
        lapsed = self.sql.execute(
            select(people.c.id, people.c.pending).where(managed, people.c.pending.is_not(None))
        ).all()
        self._lapse(connection["account_id"], [(row.id, row.pending) for row in lapsed])
        self._note_leaving(connection, managed, reason)
        # As a drain has it: what numbers announcements is locked after the breaker.
        lock_breaker(self.sql, connection["id"])
        announce_farewell(self.sql, connection, managed, self.now)
        self.sql.execute(
            update(people)
            .where(managed)
            .values(connection_id=None, user_key=None, pending=None, requested=people.c.email)
        )

    def _lapse(self, account: str, pending: Sequence[tuple[str, str]]) -> None:
        """Links to confirm an address die with their mails; the address is free again."""
        links, notices = rows.links, rows.notices
        for first in range(0, len(pending), AT_ONCE):
            some = pending[first : first + AT_ONCE]
            mine = bulk.among(links.c.person_id, [person for person, _ in some], self.sql)
            dying = mine & (links.c.kind == "email_change") & (links.c.state == "open")
            gone = self.sql.execute(select(links.c.id).where(dying)).scalars().all()
            self.sql.execute(update(links).where(dying).values(state="revoked"))
            self.sql.execute(
                update(notices)
                .where(bulk.among(notices.c.link_id, gone, self.sql))
                .where(notices.c.state.in_(["pending", "failed"]))
                .values(state="cancelled", due_at=None, secret=None)
            )
            directory, addresses = SQLDirectory(self.sql, self.now), rows.addresses
            asked = {address_id(account, address): person for person, address in some}
            holders = directory.holders(asked.keys())
            # One that was only promised is another's, in force (E8).
            freed = sorted(key for key, person in asked.items() if holders.get(key) == person)
            self.sql.execute(addresses.delete().where(bulk.among(addresses.c.id, freed, self.sql)))
            directory.wake({when_free(key) for key in freed})

    def _note_leaving(
        self, connection: dict[str, Any], managed: ColumnElement[bool], reason: str
    ) -> None:
        """One line in each person's history."""
        names = ("account_id", "at", "actor", "action", "subject", "before", "after", "reason")
        people, audit = rows.people, rows.audit
        told = select(
            people.c.account_id,
            literal(self.now, audit.c.at.type),
            literal(self.actor),
            literal("connection.retired"),
            people.c.id,
            literal(orjson.dumps({"managed": True, "connection": connection["id"]})),
            literal(orjson.dumps({"managed": False, "connection": None})),
            literal(reason),
        ).where(managed)
        self.sql.execute(audit.insert().from_select(list(names), told))


def _managed(connection: dict[str, Any]) -> ColumnElement[bool]:
    people = rows.people
    account, mine = str(connection["account_id"]), str(connection["id"])
    return (people.c.account_id == account) & (people.c.connection_id == mine)


def _feeds(connection: str) -> Any:
    return select(rows.feeds.c.id).where(rows.feeds.c.connection_id == connection)


def _unended(connection: str) -> ColumnElement[bool]:
    events = rows.events
    return (events.c.connection_id == connection) & events.c.state.in_(UNENDED)


def end_events(sql: Connection, connection: str, now: datetime, *, by: str) -> int:
    """What a retired connection's IdP still wanted ends as ignored(retired); how many."""
    ended = 0
    while True:
        chosen = select(rows.events.c.id).where(_unended(connection)).limit(AT_ONCE)
        ids = sql.execute(chosen.with_for_update(key_share=True)).scalars().all()
        if not ids:
            return ended
        _end(sql, ids, now, by)
        ended += len(ids)


def _insist_not_retired(name: str, state: str) -> None:
    if state == "retired":
        raise RefusedError(
            f"connection {name} is retired already; a new one takes its people over: "
            "`rosterd connection add` and `rosterd connection replace`"
        )


def _end(sql: Connection, ids: Sequence[int], now: datetime, by: str) -> None:
    events, waits, letters = rows.events, rows.waits, rows.dead_letters
    ended = {
        "state": State.ENDED.value,
        "outcome": Outcome.IGNORED.value,
        "reason": Reason.RETIRED.value,
        "due_at": None,
        "ended_at": now,
    }
    sql.execute(update(events).where(bulk.among(events.c.id, ids, sql)).values(**ended))
    sql.execute(waits.delete().where(bulk.among(waits.c.event_id, ids, sql)))
    # One that was being replayed is settled by this, as by any other outcome.
    sql.execute(
        update(letters)
        .where(bulk.among(letters.c.event_id, ids, sql), letters.c.state == "open")
        .values(state="replayed")
    )
    attempts = [
        {
            "event_id": number,
            "at": now,
            "outcome": Outcome.IGNORED.value,
            "reason": Reason.RETIRED.value,
            "detail": "the connection was retired before this was applied",
            "worker": by,
        }
        for number in ids
    ]
    bulk.insert(sql, rows.attempts, attempts)

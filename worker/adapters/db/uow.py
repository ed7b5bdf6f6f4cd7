"""The drain's unit of work: one transaction over events and directory, and its batch marker.

The only file besides its neighbours in this folder in which anything is committed.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from contextlib import ExitStack, suppress
from datetime import UTC, datetime
from typing import Any

import orjson
import psycopg
from sqlalchemy import Connection, delete, select, text, update
from sqlalchemy.exc import DBAPIError

from domain.addressing import DEFAULT
from domain.breaker import rule_of
from domain.changes import Change
from domain.consequences import Consequence, NoticeKind, audit_view, consequences
from domain.inbox import Kind, Lane
from domain.intake import printable
from domain.policy import ExistingGroups, GroupRule, OnReturn, Policy, Rehire, Scope, ScopeRule
from domain.ports import ClaimedEvent, InfrastructureError, Result, Writes
from domain.retry import companions
from worker.adapters.db import announcing, bulk, rows
from worker.adapters.db import direct_statements as asks
from worker.adapters.db.access_history import is_kept, note_all
from worker.adapters.db.answers import SQLAnswers, has_directory
from worker.adapters.db.arrays import text_array
from worker.adapters.db.breaking import SQLBreakers
from worker.adapters.db.direct import Asked, Direct, Row, direct_of
from worker.adapters.db.directory import SQLDirectory
from worker.adapters.db.engine import Database, sent_ahead
from worker.adapters.db.inbox import DRAINING, SQLInbox
from worker.adapters.db.mirroring import mirrored
from worker.adapters.db.scim_store import (
    has_aliases,
    keep_resource,
    keys_by_alias,
    speaks_scim,
)
from worker.adapters.vault import Vault, new_id, new_token, token_digest


def database_now(connection: Connection) -> datetime:
    """The database's clock, the only one that schedules and leases are measured by."""
    if connection.dialect.name == "postgresql":
        now: datetime = connection.execute(text("SELECT clock_timestamp()")).scalar_one()
        return now.astimezone(UTC)
    return datetime.now(UTC)


def _marked_now(connection: Connection, name: str) -> datetime:
    """The database's clock, and the session's name until the transaction ends, in one question."""
    if connection.dialect.name != "postgresql":
        return database_now(connection)
    ask = text("SELECT clock_timestamp() FROM set_config('application_name', :name, true)")
    now: datetime = connection.execute(ask, {"name": name}).scalar_one()
    return now.astimezone(UTC)


class SQLWork:
    """One write transaction of a drain. Leaving it without `commit` rolls everything back."""

    def __init__(
        self,
        database: Database,
        connection: Connection,
        *,
        vault: Vault,
        worker: str,
        link_seconds: float,
        name: str = DRAINING,
        now: datetime | None = None,
    ) -> None:
        self._database = database
        self._connection = connection
        self._vault = vault
        self._worker = worker
        self._link_seconds = link_seconds
        self._marker: str | None = None
        # A rehearsal is rolled back: nobody would have to take up what it held.
        self._marks = name == DRAINING
        self._ahead = ExitStack()
        self._is_ahead = False
        # What is asked behind the commit, in the same wait, and what it gave.
        self._behind: Sequence[Asked] = ()
        self._found_behind: list[list[Row]] = []
        self.has_announced = self.has_urgent_news = False
        self._mirrors: Mapping[str, str] = {}
        self.now = now or _marked_now(connection, name)
        self.directory = SQLDirectory(connection, self.now, vault=vault)
        self.breaker = SQLBreakers(connection, self.now)
        self.reads = SQLAnswers(connection, self.now, vault)
        self._inbox = SQLInbox(connection, self.now)

    @property
    def sql(self) -> Connection:
        """For what a dry run writes beforehand, and is rolled back with it."""
        return self._connection

    def claim(
        self, *, lane: str, kind: Kind, limit: int, troubled: bool, is_guest: bool = False
    ) -> list[ClaimedEvent]:
        """Lock due events and leave a marker that survives a crash of this process (D6)."""
        events = self._inbox.claim(
            lane=lane, kind=kind, limit=limit, troubled=troubled, is_guest=is_guest
        )
        if troubled:
            sizes = (companions(attempts=e.attempts, crashes=e.crashes) for e in events)
            events = events[: min(sizes, default=0)]
        return self._marked(events)

    def retake(self, ids: Sequence[int]) -> list[ClaimedEvent]:
        """Lock a chosen set of open events again, for a bisection."""
        return self._marked(self._inbox.retake(ids))

    def reopen(self, ids: Sequence[int]) -> None:
        """Make ended or dead events due inside this transaction, which marks no batch."""
        events = rows.events
        self._connection.execute(
            update(events)
            .where(bulk.among(events.c.id, sorted(ids), self._connection))
            .values(state="pending", due_at=self.now)
        )
        self._marks = False

    def _marked(self, events: list[ClaimedEvent]) -> list[ClaimedEvent]:
        if not events or not self._marks:
            return events
        ids = [event.id for event in events]
        self._marker = self.mark(ids)
        # SQLite has one writer: the marker is committed first, then the events are locked anew.
        return events if self._database.is_postgres else self._inbox.retake(ids)

    def marker(self, id_: str, ids: Sequence[int]) -> dict[str, object]:
        """A row of `batch_markers`."""
        told = orjson.dumps(list(ids))
        return {"id": id_, "worker": self._worker, "event_ids": told, "made_at": self.now}

    def mark(self, ids: Sequence[int]) -> str:
        """Commit a marker of these events and begin anew; its id."""
        row = self.marker(new_id("bat"), ids)
        self._connection.rollback()
        bulk.insert(self._connection, rows.batch_markers, [row])
        self._connection.commit()
        return str(row["id"])

    def unmark(self, marker: str) -> None:
        """Take a marker away, whatever becomes of the transaction."""
        with self._database.connect() as beside:
            beside.execute(delete(rows.batch_markers).where(rows.batch_markers.c.id == marker))
            beside.commit()

    def bodies(self, events: Sequence[ClaimedEvent]) -> dict[int, bytes]:
        """The opened body of each event's delivery, by delivery id."""
        sealed = self._inbox.bodies({event.delivery for event in events})
        return {key: self._vault.open(body) for key, (_, body) in sealed.items()}

    def policies(self, events: Sequence[ClaimedEvent]) -> dict[str, Policy]:
        """The policy of each connection in the batch, as it is in this transaction."""
        found = policies_of(self._connection, {event.connection for event in events})
        self.remember_mirrors(events, found)
        return found

    def remember_mirrors(
        self, events: Sequence[ClaimedEvent], policies: Mapping[str, Policy]
    ) -> None:
        """Keep the accounts of connections whose changes SCIM shows, too."""
        self._mirrors = {e.connection: e.account for e in events if policies[e.connection].mirrors}

    def foresee(self, changes: Sequence[tuple[str, Change]]) -> None:
        """See the port: here nothing is won by it."""

    def renamed(self, connection: str, keys: Collection[str]) -> dict[str, str]:
        """See the port."""
        return keys_by_alias(self._connection, connection, keys)

    def sources(self, events: Sequence[ClaimedEvent]) -> dict[str, str]:
        """The source's name of each feed in the batch."""
        table = rows.feeds
        wanted = {event.feed for event in events}
        found = self._connection.execute(
            select(table.c.id, table.c.source).where(
                bulk.among(table.c.id, sorted(wanted), self._connection)
            )
        )
        return {row.id: row.source for row in found}

    def keep(self, event: ClaimedEvent, keeps: Mapping[str, Any]) -> None:
        """See the port: SCIM's resource as the refused request wanted it."""
        keep_resource(self._connection, event.account, event.connection, keeps, now=self.now)
        table, subject = rows.events, printable(str(keeps["key"]))
        # While it was refused, a creation went by the name that it told.
        its = update(table).where(table.c.id == event.id, table.c.subject != subject)
        self._connection.execute(its.values(subject=subject))

    def save(self, writes: Writes) -> None:
        """Write the directory and what follows from it: links, mails, audit, decisions."""
        follow = consequences(writes.effects)
        direct, former = direct_of(self._connection), [c.person.id for c in follow]
        if direct is None:
            close_links(self._connection, former)
        resources = mirrored(self._connection, writes, self._mirrors, now=self.now)
        notes = writes.access if writes.access and is_kept(self._connection) else []
        self._send_ahead()
        if direct is not None:
            close_links_ahead(direct, former)
        self.directory.save(writes)
        resources.write(self._connection)
        open_links(
            self._connection,
            follow,
            vault=self._vault,
            now=self.now,
            link_seconds=self._link_seconds,
        )
        self._write_audit(writes)
        self._write_decisions(writes)
        actors = {one.event.id: self.actor_of(one.event) for one in notes}
        note_all(self._connection, notes, actors, self.now)
        self.breaker.save(writes.breaker)
        announcing.write(self._connection, writes.announcements, now=self.now)
        self.has_announced = bool(writes.announcements)
        self.has_urgent_news = any(one.lane is Lane.URGENT for one in writes.announcements)

    def actor_of(self, event: ClaimedEvent) -> str:
        """Who the audit says it was."""
        return f"connection:{event.connection}"

    def _write_audit(self, writes: Writes) -> None:
        entries = [
            {
                "account_id": effect.after.account,
                "at": self.now,
                "actor": self.actor_of(effect.event),
                "action": effect.event.kind.value,
                "subject": effect.after.id,
                "event_id": effect.event.id,
                "before": orjson.dumps(audit_view(effect.before)),
                "after": orjson.dumps(audit_view(effect.after)),
                "reason": "",
            }
            for effect in writes.effects
        ]
        bulk.insert(self._connection, rows.audit, entries)

    def _write_decisions(self, writes: Writes) -> None:
        entries = [
            {
                "account_id": event.account,
                "connection_id": event.connection,
                "user_key": user,
                "person_id": made.inputs.get("person"),
                "kind": made.kind,
                "inputs": orjson.dumps(dict(made.inputs)),
                "event_id": event.id,
                "made_at": self.now,
                "made_by": "rosterd",
            }
            for event, user, made in writes.decisions
        ]
        bulk.insert(self._connection, rows.decisions, entries)

    def finish(self, results: Sequence[Result]) -> None:
        """Write what became of the events."""
        self._send_ahead()
        self._inbox.finish(results, worker=self._worker)

    def rest(self) -> None:
        """Hear what was sent ahead, without a commit: from here on may be read again."""
        self._hear_what_was_sent()
        self._is_ahead = False

    def commit(self) -> None:
        """Make it all last; the marker goes with it."""
        if self._marker is not None:
            bulk.remove(self._connection, rows.batch_markers, [{"id": self._marker}])
        direct = direct_of(self._connection)
        if direct is not None:
            self._found_behind = direct.commit(*self._behind)
        self._hear_what_was_sent()
        self._connection.commit()
        self._marker = None

    def _hear_what_was_sent(self) -> None:
        try:
            self._ahead.close()
        except psycopg.Error as error:
            # The driver's word about a session that is gone has no state to know it by.
            if self._connection.invalidated and not error.sqlstate:
                raise InfrastructureError(f"database is away: {error}", is_lost=True) from error
            raise

    def _send_ahead(self) -> None:
        """From here on only writes: PostgreSQL works on one while the next is put together."""
        if self._is_ahead:
            return
        self._is_ahead = True
        direct = direct_of(self._connection)
        if direct is not None:
            direct.gather()
            self._ahead.callback(direct.leave)
        else:
            self._ahead.enter_context(sent_ahead(self._connection))

    def abandon(self) -> None:
        """Roll back and take the marker away: this process lives, so nothing crashed (D6)."""
        with suppress(psycopg.Error):
            # What broke the batch was raised already; this only ends the pipeline.
            self._ahead.close()
        try:
            self._connection.rollback()
        except DBAPIError:
            # Cut off in the middle of a statement: this session takes no other any more.
            self._connection.invalidate()
        if self._marker is None:
            return
        marker, self._marker = self._marker, None
        self.unmark(marker)


def policies_of(connection: Connection, ids: set[str]) -> dict[str, Policy]:
    """Policies by connection id."""
    table = rows.connections
    found = list(
        connection.execute(
            select(
                table,
                announcing.has_listener(table.c.account_id).label("announces"),
                speaks_scim(table.c.id).label("mirrors"),
                has_aliases(table.c.id).label("has_aliases"),
                has_directory(table.c.id).label("reads"),
            ).where(bulk.among(table.c.id, sorted(ids), connection))
        ).mappings()
    )
    accounts = {row["account_id"] for row in found}
    domains: dict[str, set[str]] = {}
    for row in connection.execute(
        select(rows.domains.c.account_id, rows.domains.c.domain).where(
            bulk.among(rows.domains.c.account_id, sorted(accounts), connection)
        )
    ):
        domains.setdefault(row.account_id, set()).add(row.domain)
    return {
        row["id"]: policy_from_row(row, frozenset(domains.get(row["account_id"], ())))
        for row in found
    }


def policy_from_row(row: object, domains: frozenset[str]) -> Policy:
    """The policy of a row of `connections`; its settings were checked when they were set."""
    data = dict(row)  # type: ignore[call-overload]
    settings: dict[str, str] = json.loads(data["settings"])
    rule, _, keys = settings.get("groups", "all").partition(":")
    return Policy(
        connection=data["id"],
        domains=domains,
        scope=Scope(ScopeRule(data["scope_rule"]), frozenset(json.loads(data["scope_keys"]))),
        group_rule=GroupRule(rule),
        group_keys=tuple(key for key in keys.split(",") if key),
        on_return=OnReturn(settings.get("on_return", OnReturn.NEW_USER)),
        rehire=Rehire(settings.get("rehire", Rehire.LINK)),
        existing_groups=ExistingGroups(settings.get("existing_groups", ExistingGroups.KEEP)),
        let_in=settings.get("read_back", "off") != "required",
        tenant=settings.get("tenant", ""),
        address=settings.get("address", DEFAULT),
        breaker=rule_of(settings),
        announces=bool(data.get("announces")),
        mirrors=bool(data.get("mirrors")),
        has_aliases=bool(data.get("has_aliases")),
        reads=bool(data.get("reads")),
    )


def save_consequences(
    connection: Connection,
    follow: Sequence[Consequence],
    *,
    vault: Vault,
    now: datetime,
    link_seconds: float,
) -> None:
    """Close links that are no longer meant, open new ones, and put the mails in their queue."""
    close_links(connection, [c.person.id for c in follow])
    open_links(connection, follow, vault=vault, now=now, link_seconds=link_seconds)


def open_links(
    connection: Connection,
    follow: Sequence[Consequence],
    *,
    vault: Vault,
    now: datetime,
    link_seconds: float,
) -> None:
    """The links that are meant now, with their mails; reads nothing."""
    links: list[dict[str, object]] = []
    notices: list[dict[str, object]] = []
    for consequence in sorted(follow, key=lambda c: c.person.id):
        link, token = _new_link(consequence, now, link_seconds)
        if link is None:
            continue
        links.append(link)
        notices.append(_notice(link, str(link["address"]), str(link["kind"]), vault, token, now))
        if consequence.note_to is not None:
            note = NoticeKind.EMAIL_CHANGE_NOTE.value
            notices.append(_notice(link, consequence.note_to, note, vault, None, now))
    bulk.insert(connection, rows.links, links)
    bulk.insert(connection, rows.notices, notices)


def close_links_ahead(direct: Direct, people: Sequence[str]) -> None:
    """As `close_links`, without reading which there are."""
    if people:
        direct.tell(asks.LINKS_CLOSED, text_array(sorted(people)), name=asks.CLOSED)
        direct.tell(asks.NOTICES_CANCELLED)


def close_links(connection: Connection, people: Sequence[str]) -> None:
    """Links die at once, and mails that would still carry them are not sent."""
    if not people:
        return
    links, notices = rows.links, rows.notices
    mine = bulk.among(links.c.person_id, sorted(people), connection)
    gone = [
        row.id
        for row in connection.execute(
            select(links.c.id).where(mine, links.c.state == "open").order_by(links.c.id)
        )
    ]
    if not gone:
        return
    connection.execute(
        links.update().where(bulk.among(links.c.id, gone, connection)).values(state="revoked")
    )
    connection.execute(
        notices.update()
        .where(bulk.among(notices.c.link_id, gone, connection))
        .where(notices.c.state.in_(["pending", "failed"]))
        .values(state="cancelled", due_at=None, secret=None)
    )


def _new_link(
    consequence: Consequence, now: datetime, link_seconds: float
) -> tuple[dict[str, object] | None, str]:
    wanted = consequence.wanted
    if wanted is None:
        return None, ""
    token = new_token()
    link: dict[str, object] = {
        "id": new_id("lnk"),
        "token_hash": token_digest(token),
        "account_id": consequence.person.account,
        "person_id": consequence.person.id,
        "kind": wanted.kind.value,
        "address": wanted.address,
        "state": "open",
        "created_at": now,
        "expires_at": datetime.fromtimestamp(now.timestamp() + link_seconds, UTC),
    }
    return link, token


def _notice(
    link: dict[str, object],
    address: str,
    kind: str,
    vault: Vault,
    token: str | None,
    now: datetime,
) -> dict[str, object]:
    return {
        "id": new_id("not"),
        "account_id": link["account_id"],
        "person_id": link["person_id"],
        "kind": kind,
        "address": address,
        "link_id": link["id"],
        "secret": vault.seal(token.encode()) if token is not None else None,
        "state": "pending",
        "attempts": 0,
        "fence": 0,
        "due_at": now,
        "created_at": now,
        "sent_at": None,
        "last_error": None,
    }

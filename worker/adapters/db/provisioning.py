"""The unit of work of one SCIM write: resource, directory and event in one transaction."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from hashlib import sha256
from hmac import compare_digest
from typing import Any, NamedTuple

import orjson
import psycopg
from sqlalchemy import Connection, and_, select
from sqlalchemy.exc import IntegrityError

from domain.changes import Change
from domain.inbox import Kind, Reason, State, lane_of
from domain.intake import printable
from domain.policy import Policy
from domain.ports import ClaimedEvent, InfrastructureError, Result
from domain.resources import Ask, Known, Name, Recorded, Resource, ResourceKind
from domain.values import stamp_key
from worker.adapters.db import bulk, rows
from worker.adapters.db.direct import direct_of
from worker.adapters.db.direct_directory import DirectDirectory
from worker.adapters.db.engine import Database, translated
from worker.adapters.db.kept_connections import KeptConnections
from worker.adapters.db.provisioning_context import (
    Context,
    ask_context,
    context_from_row,
    context_on_sqlite,
)
from worker.adapters.db.scim_later import done_row
from worker.adapters.db.scim_later_rows import scim_done
from worker.adapters.db.scim_related import Related
from worker.adapters.db.scim_rows import scim_resources
from worker.adapters.db.scim_store import (
    ask_locked,
    keys_of,
    put_resources,
    resource_from_row,
    resources_claimed,
    resources_locked,
    resources_named,
    wanted_as,
)
from worker.adapters.db.uow import SQLWork
from worker.adapters.sources.scim import envelope, told
from worker.adapters.vault import Vault

#: How PostgreSQL tells these transactions from drains, whose sessions the sweep ends after 30 s.
PROVISIONING = "rosterd scim"


class _Request(NamedTuple):
    """What is stored of a request beside its event. called: see `ProvisionWork.event`."""

    id: str
    digest: bytes
    subject: str
    actor: str
    called: str


class SQLProvisionWork(SQLWork):
    """`ProvisionWork` on both databases."""

    def __init__(
        self,
        database: Database,
        connection: Connection,
        asks: Sequence[Ask],
        *,
        waits: bool,
        vault: Vault,
        worker: str,
        link_seconds: float,
    ) -> None:
        whose = asks[0].speaker.connection
        context, self._begun = _begun(connection, asks, waits=waits)
        super().__init__(
            database,
            connection,
            vault=vault,
            worker=worker,
            link_seconds=link_seconds,
            name=PROVISIONING,
            now=context.now,
        )
        direct = direct_of(connection)
        if direct is not None:
            self.directory = DirectDirectory(connection, direct, self.now, vault=vault)
            self.directory.know(context.surroundings)
        self._whose = whose
        self._context = context
        # SCIM proves itself by a token: U8's reading back does not concern it.
        self._policy = replace(context.policy, let_in=True)
        self._sql = connection
        self._sealing = vault
        self._process = worker
        self._requests: dict[int, _Request] = {}

    def policy(self) -> Policy:
        """See the port."""
        return self._policy

    def begun(self) -> dict[str, Resource]:
        """See the port."""
        return self._begun

    def locked(self, ids: Collection[str], *, waits: bool) -> dict[str, Resource]:
        """See the port."""
        return resources_locked(self._sql, self._whose, ids, waits=waits)

    def claimed(
        self, claimed: Collection[tuple[ResourceKind, str]], names: Collection[Name]
    ) -> list[Resource]:
        """See the port."""
        return resources_claimed(self._sql, self._whose, claimed, names)

    def named(self, names: Collection[Name]) -> list[Resource]:
        """See the port."""
        return resources_named(self._sql, self._whose, names)

    def keys(self, kind: ResourceKind, ids: Collection[str]) -> dict[str, str]:
        """See the port."""
        return keys_of(self._sql, self._whose, kind, ids)

    def foresee(self, changes: Sequence[tuple[str, Change]]) -> None:
        """See the port."""
        if isinstance(self.directory, DirectDirectory):
            self.directory.foresee(changes)

    def commit_and_see(self, shown: Mapping[str, tuple[Resource, Known]]) -> dict[str, Known]:
        """See the port. On SQLite, which has one writer, before the commit."""
        resources = [resource for resource, _ in shown.values()]
        related = Related(self._whose, resources)
        if direct_of(self._sql) is None:
            found = related.ask(self._sql)
            self.commit()
        else:
            self._behind = related.asked
            self.commit()
            found = related.from_rows(self._sql, self._found_behind)
        return {id_: replace(known, **found[id_]) for id_, (_, known) in shown.items()}

    def event(
        self, ask: Ask, *, kind: Kind, subject: str, request: str, called: str
    ) -> ClaimedEvent:
        """See the port."""
        speaker, place = ask.speaker, len(self._requests)
        digest, number = _digest(request), self._context.events[place]
        names = (printable(subject), speaker.actor, printable(called))
        self._requests[number] = _Request(request, digest, *names)
        return ClaimedEvent(
            id=number,
            account=speaker.account,
            connection=speaker.connection,
            feed=speaker.feed,
            delivery=self._context.deliveries[place],
            ordinal=0,
            key=stamp_key(digest),
            type=f"{ask.kind.value.lower()}.{ask.method.lower()}",
            kind=kind,
            lane=lane_of(kind).value,
            occurred_at=self.now,
            received_at=self.now,
            attempts=0,
            crashes=0,
            waiting_since=None,
            is_first_try=True,
        )

    def actor_of(self, event: ClaimedEvent) -> str:
        """The token."""
        return self._requests[event.id].actor

    def put(self, resources: Sequence[tuple[Resource | None, Resource]]) -> None:
        """See the port."""
        self._send_ahead()
        put_resources(self._sql, resources)

    def record(self, events: Sequence[Recorded]) -> None:
        """See the port."""
        if not events:
            return
        self._send_ahead()
        asked = [told(one.changes) for one in events]
        bodies = [_body(one, its) for one, its in zip(events, asked, strict=True)]
        deliveries = [self._delivery(*pair) for pair in zip(events, bodies, strict=True)]
        bulk.insert(self._sql, rows.deliveries, deliveries)
        later = [
            done_row(one.ask.later, one.result.event.id, one.after.id)
            for one in events
            if one.ask.later is not None and one.is_kept
        ]
        bulk.insert(self._sql, scim_done, later)
        columns = [self._columns(*pair) for pair in zip(events, asked, strict=True)]
        self._inbox.record([one.result for one in events], columns, worker=self._process)

    def done(self, requests: Collection[str]) -> dict[str, Resource]:
        """See the port."""
        events, resources = rows.events, scim_resources
        its = and_(
            resources.c.connection_id == events.c.connection_id,
            resources.c.key == events.c.subject,
        )
        is_held = and_(events.c.state == State.HELD, events.c.reason != Reason.OBSERVING)
        found = self._sql.execute(
            select(resources, events.c.external_id, events.c.type)
            .join(events, its)
            .where(events.c.connection_id == self._whose)
            .where(events.c.digest.in_([_digest(one) for one in sorted(requests)]))
            .where(events.c.state != State.DEAD, ~is_held)
            .order_by(resources.c.modified_at)
        ).mappings()
        return {
            row["external_id"]: resource_from_row(row)
            for row in found
            if row["type"].startswith(f"{row['kind'].lower()}.")
        }

    def former(self, result: Result, changes: Sequence[Change]) -> int | None:
        """See the port."""
        events, event = rows.events, result.event
        request = self._requests[event.id]
        subject = request.called or request.subject
        mine = (events.c.connection_id == event.connection) & (events.c.subject == subject)
        newest = self._sql.execute(
            select(events.c.id, events.c.state, events.c.reason, events.c.content_digest)
            .where(mine)
            .order_by(events.c.id.desc())
            .limit(1)
        ).first()
        if newest is None or (newest.state, newest.reason) != (result.state.value, result.reason):
            return None
        content = _content(event, told(changes), request)
        is_same = compare_digest(newest.content_digest, content)
        return int(newest.id) if is_same else None

    def repeat(self, number: int, result: Result) -> None:
        """See the port."""
        self._send_ahead()
        self._inbox.repeat(number, result, worker=self._process)

    def _delivery(self, one: Recorded, body: bytes) -> dict[str, Any]:
        event, ask = one.result.event, one.ask
        headers = orjson.dumps({name: printable(value) for name, value in ask.headers.items()})
        return {
            "id": event.delivery,
            "feed_id": event.feed,
            "received_at": event.received_at,
            "credential_id": ask.speaker.token,
            "headers": self._sealing.seal(headers),
            "body": self._sealing.seal(body),
            "body_digest": ask.digest,
            "is_cut": ask.is_cut,
        }

    def _columns(self, one: Recorded, asked: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        event = one.result.event
        request = self._requests[event.id]
        return {
            "account_id": event.account,
            "connection_id": event.connection,
            "feed_id": event.feed,
            "delivery_id": event.delivery,
            "ordinal": event.ordinal,
            "digest": request.digest,
            "content_digest": _content(event, asked, request),
            "external_id": request.id,
            "type": event.type,
            "subject": request.subject if one.is_kept else request.called or request.subject,
            "kind": event.kind.value,
            "lane": event.lane,
            "occurred_at": event.occurred_at,
            "received_at": event.received_at,
            "is_clamped": False,
            "replay_id": one.hold,
        }


def _begun(
    sql: Connection, asks: Sequence[Ask], *, waits: bool
) -> tuple[Context, dict[str, Resource]]:
    """What all of a batch have to know, and the resources that they name; one wait for both."""
    speaker = asks[0].speaker
    ids = {ask.resource for ask in asks if ask.resource is not None}
    direct = direct_of(sql)
    if direct is None:
        context = context_on_sqlite(sql, speaker.connection, len(asks))
        locked = resources_locked(sql, speaker.connection, ids, waits=waits) if ids else {}
        return context, locked
    about = ask_context(speaker.connection, count=len(asks), name=PROVISIONING)
    lock = ask_locked(speaker.connection, ids, waits=waits)
    (row,), found = direct.ask_all(about, lock) if ids else (direct.ask_all(about)[0], [])
    locked = {one["id"]: resource_from_row(one) for one in found}
    return context_from_row(row), locked


def _body(one: Recorded, asked: Sequence[Mapping[str, Any]]) -> bytes:
    """The request, what it asks for, and the resource where it is not kept."""
    ask = one.ask
    request = {
        "method": ask.method,
        "path": ask.path,
        "resource": one.after.id,
        "credential": ask.speaker.token,
        "body": ask.told,
    }
    return envelope(request, asked, None if one.is_kept else wanted_as(one.before, one.after))


def _digest(request: str) -> bytes:
    return sha256(request.encode()).digest()


def _content(event: ClaimedEvent, asked: Sequence[Mapping[str, Any]], request: _Request) -> bytes:
    """Equal for requests that ask for the same, whatever new subject they would make."""
    whole = orjson.dumps([event.type, asked])
    return sha256(whole.replace(request.id.encode(), b"") if request.called else whole).digest()


@contextmanager
def sql_provision(
    database: Database,
    kept: KeptConnections,
    asks: Sequence[Ask],
    *,
    waits: bool,
    vault: Vault,
    worker: str,
    link_seconds: float,
) -> Iterator[SQLProvisionWork]:
    """A unit of work that rolls back unless it was committed.

    Two that made the same resource met: one of them is to be made again.
    """
    with translated(), kept.begin() as connection:
        work = SQLProvisionWork(
            database,
            connection,
            asks,
            waits=waits,
            vault=vault,
            worker=worker,
            link_seconds=link_seconds,
        )
        try:
            yield work
        except (IntegrityError, psycopg.errors.UniqueViolation) as error:
            raise InfrastructureError("two requests met", is_conflict=True) from error
        finally:
            work.abandon()

"""The unit of work of one SCIM write: resource, directory and event in one transaction."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from hashlib import sha256
from typing import Any
from uuid import uuid4

import orjson
import psycopg
from sqlalchemy import Connection, func, select, text
from sqlalchemy.exc import IntegrityError

from domain.changes import Change
from domain.inbox import Kind, lane_of
from domain.intake import printable
from domain.policy import Policy
from domain.ports import ClaimedEvent, InfrastructureError, Result, stamp_key
from domain.resources import Ask, Resource, ResourceKind, Speaker
from worker.adapters.db import bulk, rows
from worker.adapters.db.engine import Database, translated
from worker.adapters.db.scim_later import done_row
from worker.adapters.db.scim_later_rows import scim_done
from worker.adapters.db.scim_store import (
    claim_names,
    keys_of,
    put_resource,
    resource_by_id,
    resources_named,
    wanted_as,
)
from worker.adapters.db.uow import SQLWork, policies_of
from worker.adapters.sources.scim import envelope, told
from worker.adapters.vault import Vault

#: How PostgreSQL tells these transactions from drains, whose sessions the sweep ends after 30 s.
PROVISIONING = "rosterd scim"
_NUMBERS = text("SELECT nextval('events_id_seq'), nextval('deliveries_id_seq')")


class SQLProvisionWork(SQLWork):
    """`ProvisionWork` on both databases."""

    def __init__(
        self,
        database: Database,
        connection: Connection,
        *,
        vault: Vault,
        worker: str,
        link_seconds: float,
    ) -> None:
        super().__init__(
            database,
            connection,
            vault=vault,
            worker=worker,
            link_seconds=link_seconds,
            name=PROVISIONING,
        )
        self._sql = connection
        self._sealing = vault
        self._process = worker
        self._actor = ""
        self._digest = b""

    def policy(self, connection: str) -> Policy:
        """See the port. SCIM proves itself by a token: U8's reading back does not concern it."""
        return replace(policies_of(self._sql, {connection})[connection], let_in=True)

    def locked(self, speaker: Speaker, kind: ResourceKind, id_: str) -> Resource | None:
        """See the port."""
        found = resource_by_id(self._sql, speaker.connection, kind, id_, lock=True)
        return found if found is not None and found.deleted_at is None else None

    def reserve(self, speaker: Speaker, kind: ResourceKind, names: Collection[str]) -> None:
        """See the port."""
        claim_names(self._sql, speaker.connection, kind, names)

    def named(
        self, speaker: Speaker, kind: ResourceKind, handle: str, alias: str | None
    ) -> list[Resource]:
        """See the port."""
        return resources_named(self._sql, speaker.connection, kind, handle, alias)

    def keys(self, speaker: Speaker, ids: Collection[str]) -> dict[str, str]:
        """See the port."""
        return keys_of(self._sql, speaker.connection, ResourceKind.USER, ids)

    def event(self, ask: Ask, *, kind: Kind, subject: str) -> ClaimedEvent:
        """See the port."""
        number, delivery = self._numbers()
        speaker = ask.speaker
        self._actor = speaker.actor
        self._request = str(uuid4())
        self._digest = sha256(self._request.encode()).digest()
        self._subject = printable(subject)
        return ClaimedEvent(
            id=number,
            account=speaker.account,
            connection=speaker.connection,
            feed=speaker.feed,
            delivery=delivery,
            ordinal=0,
            key=stamp_key(self._digest),
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

    def _numbers(self) -> tuple[int, int]:
        if self._sql.dialect.name == "postgresql":
            event, delivery = self._sql.execute(_NUMBERS).one()
            return int(event), int(delivery)
        tops = [
            self._sql.execute(select(func.coalesce(func.max(table.c.id), 0))).scalar_one()
            for table in (rows.events, rows.deliveries)
        ]
        return int(tops[0]) + 1, int(tops[1]) + 1

    def actor_of(self, event: ClaimedEvent) -> str:  # noqa: ARG002 - one request, one token
        """The token."""
        return self._actor

    def put(self, before: Resource | None, after: Resource) -> None:
        """See the port."""
        self._send_ahead()
        put_resource(self._sql, before, after)

    def record(
        self,
        ask: Ask,
        result: Result,
        changes: Sequence[Change],
        *,
        before: Resource | None,
        after: Resource,
        is_kept: bool,
        hold: str | None,
    ) -> None:
        """See the port."""
        self._send_ahead()
        event, asked = result.event, told(changes)
        request = {
            "method": ask.method,
            "path": ask.path,
            "resource": after.id,
            "credential": ask.speaker.token,
            "body": ask.told,
        }
        body = envelope(request, asked, None if is_kept else wanted_as(before, after))
        bulk.insert(self._sql, rows.deliveries, [self._delivery(event, ask, body)])
        if ask.later is not None and is_kept:
            bulk.insert(self._sql, scim_done, [done_row(ask.later, event.id, after.id)])
        columns = {**self._columns(event, _content(event, asked)), "replay_id": hold}
        self._inbox.record([result], [columns], worker=self._process)

    def former(self, result: Result, changes: Sequence[Change]) -> int | None:
        """See the port."""
        events, event = rows.events, result.event
        mine = (events.c.connection_id == event.connection) & (events.c.subject == self._subject)
        newest = self._sql.execute(
            select(events.c.id, events.c.state, events.c.reason, events.c.content_digest)
            .where(mine)
            .order_by(events.c.id.desc())
            .limit(1)
        ).first()
        same = (result.state.value, result.reason, _content(event, told(changes)))
        if newest is None or (newest.state, newest.reason, newest.content_digest) != same:
            return None
        return int(newest.id)

    def repeat(self, number: int, result: Result) -> None:
        """See the port."""
        self._send_ahead()
        self._inbox.repeat(number, result, worker=self._process)

    def _delivery(self, event: ClaimedEvent, ask: Ask, body: bytes) -> dict[str, Any]:
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

    def _columns(self, event: ClaimedEvent, content: bytes) -> dict[str, Any]:
        return {
            "account_id": event.account,
            "connection_id": event.connection,
            "feed_id": event.feed,
            "delivery_id": event.delivery,
            "ordinal": event.ordinal,
            "digest": self._digest,
            "content_digest": content,
            "external_id": self._request,
            "type": event.type,
            "subject": self._subject,
            "kind": event.kind.value,
            "lane": event.lane,
            "occurred_at": event.occurred_at,
            "received_at": event.received_at,
            "is_clamped": False,
        }


def _content(event: ClaimedEvent, asked: Sequence[Mapping[str, Any]]) -> bytes:
    """Equal for requests that ask for the same."""
    return sha256(orjson.dumps([event.type, asked])).digest()


@contextmanager
def sql_provision(
    database: Database, *, vault: Vault, worker: str, link_seconds: float
) -> Iterator[SQLProvisionWork]:
    """A unit of work that rolls back unless it was committed.

    Two that made the same resource met: one of them is to be made again.
    """
    with translated(), database.begin() as connection:
        work = SQLProvisionWork(
            database, connection, vault=vault, worker=worker, link_seconds=link_seconds
        )
        try:
            yield work
        except (IntegrityError, psycopg.errors.UniqueViolation) as error:
            raise InfrastructureError("two requests met", is_conflict=True) from error
        finally:
            work.abandon()

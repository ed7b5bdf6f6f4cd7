"""Edited events in SQL: the original stays as it came, and each names the other (G8)."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, cast

import orjson
from sqlalchemy import Connection, func, select, text

from domain.editing import Edit, Original
from domain.erasure import ERASED
from domain.errors import NothingFoundError, RefusedError
from domain.inbox import Lane, State
from domain.ports import DrainWork
from worker.adapters.db import bulk, rows
from worker.adapters.db.auditing import Deed, audit
from worker.adapters.db.discarding import discard
from worker.adapters.db.engine import Changing, Database, translated
from worker.adapters.db.replay_rows import event_edits
from worker.adapters.db.uow import SQLWork, database_now
from worker.adapters.vault import Vault


class SQLEdits:
    """`EditStore` on both databases."""

    def __init__(self, database: Database, vault: Vault, changing: Changing | None = None) -> None:
        self._database = database
        self._vault = vault
        self._changing = changing or database

    def original(self, event: int, *, within: Collection[str] | None = None) -> Original:
        """See the port."""
        events, deliveries, feeds = rows.events, rows.deliveries, rows.feeds
        wanted = (
            select(events, deliveries.c.body, feeds.c.source)
            .select_from(
                events.join(feeds, feeds.c.id == events.c.feed_id).outerjoin(
                    deliveries, deliveries.c.id == events.c.delivery_id
                )
            )
            .where(events.c.id == event)
        )
        edits = select(func.count()).select_from(event_edits)
        with translated(), self._database.read() as sql:
            row = sql.execute(wanted).mappings().first()
            if row is None or not (within is None or row["account_id"] in within):
                raise NothingFoundError("event", str(event))
            made = sql.execute(edits.where(event_edits.c.original_id == event)).scalar_one()
        _insist_editable(row)
        return Original(
            id=event,
            account=row["account_id"],
            source=row["source"],
            ordinal=row["ordinal"],
            type=row["type"],
            subject=row["subject"],
            external_id=row["external_id"],
            occurred_at=row["occurred_at"],
            body=self._vault.open(row["body"]),
            edits=made,
        )

    def store(self, edit: Edit) -> int:
        """See the port."""

        def work(sql: Connection) -> int:
            number = self._insert(sql, edit)
            original, account = edit.original.id, edit.original.account
            why = f"edited as event {number}: {edit.reason}"
            if not discard(sql, [original], actor=edit.actor, reason=why):
                raise RefusedError(f"event {original} is not dead any more", code="not_dead")
            self._link(sql, edit, number)
            told = {"edited": number}
            deed = Deed("dead.edit", str(original), account, edit.actor, edit.reason, after=told)
            audit(sql, database_now(sql), deed)
            return number

        return self._changing.change(work)

    def store_in(self, work: DrainWork, edit: Edit) -> int:
        """See the port."""
        return self._insert(cast("SQLWork", work).sql, edit)

    def _insert(self, sql: Connection, edit: Edit) -> int:
        """The new event with a delivery of its own."""
        events, deliveries = rows.events, rows.deliveries
        made, now = edit.event, database_now(sql)
        _insist_not_retired(sql, edit.original.id)
        was = sql.execute(select(events).where(events.c.id == edit.original.id)).mappings().one()
        delivery = _next_number(sql)
        empty = self._vault.seal(orjson.dumps({}))
        body = self._vault.seal(edit.body)
        row = {
            "id": delivery,
            "feed_id": was["feed_id"],
            "received_at": now,
            "credential_id": None,
            "headers": empty,
            "body": body,
            "body_digest": made.content,
            "is_cut": True,
        }
        bulk.insert(sql, deliveries, [row])
        copied = ("account_id", "connection_id", "feed_id", "ordinal", "is_clamped")
        new: dict[str, Any] = {
            **{name: was[name] for name in copied},
            "delivery_id": delivery,
            "digest": made.digest,
            "content_digest": made.content,
            "external_id": made.external_id,
            "type": made.type,
            "subject": made.subject,
            "kind": made.kind.value,
            "lane": Lane.BULK.value,
            "occurred_at": made.occurred_at,
            "received_at": now,
            "state": State.PENDING.value,
            "due_at": now,
            "attempts": 0,
            "crashes": 0,
        }
        unique = ("connection_id", "digest")
        numbers = bulk.insert_new(sql, events, [new], unique=unique)
        if not numbers:
            raise RefusedError(
                f"event {edit.original.id} was edited by somebody else just now", code="not_dead"
            )
        return next(iter(numbers.values()))

    def _link(self, sql: Connection, edit: Edit, number: int) -> None:
        row = {
            "id": number,
            "original_id": edit.original.id,
            "account_id": edit.original.account,
            "patch": self._vault.seal(orjson.dumps([dict(one) for one in edit.patch])),
            "at": database_now(sql),
            "actor": edit.actor,
            "reason": edit.reason,
        }
        bulk.insert(sql, event_edits, [row])


def _insist_editable(row: Any) -> None:
    event = row["id"]
    if row["subject"] == ERASED or row["body"] is None:
        raise RefusedError(
            f"event {event} has no body any more: there is nothing to edit", code="not_editable"
        )
    if row["state"] != State.DEAD.value:
        raise RefusedError(
            f"event {event} is {row['outcome'] or row['state']}: only what is dead is edited",
            code="not_dead",
        )


def _insist_not_retired(sql: Connection, event: int) -> None:
    """Nothing of a retired connection is tried again (C7); one that is being retired is awaited."""
    events, connections = rows.events, rows.connections
    its = select(events.c.connection_id).where(events.c.id == event).scalar_subquery()
    wanted = select(connections.c.state).where(connections.c.id == its)
    if sql.execute(wanted.with_for_update(read=True)).scalar() == "retired":
        raise RefusedError(
            f"the connection of event {event} was retired: nothing of it is applied any more"
        )


def _next_number(sql: Connection) -> int:
    """The id of a new delivery."""
    if sql.dialect.name == "postgresql":
        return int(sql.execute(text("SELECT nextval('deliveries_id_seq')")).scalar_one())
    top = select(func.coalesce(func.max(rows.deliveries.c.id), 0))
    return int(sql.execute(top).scalar_one()) + 1


def edits_of(
    sql: Connection, vault: Vault, event: int, *, with_patch: bool
) -> dict[str, list[dict[str, Any]]]:
    """What an event was edited as (`edited_as`), and what it was made of (`edited_from`)."""
    table = event_edits
    mine = (table.c.id == event) | (table.c.original_id == event)
    found: dict[str, list[dict[str, Any]]] = {"edited_as": [], "edited_from": []}
    for row in sql.execute(select(table).where(mine).order_by(table.c.id)).mappings():
        is_mine = row["original_id"] == event
        told = {
            "event": row["id"] if is_mine else row["original_id"],
            "at": row["at"],
            "actor": row["actor"],
            "reason": row["reason"],
        }
        if with_patch and row["patch"] is not None:
            told["patch"] = orjson.loads(vault.open(row["patch"]))
        found["edited_as" if is_mine else "edited_from"].append(told)
    return found

"""Events and dead letters as operators look at them."""

from __future__ import annotations

from base64 import urlsafe_b64decode
from collections.abc import Collection
from datetime import datetime
from typing import Any

import orjson
from sqlalchemy import Connection, func, select

from domain.errors import NothingFoundError
from worker.adapters.db import bulk, rows
from worker.adapters.db.choosing import chosen
from worker.adapters.db.editing import edits_of
from worker.adapters.db.link_queries import mails_of
from worker.adapters.db.reading_state import read_of
from worker.adapters.db.replay_queries import replays_of_event
from worker.adapters.vault import Vault

_LISTED = (
    "id",
    "received_at",
    "type",
    "subject",
    "kind",
    "lane",
    "state",
    "outcome",
    "reason",
    "external_id",
    "occurred_at",
    "superseded_by",
)
#: Rows of each kind in one event's story: a replaced list of members changes thousands.
SHOWN = 500


def list_events(
    connection: Connection,
    *,
    equals: dict[str, str | None],
    since: datetime | None,
    until: datetime | None,
    limit: int,
) -> list[dict[str, Any]]:
    """Newest first; equals: column name -> wanted value, None for any."""
    events = rows.events
    statement = select(*(events.c[name] for name in _LISTED)).order_by(events.c.id.desc())
    for name, wanted in equals.items():
        if wanted is not None:
            statement = statement.where(events.c[name] == wanted)
    if since is not None:
        statement = statement.where(events.c.received_at >= since)
    if until is not None:
        statement = statement.where(events.c.received_at <= until)
    return [dict(row) for row in connection.execute(statement.limit(limit)).mappings()]


def newest_event(connection: Connection) -> int:
    """Id of the newest event of all; 0 where there is none."""
    return int(connection.execute(select(func.max(rows.events.c.id))).scalar() or 0)


def events_after(
    connection: Connection,
    seen: int,
    unended: Collection[int],
    *,
    equals: dict[str, str | None],
    limit: int = 1000,
) -> list[dict[str, Any]]:
    """Events with a greater id, and those of the given ids, oldest first."""
    events = rows.events
    wanted = (events.c.id > seen) | events.c.id.in_(unended)
    statement = select(*(events.c[name] for name in _LISTED)).where(wanted).order_by(events.c.id)
    for name, value in equals.items():
        if value is not None:
            statement = statement.where(events.c[name] == value)
    return [dict(row) for row in connection.execute(statement.limit(limit)).mappings()]


def event_story(
    connection: Connection, event_id: int, *, vault: Vault, with_body: bool
) -> dict[str, Any]:
    """All that is known of one event: delivery, attempts, decisions, changes, dead letter."""
    events, deliveries = rows.events, rows.deliveries
    row = connection.execute(select(events).where(events.c.id == event_id)).mappings().first()
    if row is None:
        raise NothingFoundError("event", str(event_id))
    story = {k: v for k, v in row.items() if not isinstance(v, bytes)}
    story["superseded_by"] = _superseder(connection, row["connection_id"], row["superseded_by"])
    delivery = (
        connection.execute(select(deliveries).where(deliveries.c.id == row["delivery_id"]))
        .mappings()
        .first()
    )
    if delivery is not None:
        story["delivery"] = {
            "received_at": delivery["received_at"],
            "credential": delivery["credential_id"],
            "headers": orjson.loads(vault.open(delivery["headers"])),
            "is_cut": delivery["is_cut"],
        }
        if with_body:
            story["body"] = vault.open(delivery["body"]).decode("utf-8", "replace")
    story["read"] = read_of(connection, row["connection_id"], row["subject"], event=event_id)
    story["attempts_made"] = _rows(connection, rows.attempts, event_id)
    story["dead_letter"] = next(iter(_rows(connection, rows.dead_letters, event_id)), None)
    if story["dead_letter"] is not None:
        # The event's own number is of failures in a row: a refusal is none, and is no other try.
        story["attempts"] = story["dead_letter"]["attempts"]
    story["decisions"] = _rows(connection, rows.decisions, event_id)
    story["changes"] = _rows(connection, rows.audit, event_id)
    story |= edits_of(connection, vault, event_id, with_patch=with_body)
    story["replays"] = replays_of_event(connection, event_id)
    story["notices"] = _notices(connection, story["changes"])
    return story


def _notices(connection: Connection, changes: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Links that the changes opened, with their mails: made in the same moment."""
    moments = {(change["subject"], change["at"]) for change in changes}
    links = rows.links
    mine = bulk.among(links.c.person_id, sorted({who for who, _ in moments}), connection)
    found = connection.execute(select(links).where(mine).order_by(links.c.id)).mappings()
    opened = [row for row in found if (row["person_id"], row["created_at"]) in moments]
    mails = mails_of(connection, [row["id"] for row in opened])
    return [
        {
            "person": row["person_id"],
            "kind": row["kind"],
            "address": row["address"],
            "state": row["state"],
            "mails": mails[row["id"]],
        }
        for row in opened
    ]


def _rows(connection: Connection, table: Any, event_id: int) -> list[dict[str, Any]]:
    found = connection.execute(
        select(table).where(table.c.event_id == event_id).order_by(table.c.id).limit(SHOWN)
    ).mappings()
    return [{key: _opened(key, value) for key, value in row.items()} for row in found]


def _opened(key: str, value: object) -> object:
    if not isinstance(value, bytes):
        return value
    return None if key == "payload" else orjson.loads(value)


def _superseder(connection: Connection, owner: str, key: str | None) -> dict[str, Any] | None:
    """The event whose stamp won: its digest begins with the bytes of the key."""
    if key is None:
        return None
    events = rows.events
    start = urlsafe_b64decode(key)
    found = (
        connection.execute(
            select(events.c.id, events.c.external_id, events.c.type)
            .where(events.c.connection_id == owner)
            .where(events.c.digest >= start, events.c.digest <= start + b"\xff" * 32)
            .limit(1)
        )
        .mappings()
        .first()
    )
    return dict(found) if found is not None else {"id": None, "key": key}


def dead_letters(
    connection: Connection, selection: Any, *, state: str, limit: int
) -> list[dict[str, Any]]:
    """Dead letters, named by their event's id, or d<ID> where no event of ours is behind them."""
    found = connection.execute(chosen(connection, selection, state=state).limit(limit)).mappings()
    return [
        {
            **{k: v for k, v in row.items() if k != "payload"},
            "id": row["event_id"] or f"d{row['id']}",
        }
        for row in found
    ]


def foreign_story(
    connection: Connection, letter_id: int, *, vault: Vault, with_body: bool
) -> dict[str, Any]:
    """A dead letter behind which no event of ours is; raises NothingFoundError."""
    letters = rows.dead_letters
    mine = letters.c.id == letter_id, letters.c.event_id.is_(None)
    row = connection.execute(select(letters).where(*mine)).mappings().first()
    if row is None:
        raise NothingFoundError("dead letter", f"d{letter_id}")
    story = {**row, "id": f"d{letter_id}"}
    payload = story.pop("payload")
    if with_body and payload is not None:
        story["body"] = vault.open(payload).decode("utf-8", "replace")
    return story

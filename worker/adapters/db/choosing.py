"""Dead letters by what an operator says of them: a `Selection` as SQL (G8)."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, select

from domain.domains import BELOW
from domain.inbox import Reason
from domain.replays import Selection
from worker.adapters.db import bulk, rows


def chosen(
    connection: Connection,
    selection: Selection,
    *,
    state: str = "open",
    within: Collection[str] | None = None,
) -> Select[Any]:
    """Dead letters with their events, oldest first. within: accounts; None for all."""
    letters, events = rows.dead_letters, rows.events
    statement = (
        select(letters, events.c.kind, events.c.type, events.c.subject, events.c.external_id)
        .select_from(letters.outerjoin(events, events.c.id == letters.c.event_id))
        .where(letters.c.state == state)
        .order_by(letters.c.id)
    )
    return narrowed(connection, statement, selection, within)


def narrowed(
    connection: Connection,
    statement: Select[Any],
    selection: Selection,
    within: Collection[str] | None,
) -> Select[Any]:
    """A statement over letters and events, by the fields of a selection."""
    letters, events = rows.dead_letters, rows.events
    for column, wanted in (
        (letters.c.account_id, selection.account),
        (letters.c.connection_id, selection.connection),
        (letters.c.reason, selection.reason),
        (letters.c.fingerprint, selection.fingerprint),
        (events.c.type, selection.type),
    ):
        if wanted is not None:
            statement = statement.where(column == wanted)
    if within is not None:
        statement = statement.where(bulk.among(letters.c.account_id, sorted(within), connection))
    if selection.ids:
        statement = statement.where(bulk.among(letters.c.event_id, selection.ids, connection))
    if selection.detail is not None:
        statement = statement.where(
            letters.c.last_error.contains(selection.detail, autoescape=True)
        )
    if selection.domain is not None:
        statement = statement.where(_refused_for(selection.domain))
    if selection.since is not None:
        statement = statement.where(letters.c.last_at >= selection.since)
    if selection.until is not None:
        statement = statement.where(letters.c.last_at <= selection.until)
    return statement


def _refused_for(entry: str) -> ColumnElement[bool]:
    """Letters that died for want of this entry on the account's list of domains (E4).

    Their error says "domain HOST is not ..", and a host has no blanks.
    """
    letters = rows.dead_letters
    host = entry.removeprefix(BELOW).replace("/", "//").replace("_", "/_").replace("%", "/%")
    below = "%." if entry.startswith(BELOW) else ""
    says = letters.c.last_error.like(f"domain {below}{host} is not %", escape="/")
    return (letters.c.reason == Reason.DOMAIN_NOT_ALLOWED.value) & says

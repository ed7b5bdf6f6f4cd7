"""The links of a person with the mails that carried them, as operators look at them."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from sqlalchemy import Connection, select

from worker.adapters.db import bulk, rows
from worker.adapters.db.uow import database_now

#: Newest first.
SHOWN = 10


def links_of(connection: Connection, person: str) -> list[dict[str, Any]]:
    """The newest links of a person: kind, address, state, times, and what became of each mail."""
    links = rows.links
    now = database_now(connection)
    found = list(
        connection.execute(
            select(links)
            .where(links.c.person_id == person)
            .order_by(links.c.created_at.desc(), links.c.id)
            .limit(SHOWN)
        ).mappings()
    )
    mails = mails_of(connection, [link["id"] for link in found])
    return [
        {
            "kind": link["kind"],
            "address": link["address"],
            "state": "expired"
            if link["state"] == "open" and link["expires_at"] <= now
            else link["state"],
            "created_at": link["created_at"],
            "expires_at": link["expires_at"],
            "answered_at": link["answered_at"],
            "mails": mails[link["id"]],
        }
        for link in found
    ]


def mails_of(connection: Connection, links: list[str]) -> dict[str, list[dict[str, Any]]]:
    """The mails that carried these links, by link, oldest first."""
    notices = rows.notices
    found: dict[str, list[dict[str, Any]]] = defaultdict(list)
    if not links:
        return found
    wanted = bulk.among(notices.c.link_id, sorted(links), connection)
    for row in connection.execute(
        select(notices).where(wanted).order_by(notices.c.created_at, notices.c.id)
    ).mappings():
        names = ("kind", "address", "state", "attempts", "sent_at", "last_error")
        found[row["link_id"]].append({name: row[name] for name in names})
    return found

"""Who cannot be reached by mail, and why (E7): told by the mail server or by a later bounce."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any

import orjson
from sqlalchemy import Connection, delete, select

from domain.connecting import check_address
from domain.display import one_line
from domain.errors import NothingFoundError, UsageError
from domain.keys import address_id
from domain.model import Person
from domain.values import normalise_address
from worker.adapters.db import bulk, rows
from worker.adapters.db.mail_rows import undeliverable
from worker.adapters.db.uow import database_now

LONGEST_WHY = 300
Mark = Mapping[str, Any]


def mark_person(
    connection: Connection,
    *,
    account: str,
    person: str,
    address: str,
    why: str,
    actor: str,
    now: datetime,
) -> None:
    """Note in the caller's transaction that mail to an address of a person does not arrive."""
    mark = {
        "person_id": person,
        "account_id": account,
        "address": address,
        "why": one_line(why, limit=LONGEST_WHY),
        "at": now,
    }
    bulk.upsert(connection, undeliverable, [mark])
    entry = {
        "account_id": account,
        "at": now,
        "actor": actor,
        "action": "user.undeliverable",
        "subject": person,
        "event_id": None,
        "before": None,
        "after": orjson.dumps({"undeliverable": address}),
        "reason": mark["why"],
    }
    bulk.insert(connection, rows.audit, [entry])


def clear_mark(connection: Connection, person: str) -> None:
    """A mail arrived."""
    connection.execute(delete(undeliverable).where(undeliverable.c.person_id == person))


def marks_of(connection: Connection, people: Collection[Person]) -> dict[str, Mark]:
    """Marks that mean something: of an address that is the person's, in force or pending."""
    if not people:
        return {}
    known = {person.id: person for person in people}
    wanted = bulk.among(undeliverable.c.person_id, sorted(known), connection)
    found = connection.execute(select(undeliverable).where(wanted)).mappings()
    return {
        row["person_id"]: {"address": row["address"], "why": row["why"], "at": row["at"]}
        for row in found
        if _is_of(known[row["person_id"]], row["address"])
    }


def _is_of(person: Person, address: str) -> bool:
    own = {normalise_address(one) for one in (person.email, person.pending) if one}
    return normalise_address(address) in own


def note_bounce(
    connection: Connection, address: str, *, account: str | None, actor: str, reason: str
) -> list[str]:
    """A bounce that was reported later: marks whoever holds the address; their ids (E7).

    account None: in every account, for a mail server that knows addresses only. Raises
    UsageError, or NothingFoundError where nobody holds it.
    """
    address = check_address(address)
    if not reason.strip():
        raise UsageError("say why: --reason, as the mail server put it")
    now = database_now(connection)
    held = _holders(connection, address, account)
    if not held:
        raise NothingFoundError("person with the address", address)
    for person, of_account in held:
        mark_person(
            connection,
            account=of_account,
            person=person,
            address=address,
            why=reason,
            actor=actor,
            now=now,
        )
    return [person for person, _ in held]


def _holders(connection: Connection, address: str, account: str | None) -> list[tuple[str, str]]:
    accounts = [account] if account else list(connection.scalars(select(rows.accounts.c.id)))
    keys = [address_id(one, address) for one in accounts]
    table, people = rows.addresses, rows.people
    found = connection.execute(
        select(people.c.id, people.c.account_id)
        .join(table, table.c.person_id == people.c.id)
        .where(bulk.among(table.c.id, sorted(keys), connection))
        .order_by(people.c.id)
    )
    return [(row.id, row.account_id) for row in found]

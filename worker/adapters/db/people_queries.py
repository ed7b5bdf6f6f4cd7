"""People as operators look at them."""

from __future__ import annotations

from typing import Any

import orjson
from sqlalchemy import Connection, select

from domain.errors import NothingFoundError
from domain.keys import address_id, user_id
from domain.model import Person, Word
from domain.values import from_micros
from worker.adapters.db import rows
from worker.adapters.db.deliverability import marks_of
from worker.adapters.db.link_queries import links_of
from worker.adapters.db.mapping import person_from_row, user_from_row
from worker.adapters.db.override_rows import overrides


def find_people(
    connection: Connection, *, account: str | None, email: str | None, state: str | None, limit: int
) -> list[dict[str, Any]]:
    """People by account, exact address and state, in the order of their ids."""
    table = rows.people
    statement = select(table).order_by(table.c.id).limit(limit)
    if account is not None:
        statement = statement.where(table.c.account_id == account)
    if state is not None:
        statement = statement.where(table.c.state == state)
    if email is not None:
        statement = statement.where(table.c.id.in_(_holders(connection, account, email)))
    people = [person_from_row(row) for row in connection.execute(statement).mappings()]
    marks = marks_of(connection, people)
    return [{**summary(person), "undeliverable": marks.get(person.id)} for person in people]


def _holders(connection: Connection, account: str | None, email: str) -> list[str]:
    accounts = (
        [account]
        if account is not None
        else [row.id for row in connection.execute(select(rows.accounts.c.id))]
    )
    table = rows.addresses
    keys = [address_id(one, email) for one in accounts]
    found = connection.execute(select(table.c.person_id).where(table.c.id.in_(keys)))
    return [row.person_id for row in found]


def summary(person: Person) -> dict[str, Any]:
    """What a listing shows of a person (U10)."""
    return {
        "id": person.id,
        "account": person.account,
        "email": person.email,
        "requested_email": person.requested,
        "pending_email": person.pending,
        "state": person.state.value,
        "managed": person.is_managed,
        "connection": person.connection,
        "external_id": person.user,
        "role": person.role.value,
        "state_without_override": person.told.value if person.told is not None else None,
        "break_glass": person.is_break_glass,
        "display_name": person.profile.get("display_name"),
        "profile": dict(person.profile),
    }


def person_story(connection: Connection, person_id: str) -> dict[str, Any]:
    """A person with each feed's last word and everything that changed them."""
    row = (
        connection.execute(select(rows.people).where(rows.people.c.id == person_id))
        .mappings()
        .first()
    )
    if row is None:
        raise NothingFoundError("person", person_id)
    person = person_from_row(row)
    story = summary(person)
    story["undeliverable"] = marks_of(connection, [person]).get(person.id)
    story |= standing_of(connection, person)
    audit = rows.audit
    changes = connection.execute(
        select(audit).where(audit.c.subject == person_id).order_by(audit.c.id)
    ).mappings()
    story["timeline"] = [
        {
            "at": change["at"],
            "actor": change["actor"],
            "action": change["action"],
            "event": change["event_id"],
            "reason": change["reason"],
            "before": orjson.loads(change["before"] or b"null"),
            "after": orjson.loads(change["after"] or b"null"),
        }
        for change in changes
    ]
    return story


def standing_of(connection: Connection, person: Person) -> dict[str, Any]:
    """Why somebody is as they are: each feed's last word, overrides, links with their mails."""
    told: dict[str, Any] = {
        "state_without_override": person.told.value if person.told is not None else None,
        "links": links_of(connection, person.id),
        **_SILENCE,
    }
    if person.connection is not None and person.user is not None:
        told |= _words(connection, user_id(person.connection, person.user))
    return {**told, "overrides": _overrides(connection, person.id)}


#: Of whom no feed speaks.
_SILENCE: dict[str, Any] = {"last_word_on_active": {}, "scope": {}, "addresses_asked_for": []}


def _overrides(connection: Connection, person: str) -> list[dict[str, Any]]:
    """U9: in force and over, the newest first."""
    shown = [c for c in overrides.c if c.name not in ("account_id", "person_id")]
    statement = select(*shown).where(overrides.c.person_id == person)
    found = connection.execute(statement.order_by(overrides.c.made_at.desc()))
    return [dict(row) for row in found.mappings()]


def _words(connection: Connection, key: str) -> dict[str, Any]:
    row = connection.execute(select(rows.users).where(rows.users.c.id == key)).mappings().first()
    if row is None:
        return {}
    facts = user_from_row(row).facts
    last = {word.by: _said(word) for word in facts.actives}
    return {
        "last_word_on_active": last,
        "scope": {word.by: _said(word) for word in facts.scopes},
        "addresses_asked_for": [_said(word) for word in facts.emails],
    }


def _said(word: Word) -> dict[str, Any]:
    return {"value": word.value, "at": from_micros(word.stamp.at), "by": word.by}

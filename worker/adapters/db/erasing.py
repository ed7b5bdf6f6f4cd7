"""Permanent deletion in SQL: what told of a person goes, what tells that it happened stays (U5).

Stay: the audit's who, what, when and why without what it showed of the person, a tombstone, and
bodies that tell of others too: sealed, for as long as retention keeps them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

import orjson
from sqlalchemy import ColumnElement, Connection, Table, delete, exists, select, update

from domain.announcements import of_deletion
from domain.erasure import buried
from domain.errors import RefusedError
from domain.holding import addresses_of
from domain.keys import user_id, when_free, when_settled, when_user_seen
from domain.model import Person, User
from domain.ports import stamp_key
from domain.values import BEGINNING, Stamp, normalise_address, to_micros
from worker.adapters.db import access_history, bulk, rows
from worker.adapters.db.announcing import announce
from worker.adapters.db.breaker_rows import breaker_marks
from worker.adapters.db.burying import bury
from worker.adapters.db.directory import SQLDirectory
from worker.adapters.db.group_rows import own_members
from worker.adapters.db.mail_rows import undeliverable
from worker.adapters.db.mapping import user_from_row, user_to_row
from worker.adapters.db.outbound_rows import announcements
from worker.adapters.db.override_rows import overrides
from worker.adapters.db.redacting import ERASED, redact
from worker.adapters.db.replay_rows import event_edits
from worker.adapters.db.scim_store import forget_resources
from worker.adapters.vault import Vault

#: Tables whose rows tell of one person, by the column that names it.
OF_A_PERSON: tuple[tuple[Table, str], ...] = (
    (rows.links, "person_id"),
    (rows.notices, "person_id"),
    (own_members, "person_id"),
    (undeliverable, "person_id"),
    (overrides, "person_id"),
)
OPEN = ("pending", "retrying")


def erase(connection: Connection, vault: Vault, person: Person, deed: access_history.Deed) -> None:
    """Delete a locked person for good. Raises RefusedError while an event about them is open."""
    now = deed.at
    subjects = _subjects(connection, person)
    mine = [user for user in subjects if not _lives_on(user, person)]
    _end_memberships(connection, person, mine, deed)
    stones = [_bury(connection, vault, person, user, now) for user in mine]
    for user in subjects:
        if _lives_on(user, person):
            _forget_in(connection, user, person)
    if not mine:
        stones = [bury(connection, vault, person, None, BEGINNING, now)]
    access_history.forget(connection, person, stones[0], deed)
    redact(connection, vault, person, mine)
    _delete_rows(connection, person)
    keys = [user_id(user.connection, user.key) for user in mine]
    stirred = {key for one in keys for key in (when_settled(one), when_user_seen(one))}
    freed = {when_free(key) for key in addresses_of(person)}
    SQLDirectory(connection, now).wake(stirred | freed)
    _announce(connection, person, now)


def _subjects(connection: Connection, person: Person) -> list[User]:
    """Subjects that are, were or may become the person's, locked in the order of their ids."""
    users, decisions = rows.users, rows.decisions
    told = connection.execute(
        select(decisions.c.connection_id, decisions.c.user_key, decisions.c.inputs).where(
            decisions.c.account_id == person.account, decisions.c.person_id == person.id
        )
    )
    known = {subject for row in told for subject in _named_by(row)}
    of = {person.connection, person.governed_by} - {None}
    held = connection.execute(
        select(users.c.id, users.c.person_id, users.c.pinned).where(
            bulk.among(users.c.connection_id, sorted(map(str, of)), connection)
        )
    )
    mark = f'"{person.id}"'.encode()
    known |= {r.id for r in held if r.person_id == person.id or mark in bytes(r.pinned or b"")}
    found = connection.execute(
        select(users)
        .where(bulk.among(users.c.id, sorted(known), connection))
        .order_by(users.c.id)
        .with_for_update(key_share=True)
    ).mappings()
    return [user_from_row(row) for row in found]


def _named_by(row: Any) -> set[str]:
    """Subjects that a decision about the person names, former and moved ones included."""
    of, inputs = row.connection_id, orjson.loads(row.inputs)
    pairs = [
        (of, row.user_key),
        (of, inputs.get("former_external_id")),
        (inputs.get("from"), inputs.get("external_id")),
    ]
    return {
        key if key.startswith(f"{where}:") else user_id(where, key)
        for where, key in pairs
        if where and key
    }


def _lives_on(user: User, person: Person) -> bool:
    """Whether the subject is somebody else by now (E5): it only forgets this person."""
    return user.person is not None and user.person != person.id


def _end_memberships(
    connection: Connection, person: Person, users: Sequence[User], deed: access_history.Deed
) -> None:
    """Whatever access the person had ends now, by whoever deletes them."""
    keys = {user_id(user.connection, user.key) for user in users}
    was = access_history.in_effect(SQLDirectory(connection, deed.at), keys)
    mine = {one for one in was if one[1] == person.id}
    mine |= access_history.by_hand_of(connection, person.id)
    access_history.note_difference(connection, person.account, mine, (), deed)


def _bury(connection: Connection, vault: Vault, person: Person, user: User, now: datetime) -> str:
    of, key = user.connection, user_id(user.connection, user.key)
    heard = _heard(connection, user)
    stamp = buried(user.facts, heard).floor
    stone = bury(connection, vault, person, key, stamp, now)
    edges = rows.memberships
    connection.execute(
        delete(edges).where(edges.c.connection_id == of, edges.c.user_key == user.key)
    )
    connection.execute(delete(rows.users).where(rows.users.c.id == key))
    forget_resources(connection, of, user.key)
    # Counted as lost it stays, without a name, for as long as the breaker's window is.
    marks = breaker_marks
    counted = (marks.c.connection_id == of) & (marks.c.key == f"u:{user.key}")
    connection.execute(update(marks).where(counted).values(key=f"u:{person.id}"))
    _redact_events(connection, vault, of, user.key, now)
    return stone


def _heard(connection: Connection, user: User) -> Stamp:
    """The newest event about a subject; all of them have to be over."""
    events = rows.events
    mine = (events.c.connection_id == user.connection) & (events.c.subject == user.key)
    waiting = connection.execute(
        select(events.c.id).where(mine, events.c.state.in_((*OPEN, "held"))).limit(1)
    ).first()
    if waiting is not None:
        raise RefusedError(
            f"event {waiting.id} about this person is not applied yet: delete them after it"
        )
    newest = connection.execute(
        select(events.c.occurred_at, events.c.digest)
        .where(mine)
        .order_by(events.c.occurred_at.desc(), events.c.digest.desc())
        .limit(1)
    ).first()
    if newest is None:
        return BEGINNING
    return Stamp(to_micros(newest.occurred_at), 1, stamp_key(newest.digest))


def _forget_in(connection: Connection, user: User, person: Person) -> None:
    """The subject's next person stays who they are; what was this one's address is forgotten."""
    was = normalise_address(person.email)
    words = tuple(w for w in user.facts.emails if normalise_address(str(w.value)) != was)
    facts = replace(user.facts, emails=words or user.facts.emails[-1:])
    pinned = user.pinned if user.pinned and user.pinned.person != person.id else None
    kept = replace(user, facts=facts, pinned=pinned)
    bulk.upsert(connection, rows.users, [user_to_row(kept, person.account)])


def _redact_events(connection: Connection, vault: Vault, of: str, key: str, now: datetime) -> None:
    events, letters, deliveries = rows.events, rows.dead_letters, rows.deliveries
    mine = (events.c.connection_id == of) & (events.c.subject == key)
    found = connection.execute(select(events.c.id, events.c.delivery_id).where(mine)).all()
    ids = [row.id for row in found]
    if not ids:
        return
    connection.execute(
        update(events)
        .where(bulk.among(events.c.id, ids, connection), events.c.state == "dead")
        .values(state="ended", outcome="discarded", ended_at=now)
    )
    connection.execute(
        update(events).where(bulk.among(events.c.id, ids, connection)).values(subject=ERASED)
    )
    _among(connection, rows.attempts, rows.attempts.c.event_id, ids, detail="")
    for column in (event_edits.c.id, event_edits.c.original_id):
        _among(connection, event_edits, column, ids, patch=None)
    its = bulk.among(letters.c.event_id, ids, connection)
    connection.execute(
        update(letters).where(its, letters.c.state == "open").values(state="discarded")
    )
    connection.execute(
        update(letters).where(its).values(first_error="", last_error="", note=ERASED)
    )
    others = exists().where(events.c.delivery_id == deliveries.c.id, events.c.subject != ERASED)
    sole = bulk.among(deliveries.c.id, sorted({r.delivery_id for r in found}), connection)
    connection.execute(
        update(deliveries).where(sole, ~others).values(body=vault.seal(b"{}"), is_cut=True)
    )


def _among(
    connection: Connection, table: Table, column: Any, ids: Sequence[int], **values: Any
) -> None:
    wanted: ColumnElement[bool] = bulk.among(column, ids, connection)
    connection.execute(update(table).where(wanted).values(**values))


def _delete_rows(connection: Connection, person: Person) -> None:
    for table, column in OF_A_PERSON:
        connection.execute(delete(table).where(table.c[column] == person.id))
    audit, decisions, addresses = rows.audit, rows.decisions, rows.addresses
    connection.execute(
        update(audit).where(audit.c.subject == person.id).values(before=None, after=None)
    )
    connection.execute(
        update(decisions)
        .where(decisions.c.account_id == person.account, decisions.c.person_id == person.id)
        .values(user_key=None, inputs=b"{}")
    )
    mine = bulk.among(addresses.c.id, sorted(addresses_of(person)), connection)
    connection.execute(delete(addresses).where(mine, addresses.c.person_id == person.id))
    connection.execute(delete(rows.people).where(rows.people.c.id == person.id))


def _announce(connection: Connection, person: Person, now: datetime) -> None:
    """Applications hear who is gone by id; what they were told of the person before is emptied."""
    connection.execute(
        update(announcements).where(announcements.c.subject == person.id).values(data=b"{}")
    )
    bare = replace(person, email="", requested="", pending=None, profile={}, user=None)
    announce(connection, [of_deletion(bare)], now=now)

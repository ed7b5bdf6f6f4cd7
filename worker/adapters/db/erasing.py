"""Permanent deletion in SQL: what told of a person goes, what tells that it happened stays (U5).

Stay: the audit's who, what, when and why without what it showed of the person, a tombstone, bodies
that tell of others too, sealed anew without the person's names, and a proof of what was done.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import orjson
from sqlalchemy import (
    ColumnElement,
    Connection,
    Delete,
    Table,
    Update,
    delete,
    exists,
    select,
    update,
)

from domain.announcements import of_deletion
from domain.erasure import ERASED, Ledger, buried, pattern_of, without
from domain.errors import RefusedError
from domain.holding import addresses_of
from domain.keys import user_id, when_free, when_settled, when_user_seen
from domain.model import Person, User
from domain.values import BEGINNING, Stamp, normalise_address, stamp_key, to_micros
from worker.adapters.db import access_history, bulk, rows
from worker.adapters.db.announcing import announce
from worker.adapters.db.answers import answers_of
from worker.adapters.db.breaker_rows import breaker_marks
from worker.adapters.db.burying import bury
from worker.adapters.db.directory import SQLDirectory
from worker.adapters.db.directory_rows import reads
from worker.adapters.db.group_rows import own_members
from worker.adapters.db.mail_rows import undeliverable
from worker.adapters.db.mapping import user_from_row, user_to_row
from worker.adapters.db.outbound_rows import announcements
from worker.adapters.db.override_rows import overrides
from worker.adapters.db.proving import Proven, keep_proof
from worker.adapters.db.redacting import names_of, redact
from worker.adapters.db.replay_rows import event_edits
from worker.adapters.db.saying import forget_person
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
#: Bodies that are opened at once.
AT_ONCE = 500


def erase(connection: Connection, vault: Vault, person: Person, deed: access_history.Deed) -> str:
    """Delete a locked person for good; id of the proof.

    Raises RefusedError while an event about them is open.
    """
    now, ledger = deed.at, Ledger()
    subjects = _subjects(connection, person)
    mine = [user for user in subjects if not _lives_on(user, person)]
    names = names_of(person, mine)
    bury_in = _Burial(connection, vault, person, names, pattern_of(names), ledger)
    _end_memberships(connection, person, mine, deed)
    stones = [bury_in.subject(user, now) for user in mine]
    for user in subjects:
        if _lives_on(user, person):
            _forget_in(connection, user, person)
    if not mine:
        stones = [bury(connection, vault, person, None, BEGINNING, now)]
    ledger.add(
        "access_history", "redacted", access_history.forget(connection, person, stones[0], deed)
    )
    ledger.add("tombstones", "kept", len(stones))
    redact(connection, vault, person, names, ledger)
    _delete_rows(connection, person, ledger)
    keys = [user_id(user.connection, user.key) for user in mine]
    stirred = {key for one in keys for key in (when_settled(one), when_user_seen(one))}
    freed = {when_free(key) for key in addresses_of(person)}
    SQLDirectory(connection, now).wake(stirred | freed)
    _announce(connection, person, now, ledger)
    return keep_proof(connection, vault, Proven(person, stones, names, ledger, deed))


def _subjects(connection: Connection, person: Person) -> list[User]:
    """Subjects that are, were or may become the person's, locked in the order of their ids."""
    users, decisions = rows.users, rows.decisions
    told = connection.execute(
        select(decisions.c.connection_id, decisions.c.user_key, decisions.c.inputs).where(
            decisions.c.account_id == person.account, decisions.c.person_id == person.id
        )
    )
    known = {subject for row in told for subject in _named_by(row)}
    # A connection that was retired still says who was whom (C7), whoever governs them by now.
    table = rows.connections
    of = connection.scalars(select(table.c.id).where(table.c.account_id == person.account)).all()
    held = connection.execute(
        select(users.c.id, users.c.person_id, users.c.pinned).where(
            bulk.among(users.c.connection_id, sorted(of), connection)
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


@dataclass(frozen=True, slots=True)
class _Burial:
    """What is done to each subject of a person; counted in the ledger. mark: the person's names."""

    connection: Connection
    vault: Vault
    person: Person
    names: frozenset[str]
    mark: re.Pattern[str]
    ledger: Ledger

    def subject(self, user: User, now: datetime) -> str:
        """Take a subject away and leave its tombstone; the tombstone's digest."""
        of, key = user.connection, user_id(user.connection, user.key)
        heard = _heard(self.connection, user)
        stamp = buried(user.facts, heard).floor
        stone = bury(self.connection, self.vault, self.person, key, stamp, now)
        edges, users = rows.memberships, rows.users
        mine = (edges.c.connection_id == of) & (edges.c.user_key == user.key)
        self._do(delete(edges).where(mine), edges, "deleted")
        self._do(delete(users).where(users.c.id == key), users, "deleted")
        self._do(answers_of(of, self.names | {user.key}), reads, "deleted")
        gone = forget_resources(self.connection, of, user.key)
        self.ledger.add("scim_resources", "deleted", gone)
        for name, count in forget_person(self.connection, of, user.key).items():
            self.ledger.add(name, "deleted", count)
        # Counted as lost it stays, without a name, for as long as the breaker's window is.
        marks = breaker_marks
        counted = (marks.c.connection_id == of) & (marks.c.key == f"u:{user.key}")
        # Somebody hired again may be counted under each of their external ids.
        anonymous = update(marks).where(counted).values(key=f"u:{self.person.id}:{stone[:12]}")
        self._do(anonymous, marks, "redacted")
        decisions = rows.decisions
        its = (decisions.c.connection_id == of) & decisions.c.user_key.in_((key, user.key))
        bare = update(decisions).where(its).values(user_key=None, inputs=b"{}")
        self._do(bare, decisions, "emptied")
        self._redact_events(of, self.names | {user.key}, now)
        self._redact_bodies_of_others(of)
        return stone

    def _do(self, statement: Delete | Update, table: Table, what: str) -> None:
        count = self.connection.execute(statement).rowcount
        self.ledger.add(str(table.name), what, count)

    def _redact_events(self, of: str, names: Collection[str], now: datetime) -> None:
        """names: some sources tell no id, but an address, in lower case or not."""
        events, letters = rows.events, rows.dead_letters
        told = sorted({one for name in names for one in (name, name.lower())})
        by_name = bulk.among(events.c.subject, told, self.connection)
        mine = (events.c.connection_id == of) & by_name
        ids = self._with_originals(list(self.connection.scalars(select(events.c.id).where(mine))))
        if not ids:
            return
        its = bulk.among(events.c.id, ids, self.connection)
        deliveries = self.connection.scalars(select(events.c.delivery_id).where(its)).all()
        # Whatever is to come of them has no words any more.
        self.connection.execute(
            update(events)
            .where(its, events.c.state.in_(("dead", "waiting")))
            .values(state="ended", outcome="discarded", ended_at=now, due_at=None)
        )
        waits = rows.waits
        self._do(
            delete(waits).where(bulk.among(waits.c.event_id, ids, self.connection)),
            waits,
            "deleted",
        )
        self._do(update(events).where(its).values(subject=ERASED), events, "redacted")
        self._among(rows.attempts, rows.attempts.c.event_id, ids, detail="")
        for column in (event_edits.c.id, event_edits.c.original_id):
            self._among(event_edits, column, ids, patch=None)
        theirs = bulk.among(letters.c.event_id, ids, self.connection)
        self.connection.execute(
            update(letters).where(theirs, letters.c.state == "open").values(state="discarded")
        )
        bare = {"first_error": "", "last_error": "", "note": ERASED}
        self._do(update(letters).where(theirs).values(**bare), letters, "emptied")
        self._empty_bodies(sorted(set(deliveries)))

    def _with_originals(self, ids: list[int]) -> list[int]:
        """With what an editor made these events of, whomever that named: one body (G8).

        Not with what was made of them for somebody else, whose event that is.
        """
        table, known = event_edits, set(ids)
        while ids:
            mine = bulk.among(table.c.id, ids, self.connection)
            made_of = self.connection.scalars(select(table.c.original_id).where(mine))
            ids = sorted(set(made_of) - known)
            known.update(ids)
        return sorted(known)

    def _among(self, table: Table, column: Any, ids: Sequence[int], **values: Any) -> None:
        wanted: ColumnElement[bool] = bulk.among(column, ids, self.connection)
        self._do(update(table).where(wanted).values(**values), table, "emptied")

    def _empty_bodies(self, ids: Sequence[int]) -> None:
        """Bodies of the person alone are emptied; those that tell of others lose their names."""
        events, deliveries = rows.events, rows.deliveries
        others = exists().where(events.c.delivery_id == deliveries.c.id, events.c.subject != ERASED)
        mine = bulk.among(deliveries.c.id, ids, self.connection)
        shared = select(deliveries.c.id, deliveries.c.body).where(mine, others)
        for row in self.connection.execute(shared).all():
            self._seal_anew(row.id, self.vault.open(row.body))
        empty = self.vault.seal(b"{}")
        sole = update(deliveries).where(mine, ~others).values(body=empty, is_cut=True)
        self._do(sole, deliveries, "emptied")

    def _redact_bodies_of_others(self, of: str) -> None:
        """Events about groups name their members: those within retention are looked through."""
        events, deliveries = rows.events, rows.deliveries
        theirs = (events.c.connection_id == of) & ~events.c.kind.startswith("users.")
        found = self.connection.execute(
            select(deliveries.c.id, deliveries.c.body)
            .distinct()
            .join(events, events.c.delivery_id == deliveries.c.id)
            .where(theirs),
            execution_options={"yield_per": AT_ONCE},
        )
        named = [row.id for row in found if self._is_named(self.vault.open(row.body))]
        for first in range(0, len(named), AT_ONCE):
            some = bulk.among(deliveries.c.id, named[first : first + AT_ONCE], self.connection)
            page = select(deliveries.c.id, deliveries.c.body).where(some)
            for row in self.connection.execute(page).all():
                self._seal_anew(row.id, self.vault.open(row.body))

    def _is_named(self, body: bytes) -> bool:
        return self.mark.search(body.decode("utf-8", "replace")) is not None

    def _seal_anew(self, id_: int, body: bytes) -> None:
        deliveries = rows.deliveries
        sealed = self.vault.seal(body_without(body, self.mark))
        anew = update(deliveries).where(deliveries.c.id == id_)
        self._do(anew.values(body=sealed, is_cut=True), deliveries, "resealed")


def body_without(body: bytes, mark: re.Pattern[str]) -> bytes:
    """A request's body without what it tells of one person; of no JSON, only without the names."""
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError:
        text = body.decode("utf-8", "surrogateescape")
        return mark.sub(ERASED, text).encode("utf-8", "surrogateescape")
    return orjson.dumps(without(document, mark))


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


def _delete_rows(connection: Connection, person: Person, ledger: Ledger) -> None:
    for table, column in OF_A_PERSON:
        gone = connection.execute(delete(table).where(table.c[column] == person.id))
        ledger.add(str(table.name), "deleted", gone.rowcount)
    audit, decisions, addresses = rows.audit, rows.decisions, rows.addresses
    emptied = connection.execute(
        update(audit).where(audit.c.subject == person.id).values(before=None, after=None)
    )
    ledger.add("audit", "emptied", emptied.rowcount)
    forgotten = connection.execute(
        update(decisions)
        .where(decisions.c.account_id == person.account, decisions.c.person_id == person.id)
        .values(user_key=None, inputs=b"{}")
    )
    ledger.add("decisions", "emptied", forgotten.rowcount)
    mine = bulk.among(addresses.c.id, sorted(addresses_of(person)), connection)
    free = delete(addresses).where(mine, addresses.c.person_id == person.id)
    ledger.add("addresses", "deleted", connection.execute(free).rowcount)
    connection.execute(delete(rows.people).where(rows.people.c.id == person.id))
    ledger.add("people", "deleted", 1)


def _announce(connection: Connection, person: Person, now: datetime, ledger: Ledger) -> None:
    """Applications hear who is gone by id; what they were told of the person before is emptied."""
    emptied = connection.execute(
        update(announcements).where(announcements.c.subject == person.id).values(data=b"{}")
    )
    ledger.add("announcements", "emptied", emptied.rowcount)
    bare = replace(person, email="", requested="", pending=None, profile={}, user=None)
    announce(connection, [of_deletion(bare)], now=now)

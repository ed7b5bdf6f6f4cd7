"""Members' answers in SQL: one link, one answer, in one transaction with its consequences."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

import orjson
from sqlalchemy import Connection, select, update

from domain.acceptance import accept_address, accept_invitation
from domain.by_hand import accepted
from domain.consequences import Consequence, LinkKind, audit_view, link_of
from domain.errors import NothingFoundError, RefusedError
from domain.keys import address_id, user_id, when_free, when_settled
from domain.model import Person, User
from domain.policy import Policy
from domain.settle import UserState
from worker.adapters.db import bulk, rows
from worker.adapters.db.by_hand import locked_person
from worker.adapters.db.directory import SQLDirectory
from worker.adapters.db.engine import Database, translated
from worker.adapters.db.mapping import person_to_row, user_to_row
from worker.adapters.db.uow import database_now, policies_of, save_consequences
from worker.adapters.vault import Vault, token_digest

Answer = Callable[[UserState, Policy, str], tuple[User, Person]]


@dataclass(frozen=True, slots=True)
class OpenLink:
    """A link as its page shows it; state: open, accepted, revoked or expired."""

    id: str
    kind: LinkKind
    account: str
    person: str
    address: str
    state: str


class SQLMembers:
    """Links of members, by token; and the operator's "accepted, I vouch for it" (D18)."""

    def __init__(self, database: Database, vault: Vault, *, link_seconds: float) -> None:
        self._database = database
        self._vault = vault
        self._link_seconds = link_seconds

    def look(self, token: str, kind: LinkKind) -> OpenLink | None:
        """The link behind a token, whatever its state; looking changes nothing (E6)."""
        with translated(), self._database.read() as connection:
            return _find(connection, token, kind, database_now(connection))

    def answer(self, token: str, kind: LinkKind) -> Person:
        """Accept by token: single use; raises NothingFoundError or RefusedError."""

        def accept(connection: Connection) -> Person:
            now = database_now(connection)
            link = _find(connection, token, kind, now)
            if link is None:
                raise NothingFoundError("link", "…")
            if link.state == "accepted":
                return _person(connection, link.person)
            if link.state != "open":
                raise RefusedError(f"this link is {link.state}; ask for a new one")
            return self._accept(connection, link, now, actor=f"member:{link.person}", reason="")

        # Done already, the link says "accepted", and the same person is told again.
        return self._database.change(accept, is_repeatable=True)

    def vouch(self, person: str, *, actor: str, reason: str) -> Person:
        """Accept without mail what a person has open; raises NothingFoundError, RefusedError."""

        def accept(connection: Connection) -> Person:
            now = database_now(connection)
            links = rows.links
            found = (
                connection.execute(
                    select(links).where(links.c.person_id == person, links.c.state == "open")
                )
                .mappings()
                .first()
            )
            if found is None:
                _person(connection, person)
                raise RefusedError(f"person {person} has nothing to accept")
            link = _link(dict(found), "", now)
            return self._accept(connection, link, now, actor=actor, reason=reason)

        # Not repeatable: an acceptance may open the next link, which nobody vouched for.
        return self._database.change(accept)

    def resend(self, person: str, *, actor: str, reason: str) -> Person:
        """A fresh link for what a person has open; the old one dies. Raises RefusedError."""

        def send(connection: Connection) -> Person:
            now = database_now(connection)
            found = _person(connection, person)
            wanted = link_of(found)
            if wanted is None:
                raise RefusedError(f"person {person} is {found.state.value}: nothing is open")
            save_consequences(
                connection,
                [Consequence(found, wanted)],
                vault=self._vault,
                now=now,
                link_seconds=self._link_seconds,
            )
            entry = {
                "account_id": found.account,
                "at": now,
                "actor": actor,
                "action": "user.resend",
                "subject": found.id,
                "event_id": None,
                "before": None,
                "after": None,
                "reason": reason,
            }
            bulk.insert(connection, rows.audit, [entry])
            return found

        return self._database.change(send)

    def _accept(
        self, connection: Connection, link: OpenLink, now: datetime, *, actor: str, reason: str
    ) -> Person:
        """Lock subject, then person; decide; write the yes, the mails, the audit and the log."""
        directory = SQLDirectory(connection, now)
        before = _person(connection, link.person)
        if before.connection is None or before.user is None:
            before = locked_person(connection, link.person)
            _insist_open(connection, link)
            after = accepted(before, link.kind, link.address)
        else:
            key = user_id(before.connection, before.user)
            user = directory.try_or_lock(key)
            # Read again behind the lock: a suspension may have come in between.
            before = _person(connection, link.person)
            _insist_open(connection, link)
            state = _state(directory, user, before)
            policy = policies_of(connection, {user.connection})[user.connection]
            decide = accept_invitation if link.kind is LinkKind.INVITATION else accept_address
            proven, after = decide(state, policy, link.address)
            bulk.upsert(connection, rows.users, [user_to_row(proven, before.account)])
            directory.wake({when_settled(key)})
        self._write(connection, before, after, link, now)
        _log(connection, before, after, link, now, actor=actor, reason=reason)
        return after

    def _write(
        self, connection: Connection, before: Person, after: Person, link: OpenLink, now: datetime
    ) -> None:
        connection.execute(
            update(rows.links).where(rows.links.c.id == link.id).values(state="accepted")
        )
        bulk.upsert(connection, rows.people, [person_to_row(after)])
        gone = address_id(before.account, before.email)
        if gone != address_id(after.account, after.email):
            connection.execute(rows.addresses.delete().where(rows.addresses.c.id == gone))
            SQLDirectory(connection, now).wake({when_free(gone)})
        wanted = link_of(after)
        if wanted is not None:
            save_consequences(
                connection,
                [Consequence(after, wanted)],
                vault=self._vault,
                now=now,
                link_seconds=self._link_seconds,
            )


def _insist_open(connection: Connection, link: OpenLink) -> None:
    table = rows.links
    state = connection.execute(select(table.c.state).where(table.c.id == link.id)).scalar()
    if state != "open":
        raise RefusedError(f"this link is {state}; ask for a new one")


def _state(directory: SQLDirectory, user: User, person: Person) -> UserState:
    pinned = None
    if user.pinned is not None:
        pinned = directory.people([user.pinned.person])[user.pinned.person]
    return UserState(
        account=person.account,
        user=user,
        person=person,
        pinned=pinned,
        holder_of=lambda _address: None,
        fresh_id="",
    )


def _find(connection: Connection, token: str, kind: LinkKind, now: datetime) -> OpenLink | None:
    links, accounts = rows.links, rows.accounts
    found = (
        connection.execute(
            select(links, accounts.c.name.label("account"))
            .join(accounts, accounts.c.id == links.c.account_id)
            .where(links.c.token_hash == token_digest(token), links.c.kind == kind.value)
        )
        .mappings()
        .first()
    )
    return _link(dict(found), found["account"], now) if found is not None else None


def _link(row: dict[str, object], account: str, now: datetime) -> OpenLink:
    expires_at = row["expires_at"]
    is_over = isinstance(expires_at, datetime) and expires_at <= now
    state = "expired" if row["state"] == "open" and is_over else str(row["state"])
    return OpenLink(
        id=str(row["id"]),
        kind=LinkKind(str(row["kind"])),
        account=account,
        person=str(row["person_id"]),
        address=str(row["address"]),
        state=state,
    )


def _person(connection: Connection, person: str) -> Person:
    found = SQLDirectory(connection, database_now(connection)).people([person])
    if person not in found:
        raise NothingFoundError("person", person)
    return found[person]


def _log(
    connection: Connection,
    before: Person,
    after: Person,
    link: OpenLink,
    now: datetime,
    *,
    actor: str,
    reason: str,
) -> None:
    action = "accept_invitation" if link.kind is LinkKind.INVITATION else "accept_address"
    entry = {
        "account_id": after.account,
        "at": now,
        "actor": actor,
        "action": f"user.{action}",
        "subject": after.id,
        "event_id": None,
        "before": orjson.dumps(audit_view(before)),
        "after": orjson.dumps(audit_view(after)),
        "reason": reason,
    }
    bulk.insert(connection, rows.audit, [entry])
    decision = {
        "account_id": after.account,
        "connection_id": after.connection,
        "user_key": after.user,
        "person_id": after.id,
        "kind": action,
        "inputs": orjson.dumps({"address": link.address, "link": link.id}),
        "event_id": None,
        "made_at": now,
        "made_by": actor,
    }
    bulk.insert(connection, rows.decisions, [decision])

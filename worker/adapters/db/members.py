"""Members' answers in SQL: one link, one answer, in one transaction with its consequences."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import orjson
from sqlalchemy import Connection, select, update

from domain.acceptance import accept_address, accept_invitation
from domain.announcements import of_person
from domain.by_hand import accepted
from domain.consequences import Consequence, LinkKind, audit_view, follows, link_of
from domain.errors import NothingFoundError, RefusedError
from domain.keys import user_id, when_settled
from domain.model import Person, User
from domain.settle import UserState
from worker.adapters.db import access_history, bulk, rows
from worker.adapters.db.announcing import announce
from worker.adapters.db.by_hand import locked_person
from worker.adapters.db.deliverability import clear_mark
from worker.adapters.db.directory import SQLDirectory
from worker.adapters.db.engine import Changing, Database, translated
from worker.adapters.db.exchanging import Circle, move_addresses
from worker.adapters.db.mapping import person_to_row, user_to_row
from worker.adapters.db.uow import close_links, database_now, policies_of, save_consequences
from worker.adapters.vault import Vault, token_digest

#: A button that is pressed twice is one answer: the second press hears what the first did.
PRESSED_AGAIN = timedelta(minutes=10)


@dataclass(frozen=True, slots=True)
class OpenLink:
    """A link as its page shows it; state: open, accepted, revoked or expired.

    was_just_accepted: the answer is so fresh that whoever asks again is who gave it.
    """

    id: str
    kind: LinkKind
    account: str
    person: str
    address: str
    state: str
    was_just_accepted: bool = False


class SQLMembers:
    """Links of members, by token; and the operator's "accepted, I vouch for it" (D18).

    changing: whose transactions changes are made in, where not the database's own.
    """

    def __init__(
        self,
        database: Database,
        vault: Vault,
        *,
        link_seconds: float,
        changing: Changing | None = None,
    ) -> None:
        self._database = database
        self._changing: Changing = changing if changing is not None else database
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
            if link is not None and link.state == "open":
                # Read again behind the lock: another press, or a suspension, may have come first.
                locked_person(connection, link.person)
                link = _find(connection, token, kind, now)
            if link is None:
                raise NothingFoundError("link", "…")
            if link.was_just_accepted:
                return _person(connection, link.person)
            if link.state != "open":
                raise RefusedError(f"this link is {link.state}; ask for a new one")
            after = self._accept(connection, link, now, actor=f"member:{link.person}", reason="")
            # Who has the link has read the mail (E7).
            clear_mark(connection, link.person)
            return after

        # Done already, the link says "accepted", and the same person is told again.
        return self._changing.change(accept, is_repeatable=True)

    def vouch(self, person: str, *, actor: str, reason: str) -> Person:
        """Accept without mail what a person has open; raises NothingFoundError, RefusedError."""

        def accept(connection: Connection) -> Person:
            now = database_now(connection)
            locked_person(connection, person)
            link = _newest_link(connection, person, now)
            if link is None:
                raise RefusedError(f"person {person} has nothing to accept")
            return self._accept(connection, link, now, actor=actor, reason=reason)

        # Not repeatable: an acceptance may open the next link, which nobody vouched for.
        return self._changing.change(accept)

    def resend(self, person: str, *, actor: str, reason: str) -> Person:
        """A fresh link for what a person has open; the old one dies. Raises RefusedError."""

        def send(connection: Connection) -> Person:
            now = database_now(connection)
            found = locked_person(connection, person)
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
            _note(connection, found, "user.resend", now, actor=actor, reason=reason)
            return found

        return self._changing.change(send)

    def open_link(self, person: str, *, account: str | None = None) -> OpenLink:
        """What `revoke` would end; raises NothingFoundError, RefusedError."""
        with translated(), self._database.read() as connection:
            found = _of_account(_person(connection, person), account)
            return _insist_open(connection, found, database_now(connection))

    def revoke(
        self, person: str, *, actor: str, reason: str, account: str | None = None
    ) -> OpenLink:
        """End the open link of a person, whose state stays; `resend` gives them another (E6).

        Raises NothingFoundError, also for a person of another account than the one named, or
        RefusedError where no link is open.
        """

        def end(connection: Connection) -> OpenLink:
            now = database_now(connection)
            found = _of_account(locked_person(connection, person), account)
            link = _insist_open(connection, found, now)
            close_links(connection, [found.id])
            _note(connection, found, "user.revoke_link", now, actor=actor, reason=reason)
            return link

        return self._changing.change(end)

    def _accept(
        self, connection: Connection, link: OpenLink, now: datetime, *, actor: str, reason: str
    ) -> Person:
        """Behind the lock: decide; write the yes, the mails, the audit and the log."""
        directory = SQLDirectory(connection, now)
        before = _person(connection, link.person)
        if before.connection is None or before.user is None:
            changed = [(before, accepted(before, link.kind, link.address))]
        else:
            changed = self._decide(connection, directory, before, link)
        self._write(connection, directory, changed, link, now)
        deed = access_history.Deed(now, actor, reason)
        access_history.note_people(connection, changed, deed)
        done = f"accept_{'invitation' if link.kind is LinkKind.INVITATION else 'address'}"
        for was, after in changed:
            _log(connection, was, after, link, now, action=done, actor=actor, reason=reason)
            announce(connection, of_person(was, after), now=now)
            done = "exchange_address"
        return changed[0][1]

    def _decide(
        self, connection: Connection, directory: SQLDirectory, before: Person, link: OpenLink
    ) -> list[tuple[Person, Person]]:
        """Who was and who is: the member first, then others of the same ring (E8)."""
        user = directory.try_or_lock(user_id(str(before.connection), str(before.user)))
        circle = Circle(directory, before)
        state = _state(directory, user, before, circle)
        policy = policies_of(connection, {user.connection})[user.connection]
        decide = accept_invitation if link.kind is LinkKind.INVITATION else accept_address
        settled = decide(state, policy, link.address)
        subjects = sorted((settled.user, *settled.moved), key=lambda one: (one.connection, one.key))
        written = [user_to_row(one, before.account) for one in subjects]
        bulk.upsert(connection, rows.users, written)
        directory.wake({when_settled(str(row["id"])) for row in written})
        after = {person.id: person for person in settled.people}
        changed = [(before, after.pop(before.id))]
        others = [(circle.before[key], after[key]) for key in sorted(after)]
        return changed + [(was, now) for was, now in others if was != now]

    def _write(
        self,
        connection: Connection,
        directory: SQLDirectory,
        changed: Sequence[tuple[Person, Person]],
        link: OpenLink,
        now: datetime,
    ) -> None:
        connection.execute(
            update(rows.links)
            .where(rows.links.c.id == link.id)
            .values(state="accepted", answered_at=now)
        )
        _cancel_mail_of(connection, link.id, link.kind)
        ordered = sorted((after for _, after in changed), key=lambda person: person.id)
        bulk.upsert(connection, rows.people, [person_to_row(after) for after in ordered])
        move_addresses(connection, directory, changed)
        (_, mine), *others = changed
        follow = [c for was, after in others if (c := follows(was, after)) is not None]
        if (wanted := link_of(mine)) is not None:
            follow.append(Consequence(mine, wanted))
        save_consequences(
            connection, follow, vault=self._vault, now=now, link_seconds=self._link_seconds
        )


def _cancel_mail_of(connection: Connection, link: str, kind: LinkKind) -> None:
    """Whoever was vouched for needs no mail with the link; the note beside it still goes out."""
    notices = rows.notices
    connection.execute(
        update(notices)
        .where(notices.c.link_id == link, notices.c.kind == kind.value)
        .where(notices.c.state.in_(["pending", "failed"]))
        .values(state="cancelled", due_at=None, secret=None)
    )


def _of_account(person: Person, account: str | None) -> Person:
    if account is not None and person.account != account:
        raise NothingFoundError("person", person.id)
    return person


def _insist_open(connection: Connection, person: Person, now: datetime) -> OpenLink:
    link = _newest_link(connection, person.id, now)
    if link is None or link.state != "open":
        raise RefusedError(f"person {person.id} is {person.state.value}: no link is open")
    return link


def _newest_link(connection: Connection, person: str, now: datetime) -> OpenLink | None:
    """What a person has to accept; it may have expired, which binds members, not operators."""
    links = rows.links
    found = (
        connection.execute(
            select(links)
            .where(links.c.person_id == person, links.c.state.in_(["open", "expired"]))
            .order_by(links.c.created_at.desc(), links.c.id)
            .limit(1)
        )
        .mappings()
        .first()
    )
    return _link(dict(found), "", now) if found is not None else None


def _state(directory: SQLDirectory, user: User, person: Person, circle: Circle) -> UserState:
    pinned = None
    if user.pinned is not None:
        pinned = directory.people([user.pinned.person])[user.pinned.person]
    return UserState(
        account=person.account,
        user=user,
        person=person,
        pinned=pinned,
        holder_of=circle.holder_of,
        fresh_id="",
        party_of=circle.party_of,
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
    answered_at = row["answered_at"]
    return OpenLink(
        id=str(row["id"]),
        kind=LinkKind(str(row["kind"])),
        account=account,
        person=str(row["person_id"]),
        address=str(row["address"]),
        state=state,
        was_just_accepted=isinstance(answered_at, datetime) and answered_at > now - PRESSED_AGAIN,
    )


def _person(connection: Connection, person: str) -> Person:
    found = SQLDirectory(connection, database_now(connection)).people([person])
    if person not in found:
        raise NothingFoundError("person", person)
    return found[person]


def _note(
    connection: Connection, person: Person, action: str, now: datetime, *, actor: str, reason: str
) -> None:
    entry = {
        "account_id": person.account,
        "at": now,
        "actor": actor,
        "action": action,
        "subject": person.id,
        "event_id": None,
        "before": None,
        "after": None,
        "reason": reason,
    }
    bulk.insert(connection, rows.audit, [entry])


def _log(
    connection: Connection,
    before: Person,
    after: Person,
    link: OpenLink,
    now: datetime,
    *,
    action: str,
    actor: str,
    reason: str,
) -> None:
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

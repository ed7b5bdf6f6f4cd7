"""Sessions in SQL: a digest of the cookie, whose it is, until when; links that begin them."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime, timedelta

from sqlalchemy import Connection, RowMapping, delete, select, update

from domain.errors import NothingFoundError
from domain.ports import InfrastructureError
from domain.ports_operators import SignedIn
from domain.sign_in import (
    FORGOTTEN_AFTER,
    NOTED_EVERY,
    Operator,
    Session,
    SessionRule,
    Tries,
    Visitor,
    Way,
    one_more,
)
from worker.adapters.db import bulk
from worker.adapters.db.auditing import Deed, audit
from worker.adapters.db.engine import Changing, Database, translated
from worker.adapters.db.family import family_of
from worker.adapters.db.operator_rows import operator_passwords, sessions, sign_in_tries
from worker.adapters.db.operators import (
    LINK,
    SESSION,
    as_operator,
    everybody,
    kind_of,
    operator_named,
)
from worker.adapters.db.uow import database_now
from worker.adapters.vault import new_id, new_token, token_digest


class SQLSessions:
    """Who is signed in, at this moment: nothing is remembered between two requests."""

    def __init__(self, database: Database, rule: SessionRule) -> None:
        self._database = database
        self._rule = rule

    def holder(self, token: str, *, is_use: bool) -> SignedIn | None:
        """See `SessionStore`."""
        with translated(), self._database.read() as connection:
            now = database_now(connection)
            row = _live(connection, token, SESSION, now)
            operator = as_operator(row)
            if row is None or operator is None:
                return None
            account = operator.account
            accounts = None if account is None else family_of(connection, account)
        if is_use and now - row["seen_at"] >= NOTED_EVERY:
            self._note_use(row, now)
        return SignedIn(row["session_id"], operator, accounts)

    def _note_use(self, row: RowMapping, now: datetime) -> None:
        """Where it fails, the next request does."""
        expires_at = self._rule.expires_at(now, row["ends_at"])
        noted = update(sessions).where(sessions.c.id == row["session_id"])
        with suppress(InfrastructureError), translated(), self._database.begin() as connection:
            connection.execute(noted.values(seen_at=now, expires_at=expires_at))
            connection.commit()

    def is_link(self, token: str) -> bool:
        """See `SessionStore`."""
        with translated(), self._database.read() as connection:
            now = database_now(connection)
            return as_operator(_live(connection, token, LINK, now)) is not None

    def use_link(self, token: str, visitor: Visitor, former: str) -> str | None:
        """See `SessionStore`."""

        def use(connection: Connection) -> str | None:
            now = database_now(connection)
            operator = as_operator(_live(connection, token, LINK, now))
            used = delete(sessions).where(sessions.c.hash == token_digest(token))
            # Whoever deletes it has it: of two at the same moment one comes too late.
            if operator is None or connection.execute(used).rowcount == 0:
                return None
            return self._opened(connection, operator, Way.LINK, visitor, former)

        return self._database.change(use)

    def open(self, email: str, way: Way, visitor: Visitor, former: str) -> str | None:
        """See `SessionStore`."""

        def put(connection: Connection) -> str | None:
            operator = operator_named(connection, email)
            if operator is None:
                return None
            return self._opened(connection, operator, way, visitor, former)

        return self._database.change(put)

    def _opened(
        self, connection: Connection, operator: Operator, way: Way, visitor: Visitor, former: str
    ) -> str:
        """A session under a token that nobody has seen before, whatever the browser brought."""
        now = database_now(connection)
        over = (sessions.c.expires_at < now) | (sessions.c.hash == token_digest(former))
        connection.execute(delete(sessions).where(over))
        token, ends_at = new_token(), now + self._rule.whole
        entry = {
            "hash": token_digest(token),
            "operator_id": operator.id,
            "kind": kind_of(SESSION, operator.account),
            "expires_at": self._rule.expires_at(now, ends_at),
            "id": new_id("ses"),
            "way": way.value,
            "address": visitor.address,
            "agent": visitor.shown_agent,
            "made_at": now,
            "seen_at": now,
            "ends_at": ends_at,
        }
        bulk.insert(connection, sessions, [entry])
        told = {"session": entry["id"], "way": way.value, "from": visitor.address}
        deed = _own_deed("operator.sign_in", operator.account, operator.email, after=told)
        audit(connection, now, deed)
        return token

    def end(self, token: str) -> None:
        """See `SessionStore`."""

        def put(connection: Connection) -> None:
            now = database_now(connection)
            row = _live(connection, token, SESSION, now)
            connection.execute(delete(sessions).where(sessions.c.hash == token_digest(token)))
            if row is not None:
                told = {"session": row["session_id"]}
                account, email = row["account_id"], row["email"]
                audit(
                    connection,
                    now,
                    _own_deed("operator.sign_out", account, email, before=told),
                )

        self._database.change(put)

    def password_of(self, email: str) -> str | None:
        """See `SessionStore`."""
        table = operator_passwords
        with translated(), self._database.read() as connection:
            operator = operator_named(connection, email)
            of = operator.id if operator is not None else ""
            found = connection.execute(select(table.c.hash).where(table.c.operator_id == of))
            return found.scalar()

    def has_passwords(self) -> bool:
        """Whether anybody signs in by one."""
        with translated(), self._database.read() as connection:
            found = connection.execute(select(operator_passwords.c.operator_id).limit(1))
            return found.first() is not None

    def take_try(self, keys: Mapping[str, int]) -> timedelta:
        """See `SessionStore`."""

        def take(connection: Connection) -> timedelta:
            now = database_now(connection)
            table = sign_in_tries
            connection.execute(delete(table).where(table.c.last_at < now - FORGOTTEN_AFTER))
            known = {key: _tries(connection, key, now) for key in sorted(keys)}
            wait = max(tries.wait(now) for tries in known.values())
            if wait > timedelta():
                return wait
            for key, tries in known.items():
                after = one_more(tries, now, keys[key])
                connection.execute(
                    update(table)
                    .where(table.c.key == token_digest(key))
                    .values(count=after.count, last_at=after.last_at, free_at=after.free_at)
                )
            return wait

        return self._database.change(take)

    def was_right(self, name: str, address: str) -> None:
        """See `SessionStore`."""
        table = sign_in_tries

        def take_back(connection: Connection) -> None:
            now = database_now(connection)
            connection.execute(delete(table).where(table.c.key == token_digest(name)))
            connection.execute(
                update(table)
                .where(table.c.key == token_digest(address), table.c.count > 0)
                .values(count=table.c.count - 1, free_at=now)
            )

        self._database.change(take_back)


class SQLSessionList:
    """Sessions as operators look at them and end them."""

    def __init__(self, database: Database, changing: Changing | None = None) -> None:
        self._database = database
        self._changing: Changing = changing or database

    def all(self, accounts: frozenset[str] | None, email: str | None = None) -> list[Session]:
        """Live sessions of operators of these accounts, None for all, last used first."""
        known = everybody()
        with translated(), self._database.read() as connection:
            found = (
                select(sessions, known.c.email, known.c.account_id)
                .join(known, known.c.id == sessions.c.operator_id)
                .where(sessions.c.id.is_not(None))
                .where(sessions.c.expires_at > database_now(connection))
                .order_by(sessions.c.seen_at.desc(), sessions.c.id)
            )
            if accounts is not None:
                found = found.where(known.c.account_id.in_(sorted(accounts)))
            if email is not None:
                found = found.where(known.c.email == email)
            return [_session(row) for row in connection.execute(found).mappings()]

    def end(self, ended: list[Session], *, actor: str, reason: str) -> None:
        """End sessions at once; raises NothingFoundError where none is left to be ended."""

        def put(connection: Connection) -> None:
            now, left = database_now(connection), 0
            for one in ended:
                gone = connection.execute(delete(sessions).where(sessions.c.id == one.id)).rowcount
                left += gone
                if gone == 0:
                    # Whoever signed out themselves meanwhile keeps no other session alive.
                    continue
                before = {"session": one.id, "way": one.way, "from": one.address}
                deed = Deed(
                    "operator.end_session", one.email, one.account, actor, reason, before=before
                )
                audit(connection, now, deed)
            if ended and not left:
                raise NothingFoundError("live session", ended[0].id)

        self._changing.change(put)


def _session(row: RowMapping) -> Session:
    names = (
        "id",
        "email",
        "way",
        "address",
        "agent",
        "made_at",
        "seen_at",
        "expires_at",
        "ends_at",
    )
    return Session(account=row["account_id"], **{name: row[name] for name in names})


def _live(connection: Connection, token: str, kind: str, now: datetime) -> RowMapping | None:
    """A live link or session with its operator as they are now."""
    table, known = sessions, everybody()
    row = (
        connection.execute(
            select(known, table.c.kind, table.c.seen_at, table.c.ends_at)
            .add_columns(table.c.id.label("session_id"))
            .join(table, table.c.operator_id == known.c.id)
            .where(table.c.hash == token_digest(token), table.c.expires_at > now)
        )
        .mappings()
        .first()
    )
    is_meant = row is not None and row["kind"] == kind_of(kind, row["account_id"])
    is_ours = row is not None and (kind == LINK or row["session_id"] is not None)
    return row if is_meant and is_ours else None


def _tries(connection: Connection, key: str, now: datetime) -> Tries:
    """The tries of a key, locked: its row is made where there is none."""
    table, digest = sign_in_tries, token_digest(key)
    entry = {"key": digest, "count": 0, "last_at": now, "free_at": now}
    bulk.insert(connection, table, [entry], conflict="ON CONFLICT (key) DO NOTHING")
    known = select(table).where(table.c.key == digest).with_for_update()
    row = connection.execute(known).mappings().one()
    return Tries(row["count"], row["last_at"], row["free_at"])


def _own_deed(
    action: str, account: str | None, email: str, *, before: object = None, after: object = None
) -> Deed:
    """What an operator did to a session of their own."""
    return Deed(action, email, account, f"operator:{email}", "", before, after)

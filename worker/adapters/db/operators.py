"""Operators and their sessions: one-time links in, cookies while they stay; digests only."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from sqlalchemy import Connection, Subquery, Text, cast, delete, null, select, union_all, update

from domain.errors import NothingFoundError, UsageError
from worker.adapters.db import bulk, rows
from worker.adapters.db.engine import Database, translated
from worker.adapters.db.operator_rows import account_operators
from worker.adapters.db.uow import database_now
from worker.adapters.vault import new_id, new_token, token_digest

ROLES = ("viewer", "operator", "editor", "admin")
LINK_LIFE = timedelta(minutes=15)
SESSION_LIFE = timedelta(hours=12)
DEMO_OPERATOR = "demo@localhost"


@dataclass(frozen=True, slots=True)
class SignedIn:
    """Who looks. account: id of the one that the operator belongs to (C4), None for all."""

    operator: str
    account: str | None


class SQLOperators:
    """Who may look, and how they get in."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, email: str, role: str, *, account: str | None = None) -> str:
        """A new operator, of an account and its children or of all; raises UsageError."""
        _check_role(role)
        with translated(), self._database.begin() as connection:
            if _operator(connection, email) is not None:
                raise UsageError(f"{email} is an operator already")
            entry = {
                "id": new_id("opr"),
                "email": email,
                "role": role,
                "created_at": database_now(connection),
            }
            if account is None:
                bulk.insert(connection, rows.operators, [entry])
            else:
                bulk.insert(connection, account_operators, [{**entry, "account_id": account}])
            connection.commit()
        return str(entry["id"])

    def set_role(self, email: str, role: str) -> None:
        """Another role; raises UsageError or NothingFoundError."""
        _check_role(role)
        done = 0
        with translated(), self._database.begin() as connection:
            for table in (rows.operators, account_operators):
                changed = update(table).where(table.c.email == email).values(role=role)
                done += connection.execute(changed).rowcount
            if done == 0:
                raise NothingFoundError("operator", email)
            connection.commit()

    def all(self) -> list[dict[str, Any]]:
        """Operators by address; account: the name of the one that they belong to."""
        table, accounts = _everybody(), rows.accounts
        with translated(), self._database.read() as connection:
            found = connection.execute(
                select(table, accounts.c.name.label("account"))
                .outerjoin(accounts, accounts.c.id == table.c.account_id)
                .order_by(table.c.email)
            ).mappings()
            return [dict(row) for row in found]

    def link(self, email: str) -> str:
        """A token for one sign-in within a quarter of an hour; raises NothingFoundError."""
        with translated(), self._database.begin() as connection:
            operator = _operator(connection, email)
            if operator is None:
                raise NothingFoundError("operator", email)
            token = _session(connection, operator, "link", LINK_LIFE)
            connection.commit()
            return token

    def is_link(self, token: str) -> bool:
        """Whether a sign-in link would work; looking does not use it up."""
        with translated(), self._database.read() as connection:
            return _holder(connection, token, "link") is not None

    def sign_in(self, token: str) -> str | None:
        """Use a link up; a session's token, or None if the link is not good."""
        table = rows.sessions
        with translated(), self._database.begin() as connection:
            operator = _holder(connection, token, "link")
            if operator is None:
                return None
            now = database_now(connection)
            connection.execute(
                delete(table).where(
                    (table.c.hash == token_digest(token)) | (table.c.expires_at < now)
                )
            )
            session = _session(connection, operator, "session", SESSION_LIFE)
            connection.commit()
            return session

    def signed_in(self, token: str) -> SignedIn | None:
        """Whose session it is, if it is live."""
        with translated(), self._database.read() as connection:
            return _holder(connection, token, "session")

    def sign_out(self, token: str) -> None:
        """End a session."""
        table = rows.sessions
        with translated(), self._database.begin() as connection:
            connection.execute(delete(table).where(table.c.hash == token_digest(token)))
            connection.commit()

    def demo_link(self) -> str:
        """A sign-in token for whoever runs the demo."""
        with translated(), self._database.read() as connection:
            is_known = _operator(connection, DEMO_OPERATOR) is not None
        if not is_known:
            self.add(DEMO_OPERATOR, "viewer")
        return self.link(DEMO_OPERATOR)


def may_read_metrics(database: Database, token: str) -> bool:
    """Whether a bearer token is live and has the scope `metrics` (C3).

    Metrics tell of every account: a token that belongs to one does not read them.
    """
    table = rows.tokens
    with translated(), database.read() as connection:
        now = database_now(connection)
        found = connection.execute(
            select(table.c.scopes)
            .where(table.c.hash == token_digest(token), table.c.revoked_at.is_(None))
            .where(table.c.account_id.is_(None))
            .where(table.c.expires_at.is_(None) | (table.c.expires_at > now))
        ).scalar()
    return found is not None and "metrics" in str(found).split()


def _check_role(role: str) -> None:
    if role not in ROLES:
        raise UsageError(f"role {role!r} is unknown; there are: {', '.join(ROLES)}")


def _everybody() -> Subquery:
    """Operators of the installation and those of one account."""
    ours, theirs = rows.operators, account_operators
    names = ("id", "email", "role", "created_at")
    return union_all(
        select(*(ours.c[name] for name in names), cast(null(), Text).label("account_id")),
        select(*(theirs.c[name] for name in names), theirs.c.account_id),
    ).subquery()


def _operator(connection: Connection, email: str) -> SignedIn | None:
    table = _everybody()
    found = connection.execute(
        select(table.c.id, table.c.account_id)
        .where(table.c.email == email)
        # Two commands at the same moment may have made both: the narrower one counts.
        .order_by(table.c.account_id.is_(None))
    ).first()
    return SignedIn(found.id, found.account_id) if found is not None else None


def _kind(kind: str, account: str | None) -> str:
    return kind if account is None else f"account_{kind}"


def _session(connection: Connection, of: SignedIn, kind: str, life: timedelta) -> str:
    token = new_token()
    entry = {
        "hash": token_digest(token),
        "operator_id": of.operator,
        "kind": _kind(kind, of.account),
        "expires_at": database_now(connection) + life,
    }
    bulk.insert(connection, rows.sessions, [entry])
    return token


def _holder(connection: Connection, token: str, kind: str) -> SignedIn | None:
    table, known = rows.sessions, _everybody()
    found = connection.execute(
        select(table.c.kind, known.c.id, known.c.account_id)
        .join(known, known.c.id == table.c.operator_id)
        .where(table.c.hash == token_digest(token), table.c.expires_at > database_now(connection))
    ).first()
    if found is None or found.kind != _kind(kind, found.account_id):
        return None
    return SignedIn(found.id, found.account_id)

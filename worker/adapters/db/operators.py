"""Operators in SQL: who they are and what they may; each change with its audit row."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import (
    Connection,
    RowMapping,
    Subquery,
    Text,
    cast,
    delete,
    func,
    null,
    select,
    union_all,
    update,
)

from domain.errors import NothingFoundError, UsageError
from domain.permissions import Role
from domain.sign_in import LINK_LIFE, Operator, operator_key
from worker.adapters.db import bulk, rows
from worker.adapters.db.auditing import Deed, audit
from worker.adapters.db.engine import Changing, Database, translated
from worker.adapters.db.operator_rows import (
    account_operators,
    operator_passwords,
    operators,
    sessions,
)
from worker.adapters.db.uow import database_now
from worker.adapters.vault import new_id, new_token, token_digest

#: The kinds of rows in `sessions`; those of an account's operators are `account_` and this.
LINK, SESSION = "link", "session"


class SQLOperators:
    """Operators of the installation and of accounts. actor: who the audit says did it.

    changing: whose transactions changes are made in, where not the database's own.
    """

    def __init__(self, database: Database, changing: Changing | None = None) -> None:
        self._database = database
        self._changing: Changing = changing or database

    def one(self, email: str) -> Operator | None:
        """The operator of this address."""
        with translated(), self._database.read() as connection:
            return operator_named(connection, email)

    def all(self, accounts: frozenset[str] | None) -> list[dict[str, Any]]:
        """Operators of these accounts by address, None for all; account: its name."""
        table, named = everybody(), rows.accounts
        found = (
            select(table, named.c.name.label("account"), operator_passwords.c.changed_at)
            .outerjoin(named, named.c.id == table.c.account_id)
            .outerjoin(operator_passwords, operator_passwords.c.operator_id == table.c.id)
            .order_by(table.c.email)
        )
        if accounts is not None:
            found = found.where(table.c.account_id.in_(sorted(accounts)))
        with translated(), self._database.read() as connection:
            seen = _last_seen(connection)
            return [_shown(row, seen) for row in connection.execute(found).mappings()]

    def add(self, email: str, role: Role, account: str | None, *, actor: str, reason: str) -> str:
        """The id of a new operator, of an account and its children or of all; or UsageError."""
        entry: dict[str, Any] = {"id": new_id("opr"), "email": email, "role": role.value}

        def put(connection: Connection) -> str:
            if operator_named(connection, email) is not None:
                raise UsageError(f"{email} is an operator already")
            entry["created_at"] = now = database_now(connection)
            if account is None:
                bulk.insert(connection, operators, [entry])
            else:
                bulk.insert(connection, account_operators, [{**entry, "account_id": account}])
            after = {"role": role.value}
            deed = Deed("operator.add", email, account, actor, reason, after=after)
            audit(connection, now, deed)
            return str(entry["id"])

        return self._changing.change(put)

    def set_role(self, operator: Operator, role: Role, *, actor: str, reason: str) -> None:
        """Another role, from their next request on."""

        def put(connection: Connection) -> None:
            table = _table(operator)
            changed = update(table).where(table.c.id == operator.id).values(role=role.value)
            _found(connection.execute(changed).rowcount, operator)
            before, after = {"role": operator.role.value}, {"role": role.value}
            deed = _deed("operator.role", operator, actor, reason, before=before, after=after)
            audit(connection, database_now(connection), deed)

        self._changing.change(put)

    def remove(self, operator: Operator, *, actor: str, reason: str) -> None:
        """No operator any more: sessions, links and the password go with them."""

        def put(connection: Connection) -> None:
            table = _table(operator)
            gone = connection.execute(delete(table).where(table.c.id == operator.id)).rowcount
            _found(gone, operator)
            for theirs in (sessions, operator_passwords):
                connection.execute(delete(theirs).where(theirs.c.operator_id == operator.id))
            before = {"role": operator.role.value}
            deed = _deed("operator.remove", operator, actor, reason, before=before)
            audit(connection, database_now(connection), deed)

        self._changing.change(put)

    def link(self, operator: Operator, *, actor: str, reason: str) -> str:
        """A token for one sign-in, soon."""
        token = new_token()

        def put(connection: Connection) -> str:
            now = database_now(connection)
            entry = {
                "hash": token_digest(token),
                "operator_id": operator.id,
                "kind": kind_of(LINK, operator.account),
                "expires_at": now + LINK_LIFE,
            }
            bulk.insert(connection, sessions, [entry])
            audit(connection, now, _deed("operator.link", operator, actor, reason))
            return token

        return self._changing.change(put)

    def set_password(
        self, operator: Operator, stored: str | None, *, actor: str, reason: str
    ) -> None:
        """Another password, or none any more; whoever is signed in with the former one is out."""

        def put(connection: Connection) -> None:
            now = database_now(connection)
            table = operator_passwords
            connection.execute(delete(table).where(table.c.operator_id == operator.id))
            if stored is not None:
                entry = {"operator_id": operator.id, "hash": stored, "changed_at": now}
                bulk.insert(connection, table, [entry])
            connection.execute(
                delete(sessions)
                .where(sessions.c.operator_id == operator.id)
                .where(sessions.c.kind == kind_of(SESSION, operator.account))
            )
            told = "operator.password" if stored is not None else "operator.no_password"
            audit(connection, now, _deed(told, operator, actor, reason))

        self._changing.change(put)


def operator_named(connection: Connection, email: str) -> Operator | None:
    """The operator of this address, as it is written or else in another case of its letters."""
    table = everybody()
    found = connection.execute(
        select(table)
        .where(func.lower(table.c.email) == operator_key(email))
        # Two commands at the same moment may have made both: the narrower one counts.
        .order_by(table.c.email != email, table.c.account_id.is_(None))
    ).mappings()
    return as_operator(next(iter(found), None))


def as_operator(row: RowMapping | None) -> Operator | None:
    """The operator of a row of `everybody`; nobody if a later release gave a role of its own."""
    if row is None or row["role"] not in tuple(Role):
        return None
    return Operator(row["id"], row["email"], Role(row["role"]), row["account_id"])


def everybody() -> Subquery:
    """Operators of the installation and those of one account."""
    names = ("id", "email", "role", "created_at")
    return union_all(
        select(*(operators.c[name] for name in names), cast(null(), Text).label("account_id")),
        select(*(account_operators.c[name] for name in names), account_operators.c.account_id),
    ).subquery()


def kind_of(kind: str, account: str | None) -> str:
    """The kind of a link or session of an operator of this account, None for one of all."""
    return kind if account is None else f"account_{kind}"


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


def _table(operator: Operator) -> Any:
    return operators if operator.account is None else account_operators


def _found(count: int, operator: Operator) -> None:
    if count == 0:
        raise NothingFoundError("operator", operator.email)


def _last_seen(connection: Connection) -> dict[str, datetime]:
    seen = func.max(sessions.c.seen_at)
    found = select(sessions.c.operator_id, seen).group_by(sessions.c.operator_id)
    return {id_: at for id_, at in connection.execute(found) if at is not None}


def _shown(row: RowMapping, seen: Mapping[str, datetime]) -> dict[str, Any]:
    told = {name: row[name] for name in ("id", "email", "role", "account_id", "account")}
    return {
        **told,
        "created_at": row["created_at"],
        "has_password": row["changed_at"] is not None,
        "seen_at": seen.get(row["id"]),
    }


def _deed(
    action: str,
    operator: Operator,
    actor: str,
    reason: str,
    *,
    before: object = None,
    after: object = None,
) -> Deed:
    return Deed(action, operator.email, operator.account, actor, reason, before, after)

"""Accounts, domains, connections, feeds and tokens in SQL: what operators set up."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson
from sqlalchemy import Connection, delete, func, select, update

from domain.connecting import check_sole_connection
from domain.errors import NothingFoundError, RefusedError, UsageError
from domain.intake import FeedView
from domain.keys import address_id
from domain.model import Person, PersonState, Role
from domain.policy import BUILT_IN_GROUPS, Scope
from domain.ports import SigningSecret
from worker.adapters.db import bulk, rows
from worker.adapters.db.engine import Database, translated
from worker.adapters.db.mapping import person_to_row
from worker.adapters.db.uow import database_now
from worker.adapters.vault import Vault, new_id, new_token, token_digest


@dataclass(frozen=True, slots=True)
class NewConnection:
    """What is shown once: the ids and secrets of a fresh connection."""

    id: str
    feed: str
    signing_secret: str
    bearer_token: str


class SQLSetup:
    """Set-up inside one transaction; every change leaves an audit row."""

    def __init__(self, connection: Connection, vault: Vault, *, actor: str) -> None:
        self._connection = connection
        self._vault = vault
        self._actor = actor
        self.now = database_now(connection)

    def audit(
        self,
        account: str | None,
        action: str,
        subject: str,
        *,
        reason: str = "",
        before: object = None,
        after: object = None,
    ) -> None:
        """One row that says who did what, to what, why."""
        bulk.insert(
            self._connection,
            rows.audit,
            [
                {
                    "account_id": account,
                    "at": self.now,
                    "actor": self._actor,
                    "action": action,
                    "subject": subject,
                    "event_id": None,
                    "before": orjson.dumps(before),
                    "after": orjson.dumps(after),
                    "reason": reason,
                }
            ],
        )

    # -- accounts ----------------------------------------------------------------------

    def add_account(
        self,
        name: str,
        *,
        owner: str | None,
        domains: Sequence[str],
        parent: str | None,
        several: bool,
    ) -> str:
        """An account with the five built-in groups and at most one owner; returns its id."""
        table = rows.accounts
        taken = select(table.c.id).where(table.c.name == name)
        if self._connection.execute(taken).first() is not None:
            raise UsageError(f"there is an account named {name!r} already")
        account = new_id("acc")
        parent_id = self.account(parent)["id"] if parent is not None else None
        bulk.insert(
            self._connection,
            table,
            [
                {
                    "id": account,
                    "name": name,
                    "parent_id": parent_id,
                    "allows_several": several,
                    "created_at": self.now,
                }
            ],
        )
        built_in = [
            {"account_id": account, "name": group, "is_built_in": True} for group in BUILT_IN_GROUPS
        ]
        bulk.insert(self._connection, rows.account_groups, built_in)
        for domain in domains:
            self._insert_domain(account, domain)
        if owner is not None:
            self.add_person(account, owner, role=Role.OWNER, state=PersonState.ACTIVE)
        self.audit(account, "account.add", account, after={"name": name, "domains": list(domains)})
        return account

    def account(self, name: str) -> dict[str, Any]:
        """An account by name or id; raises NothingFoundError."""
        table = rows.accounts
        found = (
            self._connection.execute(
                select(table).where((table.c.name == name) | (table.c.id == name))
            )
            .mappings()
            .first()
        )
        if found is None:
            raise NothingFoundError("account", name)
        return dict(found)

    def accounts(self) -> list[dict[str, Any]]:
        """All accounts, by name."""
        table = rows.accounts
        return [
            dict(r)
            for r in self._connection.execute(select(table).order_by(table.c.name)).mappings()
        ]

    def add_person(
        self,
        account: str,
        email: str,
        *,
        role: Role,
        state: PersonState,
        profile: dict[str, str] | None = None,
    ) -> str:
        """A person whom no identity provider made; raises RefusedError if the address is taken."""
        person = Person(
            id=new_id("usr"),
            account=account,
            email=email,
            requested=email,
            state=state,
            is_accepted=state is PersonState.ACTIVE,
            role=role,
            profile=profile or {},
        )
        key = address_id(account, email)
        table = rows.addresses
        held = self._connection.execute(select(table.c.person_id).where(table.c.id == key)).scalar()
        if held is not None:
            raise RefusedError(f"{email} belongs to person {held} of this account already (E8)")
        bulk.upsert(self._connection, table, [{"id": key, "person_id": person.id}])
        bulk.insert(self._connection, rows.people, [person_to_row(person)])
        self.audit(account, "user.add", person.id, after={"email": email, "role": role.value})
        return person.id

    # -- domains -----------------------------------------------------------------------

    def allow_domain(self, account: str, domain: str) -> bool:
        """E4: put a domain on the account's list; whether it was not on it."""
        if domain in self.domains(account):
            return False
        self._insert_domain(account, domain)
        self.audit(account, "domain.allow", domain)
        return True

    def _insert_domain(self, account: str, domain: str) -> None:
        new = [{"account_id": account, "domain": domain, "created_at": self.now}]
        bulk.insert(self._connection, rows.domains, new, conflict="ON CONFLICT DO NOTHING")

    def forbid_domain(self, account: str, domain: str) -> bool:
        """Take a domain off the list; whether it was on it. Nobody is changed by that."""
        table = rows.domains
        gone = self._connection.execute(
            delete(table).where(table.c.account_id == account, table.c.domain == domain)
        )
        self.audit(account, "domain.forbid", domain)
        return gone.rowcount > 0

    def domains(self, account: str) -> list[str]:
        """Allowed domains, sorted."""
        table = rows.domains
        found = self._connection.execute(
            select(table.c.domain).where(table.c.account_id == account).order_by(table.c.domain)
        )
        return [row.domain for row in found]

    # -- connections -------------------------------------------------------------------

    def add_connection(
        self,
        account: dict[str, Any],
        *,
        name: str,
        source: str,
        scope: Scope,
        settings: dict[str, str],
        secret: str,
        observe: bool,
    ) -> NewConnection:
        """A connection with its first feed, secret and bearer token (C1)."""
        mine = self.connections(account["id"])
        if any(row["name"] == name for row in mine):
            raise UsageError(f"account {account['name']} has a connection named {name!r} already")
        check_sole_connection(
            [row["state"] for row in mine],
            allows_several=account["allows_several"],
            account=account["name"],
        )
        connection = new_id("con")
        bulk.insert(
            self._connection,
            rows.connections,
            [
                {
                    "id": connection,
                    "account_id": account["id"],
                    "name": name,
                    "source": source,
                    "state": "observing" if observe else "active",
                    "scope_rule": scope.rule.value,
                    "scope_keys": json.dumps(sorted(scope.keys)),
                    "settings": json.dumps(settings, sort_keys=True),
                    "created_at": self.now,
                }
            ],
        )
        self.audit(
            account["id"],
            "connection.add",
            connection,
            after={"name": name, "source": source, "scope": scope.rule.value},
        )
        feed = self.add_feed(account["id"], connection, source=source, secret=secret)
        token = self.add_token(
            account["id"], name=f"{name} feed", scopes=["scim:read", "scim:write"], feed=feed
        )
        return NewConnection(connection, feed, secret, token)

    def add_feed(self, account: str, connection: str, *, source: str, secret: str) -> str:
        """A further way in which the IdP of a connection speaks; returns the feed's id."""
        feed = new_id("fed")
        bulk.insert(
            self._connection,
            rows.feeds,
            [
                {
                    "id": feed,
                    "connection_id": connection,
                    "source": source,
                    "state": "active",
                    "created_at": self.now,
                    "last_heard_at": None,
                }
            ],
        )
        self.add_secret(feed, secret)
        self.audit(account, "feed.add", feed, after={"connection": connection, "source": source})
        return feed

    def add_secret(self, feed: str, secret: str) -> None:
        """A further live secret; those before it stay until they expire (C3)."""
        row = {
            "id": new_id("sec"),
            "feed_id": feed,
            "ciphertext": self._vault.seal(secret.encode()),
            "created_at": self.now,
            "expires_at": None,
        }
        bulk.insert(self._connection, rows.feed_secrets, [row])

    def rotate_secret(self, account: str, feed: str, secret: str, *, old_until: datetime) -> None:
        """C3: the new secret lives at once, the old ones until the given moment."""
        table = rows.feed_secrets
        self._connection.execute(
            update(table)
            .where(table.c.feed_id == feed, table.c.expires_at.is_(None))
            .values(expires_at=old_until)
        )
        self.add_secret(feed, secret)
        self.audit(account, "feed.rotate", feed, after={"old_until": old_until.isoformat()})

    def connections(self, account: str | None = None) -> list[dict[str, Any]]:
        """Connections, of one account or all, by name."""
        table = rows.connections
        statement = select(table).order_by(table.c.account_id, table.c.name)
        if account is not None:
            statement = statement.where(table.c.account_id == account)
        return [dict(row) for row in self._connection.execute(statement).mappings()]

    def connection(self, name: str) -> dict[str, Any]:
        """A connection by id, or by a name that only one has; raises NothingFoundError."""
        table = rows.connections
        found = (
            self._connection.execute(
                select(table).where((table.c.id == name) | (table.c.name == name))
            )
            .mappings()
            .all()
        )
        if not found:
            raise NothingFoundError("connection", name)
        if len(found) > 1:
            raise UsageError(f"{len(found)} connections are named {name!r}: use the id")
        return dict(found[0])

    def feeds(self, connection: str) -> list[dict[str, Any]]:
        """Feeds of a connection, oldest first."""
        table = rows.feeds
        return [
            dict(row)
            for row in self._connection.execute(
                select(table)
                .where(table.c.connection_id == connection)
                .order_by(table.c.created_at)
            ).mappings()
        ]

    def feed(self, name: str) -> dict[str, Any]:
        """A feed by id, with its account; raises NothingFoundError."""
        feeds, connections = rows.feeds, rows.connections
        found = (
            self._connection.execute(
                select(feeds, connections.c.account_id)
                .join(connections, connections.c.id == feeds.c.connection_id)
                .where(feeds.c.id == name)
            )
            .mappings()
            .first()
        )
        if found is None:
            raise NothingFoundError("feed", name)
        return dict(found)

    def refused_for_domain(self, account: str, domain: str) -> int:
        """Open dead letters of an account that were refused because of this domain (E4)."""
        table = rows.dead_letters
        found = self._connection.execute(
            select(func.count())
            .select_from(table)
            .where(table.c.account_id == account, table.c.state == "open")
            .where(table.c.reason == "domain_not_allowed")
            .where(table.c.last_error.startswith(f"domain {domain} ", autoescape=True))
        )
        return int(found.scalar_one())

    def set_connection_state(self, connection: dict[str, Any], state: str, *, reason: str) -> int:
        """C2: pause or resume; how many events were held or released."""
        events, table = rows.events, rows.connections
        self._connection.execute(
            update(table).where(table.c.id == connection["id"]).values(state=state)
        )
        mine = events.c.connection_id == connection["id"]
        if state == "active":
            moved = self._connection.execute(
                update(events)
                .where(mine, events.c.state == "held")
                .values(state="pending", due_at=self.now)
            ).rowcount
        else:
            moved = self._connection.execute(
                update(events)
                .where(mine, events.c.state.in_(["pending", "retrying", "waiting"]))
                .values(state="held", due_at=None)
            ).rowcount
        self.audit(connection["account_id"], f"connection.{state}", connection["id"], reason=reason)
        return moved

    # -- tokens ------------------------------------------------------------------------

    def add_token(
        self,
        account: str | None,
        *,
        name: str,
        scopes: Sequence[str],
        feed: str | None = None,
        expires_at: datetime | None = None,
    ) -> str:
        """A bearer token, shown once and stored as a digest (C3, D18)."""
        token = f"rst_{new_token()}"
        bulk.insert(
            self._connection,
            rows.tokens,
            [
                {
                    "id": new_id("tok"),
                    "prefix": token[:12],
                    "hash": token_digest(token),
                    "account_id": account,
                    "feed_id": feed,
                    "name": name,
                    "scopes": " ".join(scopes),
                    "created_at": self.now,
                    "expires_at": expires_at,
                    "last_used_at": None,
                    "revoked_at": None,
                }
            ],
        )
        return token

    def tokens(self) -> list[dict[str, Any]]:
        """All tokens without anything that lets somebody in."""
        table = rows.tokens
        shown = [c for c in table.c if c.name != "hash"]
        return [
            dict(r)
            for r in self._connection.execute(
                select(*shown).order_by(table.c.created_at)
            ).mappings()
        ]

    def revoke_token(self, token: str, *, reason: str) -> None:
        """Dead at once; raises NothingFoundError."""
        table = rows.tokens
        gone = self._connection.execute(
            update(table)
            .where(
                (table.c.id == token) | (table.c.prefix == token[:12]), table.c.revoked_at.is_(None)
            )
            .values(revoked_at=self.now)
        )
        if gone.rowcount == 0:
            raise NothingFoundError("live token", token)
        self.audit(None, "token.revoke", token[:12], reason=reason)


@contextmanager
def setting_up(database: Database, vault: Vault, *, actor: str) -> Iterator[SQLSetup]:
    """Set-up in one transaction, committed at the end unless something was raised."""
    with translated(), database.begin() as connection:
        yield SQLSetup(connection, vault, actor=actor)
        connection.commit()


def feed_view(connection: Connection, vault: Vault, feed: str) -> FeedView | None:
    """What ingest needs of a feed, its live secrets opened; None if there is no such feed."""
    feeds, connections, secrets = rows.feeds, rows.connections, rows.feed_secrets
    found = connection.execute(
        select(
            feeds.c.source,
            feeds.c.state,
            connections.c.id,
            connections.c.account_id,
            connections.c.state.label("connection_state"),
        )
        .join(connections, connections.c.id == feeds.c.connection_id)
        .where(feeds.c.id == feed)
    ).first()
    if found is None or found.state == "retired" or found.connection_state == "retired":
        return None
    now = database_now(connection)
    live = connection.execute(
        select(secrets.c.id, secrets.c.ciphertext)
        .where(secrets.c.feed_id == feed)
        .where(secrets.c.expires_at.is_(None) | (secrets.c.expires_at > now))
        .order_by(secrets.c.created_at.desc())
    )
    return FeedView(
        id=feed,
        connection=found.id,
        account=found.account_id,
        source=found.source,
        is_held=found.connection_state != "active" or found.state != "active",
        secrets=tuple(SigningSecret(row.id, vault.open(row.ciphertext).decode()) for row in live),
    )

"""Connections, feeds and their signing secrets in SQL."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, select, update

from domain.connecting import check_sole_connection
from domain.errors import NothingFoundError, RefusedError, UsageError
from domain.policy import Scope
from worker.adapters.db import bulk, rows
from worker.adapters.db.setup_tokens import TokenSetup
from worker.adapters.vault import new_id


@dataclass(frozen=True, slots=True)
class NewConnection:
    """What is shown once: the ids and secrets of a fresh connection."""

    id: str
    feed: str
    signing_secret: str
    bearer_token: str


class ConnectionSetup(TokenSetup):
    """Connections with their feeds."""

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
            self.sql,
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
            self.sql,
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
            "ciphertext": self.vault.seal(secret.encode()),
            "created_at": self.now,
            "expires_at": None,
        }
        bulk.insert(self.sql, rows.feed_secrets, [row])

    def rotate_secret(self, account: str, feed: str, secret: str, *, old_until: datetime) -> None:
        """C3: the new secret lives at once, the old ones until the given moment."""
        table = rows.feed_secrets
        self.sql.execute(
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
        return [dict(row) for row in self.sql.execute(statement).mappings()]

    def connection(self, name: str, *, account: str | None = None) -> dict[str, Any]:
        """A connection by id, or by a name that only one has; raises NothingFoundError.

        account: only its connections count; another account's is as unknown as one that is not.
        """
        table = rows.connections
        statement = select(table).where((table.c.id == name) | (table.c.name == name))
        if account is not None:
            statement = statement.where(table.c.account_id == account)
        found = self.sql.execute(statement).mappings().all()
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
            for row in self.sql.execute(
                select(table)
                .where(table.c.connection_id == connection)
                .order_by(table.c.created_at)
            ).mappings()
        ]

    def feed(self, name: str) -> dict[str, Any]:
        """A feed by id, with its account; raises NothingFoundError."""
        feeds, connections = rows.feeds, rows.connections
        found = (
            self.sql.execute(
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

    def set_connection_state(self, connection: dict[str, Any], state: str, *, reason: str) -> int:
        """C2: pause or resume; how many events were held or released."""
        table = rows.connections
        self.sql.execute(update(table).where(table.c.id == connection["id"]).values(state=state))
        mine = rows.events.c.connection_id == connection["id"]
        # What a feed of its own accord holds stays held.
        paused = select(rows.feeds.c.id).where(rows.feeds.c.state == "paused")
        ready = mine & rows.events.c.feed_id.not_in(paused)
        moved = self._release(ready) if state == "active" else self._hold(mine)
        self.audit(connection["account_id"], f"connection.{state}", connection["id"], reason=reason)
        return moved

    def set_feed_state(self, feed: dict[str, Any], state: str, *, reason: str) -> int:
        """Pause, resume or retire one feed; how many events were held or released.

        A retired feed answers 401 from now on; what it has told is still applied. Raises
        RefusedError for a feed that is retired already.
        """
        table = rows.feeds
        if feed["state"] == "retired":
            raise RefusedError(f"feed {feed['id']} is retired: add a new one")
        self.sql.execute(update(table).where(table.c.id == feed["id"]).values(state=state))
        mine = rows.events.c.feed_id == feed["id"]
        active = select(rows.connections.c.id).where(rows.connections.c.state == "active")
        ready = mine & rows.events.c.connection_id.in_(active)
        moved = self._hold(mine) if state == "paused" else self._release(ready)
        self.audit(feed["account_id"], f"feed.{state}", feed["id"], reason=reason)
        return moved

    def _hold(self, mine: ColumnElement[bool]) -> int:
        events = rows.events
        return self.sql.execute(
            update(events)
            .where(mine, events.c.state.in_(["pending", "retrying", "waiting"]))
            .values(state="held", due_at=None)
        ).rowcount

    def _release(self, mine: ColumnElement[bool]) -> int:
        events = rows.events
        return self.sql.execute(
            update(events)
            .where(mine, events.c.state == "held")
            .values(state="pending", due_at=self.now)
        ).rowcount

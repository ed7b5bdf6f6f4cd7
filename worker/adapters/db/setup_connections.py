"""Connections, feeds and their signing secrets in SQL."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, func, select, update

from domain.connecting import check_sole_connection
from domain.errors import NothingFoundError, RefusedError, UsageError
from domain.inbox import Reason
from domain.own_groups import PROVISION_MANAGERS
from domain.policy import Scope
from worker.adapters.db import bulk, rows
from worker.adapters.db.groups_by_hand import make_built_in
from worker.adapters.db.mirroring import fill
from worker.adapters.db.setup_tokens import TokenSetup
from worker.adapters.sources.scim import NAME as SCIM
from worker.adapters.vault import new_id

#: Rows that one statement moves: far below the ten seconds that a statement may take.
AT_ONCE = 10_000


@dataclass(frozen=True, slots=True)
class NewConnection:
    """What is shown once: the ids and secrets of a fresh connection.

    bearer_token: of SCIM, which is spoken with one; signing_secret: of all others.
    """

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
        self._lock_account(account["id"])
        mine = self.connections(account["id"])
        if any(row["name"] == name for row in mine):
            raise UsageError(f"account {account['name']} has a connection named {name!r} already")
        if not observe:
            self._insist_sole(account["id"], [row["state"] for row in mine])
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
        if not observe:
            self.activated(account["id"])
        feed = self.add_feed(account["id"], connection, source=source, secret=secret)
        token = ""
        if source == SCIM:
            token = self.add_feed_token(account["id"], feed, name=f"{name} feed")
        return NewConnection(connection, feed, secret, token)

    def activated(self, account: str) -> None:
        """G4: the first connection that is active brings the group Provision Managers."""
        for group in make_built_in(self.sql, account, (PROVISION_MANAGERS,)):
            self.audit(account, "group.add", group, after={"name": PROVISION_MANAGERS})

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
        if source == SCIM:
            fill(self.sql, connection, account, now=self.now)
        else:
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
        # Somebody may have named theirs as another's id.
        found = [row for row in found if row["id"] == name] or found
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

    def _lock_account(self, account: str) -> dict[str, Any]:
        """Two commands that would each attach or activate a connection take turns (C1)."""
        table = rows.accounts
        found = self.sql.execute(
            select(table).where(table.c.id == account).with_for_update(key_share=True)
        )
        return dict(found.mappings().one())

    def _insist_sole(self, account: str, others: Sequence[str]) -> None:
        known = self._lock_account(account)
        check_sole_connection(others, allows_several=known["allows_several"], account=known["name"])

    def set_connection_state(self, connection: dict[str, Any], state: str, *, reason: str) -> int:
        """C2: pause or resume; how many events were held or released.

        Raises RefusedError for a retired connection, UsageError where another one governs (C1).
        """
        table = rows.connections
        if state == "active":
            others = [
                row["state"]
                for row in self.connections(connection["account_id"])
                if row["id"] != connection["id"]
            ]
            self._insist_sole(connection["account_id"], others)
        before = self.lock_connection(connection["id"])
        if before == "retired":
            raise RefusedError(
                f"connection {connection['name']} is retired, for good: add a new one, and take "
                "the people over with `rosterd connection replace`"
            )
        if before == "observing":
            raise RefusedError(
                f"connection {connection['name']} is observing: nothing of it is applied; `rosterd "
                "connection plan` shows what it would do, `rosterd connection go-live` does it"
            )
        self.sql.execute(update(table).where(table.c.id == connection["id"]).values(state=state))
        mine = rows.events.c.connection_id == connection["id"]
        moved = self._release(mine) if state == "active" else self._hold(mine)
        if state == "active":
            self.activated(connection["account_id"])
        self.audit(
            connection["account_id"],
            f"connection.{state}",
            connection["id"],
            reason=reason,
            before={"state": before},
            after={"state": state, "events": moved},
        )
        return moved

    def lock_connection(self, connection: str) -> str:
        """Its state, which nobody else changes before this transaction ends."""
        table = rows.connections
        found = self.sql.execute(
            select(table.c.state).where(table.c.id == connection).with_for_update()
        )
        return str(found.scalar_one())

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
        wanted = mine & events.c.state.in_(["pending", "retrying", "waiting"])
        return self._move(wanted, {"state": "held", "due_at": None})

    def _release(self, mine: ColumnElement[bool]) -> int:
        """Whatever nothing else holds goes on."""
        wanted = mine & (rows.events.c.state == "held") & ~is_held_back()
        return self._move(wanted, {"state": "pending", "due_at": self.now})

    def _move(self, wanted: ColumnElement[bool], values: dict[str, Any]) -> int:
        """Part by part, in this transaction: a million at once takes longer than one may."""
        events, moved = rows.events, 0
        while True:
            chosen = select(events.c.id).where(wanted).limit(AT_ONCE)
            ids = self.sql.execute(chosen.with_for_update(key_share=True)).scalars().all()
            if not ids:
                return moved
            mine = bulk.among(events.c.id, ids, self.sql)
            self.sql.execute(update(events).where(mine).values(**values))
            moved += len(ids)


def is_held_back() -> ColumnElement[bool]:
    """Held for a reason of its own, whatever its connection's state: a breaker, a paused feed."""
    events, feeds = rows.events, rows.feeds
    paused = select(feeds.c.id).where(feeds.c.state == "paused")
    return (func.coalesce(events.c.reason, "") == Reason.BREAKER.value) | events.c.feed_id.in_(
        paused
    )

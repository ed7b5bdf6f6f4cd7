"""A drain's unit of work, on PostgreSQL in as few waits as a leaver's suspension deserves."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC
from typing import Any

from sqlalchemy import Connection

from domain.changes import Change
from domain.inbox import Kind
from domain.policy import Policy
from domain.ports import ClaimedEvent
from worker.adapters.db import rows
from worker.adapters.db.arrays import array_literal, text_array
from worker.adapters.db.direct import PLANNED_ONCE, Asked, Direct, direct_of
from worker.adapters.db.direct_directory import DirectDirectory
from worker.adapters.db.engine import Database, translated
from worker.adapters.db.inbox import DRAINING
from worker.adapters.db.kept_connections import KeptConnections
from worker.adapters.db.surroundings import COLUMNS, surroundings_of
from worker.adapters.db.uow import SQLWork, policy_from_row
from worker.adapters.vault import Vault, new_id

#: $1: the session's name until the transaction ends.
_NOW = "SELECT clock_timestamp() AS now, set_config('application_name', $1, true)"
#: $1: connections. Behind it statements keep the plan that they are first given: the claim, whose
#: index matters, is planned each time (D7).
_CONNECTIONS = f"""
SELECT {PLANNED_ONCE}, {COLUMNS},
 (SELECT true FROM feeds f WHERE f.connection_id = c.id AND f.source = 'scim'
 AND f.state <> 'retired' LIMIT 1) AS mirrors,
 (SELECT true FROM scim_resources r WHERE r.connection_id = c.id AND r.alias <> r.key LIMIT 1)
 AS has_aliases,
 (SELECT true FROM directory_accesses a WHERE a.id = c.id LIMIT 1) AS reads
FROM connections c WHERE c.id = ANY($1)
"""
_SOURCES = "SELECT id, source FROM feeds WHERE id = ANY($1)"
_BODIES = "SELECT id, body FROM deliveries WHERE id = ANY($1)"
#: A marker has to outlive this process, not a crash of the server, which forgets the batch as well:
#: its commit waits for no disk. Said in the statement, for a pooler may give the session to others.
_UNFORCED = "set_config('synchronous_commit', 'off', true)"
_MARKED = f"""
INSERT INTO batch_markers (id, worker, event_ids, made_at)
SELECT $1, $2, $3, $4::timestamptz FROM {_UNFORCED}
"""
_UNMARKED = f"DELETE FROM batch_markers USING {_UNFORCED} WHERE id = $1"


class DirectWork(SQLWork):
    """One write transaction of a drain on PostgreSQL; see `worker/adapters/db/direct.py`."""

    def __init__(
        self,
        database: Database,
        connection: Connection,
        direct: Direct,
        kept: KeptConnections,
        *,
        vault: Vault,
        worker: str,
        link_seconds: float,
    ) -> None:
        now = direct.ask(_NOW, DRAINING)[0]["now"].astimezone(UTC)
        whose: dict[str, Any] = {"vault": vault, "worker": worker}
        super().__init__(database, connection, link_seconds=link_seconds, now=now, **whose)
        self._direct = direct
        self._kept = kept
        self.directory = self._store = DirectDirectory(connection, direct, now, vault=vault)
        self._sources: dict[str, str] = {}
        self._bodies: dict[int, bytes] = {}

    def claim(
        self, *, lane: str, kind: Kind, limit: int, troubled: bool, is_guest: bool = False
    ) -> list[ClaimedEvent]:
        """See the port."""
        chosen: dict[str, Any] = {"lane": lane, "kind": kind, "limit": limit}
        events = super().claim(**chosen, troubled=troubled, is_guest=is_guest)
        if not events:
            # Nothing was done. At a ROLLBACK the driver would forget the statements that it keeps.
            self._direct.commit()
        return events

    def policies(self, events: Sequence[ClaimedEvent]) -> dict[str, Policy]:
        """See the port. Feeds and bodies come along."""
        deliveries = {event.delivery for event in events}
        connections, feeds, bodies = self._direct.ask_all(
            Asked(_CONNECTIONS, [text_array(sorted({event.connection for event in events}))]),
            Asked(_SOURCES, [text_array(sorted({event.feed for event in events}))]),
            Asked(_BODIES, [array_literal(rows.deliveries.c.id, sorted(deliveries))]),
        )
        self._sources = {row["id"]: row["source"] for row in feeds}
        self._bodies = {row["id"]: self._vault.open(row["body"]) for row in bodies}
        self._store.know(surroundings_of(connections))
        found = {row["id"]: policy_from_row(row, frozenset(row["domains"])) for row in connections}
        self.remember_mirrors(events, found)
        return found

    def sources(self, events: Sequence[ClaimedEvent]) -> dict[str, str]:
        """See the port; `policies` has found them."""
        if not self._sources.keys() >= {event.feed for event in events}:
            return super().sources(events)
        return {event.feed: self._sources[event.feed] for event in events}

    def bodies(self, events: Sequence[ClaimedEvent]) -> dict[int, bytes]:
        """See the port; `policies` has found them."""
        if not self._bodies.keys() >= {event.delivery for event in events}:
            return super().bodies(events)
        return {event.delivery: self._bodies[event.delivery] for event in events}

    def foresee(self, changes: Sequence[tuple[str, Change]]) -> None:
        """See the port."""
        self._store.foresee(changes)

    def mark(self, ids: Sequence[int]) -> str:
        """See `SQLWork`: beside the transaction, so that a crash of this process leaves it."""
        row = self.marker(new_id("bat"), ids)
        with self._kept.beside() as beside:
            beside.tell(_MARKED, *row.values())
        return str(row["id"])

    def unmark(self, marker: str) -> None:
        """See `SQLWork`."""
        with self._kept.beside() as beside:
            beside.tell(_UNMARKED, marker)


@contextmanager
def drain_work(
    database: Database,
    kept: KeptConnections,
    *,
    vault: Vault,
    worker: str,
    link_seconds: float,
) -> Iterator[SQLWork]:
    """A unit of work that rolls back, and forgets its marker, unless it was committed."""
    whose: dict[str, Any] = {"vault": vault, "worker": worker, "link_seconds": link_seconds}
    with translated(), kept.begin() as connection:
        direct = direct_of(connection)
        if direct is None:
            work = SQLWork(database, connection, **whose)
        else:
            work = DirectWork(database, connection, direct, kept, **whose)
        try:
            yield work
        finally:
            work.abandon()

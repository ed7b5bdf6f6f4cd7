"""Joins what reads identity providers' directories on its own: reconciliations, catching up."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import cached_property, partial

import structlog

from domain.directories import Directory
from domain.inbox import Lane, lane_of
from domain.intake import StoredEvent
from domain.ports import Ringer
from domain.reconciliation import Order
from worker import telemetry
from worker.adapters.db.catching_up import SQLCatchUps
from worker.adapters.db.engine import Changing, Database
from worker.adapters.db.reading_schedule import scheduled
from worker.adapters.db.reconciliations import SQLReconciliations
from worker.adapters.db.retention import retain_reconciliations
from worker.adapters.db.subscribing import SQLSubscriptions
from worker.adapters.db.subscription_state import kept_subscriptions
from worker.adapters.directories.registry import SUBSCRIBABLE
from worker.adapters.sources.registry import source_named
from worker.adapters.vault import Vault
from worker.services.catch_up import CatchUp
from worker.services.reconcile import Reconcile
from worker.services.subscribe import Subscribe, unsubscribe

#: One connection is read on for so long before another has its turn.
SLICE = timedelta(seconds=5)


@dataclass(frozen=True, slots=True)
class Job:
    """Something to be read: by name, one at a time in a process."""

    name: str
    work: Callable[[], object]


@dataclass(frozen=True)
class ReadingParts:
    """Reconciliations of one process."""

    database: Database
    vault: Vault
    ringer: Ringer
    worker: str
    directory_of: Callable[[str], Directory | None]
    public_url: str = ""

    @cached_property
    def subscribe(self) -> Subscribe:
        """Keeps subscriptions at identity providers alive."""
        hooks = f"{self.public_url.rstrip('/')}/hooks"
        whose = (self.vault, self.worker)
        kept = SQLSubscriptions(self.database, *whose, hooks=hooks, kinds=SUBSCRIBABLE)
        return Subscribe(kept, self.directory_of, random.random, subscribed)

    def end_subscriptions(self, connection: str) -> None:
        """Before its access is taken away: best effort, for they end by themselves."""
        with self.database.read() as sql:
            kept = kept_subscriptions(sql, connection)
        if kept:
            unsubscribe(self.directory_of, connection, kept, subscribed)

    @cached_property
    def runs(self) -> SQLReconciliations:
        """Runs, each step in a transaction of its own."""
        return self.runs_on(self.database)

    def runs_on(self, database: Changing) -> SQLReconciliations:
        """The same, ordered in transactions of this one."""
        return SQLReconciliations(self.database, self.vault, self.worker, database)

    @cached_property
    def reconcile(self) -> Reconcile:
        """Reconciliations."""
        return self.reconcile_on(self.database)

    def reconcile_on(self, database: Changing) -> Reconcile:
        """The same, ordered in transactions of this one."""
        return Reconcile(
            self.runs_on(database), self.directory_of, self.ring_bulk, random.random, time.monotonic
        )

    @cached_property
    def catch_up(self) -> CatchUp:
        """Reads logs on."""
        return CatchUp(
            SQLCatchUps(self.database, self.vault, self.worker),
            self.directory_of,
            source_named,
            self.ring_live,
            random.random,
            time.monotonic,
        )

    def jobs(self) -> list[Job]:
        """All that is to be read now; what brings leavers soonest goes first."""
        caught = [
            Job(f"log {one}", partial(self.catch_up.run, one, budget=SLICE))
            for one in self.catch_up.store.due()
        ]
        begun = [Job(f"begin {one}", partial(self._begin, one, o)) for one, o in self.scheduled()]
        runs = [
            Job(run, partial(self.reconcile.go_on, run, budget=SLICE)) for run in self.runs.due()
        ]
        hooks = [
            Job(f"subscriptions {one}", partial(self.subscribe.run, one))
            for one in self.subscribe.store.due()
        ]
        return [*hooks, *caught, *begun, *runs]

    def scheduled(self) -> list[tuple[str, Order]]:
        """Connections that are to be reconciled by their own setting."""
        return scheduled(self.database)

    def _begin(self, connection: str, order: Order) -> None:
        self.reconcile.begin(connection, order)

    def retain(self, *, days: int) -> dict[str, int]:
        """Let go of what runs found that are long over."""
        return retain_reconciliations(self.database, days=days)

    def ring_bulk(self, events: Sequence[StoredEvent]) -> None:
        """Wake workers for what a run said; what is held is not rung for."""
        self._ring(events, is_bulk=True)

    def ring_live(self, events: Sequence[StoredEvent]) -> None:
        """Wake workers for what a log told, each event in its lane."""
        self._ring(events, is_bulk=False)

    def _ring(self, events: Sequence[StoredEvent], *, is_bulk: bool) -> None:
        for kind in sorted({event.kind for event in events if not event.is_held}):
            lane = Lane.BULK if is_bulk else lane_of(kind)
            self.ringer.ring(kind, lane.value, connection="", event_ids=())


def subscribed(connection: str, did: str, topic: str, why: str) -> None:
    """Count and log one step of looking after subscriptions."""
    telemetry.SUBSCRIPTIONS.labels(did).inc()
    log = structlog.get_logger("rosterd")
    if why:
        log.warning("subscription_failed", connection=connection, why=why)
    else:
        log.info("subscription_kept", connection=connection, did=did, topic=topic)

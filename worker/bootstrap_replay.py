"""Joins what decides and undoes, and replays; `bootstrap` has it built once a process."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import timedelta
from functools import cached_property
from typing import cast

from domain.ports import DrainWork, Ringer
from worker.adapters.db.discarding import SQLDiscards
from worker.adapters.db.editing import SQLEdits
from worker.adapters.db.engine import Changing, Database
from worker.adapters.db.group_noting import SQLGroupNotes
from worker.adapters.db.observing import rehearsal
from worker.adapters.db.replay_planning import SQLReplayPlanning
from worker.adapters.db.replay_turns import SQLReplayTurns
from worker.adapters.db.replaying import SQLReplays
from worker.adapters.db.retention import retain_replays
from worker.adapters.json_patch import apply_patch
from worker.adapters.sources.registry import source_named
from worker.adapters.vault import Vault
from worker.services.discard import Discards, GroupNotes
from worker.services.drain import Drain
from worker.services.edit import EditAndReplay
from worker.services.observe import Observe, Rehearsal
from worker.services.replay import Conduct, Prediction, Replay, predictions
from worker.settings import Settings

#: A plan is worked on so long before other replays have their step: half a lease.
PATIENCE = timedelta(seconds=2)


def observing(
    settings: Settings, database: Database, vault: Vault, drain: Drain, worker: str
) -> Observe:
    """Plans of connections that observe."""

    def rehearsals() -> AbstractContextManager[Rehearsal]:
        seconds = settings.link_life.total_seconds()
        made = rehearsal(database, vault=vault, worker=worker, link_seconds=seconds)
        return cast("AbstractContextManager[Rehearsal]", made)

    return Observe(
        rehearsals=rehearsals, write=drain.write, batch_size=settings.effective_batch_size
    )


@dataclass(frozen=True)
class ReplayParts:
    """Replays, discards and restores of one process."""

    database: Database
    drain: Drain
    ringer: Ringer
    vault: Vault
    worker: str

    @cached_property
    def replay(self) -> Replay:
        """Replays, each act in a transaction of its own."""
        return self.replay_on(self.database)

    def replay_on(self, database: Changing) -> Replay:
        """The same, in transactions of this one."""
        return Replay(
            store=SQLReplays(self.database, database),
            planning=SQLReplayPlanning(self.database),
            ringer=self.ringer,
            predict_ids=self.drain.predict,
        )

    @cached_property
    def conduct(self) -> Conduct:
        """What a worker does about replays that are under way."""
        turns = SQLReplayTurns(self.database, self.worker)
        return Conduct(self.replay, turns, PATIENCE, time.monotonic)

    def retain(self, *, days: int) -> dict[str, int]:
        """Let go of what was told event by event of replays that are long over."""
        return retain_replays(self.database, days=days)

    @cached_property
    def discards(self) -> Discards:
        """Dead letters given up and taken back."""
        return self.discards_on(self.database)

    @cached_property
    def notes(self) -> GroupNotes:
        """Notes on groups of dead letters."""
        return self.notes_on(self.database)

    def notes_on(self, database: Changing) -> GroupNotes:
        """The same, in transactions of this one."""
        return GroupNotes(SQLGroupNotes(database))

    @cached_property
    def edits(self) -> EditAndReplay:
        """Events that are edited and tried again."""
        return self.edits_on(self.database)

    def edits_on(self, database: Changing) -> EditAndReplay:
        """The same, in transactions of this one."""

        def predicted(make: Callable[[DrainWork], Sequence[int]]) -> Prediction | None:
            found = predictions(*self.drain.predict_made(make))
            return found[0] if found else None

        store = SQLEdits(self.database, self.vault, database)
        return EditAndReplay(store, source_named, apply_patch, self.ringer, predicted)

    def discards_on(self, database: Changing) -> Discards:
        """Dead letters given up and taken back, in transactions of this one."""
        return Discards(SQLDiscards(database))

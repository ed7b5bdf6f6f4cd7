"""From an event's receipt to the commit that ended it, by the database's own clock."""

from __future__ import annotations

import time
from datetime import datetime

from domain.errors import RefusedError
from worker.adapters.db.commit_times import commit_latencies, watch_commits
from worker.adapters.db.engine import Database
from worker.cli.sender import Hook

PATIENCE_SECONDS = 120


def watch(database: Database, *hooks: tuple[Hook, str]) -> None:
    """Note commits of these feeds' events of a type, before anything is measured."""
    watch_commits(database, *((hook.url, type_) for hook, type_ in hooks))


def latencies(
    database: Database, hook: Hook, type_: str, began: datetime, count: int
) -> list[float]:
    """Milliseconds of each of so many events received since then, once all have ended."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while len(ended := commit_latencies(database, hook.url, type_, began)) < count:
        if time.monotonic() > deadline:
            raise RefusedError(f"only {len(ended)} of {count} events {type_} ended")
        time.sleep(0.2)
    return ended

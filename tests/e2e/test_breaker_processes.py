"""C6 with real processes: all of them killed in a flood; nothing is lost, nothing let through."""

from __future__ import annotations

import os
import signal
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path

import pytest

from tests.e2e.test_injured import Fleeting, fleet
from tests.servers import RedisServer, await_true
from worker.adapters.db import rows
from worker.adapters.db.breaker_rows import holds
from worker.adapters.db.holding import SQLHolds
from worker.adapters.db.setup import setting_up

PEOPLE = 120
LIMIT = 40


@pytest.mark.long
@pytest.mark.timeout(240)
def test_c6_all_workers_killed_in_between_nothing_is_lost_and_nothing_let_through(
    postgres_url: str, redis_server: RedisServer, tmp_path: Path
) -> None:
    more = {"ROSTERD_BATCH_SIZE": "10"}
    with fleet(tmp_path, postgres_url, redis_server.url, **more) as whole:
        _limit(whole)
        keys = [f"u{number}" for number in range(PEOPLE)]
        for key in keys:
            whole.hire(key)
        await_true(lambda: whole.ended(*keys), seconds=90, name="everybody")
        for number, key in enumerate(keys):
            assert whole.idp.standard("user.suspended", {"id": key}) == 200
            if number % 30 == 10:
                _kill_all(whole)
        await_true(lambda: _decided(whole), seconds=90, name="the end of the flood")
        events = [e for e in whole.rows(rows.events) if e["kind"] == "users.suspend"]
        states = Counter((e["state"], e["outcome"], e["reason"]) for e in events)
        assert states == {
            ("ended", "applied", None): LIMIT,
            ("held", None, "breaker"): PEOPLE - LIMIT,
        }
        assert _out(whole) == LIMIT
        (hold,) = whole.rows(holds)
        _kill_all(whole)
        store = SQLHolds(whole.stage.parts.database)
        done = store.approve(hold["id"], actor="test", reason="it is meant")
        assert done.events == PEOPLE - LIMIT
        _kill_all(whole)
        await_true(lambda: _out(whole) == PEOPLE, seconds=90, name="the approved ones")
        told = Counter(a["subject"] for a in whole.rows(rows.audit) if a["action"] == SUSPENDED)
        assert len(told) == PEOPLE
        assert set(told.values()) == {1}, "each once"
        assert whole.stage.dead("acme") == []


SUSPENDED = "users.suspend"


def _limit(whole: Fleeting) -> None:
    parts = whole.stage.parts
    with setting_up(parts.database, parts.vault, actor="test") as use:
        (found,) = use.connections()
        given = {"breaker_min": str(LIMIT), "breaker_percent": "0"}
        use.change_settings(found, given, reason="a flood is to come")


def _kill_all(whole: Fleeting) -> None:
    """SIGKILL to every worker: parents first, so that nobody is told, then their children."""
    children = whole.fleet.pool()
    for child in whole.fleet.supervisor.children:
        if child.name in ("worker", "urgent") and child.process is not None:
            with suppress(ProcessLookupError):
                os.kill(child.process.pid, signal.SIGKILL)
    for pid in children:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    time.sleep(0.2)


def _decided(whole: Fleeting) -> bool:
    return all(e["due_at"] is None for e in whole.rows(rows.events))


def _out(whole: Fleeting) -> int:
    return sum("suspended" in p["state"] for p in whole.rows(rows.people))

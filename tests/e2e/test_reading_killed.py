"""Questions to an IdP with real processes: all workers killed while it hangs, nothing is lost."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import update

from domain.directory_access import DirectoryAccess
from domain.policy import Scope
from domain.reconciliation import Order, Purpose
from tests.e2e.test_breaker_processes import _kill_all
from tests.e2e.test_injured import Fleeting, fleet
from tests.fakes.idp import Answer, Asked, Fault
from tests.fakes.okta import FakeOkta
from tests.hydrating import person
from tests.servers import RedisServer, await_true
from worker.adapters.db import rows
from worker.adapters.db.directory_rows import reads
from worker.adapters.db.reconciliation_rows import reconciliations
from worker.adapters.db.setup import setting_up
from worker.adapters.directories.okta import PAGE

PEOPLE = 10


@pytest.mark.long
@pytest.mark.timeout(240)
def test_g2_g3_workers_killed_while_an_idp_hangs_are_followed_by_others(
    postgres_url: str, redis_server: RedisServer, tmp_path: Path
) -> None:
    more = {"ROSTERD_OUTBOUND_ALLOW": "127.0.0.1", "ROSTERD_DIRECTORY_SECONDS": "1"}
    with (
        FakeOkta().serving() as okta,
        fleet(tmp_path, postgres_url, redis_server.url, **more) as whole,
    ):
        parts = whole.stage.parts
        hook = whole.stage.connect("second", "okta", Scope(), domain="example.com")
        with setting_up(parts.database, parts.vault, actor="test") as use:
            (found,) = [one for one in use.connections() if one["source"] == "okta"]
            access = DirectoryAccess("okta", okta.url, {}, okta.token)
            use.give_access(found, access, reason="a test")
        okta.fault = Fault.HANG
        for number in range(PEOPLE):
            okta.user(f"00u{number}")
            assert hook.okta("user.lifecycle.create", person(f"00u{number}")) == 200
        await_true(lambda: okta.at_once, seconds=60, name="a question")
        _kill_all(whole)
        okta.fault = None
        keys = [f"00u{number}" for number in range(PEOPLE)]
        await_true(lambda: whole.ended(*keys), seconds=150, name="everybody")
        outcomes = {e["outcome"] for e in whole.rows(rows.events) if e["subject"] in keys}
        assert outcomes == {"applied"}
        assert whole.told_twice() == []
        assert not [row for row in whole.rows(reads) if row["due_at"] is not None]


class HeldOkta(FakeOkta):
    """It keeps whoever asks for a second page waiting until it goes on."""

    def __init__(self) -> None:
        super().__init__()
        self.is_held, self.goes_on = threading.Event(), threading.Event()

    def answer(self, asked: Asked) -> Answer:
        if "after" in asked.query:
            self.is_held.set()
            self.goes_on.wait(60)
        return super().answer(asked)


@pytest.mark.long
@pytest.mark.timeout(240)
def test_d18_workers_killed_in_the_middle_of_a_reconciliation_are_followed_by_others(
    postgres_url: str, redis_server: RedisServer, tmp_path: Path
) -> None:
    more = {"ROSTERD_OUTBOUND_ALLOW": "127.0.0.1", "ROSTERD_DIRECTORY_SECONDS": "20"}
    with (
        HeldOkta().serving() as okta,
        fleet(tmp_path, postgres_url, redis_server.url, **more) as whole,
    ):
        parts = whole.stage.parts
        whole.stage.connect("second", "okta", Scope(), domain="example.com")
        with setting_up(parts.database, parts.vault, actor="test") as use:
            (found,) = [one for one in use.connections() if one["source"] == "okta"]
            access = DirectoryAccess("okta", okta.url, {}, okta.token)
            use.give_access(found, access, reason="a test")
        keys = [f"00u{number}" for number in range(PAGE + 30)]
        for key in keys:
            okta.user(key)
        order = Order(Purpose.RECONCILE, applies=True, actor="test", reason="")
        parts.reading.reconcile.begin(found["id"], order)
        await_true(okta.is_held.is_set, seconds=60, name="a second page")
        assert _run(whole)["state"] == "running"
        _kill_all(whole)
        with parts.database.begin() as connection:
            table = reconciliations
            ended = {table.c.lease_until: datetime.now(UTC) - timedelta(seconds=1)}
            connection.execute(update(table).values(ended))
            connection.commit()
        okta.goes_on.set()
        await_true(lambda: _run(whole)["state"] == "finished", seconds=120, name="its end")
        await_true(lambda: whole.ended(*keys), seconds=60, name="everybody")
        said = [e for e in whole.rows(rows.events) if e["subject"] in keys]
        assert {e["outcome"] for e in said} == {"applied"}
        assert sorted(e["subject"] for e in said) == sorted(keys), "each once"


def _run(whole: Fleeting) -> dict[str, Any]:
    (run,) = whole.rows(reconciliations)
    return run

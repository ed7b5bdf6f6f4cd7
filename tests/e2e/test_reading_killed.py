"""Questions to an IdP with real processes: all workers killed while it hangs, nothing is lost."""

from __future__ import annotations

from pathlib import Path

import pytest

from domain.directory_access import DirectoryAccess
from domain.policy import Scope
from tests.e2e.test_breaker_processes import _kill_all
from tests.e2e.test_injured import fleet
from tests.fakes.idp import Fault
from tests.fakes.okta import FakeOkta
from tests.hydrating import person
from tests.servers import RedisServer, await_true
from worker.adapters.db import rows
from worker.adapters.db.directory_rows import reads
from worker.adapters.db.setup import setting_up

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

"""G2: a group by hand and a provider's of one name at the same moment: never two, none lost."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from domain.inbox import Kind
from tests.harness import Rosterd
from tests.integration.test_database_faults import later
from tests.integration.test_groups_by_hand import groups
from tests.servers import await_true
from worker.adapters.db import bulk, group_rows, rows
from worker.adapters.db.engine import Database

ROUNDS = 25


def describe(rosterd: Rosterd, feed: Any, name: str, key: str = "g1") -> None:
    rosterd.tell(feed, "group.upserted", {"id": key, "name": name}, id_=f"put-{key}", drain=False)


def drained(rosterd: Rosterd) -> None:
    rosterd.parts.drain.run(lane="standard", kind=Kind.GROUPS_UPSERT, budget=timedelta(seconds=20))


def waits(database: Database) -> bool:
    """Whether a session waits for a lock of another."""
    with database.read() as connection:
        found = connection.execute(
            text(
                "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() "
                "AND wait_event_type = 'Lock'"
            )
        )
        return bool(found.scalar_one())


class Halt:
    """Stops whoever is about to write a table, until told to go on."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, table: Any) -> None:
        self.reached, self.go_on = threading.Event(), threading.Event()
        for name in ("insert", "upsert"):
            monkeypatch.setattr(bulk, name, self._around(getattr(bulk, name), table))

    def _around(self, write: Callable[..., Any], table: Any) -> Callable[..., Any]:
        def written(connection: Any, where: Any, entries: Any, **more: Any) -> Any:
            done = write(connection, where, entries, **more)
            if where is table and entries and not self.reached.is_set():
                self.reached.set()
                assert self.go_on.wait(20)
            return done

        return written


@pytest.mark.parametrize("setting", ["keep", "manage"])
def test_g2_the_provider_waits_for_the_group_that_is_being_made_by_hand(
    postgres_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, setting: str
) -> None:
    rosterd = Rosterd(postgres_url, tmp_path)
    with rosterd.serving():
        feed = rosterd.account(existing_groups=setting)
        describe(rosterd, feed, "sales")
        halt = Halt(monkeypatch, group_rows.own_groups)
        made = later(
            lambda: rosterd.parts.groups.add(rosterd.account_id, "Sales", actor="t", reason="r")
        )
        assert halt.reached.wait(20)
        drain = later(lambda: drained(rosterd))
        await_true(lambda: waits(rosterd.parts.database), name="the drain at the account")
        halt.go_on.set()
        made.join()
        drain.join()
        named = {name: group["managed"] for name, group in groups(rosterd).items()}
        mine = {name: managed for name, managed in named.items() if name.casefold() == "sales"}
        if setting == "manage":
            assert mine == {"sales": True}, "the one by hand is the provider's from now on"
            assert rosterd.outcome("put-g1") == ("applied", None)
        else:
            assert mine == {"Sales": False}
            assert rosterd.outcome("put-g1") == ("dead", "group_exists")
    rosterd.close()


def test_g2_by_hand_waits_for_the_provider_and_finds_the_name_taken(
    postgres_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rosterd = Rosterd(postgres_url, tmp_path)
    refused: list[str] = []
    with rosterd.serving():
        feed = rosterd.account()
        describe(rosterd, feed, "Sales")
        halt = Halt(monkeypatch, rows.groups)
        drain = later(lambda: drained(rosterd))
        assert halt.reached.wait(20)

        def by_hand() -> None:
            try:
                rosterd.parts.groups.add(rosterd.account_id, "sales", actor="t", reason="r")
            except Exception as error:  # noqa: BLE001 - whatever it says is looked at
                refused.append(str(error))

        made = later(by_hand)
        await_true(lambda: waits(rosterd.parts.database), name="the operator at the account")
        halt.go_on.set()
        made.join()
        drain.join()
        assert [one for one in refused if "there is a group 'sales' already" in one] == refused
        assert len(refused) == 1
        assert rosterd.outcome("put-g1") == ("applied", None)
        assert "sales" not in groups(rosterd)
    rosterd.close()


def test_g2_at_the_same_moment_there_is_one_group_of_the_name_however_it_comes_out(
    postgres_url: str, tmp_path: Path
) -> None:
    rosterd = Rosterd(postgres_url, tmp_path)
    outcomes = set()
    with rosterd.serving():
        feed = rosterd.account()
        for number in range(ROUNDS):
            name, key = f"Team {number}", f"g{number}"
            describe(rosterd, feed, name, key)
            began = threading.Barrier(2)
            refused: list[Exception] = []

            def by_hand(name: str = name, began: threading.Barrier = began) -> None:
                began.wait()
                try:
                    rosterd.parts.groups.add(rosterd.account_id, name, actor="t", reason="r")
                except Exception as error:  # noqa: BLE001 - counted below
                    refused.append(error)  # noqa: B023 - joined in the same turn

            made = later(by_hand)
            began.wait()
            drained(rosterd)
            made.join()
            rosterd.drain()
            outcome = rosterd.outcome(f"put-{key}")
            assert outcome in {("applied", None), ("dead", "group_exists")}
            assert (len(refused) == 1) == (outcome[0] == "applied"), "one of them, and only one"
            outcomes.add(outcome)
        listed = rosterd.json("group", "list", "--account", "acme")
        teams = [one["name"] for one in listed if one["name"].startswith("Team ")]
        assert sorted(teams) == sorted({*teams})
        assert {f"Team {number}" for number in range(ROUNDS)} <= set(teams)
    rosterd.close()

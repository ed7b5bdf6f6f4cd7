"""Reconciliation and catching up against what vendors answer, from their fakes to the directory."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import update

from tests.fakes.idp import Answer, Asked
from tests.fakes.keycloak import FakeKeycloak
from tests.fakes.okta import FakeOkta
from tests.harness import Feed, Rosterd
from tests.hydrating import give_access, reading
from worker.adapters.db.reconciliation_rows import catch_ups, reconciliations

SOON = timedelta(seconds=20)
Fake = FakeOkta | FakeKeycloak


@pytest.fixture
def rosterd(database_url: str, tmp_path: Path) -> Iterator[Rosterd]:
    with reading(database_url, tmp_path) as made:
        yield made


@pytest.fixture(params=[FakeOkta, FakeKeycloak], ids=["okta", "keycloak"])
def fake(request: pytest.FixtureRequest) -> Iterator[Fake]:
    with request.param().serving() as made:
        # An hour ago, so that the time between two reads can pass.
        made.shift = -3600
        yield made


@pytest.fixture
def feed(rosterd: Rosterd, fake: Fake) -> Feed:
    source = "okta" if isinstance(fake, FakeOkta) else "keycloak"
    made = rosterd.account(source=source, scope="everyone", catch_up_every="1s")
    give_access(rosterd, made, fake)
    return made


def reconciled(rosterd: Rosterd, feed: Feed, *words: str) -> dict[str, Any]:
    allowed = {"ROSTERD_OUTBOUND_ALLOW": "127.0.0.1"}
    done = rosterd.cli("reconcile", feed.connection, "--json", *words, **allowed)
    assert done.returncode == 0, done.stderr
    rosterd.drain()
    told: dict[str, Any] = json.loads(done.stdout)
    return told


def states(rosterd: Rosterd) -> dict[str, str]:
    return {one["external_id"]: one["state"] for one in rosterd.users()}


def is_out(state: str) -> bool:
    return "suspended" in state


def leaves(fake: Fake, key: str) -> None:
    if isinstance(fake, FakeOkta):
        fake.user(key, status="DEPROVISIONED")
    else:
        fake.user(key, enabled=False)


def test_what_no_hook_told_is_found_mended_and_then_nothing_differs(
    rosterd: Rosterd, fake: Fake, feed: Feed
) -> None:
    for number in range(7):
        fake.user(f"u{number}")
    fake.group("g1", "Staff", "u0", "u1")
    first = reconciled(rosterd, feed, "--apply")
    assert first["counts"]["user.missing"] == 7
    fake.shift += 60
    leaves(fake, "u2")
    del fake.users["u3"]
    fake.group("g1", "Crew", "u1", "u4")
    before = rosterd.export()
    dry = reconciled(rosterd, feed)
    assert rosterd.export() == before, "a dry run changes nothing"
    found = {(one["what"], one["thing"], one["external_id"]) for one in dry["differences"]}
    assert {("extra", "user", "u3"), ("differing", "group", "g1")} <= found
    assert ("missing", "membership", "u4") in found
    fake.shift += 60
    reconciled(rosterd, feed, "--apply")
    now = states(rosterd)
    assert {key for key, state in now.items() if is_out(state)} == {"u2", "u3"}
    lines = rosterd.export()
    assert {line["name"] for line in lines if line["kind"] == "group"} == {"Crew"}
    members = {line["user"] for line in lines if line["kind"] == "membership"}
    assert members == {"u1", "u4"}
    assert reconciled(rosterd, feed)["differences"] == []


def test_a_dropped_hook_is_found_in_the_vendors_log(
    rosterd: Rosterd, fake: Fake, feed: Feed
) -> None:
    for key in ("u1", "u2"):
        fake.user(key)
    reconciled(rosterd, feed, "--apply")
    catch_up = rosterd.parts.reading.catch_up
    catch_up.run(feed.connection, budget=SOON)
    fake.shift += 60
    leaves(fake, "u2")
    if isinstance(fake, FakeOkta):
        fake.happened("user.lifecycle.deactivate", {"id": "u2", "type": "User"})
    else:
        fake.happened("UPDATE", "USER", "users/u2", representation='{"enabled": false}')
    with rosterd.parts.database.begin() as connection:
        connection.execute(update(catch_ups).values(due_at=rosterd.at(0)))
        connection.commit()
    assert catch_up.run(feed.connection, budget=SOON) == 1
    rosterd.drain()
    assert is_out(states(rosterd)["u2"])
    assert not is_out(states(rosterd)["u1"])


@pytest.mark.parametrize("applies", ["on", "off"])
def test_by_its_setting_a_connection_is_reconciled_once_every_so_often(
    rosterd: Rosterd, fake: Fake, feed: Feed, applies: str
) -> None:
    fake.user("u1")
    told = (f"reconcile_applies={applies}", "reconcile_every=1d", "--reason", "a test")
    done = rosterd.cli("connection", "set", feed.connection, *told)
    assert done.returncode == 0, done.stderr
    for _ in range(3):
        for job in rosterd.parts.reading.jobs():
            job.work()
    rosterd.drain()
    (run,) = rosterd.table(reconciliations)
    assert (run["state"], run["actor"], run["applies"]) == ("finished", "rosterd", applies == "on")
    assert ("u1" in states(rosterd)) is (applies == "on")
    with rosterd.parts.database.begin() as connection:
        earlier = rosterd.now() - timedelta(days=1, minutes=1)
        connection.execute(update(reconciliations).values(made_at=earlier))
        connection.commit()
    for _ in range(3):
        for job in rosterd.parts.reading.jobs():
            job.work()
    assert len(rosterd.table(reconciliations)) == 2, "a day later once more"


def test_what_is_paused_or_has_no_setting_is_not_reconciled_by_itself(
    rosterd: Rosterd, fake: Fake, feed: Feed
) -> None:
    assert rosterd.parts.reading.scheduled() == []
    rosterd.cli("connection", "set", feed.connection, "reconcile_every=1d", "--reason", "a test")
    assert [id_ for id_, _ in rosterd.parts.reading.scheduled()] == [feed.connection]
    rosterd.cli("connection", "pause", feed.connection, "--reason", "a test")
    assert rosterd.parts.reading.scheduled() == []


class _Moving(FakeKeycloak):
    """Somebody of the second page leaves the group before the third is read."""

    leaver = ""

    def answer(self, asked: Asked) -> Answer:
        is_third = asked.path.endswith("/members") and asked.query.get("first") in ("198", "200")
        if is_third and self.leaver:
            self.members["g1"].remove(self.leaver)
            self.leaver = ""
        return super().answer(asked)


def test_g2_nobody_loses_a_group_because_somebody_else_left_while_its_members_were_read(
    rosterd: Rosterd,
) -> None:
    keys = {f"u{number:03d}" for number in range(250)}
    with _Moving().serving() as keycloak:
        keycloak.shift = -3600
        feed = rosterd.account(source="keycloak", scope="everyone")
        give_access(rosterd, feed, keycloak)
        for key in sorted(keys):
            keycloak.user(key)
        keycloak.group("g1", "Staff", *sorted(keys))
        reconciled(rosterd, feed, "--apply")
        assert members(rosterd) == keys
        keycloak.shift += 60
        keycloak.leaver = "u150"
        reconciled(rosterd, feed, "--apply")
        assert members(rosterd) == keys, "what was read proves nothing of who is missing"
        keycloak.shift += 60
        reconciled(rosterd, feed, "--apply")
        assert members(rosterd) == keys - {"u150"}


def members(rosterd: Rosterd) -> set[str]:
    return {line["user"] for line in rosterd.export() if line["kind"] == "membership"}

"""`/api/v1/reconciliations`: begun by a request, done by workers, seen by its account (C4)."""

from __future__ import annotations

from datetime import timedelta

import pytest

from tests.api import Client, is_problem
from tests.fakes.directory import Truth, TruthDirectory
from tests.harness import Rosterd
from worker.bootstrap import Container


def test_d18_c4_a_run_is_begun_seen_and_cancelled_by_its_own_account_only(
    rosterd: Rosterd, monkeypatch: pytest.MonkeyPatch
) -> None:
    truth = Truth()
    feed = rosterd.account(several=True)
    whose = f"/connections/{feed.connection}/reconciliations"
    owner = Client(rosterd, "operator", account=None)
    monkeypatch.setattr(Container, "directory_of", lambda _parts, _id: TruthDirectory(truth))
    is_problem(owner.ask("POST", whose, json={"apply": True}), 422, "invalid")
    truth.hire("u1")
    begun = owner.post(whose, {"apply": True}, 201, X_Reason="weekly")
    assert (begun["state"], begun["phase"], begun["reason"]) == ("running", "people", "weekly")
    is_problem(owner.ask("POST", whose, json={}), 409, "refused")
    for job in rosterd.parts.reading.jobs():
        job.work()
    rosterd.drain()
    run = f"/reconciliations/{begun['id']}"
    seen = owner.get(run)
    assert (seen["state"], seen["counts"]["user.missing"], seen["counts"]["said"]) == (
        *("finished", 1),
        1,
    )
    (one,) = owner.all(f"{run}/differences", what="missing")
    assert (one["external_id"], one["thing"], one["said"]) == ("u1", "user", True)
    assert [row["id"] for row in owner.get(whose)] == [begun["id"]]
    assert [user["external_id"] for user in rosterd.users()] == ["u1"]
    rosterd.account(name="beta")
    stranger = Client(rosterd, "operations:read", account="beta")
    for path in (whose, run, f"{run}/differences"):
        is_problem(stranger.ask("GET", path), 404, "not_found")
    assert stranger.ask("POST", f"{run}/cancel").status_code == 403


def test_s4_a_directory_is_taken_in_and_a_cancelled_run_says_nothing(
    rosterd: Rosterd, monkeypatch: pytest.MonkeyPatch
) -> None:
    truth = Truth()
    monkeypatch.setattr(Container, "directory_of", lambda _parts, _id: TruthDirectory(truth))
    feed = rosterd.account()
    rosterd.hire(feed, "u9")
    truth.hire("u1")
    owner = Client(rosterd, "operator", account=None)
    whose = f"/connections/{feed.connection}/reconciliations"
    ended = owner.post(whose, {}, 201)
    assert owner.post(f"/reconciliations/{ended['id']}/cancel")["phase"] == "clearing"
    rosterd.parts.reading.reconcile.go_on(ended["id"], budget=timedelta(seconds=9))
    assert owner.get(f"/reconciliations/{ended['id']}")["state"] == "cancelled"
    told = rosterd.cli("connection", "backfill", feed.connection)
    assert told.returncode == 0, told.stderr
    assert "1 people and 0 groups read, 1 events" in told.stdout
    rosterd.drain()
    states = {user["external_id"]: user["state"] for user in rosterd.users()}
    assert states == {"u1": "invited", "u9": "invited"}, "nobody is missed who is not in it"
    shown = rosterd.json("connection", "list")[0]
    assert shown["backfilled"] is not None

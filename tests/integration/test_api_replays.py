"""`/v1/dead-letters`, `/v1/replays`, edits: scopes, pages, keys, ETags, problems (G8)."""

from __future__ import annotations

from typing import Any

import pytest

from tests.api import Client, is_problem
from tests.harness import Rosterd
from tests.integration.test_dead_groups import FINGERPRINT, MOVED
from tests.integration.test_replays import dead_of
from worker.adapters.db import rows
from worker.adapters.db.replay_rows import replays

WHY = "the domain is allowed"


@pytest.fixture
def app(rosterd: Rosterd) -> Client:
    """An operator's script, with three dead letters of the account in front of it."""
    dead_of(rosterd, 3)
    return Client(rosterd, "operations:read", "operations:write")


def letters(app: Client, **asked: Any) -> list[dict[str, Any]]:
    return app.all("/dead-letters", **asked)


def test_letters_are_listed_by_pages_and_filters_and_shown(rosterd: Rosterd, app: Client) -> None:
    listed = letters(app, limit=2)
    assert [one["subject"] for one in listed] == ["u0", "u1", "u2"]
    assert {one["cause"] for one in listed} == {"refused"}
    assert letters(app, cause="never_attempted") == letters(app, state="discarded") == []
    assert len(letters(app, domain="Partner.EXAMPLE.")) == 3
    assert letters(app, domain="*.partner.example") == []
    is_problem(app.ask("GET", "/dead-letters", params={"domain": "no domain"}), 422, "invalid")
    shown = app.get(f"/dead-letters/{listed[0]['id']}")
    assert shown == listed[0]
    is_problem(app.ask("GET", "/dead-letters/999999"), 404, "not_found")
    is_problem(app.ask("GET", "/dead-letters/x"), 404, "not_found")
    is_problem(app.ask("GET", "/dead-letters", params={"cursor": "MQ=="}), 422, "invalid")


def test_groups_have_examples_and_notes(app: Client) -> None:
    (group,) = app.get("/dead-letters/groups")["items"]
    assert (group["fingerprint"], group["count"], sum(group["trend"])) == (FINGERPRINT, 3, 3)
    examples = app.get("/dead-letters/groups/examples", fingerprint=FINGERPRINT)["items"]
    assert [one["subject"] for one in examples] == ["u2", "u1", "u0"]
    note = {"fingerprint": FINGERPRINT, "text": "they move on Monday"}
    assert len(app.post("/dead-letters/groups/notes", note, 201)["items"]) == 1
    (told,) = app.get("/dead-letters/groups/notes", fingerprint=FINGERPRINT)["items"]
    assert told["text"] == "they move on Monday"
    assert app.get("/dead-letters/groups")["items"][0]["notes"] == 1
    odd = {**note, "text": "a\0b"}
    is_problem(app.ask("POST", "/dead-letters/groups/notes", json=odd), 422, "invalid")
    nothing = {**note, "fingerprint": "nothing:of"}
    is_problem(app.ask("POST", "/dead-letters/groups/notes", json=nothing), 404, "not_found")


def test_who_sees_no_bodies_sees_no_addresses_in_errors(rosterd: Rosterd, app: Client) -> None:
    with rosterd.parts.database.begin() as sql:
        sql.execute(rows.dead_letters.update().values(last_error="ana@example.com is taken"))
        sql.commit()
    assert {one["last_error"] for one in letters(app)} == {"…@example.com is taken"}
    broad = Client(rosterd, "operator", account=None)
    assert {one["last_error"] for one in letters(broad)} == {"ana@example.com is taken"}
    assert len(letters(broad, detail="ana@example.com")) == 3
    assert letters(broad, detail="ben@example.com") == []
    guess = app.ask("GET", "/dead-letters", params={"detail": "ana@"})
    is_problem(guess, 403, "not_permitted")


def test_discard_and_restore_need_a_reason(app: Client) -> None:
    (first, *_) = letters(app)
    named = {"ids": [first["id"]]}
    is_problem(app.ask("POST", "/dead-letters/discard", json=named), 422, "invalid")
    assert app.post("/dead-letters/discard", named, X_Reason=WHY) == {"ids": [first["id"]]}
    assert len(letters(app)) == 2
    assert app.post("/dead-letters/restore", named, X_Reason=WHY) == {"ids": [first["id"]]}
    assert len(letters(app)) == 3


def test_a_plan_is_made_shown_started_paused_resumed_and_reported(
    rosterd: Rosterd, app: Client
) -> None:
    rosterd.allow("partner.example")
    plan = app.post("/replays", {"reason": "domain_not_allowed"}, 201, Idempotency_Key="one")
    assert (
        app.post("/replays", {"reason": "domain_not_allowed"}, 201, Idempotency_Key="one") == plan
    )
    assert len(rosterd.table(replays)) == 1
    path = f"/replays/{plan['id']}"
    shown = app.ask("GET", path)
    assert shown.json()["state"] == "planned"
    assert shown.json()["foretold"] == [
        {"outcome": "applied", "reason": None, "does": "invite", "events": 3}
    ]
    same = app.ask("GET", path, headers={"If-None-Match": shown.headers["etag"]})
    assert same.status_code == 304
    is_problem(app.ask("POST", f"{path}/start", json={}), 422, "invalid")
    slowly = {"rate": "1/m", "ramp": True}
    started = app.post(f"{path}/start", slowly, X_Reason=WHY)
    assert (started["state"], started["ramp"], started["stop_percent"]) == ("running", True, 20)
    told = app.ask("POST", f"{path}/start", json=slowly, headers={"X-Reason": "again"})
    is_problem(told, 409, "replay_state")
    assert app.post(f"{path}/pause", X_Reason=WHY)["state"] == "paused"
    again = app.post(f"{path}/resume", {"rate": "100/s"})
    assert (again["rate"], again["ramp"], again["stop_percent"]) == (100.0, True, 20)
    app.post(f"{path}/pause")
    again = app.post(f"{path}/resume", {"ramp": False, "stop_percent": None})
    assert (again["rate"], again["ramp"], again["stop_percent"]) == (100.0, False, None)
    rosterd.drain()
    assert app.get(path)["state"] == "finished"
    report = app.get(f"{path}/report")
    assert (report["as_predicted"], report["otherwise"]) == (3, 0)
    items = app.all(f"{path}/items", limit=2)
    assert [one["outcome"] for one in items] == ["applied"] * 3
    assert app.get(f"{path}/items", differs=True)["items"] == []
    is_problem(app.ask("POST", f"{path}/cancel"), 409, "replay_state")
    assert [one["id"] for one in app.all("/replays", state="finished")] == [plan["id"]]
    actors = {row["actor"] for row in rosterd.table(rows.audit, rows.audit.c.subject == plan["id"])}
    assert {actor.partition(":")[0] for actor in actors} == {"token", "rosterd"}


def test_an_empty_choice_is_refused_and_a_wrong_pace_too(rosterd: Rosterd, app: Client) -> None:
    is_problem(app.ask("POST", "/replays", json={}), 422, "invalid")
    is_problem(app.ask("POST", "/replays", json={"ids": []}), 422, "invalid")
    is_problem(app.ask("POST", "/replays", json={"all": True}), 422, "invalid")
    for nothing in ({"reason": "conflict"}, {"fingerprint": "nosuch"}, {"ids": [10**6]}):
        told = app.ask("POST", "/replays", json=nothing, headers={"Idempotency-Key": "k"})
        is_problem(told, 404, "not_found")
        assert told.json()["detail"] == "there is no open dead letter for this selection"
    assert rosterd.table(replays) == []
    is_problem(app.ask("POST", "/replays", json={"domain": "not a domain"}), 422, "invalid")
    plan = app.post("/replays", {"ids": [int(letters(app)[0]["id"])]}, 201)
    for wrong in ({"rate": "fast"}, {"stop_percent": 100}, {"rate": "0/s"}):
        told = app.ask(
            "POST", f"/replays/{plan['id']}/start", json=wrong, headers={"X-Reason": "r"}
        )
        is_problem(told, 422, "invalid")
        assert "--" not in told.json()["detail"], "an option is the command line's word"
    assert "--" not in app.ask("POST", "/replays", json={}).json()["detail"]
    assert app.post(f"/replays/{plan['id']}/cancel")["state"] == "cancelled"


def test_scopes_decide_who_may(rosterd: Rosterd, app: Client) -> None:
    watching, reading = Client(rosterd, "operations:read"), Client(rosterd, "directory:read")
    assert len(letters(watching)) == 3
    is_problem(reading.ask("GET", "/dead-letters"), 403, "insufficient_scope")
    for path, body in (
        ("/replays", {"reason": "domain_not_allowed"}),
        ("/dead-letters/discard", {"ids": ["1"]}),
        ("/dead-letters/groups/notes", {"fingerprint": FINGERPRINT, "text": "x"}),
    ):
        is_problem(watching.ask("POST", path, json=body), 403, "insufficient_scope")
    edit = f"/events/{letters(app)[0]['id']}/edit-and-replay"
    told = app.ask("POST", edit, json={"patch": MOVED}, headers={"X-Reason": "r"})
    is_problem(told, 403, "insufficient_scope")


def test_g7_what_is_another_accounts_is_not_there(rosterd: Rosterd, app: Client) -> None:
    plan = app.post("/replays", {"reason": "domain_not_allowed"}, 201)
    number = letters(app)[0]["id"]
    rosterd.account(name="beta")
    beta = Client(rosterd, "operations:read", "operations:write", account="beta")
    assert letters(beta) == beta.get("/dead-letters/groups")["items"] == beta.all("/replays") == []
    for path in (
        f"/dead-letters/{number}",
        *(f"/replays/{plan['id']}{more}" for more in ("", "/items", "/report")),
    ):
        is_problem(beta.ask("GET", path), 404, "not_found")
    for path, body in (
        ("/replays", {"ids": [int(number)]}),
        ("/dead-letters/discard", {"ids": [number]}),
        *((f"/replays/{plan['id']}/{act}", {}) for act in ("start", "resume")),
        *((f"/replays/{plan['id']}/{act}", None) for act in ("pause", "cancel")),
    ):
        told = beta.ask("POST", path, json=body, headers={"X-Reason": "r"})
        is_problem(told, 404, "not_found")


def test_an_event_is_edited_and_replayed(rosterd: Rosterd, app: Client) -> None:
    broad = Client(rosterd, "operator", account=None)
    number = letters(app)[0]["id"]
    path = f"/events/{number}/edit-and-replay"
    foreseen = broad.post(path, {"patch": MOVED, "dry_run": True}, X_Reason=WHY)
    assert (foreseen["event"], foreseen["would_be"], foreseen["does"]) == (
        None,
        "applied",
        "invite",
    )
    is_problem(broad.ask("POST", path, json={"patch": MOVED}), 422, "invalid")
    made = broad.post(path, {"patch": MOVED}, 201, X_Reason=WHY, Idempotency_Key="k")
    assert broad.post(path, {"patch": MOVED}, 201, X_Reason=WHY, Idempotency_Key="k") == made
    rosterd.drain()
    assert [user["email"] for user in rosterd.users()] == ["u0@example.com"]
    told = broad.ask("POST", path, json={"patch": MOVED}, headers={"X-Reason": "r"})
    is_problem(told, 409, "not_dead")


def test_a_large_plan_is_finished_by_workers(
    rosterd: Rosterd, app: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("worker.web.api.replays.PLAN_SECONDS", 0.0)
    monkeypatch.setattr("worker.adapters.db.replay_planning.AT_ONCE", 1)
    plan = app.post("/replays", {"reason": "domain_not_allowed"}, 201)
    assert app.get(f"/replays/{plan['id']}")["state"] == "planning"
    told = app.ask("POST", f"/replays/{plan['id']}/start", json={}, headers={"X-Reason": "r"})
    is_problem(told, 409, "replay_state")
    rosterd.parts.replays.conduct.run()
    assert app.get(f"/replays/{plan['id']}")["state"] == "planned"

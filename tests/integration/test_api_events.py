"""`/api/v1/events` and `/audit` from outside: every filter, pages, stories, who may see what."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.api import Client, is_problem
from tests.harness import Feed, Rosterd
from worker.adapters.db import event_pages, windows


@pytest.fixture
def feed(rosterd: Rosterd) -> Feed:
    """Two people, one of whom is suspended, one refused, one event that says nothing."""
    feed = rosterd.account()
    for key in ("u1", "u2"):
        rosterd.hire(feed, key)
    rosterd.tell(feed, "user.suspended", {"id": "u2"})
    rosterd.hire(feed, "u9", "u9@forbidden.example")
    rosterd.tell(feed, "nothing.known", {"id": "x"})
    return feed


@pytest.fixture
def ops(rosterd: Rosterd, feed: Feed) -> Client:
    return Client(rosterd, "operations:read")


def subjects(found: list[dict[str, Any]]) -> list[str]:
    return [event["subject"] for event in found]


def test_every_filter_finds_what_it_names_and_nothing_else(
    rosterd: Rosterd, feed: Feed, ops: Client
) -> None:
    every = ops.all("/events")
    assert [event["id"] for event in every] == sorted((e["id"] for e in every), reverse=True)
    assert len(every) == 5
    refused = next(event for event in every if event["state"] == "dead")
    for params, wanted in (
        ({"subject": "u2"}, ["u2", "u2"]),
        ({"subject": "u2", "type": "user.suspended"}, ["u2"]),
        ({"state": "dead"}, ["u9"]),
        ({"state": "ended", "outcome": "applied", "subject": "u1"}, ["u1"]),
        ({"reason": "domain_not_allowed"}, ["u9"]),
        ({"outcome": "ignored", "reason": "unknown_type"}, subjects(every[:1])),
        ({"external_id": refused["external_id"]}, ["u9"]),
        ({"email": "U1@example.com"}, ["u1"]),
        ({"email": "nobody@example.com"}, []),
        ({"source": "standard", "type": "user.suspended"}, ["u2"]),
        ({"source": "okta"}, []),
        ({"connection": feed.connection, "type": "user.suspended"}, ["u2"]),
        ({"until": "2020-01-01T00:00:00Z"}, []),
        ({"since": "0001-01-01T00:00:00Z"}, subjects(every)),
        ({"until": "9999-12-31T23:59:59Z"}, subjects(every)),
        ({"since": (datetime.now(UTC) + timedelta(hours=1)).isoformat()}, []),
        ({"since": (datetime.now(UTC) - timedelta(hours=1)).isoformat()}, subjects(every)),
    ):
        assert subjects(ops.all("/events", **params)) == wanted, params
    for params in ({"since": "yesterday"}, {"state": "odd"}, {"since": "2026-01-01T00:00:00"}):
        is_problem(ops.ask("GET", "/events", params=params), 422, "invalid")
    for path in ("/events", "/audit", "/dead-letters"):
        for params in (
            {"since": "0001-01-01T00:00:00+14:00"},
            {"until": "9999-12-31T23:59:59-14:00"},
        ):
            is_problem(ops.ask("GET", path, params=params), 422, "invalid")
    is_problem(ops.ask("GET", "/events", params={"connection": "con_0"}), 404, "not_found")
    assert (
        "there are: auth0" in ops.ask("GET", "/events", params={"source": "octa"}).json()["detail"]
    )


def test_pages_go_to_the_end_though_a_window_holds_nothing_that_fits(
    rosterd: Rosterd, feed: Feed, ops: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(windows, "WINDOW", 2)
    whole = ops.all("/events")
    assert ops.all("/events", limit=1) == whole
    found = ops.all("/events", type="user.upserted", limit=1)
    assert subjects(found) == ["u9", "u2", "u1"]


def test_what_many_connections_were_told_is_one_list(
    rosterd: Rosterd, feed: Feed, monkeypatch: pytest.MonkeyPatch
) -> None:
    second = rosterd.account(name="other")
    rosterd.cli("connection", "pause", second.connection, "--reason", "x")
    rosterd.hire(second, "u1")
    everything = Client(rosterd, "operator", account=None)
    whole = everything.all("/events")
    assert {event["connection"] for event in whole} == {feed.connection, second.connection}
    assert subjects(everything.all("/events", state="held")) == ["u1"]
    other = Client(rosterd, "operations:read", account="other")
    assert [event["state"] for event in other.all("/events", limit=1)] == ["held"]
    monkeypatch.setattr(event_pages, "BRANCHES", 0)
    assert everything.all("/events") == whole
    assert subjects(everything.all("/events", state="held")) == ["u1"]
    assert [event["state"] for event in other.all("/events")] == ["held"]


def test_a_tail_goes_forward_and_tells_again_what_is_watched(
    rosterd: Rosterd, feed: Feed, ops: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(event_pages, "SETTLED", timedelta(0))
    begin = ops.get("/events/tail")
    assert begin["items"] == []
    rosterd.tell(feed, "user.suspended", {"id": "u1"}, drain=False)
    first = ops.get("/events/tail", cursor=begin["next"])
    assert [(e["subject"], e["state"]) for e in first["items"]] == [("u1", "pending")]
    rosterd.drain()
    second = ops.get("/events/tail", cursor=first["next"], watch=first["items"][0]["id"])
    assert [(e["subject"], e["state"]) for e in second["items"]] == [("u1", "ended")]
    assert ops.get("/events/tail", cursor=second["next"], subject="u1")["items"] == []


def test_a_story_tells_all_and_its_body_by_permission(
    rosterd: Rosterd, feed: Feed, ops: Client
) -> None:
    (hired,) = ops.all("/events", email="u1@example.com")
    story = ops.get(f"/events/{hired['id']}", body=True)
    assert story["event"] == hired
    assert story["changes"][0]["after"]["email"] == "u1@example.com"
    (mail,) = story["mails"]
    assert (mail["kind"], mail["address"]) == ("invitation", "u1@example.com")
    assert story["delivery"]["redacted"] is True
    told = json.loads(story["delivery"]["body"])
    assert told["type"] == "user.upserted"
    assert "u1" not in story["delivery"]["body"].replace("u1@", "")
    everything = Client(rosterd, "operator", account=None)
    whole = everything.get(f"/events/{hired['id']}", body=True)["delivery"]
    assert json.loads(whole["body"])["data"]["email"] == "u1@example.com"
    assert ops.get(f"/events/{hired['id']}")["delivery"]["body"] is None
    (dead,) = ops.all("/events", state="dead")
    failed = ops.get(f"/events/{dead['id']}")
    assert failed["dead_letter"]["reason"] == "domain_not_allowed"
    assert [one["reason"] for one in failed["attempts"]] == ["domain_not_allowed"]
    told = ops.ask("GET", f"/events/{dead['id']}")
    again = {"If-None-Match": told.headers["etag"]}
    assert ops.ask("GET", f"/events/{dead['id']}", headers=again).status_code == 304
    for ref in ("0", "999999", "x", "9" * 30):
        is_problem(ops.ask("GET", f"/events/{ref}"), 404, "not_found")


def test_another_accounts_events_are_not_there(rosterd: Rosterd, feed: Feed, ops: Client) -> None:
    rosterd.account(name="other")
    other = Client(rosterd, "operations:read", account="other")
    assert other.all("/events") == []
    assert other.all("/events", state="dead") == []
    assert other.all("/events", email="u1@example.com") == []
    number = ops.all("/events")[0]["id"]
    is_problem(other.ask("GET", f"/events/{number}"), 404, "not_found")
    params = {"connection": feed.connection}
    is_problem(other.ask("GET", "/events", params=params), 404, "not_found")
    assert other.get("/events/tail", watch=str(number))["items"] == []


def test_the_audit_is_what_people_did_unless_events_are_asked_for(
    rosterd: Rosterd, feed: Feed, ops: Client
) -> None:
    rosterd.cli("connection", "pause", feed.connection, "--reason", "a look")
    (paused,) = ops.all("/audit", action="connection.paused")
    assert (paused["reason"], paused["subject"]) == ("a look", feed.connection)
    assert paused["after"]["state"] == "paused"
    assert {entry["event"] for entry in ops.all("/audit")} == {None}
    assert ops.all("/audit", actor=paused["actor"], limit=1)[0] == paused
    assert ops.all("/audit", actor="cli:nobody") == []
    assert any(entry["event"] for entry in ops.all("/audit", events=True))
    assert ops.all("/audit", until="2020-01-01T00:00:00Z") == []
    reader = Client(rosterd, "operations:read")
    user = reader.all("/users", external_id="u2")[0]["id"]
    timeline = ops.all(f"/users/{user}/timeline", limit=1)
    assert timeline == ops.all("/audit", subject=user)
    assert timeline[0]["after"]["state"] != timeline[-1]["after"]["state"]
    rosterd.account(name="other")
    other = Client(rosterd, "operations:read", account="other")
    assert other.all("/audit", subject=user) == []
    is_problem(other.ask("GET", f"/users/{user}/timeline"), 404, "not_found")


def test_a_group_has_a_timeline(rosterd: Rosterd, feed: Feed) -> None:
    app = Client(rosterd, "operator", account=None)
    account = {"account": rosterd.account_id}
    group = app.post("/groups", {"name": "Crew", **account}, 201, X_Reason="why")["id"]
    app.write("PATCH", f"/groups/{group}", {"name": "Gang"}, X_Reason="because")
    timeline = app.all(f"/groups/{group}/timeline")
    assert [entry["reason"] for entry in timeline] == ["because", "why"]


def test_operations_scope_is_needed(rosterd: Rosterd, feed: Feed) -> None:
    app = Client(rosterd, "directory:read", "directory:write")
    for path in ("/events", "/events/tail", "/events/1", "/audit"):
        told = app.ask("GET", path)
        is_problem(told, 403, "insufficient_scope")
        assert told.json()["scope"] == "operations:read"

"""`/api/v1` sets everything up that the command line does: accounts, connections, tokens, .."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.api import Client, is_problem
from tests.harness import Feed, Rosterd
from worker.adapters.db import rows
from worker.adapters.db.breaker_rows import holds


@pytest.fixture
def feed(rosterd: Rosterd) -> Feed:
    return rosterd.account()


@pytest.fixture
def root(rosterd: Rosterd, feed: Feed) -> Client:
    """A token of all accounts that may do all."""
    return Client(rosterd, "operator", account=None)


@pytest.fixture
def ops(rosterd: Rosterd, feed: Feed) -> Client:
    """One account's, for those who watch and answer."""
    return Client(rosterd, "operations:read", "operations:write")


def test_an_account_with_its_domains(rosterd: Rosterd, root: Client) -> None:
    asked = {"name": "next", "owner": "boss@next.example", "domains": ["next.example"]}
    made = root.post("/accounts", asked, 201)
    account = f"/accounts/{made['id']}"
    assert root.get(account)["domains"] == ["next.example"]
    assert root.get(account)["people"] == 1
    assert [u["state"] for u in root.all("/users", account=made["id"])] == ["invited"]
    put = root.write("PUT", f"{account}/domains/bücher.example")
    assert (put["domain"], put["reads"]) == ("xn--bcher-kva.example", "bücher.example")
    taken = root.get(f"{account}/domains/check", address="a@next.example")
    assert taken["by"] == "next.example"
    root.write("DELETE", f"{account}/domains/next.example", status=204)
    left = [entry["domain"] for entry in root.all(f"{account}/domains")]
    assert left == ["xn--bcher-kva.example"]
    assert root.get(f"{account}/domains/check", address="a@next.example")["by"] is None
    is_problem(root.ask("PUT", f"{account}/domains/no domain"), 422, "invalid")
    assert root.write("PATCH", account, {"several": True})["several"] is True
    assert {one["name"] for one in root.all("/accounts", limit=1)} == {"acme", "next"}
    child = root.post("/accounts", {"name": "below", "parent": made["id"]}, 201)
    assert child["parent"] == made["id"]


def test_the_same_key_makes_one_account(rosterd: Rosterd, root: Client) -> None:
    asked = {"name": "once"}
    first = root.post("/accounts", asked, 201, Idempotency_Key="k")
    assert root.post("/accounts", asked, 201, Idempotency_Key="k") == first
    assert len(root.all("/accounts")) == 2
    is_problem(root.ask("POST", "/accounts", json=asked), 422, "invalid")


def test_a_connection_from_its_first_day_to_its_last(
    rosterd: Rosterd, feed: Feed, root: Client
) -> None:
    account = rosterd.account_id
    root.write("PATCH", f"/accounts/{account}", {"several": True})
    asked = {"account": account, "source": "standard", "name": "second"}
    made = root.post("/connections", asked, 201)
    one = f"/connections/{made['id']}"
    told = rosterd.http.get(f"/hooks/{made['feed']['id']}")
    assert told.status_code in (401, 405)
    second = Feed(made["feed"]["id"], made["id"], made["signing_secret"])
    rosterd.hire(second, "u1")
    assert root.all("/users", account=account, external_id="u1")
    is_problem(root.ask("POST", f"{one}/pause"), 422, "invalid")
    assert root.post(f"{one}/pause", X_Reason="a look")["state"] == "paused"
    rosterd.hire(second, "u2")
    assert root.post(f"{one}/resume")["events"] == 1
    rosterd.drain()
    told = root.ask("GET", f"{one}/settings")
    same = {"If-Match": told.headers["etag"], "X-Reason": "new rule"}
    change = {"settings": {"rehire": "new_user"}}
    after = root.ask("PATCH", f"{one}/settings", json=change, headers=same)
    assert after.status_code == 200, after.text
    stale = root.ask("PATCH", f"{one}/settings", json=change, headers=same)
    is_problem(stale, 412, "changed_meanwhile")
    for name, wrong in (("silent_after", "99999999999999d"), ("breaker_min", "9" * 20)):
        told = root.ask(
            "PATCH", f"{one}/settings", json={"settings": {name: wrong}}, headers={"X-Reason": "x"}
        )
        is_problem(told, 422, "invalid")
    assert root.get(one)["settings"] == {"rehire": "new_user"}
    dry = root.post(f"{one}/retire?dry_run=true")
    assert (dry["dry_run"], dry["people"]) == (True, 2)
    assert root.post(f"{one}/retire", X_Reason="over")["dry_run"] is False
    assert root.get(one)["state"] == "retired"
    lines = root.ask("GET", f"{one}/links").text.splitlines()
    assert {json.loads(line)["external_id"] for line in lines} == {"u1", "u2"}
    is_problem(root.ask("POST", f"{one}/resume"), 409, "refused")


def test_feeds_and_their_secrets(rosterd: Rosterd, feed: Feed, root: Client) -> None:
    of = f"/connections/{feed.connection}/feeds"
    scim = root.post(of, {"source": "scim"}, 201)
    assert scim["bearer_token"].startswith("rst_")
    assert scim["signing_secret"] is None
    hook = root.post(of, {"source": "standard"}, 201)
    assert hook["hook_url"].endswith(hook["id"])
    assert len(root.all(of)) == 3
    turned = root.post(f"/feeds/{hook['id']}/rotate", {"overlap_hours": 0})
    assert turned["signing_secret"] != hook["signing_secret"]
    is_problem(root.ask("POST", f"/feeds/{scim['id']}/rotate", json={}), 409, "refused")
    assert root.post(f"/feeds/{hook['id']}/pause", X_Reason="x")["state"] == "paused"
    assert root.post(f"/feeds/{hook['id']}/resume")["state"] == "active"
    assert root.post(f"/feeds/{hook['id']}/retire", X_Reason="x")["state"] == "retired"
    is_problem(root.ask("POST", of, json={"source": "nothing"}), 422, "invalid")


def test_observed_planned_and_live(rosterd: Rosterd, feed: Feed, root: Client) -> None:
    account = rosterd.account_id
    root.write("PATCH", f"/accounts/{account}", {"several": True})
    asked = {"account": account, "source": "standard", "name": "later", "observe": True}
    made = root.post("/connections", asked, 201)
    one = f"/connections/{made['id']}"
    later = Feed(made["feed"]["id"], made["id"], made["signing_secret"])
    rosterd.hire(later, "u7")
    plan = root.post(f"{one}/plans", {}, 201)
    assert plan["people"] == {"invite": 1}
    assert [person["external_id"] for person in plan["named"]] == ["u7"]
    rosterd.hire(later, "u8")
    is_problem(
        root.ask(
            "POST", f"{one}/go-live", json={"plan": plan["id"]}, headers={"X-Reason": "agreed"}
        ),
        409,
        "refused",
    )
    body = {"plan": plan["id"], "accept_changes": True}
    live = root.post(f"{one}/go-live", body, X_Reason="agreed")
    assert (live["events"], len(live["changed"])) == (2, 2)
    rosterd.drain()
    assert root.all("/users", account=account, external_id="u8")
    is_problem(root.ask("POST", f"{one}/plans", json={}), 409, "refused")


def test_lists_links_and_moves(rosterd: Rosterd, feed: Feed, root: Client) -> None:
    account = rosterd.account_id
    for key in ("u1", "u2"):
        rosterd.hire(feed, key)
    one = f"/connections/{feed.connection}"
    root.write("PATCH", f"{one}/settings", {"settings": {"suspend_unlisted": "on"}}, X_Reason="x")
    listed = {"ids": ["u1"], "count": 1}
    is_problem(root.ask("POST", f"{one}/list", json={"ids": ["u1"], "count": 2}), 422, "invalid")
    dry = root.post(f"{one}/list", {**listed, "dry_run": True})
    assert (dry["missing"], dry["newer"], dry["suspends"]) == (["u2"], [], True)
    hour = (datetime.now(UTC) - timedelta(hours=1)).isoformat()
    old = root.post(f"{one}/list", {**listed, "dry_run": True, "taken_at": hour})
    assert (old["missing"], old["newer"]) == ([], ["u2"])
    root.write("PATCH", f"/accounts/{account}", {"several": True})
    second = root.post(
        "/connections", {"account": account, "source": "standard", "name": "second"}, 201
    )
    (user,) = root.all("/users", account=account, external_id="u1")
    moved = root.post(
        f"/users/{user['id']}/move", {"to": second["id"], "external_id": "n1"}, X_Reason="x"
    )
    assert moved["changed"] is True
    assert root.get(f"/users/{user['id']}")["connection"] == second["id"]
    swap = {"by": second["id"], "map": "same"}
    dry = root.post(f"{one}/replace", {**swap, "dry_run": True})
    assert dry["counts"]["linked"] == 1
    assert root.get(one)["state"] == "active"
    root.post(f"{one}/replace", swap, X_Reason="another provider")
    assert root.get(one)["state"] == "retired"
    (other,) = root.all("/users", account=account, external_id="u2")
    assert other["connection"] == second["id"]
    lines = {"lines": [{"external_id": "n9", "email": "nobody@example.com"}], "dry_run": True}
    linked = root.post(f"/connections/{second['id']}/links", lines)
    assert linked["counts"] == {"nobody": 1}


def test_another_address_rule_is_foreseen_and_done(
    rosterd: Rosterd, feed: Feed, root: Client
) -> None:
    told = {"id": "u1", "email": "u1@example.com", "attributes": {"work": "ana@example.com"}}
    rosterd.tell(feed, "user.upserted", told)
    rosterd.hire(feed, "u2")
    of = f"/connections/{feed.connection}"
    rule = {"rule": "attributes.work"}
    dry = root.post(f"{of}/address", {**rule, "dry_run": True})
    assert [(c["before"], c["after"]) for c in dry["changes"]] == [
        ("u1@example.com", "ana@example.com")
    ]
    assert dry["lacking"] == ["u2"]
    assert root.get(of)["settings"] == {}
    assert root.post(f"{of}/address", rule, X_Reason="x")["dry_run"] is False
    rosterd.drain()
    (user,) = root.all("/users", account=rosterd.account_id, external_id="u1")
    assert user["requested_email"] == "ana@example.com"
    wrong = {"rule": "nothing"}
    told = root.ask("POST", f"{of}/address", json=wrong, headers={"X-Reason": "x"})
    is_problem(told, 422, "invalid")


def test_tokens_may_do_no_more_than_who_makes_them(
    rosterd: Rosterd, feed: Feed, root: Client, ops: Client
) -> None:
    asked = {"name": "app", "scopes": ["directory:read"], "account": rosterd.account_id}
    made = root.post("/tokens", asked, 201)
    headers = {"Authorization": f"Bearer {made['token']}"}
    assert rosterd.http.get("/api/v1/users", headers=headers).status_code == 200
    shown = next(one for one in root.all("/tokens", limit=1) if one["id"] == made["id"])
    assert "token" not in shown
    is_problem(root.ask("DELETE", f"/tokens/{made['id']}"), 422, "invalid")
    root.write("DELETE", f"/tokens/{made['id']}", status=204, X_Reason="lost")
    assert rosterd.http.get("/api/v1/users", headers=headers).status_code == 401
    is_problem(ops.ask("GET", "/tokens"), 403, "insufficient_scope")
    is_problem(root.ask("POST", "/tokens", json={**asked, "scopes": ["odd"]}), 422, "invalid")
    with rosterd.setup() as use:
        scoped = use.add_token(rosterd.account_id, name="t", scopes=["operator"])
    narrow = {"Authorization": f"Bearer {scoped}"}
    told = rosterd.http.post(
        "/api/v1/tokens", json={"name": "x", "scopes": ["metrics"]}, headers=narrow
    )
    is_problem(told, 422, "invalid")
    told = rosterd.http.post("/api/v1/accounts", json={"name": "mine"}, headers=narrow)
    is_problem(told, 403, "not_permitted")


def test_an_endpoint_and_what_goes_out(rosterd: Rosterd, feed: Feed, root: Client) -> None:
    asked = {"account": rosterd.account_id, "url": "https://app.example.com/hook"}
    made = root.post("/endpoints", asked, 201)
    one = f"/endpoints/{made['id']}"
    assert made["signing_secret"].startswith("whsec_")
    for key in ("u1", "u2"):
        rosterd.hire(feed, key)
    sent = root.all(f"{one}/deliveries", limit=1)
    assert [delivery["type"] for delivery in sent] == ["user.invited"] * 2
    assert sent[0]["cursor"] > sent[1]["cursor"]
    assert root.get(one)["waiting"] == 2
    again = {"cursor": 0, "dry_run": True}
    assert root.post(f"{one}/replay", again)["count"] == 2
    is_problem(root.ask("POST", f"{one}/replay", json={"dry_run": True}), 422, "invalid")
    assert root.post(f"{one}/pause", X_Reason="x")["state"] == "paused"
    assert root.post(f"{one}/resume")["state"] == "active"
    assert root.post(f"{one}/rotate", {})["signing_secret"] != made["signing_secret"]
    gone = root.ask("DELETE", one, headers={"X-Reason": "x"})
    assert gone.json() == {"count": 2}
    is_problem(root.ask("GET", one), 404, "not_found")
    assert root.all("/endpoints") == []
    bad = {**asked, "url": "http://127.0.0.1/"}
    is_problem(root.ask("POST", "/endpoints", json=bad), 422, "invalid")


def test_mails_in_an_accounts_own_words(rosterd: Rosterd, root: Client) -> None:
    of = f"/accounts/{rosterd.account_id}/mail-templates"
    ours = root.get(f"{of}/invitation")
    assert ours["own"] is False
    words = {"subject": "Come in", "text": "Hello {{name}}\n\n{{link}}"}
    root.write("PUT", f"{of}/invitation", words, X_Reason="x")
    assert root.get(f"{of}/invitation/preview")["subject"] == "Come in"
    wrong = {**words, "text": "{{nothing}} {{link}}"}
    told = root.ask("PUT", f"{of}/invitation", json=wrong, headers={"X-Reason": "x"})
    is_problem(told, 422, "invalid")
    stale = {"X-Reason": "x", "If-Match": '"old"'}
    told = root.ask("PUT", f"{of}/invitation", json=words, headers=stale)
    is_problem(told, 412, "changed_meanwhile")
    assert root.write("DELETE", f"{of}/invitation", X_Reason="x") == ours
    assert {one["kind"] for one in root.all(of)} >= {"invitation", "email_change"}
    is_problem(root.ask("GET", f"{of}/nothing"), 404, "not_found")


def test_overrides_break_glass_and_links_of_a_person(
    rosterd: Rosterd, feed: Feed, root: Client
) -> None:
    rosterd.hire(feed, "u1")
    (user,) = root.all("/users", account=rosterd.account_id, external_id="u1")
    one = f"/users/{user['id']}"
    until = (datetime.now(UTC) + timedelta(hours=8)).isoformat()
    asked = {"wanted": "suspended", "until": until}
    for until, says in (
        ("2020-01-01T00:00:00Z", "until 2020-01-01T00:00:00+00:00 is past"),
        ("2999-01-01T00:00:00Z", "until 2999-01-01T00:00:00+00:00 is more than 90 days away"),
    ):
        told = root.ask(
            "PUT", f"{one}/override", json={**asked, "until": until}, headers={"X-Reason": "x"}
        )
        is_problem(told, 422, "invalid")
        assert told.json()["detail"].startswith(says)
    assert root.write("PUT", f"{one}/override", asked, X_Reason="x")["state"] != "invited"
    (override,) = root.all("/overrides")
    assert (override["user"], override["reason"]) == (user["id"], "x")
    standing = root.get(f"{one}/standing")
    assert standing["state_without_override"] == "invited"
    assert root.write("DELETE", f"{one}/override")["state"] == "invited"
    assert root.all("/overrides") == []
    assert len(root.all("/overrides", ended=True, limit=1)) == 1
    root.post(f"{one}/resend")
    dead = root.post(f"{one}/revoke-invitation", X_Reason="x")
    assert (dead["kind"], dead["address"]) == ("invitation", user["email"])
    assert root.write("PUT", f"{one}/break-glass", X_Reason="x")["break_glass"] is True
    assert root.write("DELETE", f"{one}/break-glass", X_Reason="x")["break_glass"] is False


def test_a_hold_is_looked_at_and_answered(rosterd: Rosterd, feed: Feed, ops: Client) -> None:
    strict = {"breaker_min": "0", "breaker_percent": "0"}
    rosterd.hire(feed, "u1")
    rosterd.accept("u1@example.com")
    with rosterd.setup() as use:
        use.change_settings(use.connection(feed.connection), strict, reason="t")
    rosterd.tell(feed, "user.suspended", {"id": "u1"})
    (hold,) = ops.all("/holds", limit=1)
    assert (hold["state"], hold["events"]) == ("open", 1)
    shown = ops.get(f"/holds/{hold['id']}")
    assert [event["email"] for event in shown["held"]] == ["u1@example.com"]
    is_problem(ops.ask("POST", f"/holds/{hold['id']}/approve"), 422, "invalid")
    done = ops.post(f"/holds/{hold['id']}/reject", X_Reason="a mistake")
    assert (done["state"], done["events"]) == ("rejected", 1)
    first = ops.post(f"/holds/{hold['id']}/approve", X_Reason="meant", Idempotency_Key="k")
    again = ops.post(f"/holds/{hold['id']}/approve", X_Reason="meant", Idempotency_Key="k")
    assert first == again
    assert re.fullmatch(r"rejected by token:\S+ at .* UTC: a mistake", first["undid"])
    rosterd.drain()
    assert ops.all("/holds") == []
    assert [one["state"] for one in ops.all("/holds", all=True)] == ["approved"]
    assert ops.all("/users", external_id="u1")[0]["state"] == "suspended"
    told = ops.ask("POST", f"/holds/{hold['id']}/approve", headers={"X-Reason": "x"})
    is_problem(told, 409, "refused")
    assert [row["state"] for row in rosterd.table(holds)] == ["approved"]


def test_status_and_alerts_are_the_accounts_own(
    rosterd: Rosterd, feed: Feed, ops: Client, root: Client
) -> None:
    rosterd.hire(feed, "u9", "u9@forbidden.example")
    whole, mine = root.get("/status"), ops.get("/status")
    assert [one["reason"] for one in mine["dead"]] == ["domain_not_allowed"]
    assert (whole["of"], mine["of"]) == ("", "acme")
    rosterd.account(name="other")
    other = Client(rosterd, "operations:read", account="other")
    assert other.get("/status")["dead"] == []
    assert other.all("/alerts") == []
    wrong = other.ask("GET", "/status", params={"account": rosterd.account_id})
    assert wrong.status_code == 200
    told = ops.ask("GET", "/status", params={"account": rosterd.account_id})
    is_problem(told, 404, "not_found")


def test_the_directory_goes_out_and_comes_in(rosterd: Rosterd, feed: Feed, root: Client) -> None:
    rosterd.hire(feed, "u1")
    of = f"/accounts/{rosterd.account_id}/directory"
    out = root.ask("GET", of)
    assert out.headers["content-type"].startswith("application/x-ndjson")
    lines = [json.loads(line) for line in out.text.splitlines()]
    assert lines == rosterd.export(rosterd.account_id)
    records: dict[str, Any] = {
        "records": [
            {"kind": "group", "group": "Crew"},
            {"email": "new@example.com", "group": "Crew"},
            {"email": "x@wrong.example"},
        ]
    }
    dry = root.post(of, {**records, "dry_run": True})
    assert dry["added"] == {"users": 1, "groups": 1, "memberships": 1}
    done = root.post(of, records, X_Reason="moving in")
    assert [one["line"] for one in done["refused"]] == [3]
    assert root.post(of, records, X_Reason="moving in")["unchanged"] == 2
    assert root.all("/users", account=rosterd.account_id, email="new@example.com")


def test_a_captured_request_is_looked_at(rosterd: Rosterd, feed: Feed, root: Client) -> None:
    sent = rosterd.request(feed, "user.suspended", {"id": "u1"})
    asked = {"headers": dict(sent.headers), "body": sent.body.decode(), "feed": feed.id}
    told = root.post("/sources/check", asked)
    assert (told["source"], told["authentic"]) == ("standard", True)
    assert told["events"][0]["kind"] == "users.suspend"
    assert root.post("/sources/check", {**asked, "body": "{}"})["authentic"] is False
    before = len(rosterd.table(rows.events))
    assert before == 0
    assert {"okta", "standard"} <= {one["name"] for one in root.all("/sources")}
    wrong = {**asked, "body": "?", "body_base64": True}
    is_problem(root.ask("POST", "/sources/check", json=wrong), 422, "invalid")

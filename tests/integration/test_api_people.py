"""People over `/api/v1`: invited, changed, let out and in again; each write once for its key."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.api import Client, is_problem
from tests.harness import Feed, Rosterd
from worker.web.api.problems import MEDIA_TYPE

ANA = {"email": "ana@example.com", "display_name": "Ana Silva"}


@pytest.fixture
def feed(rosterd: Rosterd) -> Feed:
    return rosterd.account()


@pytest.fixture
def app(rosterd: Rosterd, feed: Feed) -> Client:
    return Client(rosterd, "directory:read", "directory:write")


def last_change(rosterd: Rosterd, person: str) -> Any:
    done = rosterd.cli("user", "show", person, "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)["timeline"][-1]


def test_u1_u2_who_is_invited_accepts_by_mail_and_the_audit_says_on_whose_word(
    rosterd: Rosterd, app: Client
) -> None:
    told = app.ask("POST", "/users", json=ANA, headers={"X-Reason": "joins, für Ana".encode()})
    assert told.status_code == 201, told.text
    ana = told.json()
    assert (ana["state"], ana["managed"], ana["role"]) == ("invited", False, "member")
    assert told.headers["etag"] == app.ask("GET", f"/users/{ana['id']}").headers["etag"]
    assert rosterd.accept("ana@example.com") == 200
    assert app.get(f"/users/{ana['id']}")["state"] == "active"
    entry = json.loads(rosterd.cli("user", "show", ana["id"], "--json").stdout)["timeline"][0]
    assert entry["actor"].startswith("token:tok_")
    assert (entry["action"], entry["reason"]) == ("user.add", "joins, für Ana")


def test_e1_an_address_that_an_identity_provider_governs_is_changed_there_only(
    rosterd: Rosterd, feed: Feed, app: Client
) -> None:
    rosterd.hire(feed, "u1")
    rosterd.accept("u1@example.com")
    (user,) = app.all("/users")
    before, mails = rosterd.export(), len(rosterd.mails())
    path = f"/users/{user['id']}"
    for method, more, body in (
        ("PUT", "/email", {"email": "new@example.com"}),
        ("POST", "/suspend", None),
        ("POST", "/reactivate", None),
        ("PATCH", "", {"display_name": "Mallory"}),
        ("PATCH", "", {"role": "administrator", "given_name": "Mallory"}),
    ):
        told = app.ask(method, path + more, **({} if body is None else {"json": body}))
        is_problem(told, 409, "managed_by_idp")
    assert rosterd.export() == before
    assert app.get(path) == user
    assert len(rosterd.mails()) == mails
    assert app.write("PATCH", path, {"role": "administrator"})["role"] == "administrator"


def test_e2_e3_whoever_is_by_hand_confirms_a_new_address(rosterd: Rosterd, app: Client) -> None:
    ana = app.post("/users", ANA, 201)
    path = f"/users/{ana['id']}"
    typo = app.write("PUT", f"{path}/email", {"email": "anna@example.com"})
    assert (typo["email"], typo["state"]) == ("anna@example.com", "invited")
    rosterd.accept("anna@example.com")
    asked = app.write("PUT", f"{path}/email", {"email": "a@example.com"})
    assert (asked["email"], asked["pending_email"]) == ("anna@example.com", "a@example.com")
    rosterd.accept("a@example.com")
    assert app.get(path)["email"] == "a@example.com"


def test_u3_u4_out_and_in_again(rosterd: Rosterd, app: Client) -> None:
    ana = app.post("/users", ANA, 201)
    path = f"/users/{ana['id']}"
    link = rosterd.link("ana@example.com")
    assert app.post(f"{path}/suspend", X_Reason="left")["state"] == "invited_suspended"
    assert last_change(rosterd, ana["id"])["reason"] == "left"
    assert rosterd.http.post(link).status_code == 410
    assert app.post(f"{path}/reactivate")["state"] == "invited"
    fresh = rosterd.link("ana@example.com")
    assert fresh != link
    app.post(f"{path}/resend")
    assert rosterd.link("ana@example.com") not in {fresh, link}
    is_problem(app.ask("POST", f"{path}/accept"), 422, "invalid")
    assert app.post(f"{path}/accept", X_Reason="seen in person")["state"] == "active"
    is_problem(app.ask("POST", f"{path}/resend"), 409, "refused")


def test_e7_a_bounce_is_shown_until_a_mail_was_read(rosterd: Rosterd, app: Client) -> None:
    ana = app.post("/users", ANA, 201)
    path = f"/users/{ana['id']}"
    assert ana["undeliverable"] is None
    told = app.post(f"{path}/bounce", {"why": "550 no such user"})
    assert told["undeliverable"] == app.get(path)["undeliverable"] == "550 no such user"
    for body in ({}, {"why": ""}, {"why": "x", "email": "other@example.com"}):
        is_problem(app.ask("POST", f"{path}/bounce", json=body), 422, "invalid")
    rosterd.accept("ana@example.com")
    assert app.get(path)["undeliverable"] is None


def test_u5_only_somebody_suspended_is_deleted_and_for_good(
    rosterd: Rosterd, feed: Feed, app: Client
) -> None:
    ana = app.post("/users", ANA, 201)
    path, why = f"/users/{ana['id']}", {"X-Reason": "asked for it"}
    told = app.ask("DELETE", path, headers=why)
    assert told.status_code == 409, told.text
    assert told.headers["content-type"] == MEDIA_TYPE
    app.post(f"{path}/suspend")
    is_problem(app.ask("DELETE", path), 422, "invalid")
    assert app.get(path)["state"] == "invited_suspended"
    for _ in range(2):
        gone = app.ask("DELETE", path, headers={**why, "Idempotency-Key": "k"})
        assert (gone.status_code, gone.content) == (204, b"")
    is_problem(app.ask("DELETE", path, headers=why), 404, "not_found")
    is_problem(app.ask("GET", path), 404, "not_found")
    assert app.all("/users") == []
    assert app.post("/users", ANA, 201)["id"] != ana["id"]


def test_u6_the_last_owner_stays_one(rosterd: Rosterd, app: Client) -> None:
    ana = app.post("/users", {**ANA, "role": "owner"}, 201)
    rosterd.accept("ana@example.com")
    for method, more, body in (("PATCH", "", {"role": "member"}), ("POST", "/suspend", None)):
        told = app.ask(method, f"/users/{ana['id']}{more}", **({"json": body} if body else {}))
        is_problem(told, 409, "last_owner")
    assert app.get(f"/users/{ana['id']}")["role"] == "owner"


def test_e8_an_address_belongs_to_one_person(rosterd: Rosterd, feed: Feed, app: Client) -> None:
    rosterd.hire(feed, "u1")
    told = app.ask("POST", "/users", json={"email": "U1@example.com"})
    is_problem(told, 409, "address_taken")
    assert len(app.all("/users")) == 1


def test_what_makes_no_sense_is_refused_with_its_place_and_changes_nothing(
    rosterd: Rosterd, app: Client
) -> None:
    ana = app.post("/users", ANA, 201)
    path = f"/users/{ana['id']}"
    for method, where, body in (
        ("POST", "/users", {}),
        ("POST", "/users", {"email": "no address"}),
        ("POST", "/users", {"email": "a@b\r\nBcc: x@example.com"}),
        ("POST", "/users", {"email": "b@example.com", "role": "king"}),
        ("POST", "/users", {"email": "b@example.com", "given_name": "B\u202eA"}),
        ("POST", "/users", {"email": "b@example.com", "rôle": "owner"}),
        ("POST", "/users", {"email": "b@example.com", "display_name": "B\x00"}),
        ("POST", "/users", {"email": "b@example.com", "display_name": "x" * 400}),
        ("POST", "/users", ["b@example.com"]),
        ("PATCH", path, {"role": None}),
        ("PATCH", path, {"email": "b@example.com"}),
        ("PUT", f"{path}/email", {"email": None}),
    ):
        is_problem(app.ask(method, where, json=body), 422, "invalid")
    for text in (b"{", b"[" * 100_000, b"\xff", b'{"email": 1e999999}'):
        told = app.ask("POST", "/users", content=text, headers={"Content-Type": "application/json"})
        assert told.status_code in {400, 422}, told.text
    assert app.all("/users") == [ana]


def test_c3_reading_and_writing_are_two_scopes(rosterd: Rosterd, app: Client) -> None:
    ana = app.post("/users", ANA, 201)
    reads = Client(rosterd, "directory:read")
    for method, path in (("POST", "/users"), ("PATCH", f"/users/{ana['id']}")):
        is_problem(reads.ask(method, path, json=ANA), 403, "insufficient_scope")
    writes = Client(rosterd, "directory:write")
    is_problem(writes.ask("GET", "/users"), 403, "insufficient_scope")
    everything = Client(rosterd, "operator", account=None)
    is_problem(everything.ask("POST", "/users", json={"email": "b@example.com"}), 422, "invalid")
    bob = {"email": "b@example.com", "account": rosterd.account_id}
    assert everything.post("/users", bob, 201)["account"] == rosterd.account_id


def test_what_is_sent_again_under_its_key_is_done_once(rosterd: Rosterd, app: Client) -> None:
    key = {"Idempotency_Key": "k-1"}
    first = app.post("/users", ANA, 201, **key)
    mails = len(rosterd.mails())
    again = app.ask("POST", "/users", json=ANA, headers={"Idempotency-Key": "k-1"})
    assert (again.status_code, again.json()) == (201, first)
    assert again.headers["idempotency-replayed"] == "true"
    assert len(rosterd.mails()) == mails
    for method, path, body in (
        ("POST", "/users", {"email": "b@example.com"}),
        ("POST", f"/users/{first['id']}/suspend", None),
    ):
        more = {} if body is None else {"json": body}
        told = app.ask(method, path, headers={"Idempotency-Key": "k-1"}, **more)
        is_problem(told, 422, "idempotency_key_reused")
    other = Client(rosterd, "directory:write")
    is_problem(
        other.ask("POST", "/users", json=ANA, headers={"Idempotency-Key": "k-1"}),
        409,
        "address_taken",
    )
    assert app.all("/users") == [first]
    for odd in ("", "a b", "x" * 256):
        told = app.ask("POST", "/users", json=ANA, headers={"Idempotency-Key": odd})
        is_problem(told, 422, "invalid")


def test_a_refusal_is_not_kept_under_the_key(rosterd: Rosterd, app: Client) -> None:
    ana = app.post("/users", ANA, 201)
    headers = {"Idempotency-Key": "k"}
    is_problem(app.ask("POST", "/users", json=ANA, headers=headers), 409, "address_taken")
    app.write("PUT", f"/users/{ana['id']}/email", {"email": "other@example.com"})
    assert app.post("/users", ANA, 201, Idempotency_Key="k")["email"] == "ana@example.com"


def test_of_many_with_one_key_at_once_one_is_done(postgres_url: str, tmp_path: Path) -> None:
    rosterd = Rosterd(postgres_url, tmp_path)
    with rosterd.serving():
        rosterd.account()
        app = Client(rosterd, "directory:read", "directory:write")

        def send(_number: int) -> Any:
            return app.ask("POST", "/users", json=ANA, headers={"Idempotency-Key": "k"})

        with ThreadPoolExecutor(8) as pool:
            told = list(pool.map(send, range(8)))
        assert {answer.status_code for answer in told} == {201}, [a.text for a in told]
        assert len({answer.text for answer in told}) == 1
        assert len(app.all("/users")) == 1
    rosterd.close()


def test_answers_are_kept_for_a_day_and_sealed(
    rosterd: Rosterd, app: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    from datetime import timedelta

    from worker.adapters.db import once
    from worker.adapters.db.api_rows import api_answers

    app.post("/users", ANA, 201, Idempotency_Key="k")
    rosterd.parts.retain()
    (kept,) = rosterd.table(api_answers)
    assert b"ana@" not in kept["answer"]
    monkeypatch.setattr(once, "KEPT", timedelta(0))
    told = app.ask("POST", "/users", json=ANA, headers={"Idempotency-Key": "k"})
    is_problem(told, 409, "address_taken")
    rosterd.parts.retain()
    assert rosterd.table(api_answers) == []


def test_an_account_that_nobody_has_is_no_empty_list(rosterd: Rosterd) -> None:
    """Whoever writes the name for the id would read that nothing is dead and nothing held."""
    rosterd.account()
    app = Client(rosterd, "operator", account=None)
    paths = rosterd.http.get("/api/openapi.json").json()["paths"]
    lists = {}
    for path, operations in paths.items():
        asked = operations.get("get", {}).get("parameters", ())
        if "{" not in path and any(one["name"] == "account" for one in asked):
            needed = [f"&{one['name']}=x" for one in asked if one.get("required")]
            lists[path.removeprefix("/v1")] = "".join(needed)
    assert len(lists) > 12
    for path, more in lists.items():
        is_problem(app.ask("GET", f"{path}?account=acme{more}"), 404, "not_found")
        told = app.ask("GET", f"{path}?account={rosterd.account_id}{more}")
        assert told.status_code == 200, (path, told.text)

"""Operators by the API: appointed, linked, signed out, each of the caller's accounts only (C4)."""

from __future__ import annotations

from typing import Any

import pytest

from tests.api import Client, is_problem
from tests.harness import Rosterd
from worker.adapters.db import rows
from worker.bootstrap_operators import ITSELF
from worker.web.signin.session import COOKIE, CSRF_HEADER

EVE = "eve@example.com"


def test_an_operator_is_appointed_signs_in_is_signed_out_and_removed(rosterd: Rosterd) -> None:
    rosterd.account()
    client = Client(rosterd, "operator", account=None)
    made = client.post("/operators", {"email": EVE, "role": "operator"}, 201, X_Reason="on call")
    assert (made["email"], made["role"], made["account"]) == (EVE, "operator", None)
    place = f"/operators/{made['id']}"
    link = client.post(f"{place}/link")
    assert link["url"].startswith(rosterd.settings.public_url)
    path = "/sign-in/" + link["url"].rpartition("/")[2]
    assert rosterd.http.post(path, follow_redirects=False).status_code == 303
    (session,) = client.ask("GET", f"{place}/sessions").json()["items"]
    assert (session["email"], session["way"]) == (EVE, "link")
    client.write("DELETE", f"{place}/sessions/{session['id']}", status=204)
    assert client.ask("GET", f"{place}/sessions").json()["items"] == []
    assert client.write("PATCH", place, {"role": "viewer"})["role"] == "viewer"
    client.write("PUT", f"{place}/password", {"password": "a long one for once 77"}, 204)
    (listed,) = client.ask("GET", "/operators").json()["items"]
    assert (listed["role"], listed["has_password"]) == ("viewer", True)
    client.write("PUT", f"{place}/password", {"password": None}, 204)
    client.write("DELETE", f"{place}/sessions", status=204)
    is_problem(client.ask("DELETE", place), 422, "invalid")
    client.write("DELETE", place, status=204, X_Reason="left")
    assert client.ask("GET", "/operators").json()["items"] == []
    said = [e["action"] for e in rosterd.table(rows.audit, rows.audit.c.subject == EVE)]
    for action in ("add", "link", "end_session", "role", "password", "no_password", "remove"):
        assert f"operator.{action}" in said


def test_a_key_appoints_and_links_once(rosterd: Rosterd) -> None:
    rosterd.account()
    client = Client(rosterd, "operator", account=None)
    once = {"Idempotency_Key": "k1"}
    made = client.post("/operators", {"email": EVE}, 201, **once)
    assert client.post("/operators", {"email": EVE}, 201, **once) == made
    is_problem(client.ask("POST", "/operators", json={"email": EVE}), 422, "invalid")
    link = client.post(f"/operators/{made['id']}/link", Idempotency_Key="k2")
    assert client.post(f"/operators/{made['id']}/link", Idempotency_Key="k2") == link


def test_c4_an_accounts_admin_appoints_in_it_and_below_it_only(rosterd: Rosterd) -> None:
    rosterd.account()
    with rosterd.setup() as use:
        child = use.add_account("child", owner=None, domains=[], parent="acme", several=False)
        other = use.add_account("other", owner=None, domains=[], parent=None, several=False)
    rosterd.operator("all@example.com", "admin")
    rosterd.operator("other@example.com", "admin", account=other)
    everybody = Client(rosterd, "operator", account=None).ask("GET", "/operators").json()["items"]
    rosterd.operator("adm@example.com", "admin", account=rosterd.account_id)
    rosterd.http.cookies.set(COOKIE, rosterd.session("adm@example.com"))
    proof = {CSRF_HEADER: rosterd.csrf(), "X-Reason": "r"}

    def ask(method: str, path: str, **more: Any) -> Any:
        return rosterd.http.request(method, f"/api/v1{path}", headers=proof, **more)

    mine = ask("POST", "/operators", json={"email": EVE}).json()
    assert mine["account"] == rosterd.account_id
    below = ask("POST", "/operators", json={"email": "kid@example.com", "account": child}).json()
    assert below["account"] == child
    elsewhere = {"email": "x@example.com", "account": other}
    is_problem(ask("POST", "/operators", json=elsewhere), 404, "not_found")
    listed = ask("GET", "/operators").json()["items"]
    assert {one["email"] for one in listed} == {EVE, "kid@example.com", "adm@example.com"}
    assert len(everybody) == 2
    for stranger in everybody:
        place = f"/operators/{stranger['id']}"
        is_problem(ask("POST", f"{place}/link"), 404, "not_found")
        is_problem(ask("DELETE", f"{place}/sessions"), 404, "not_found")
        is_problem(ask("DELETE", place), 404, "not_found")
        is_problem(ask("PATCH", place, json={"role": "viewer"}), 404, "not_found")


@pytest.mark.parametrize("scope", ["operations:write", "directory:write"])
def test_whoever_may_not_appoint_is_told_so(rosterd: Rosterd, scope: str) -> None:
    rosterd.account()
    client = Client(rosterd, scope)
    for told in (
        client.ask("GET", "/operators"),
        client.ask("POST", "/operators", json={"email": EVE}),
    ):
        is_problem(told, 403, "insufficient_scope")


def test_signed_out_everywhere_is_every_browser_though_one_signs_out_meanwhile(
    rosterd: Rosterd, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A session that is over is no reason to leave another one, perhaps stolen, alive."""
    rosterd.operator(EVE)
    one, two = rosterd.session(EVE), rosterd.session(EVE)
    use = rosterd.parts.operators
    listed = use.appoint._sessions.all

    def beside(accounts: Any, email: str | None = None) -> Any:
        found = listed(accounts, email)
        use.sign_in.out(one)
        return found

    monkeypatch.setattr(use.appoint._sessions, "all", beside)
    use.appoint.end_sessions(ITSELF, EVE, reason="a lost laptop")
    assert use.sign_in.asker(two) is None
    ended = rosterd.table(rows.audit, rows.audit.c.action == "operator.end_session")
    assert [entry["reason"] for entry in ended] == ["a lost laptop"]

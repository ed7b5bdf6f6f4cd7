"""`/api/v1` for whoever is signed in: by role and account, writes from their own pages only."""

from __future__ import annotations

from typing import Any

import pytest

from tests.api import is_problem
from tests.harness import Feed, Rosterd
from worker.bootstrap_operators import ITSELF
from worker.web.signin.session import COOKIE, CSRF_HEADER

EVE = "eve@example.com"


@pytest.fixture
def feed(rosterd: Rosterd) -> Feed:
    feed = rosterd.account()
    rosterd.hire(feed, "u1")
    return feed


def ask(rosterd: Rosterd, method: str, path: str, **headers: str) -> Any:
    return rosterd.http.request(method, f"/api/v1{path}", headers=headers)


def sign_in(rosterd: Rosterd, role: str, *, account: str | None = None) -> None:
    """The browser keeps the session, as after a link."""
    rosterd.operator(EVE, role, account=account)
    rosterd.http.cookies.set(COOKIE, rosterd.session(EVE))


def test_a_session_reads_by_its_cookie_and_bodies_by_its_role(rosterd: Rosterd, feed: Feed) -> None:
    is_problem(ask(rosterd, "GET", "/events"), 401, "unauthenticated")
    sign_in(rosterd, "viewer")
    (event,) = ask(rosterd, "GET", "/events").json()["items"]
    story = ask(rosterd, "GET", f"/events/{event['id']}?body=true").json()
    assert story["delivery"]["redacted"] is True
    rosterd.parts.operators.appoint.set_role(ITSELF, EVE, "operator", reason="x")
    story = ask(rosterd, "GET", f"/events/{event['id']}?body=true").json()
    assert "u1@example.com" in story["delivery"]["body"]
    is_problem(ask(rosterd, "GET", "/tokens"), 403, "not_permitted")


def test_a_session_writes_with_the_pages_token_only(rosterd: Rosterd, feed: Feed) -> None:
    sign_in(rosterd, "operator")
    path = f"/connections/{feed.connection}/pause"
    told = ask(rosterd, "POST", path, **{"X-Reason": "x"})
    is_problem(told, 403, "cross_site")
    csrf = {CSRF_HEADER: rosterd.csrf(), "X-Reason": "x"}
    elsewhere = {**csrf, "Sec-Fetch-Site": "cross-site"}
    is_problem(ask(rosterd, "POST", path, **elsewhere), 403, "cross_site")
    assert ask(rosterd, "POST", path, **csrf).json()["state"] == "paused"
    audit = ask(rosterd, "GET", "/audit?action=connection.paused").json()["items"]
    assert [entry["actor"] for entry in audit] == [f"operator:{EVE}"]
    retire = f"/connections/{feed.connection}/retire"
    is_problem(ask(rosterd, "POST", retire, **csrf), 403, "not_permitted")


def test_a_session_of_one_account_sees_that_only(rosterd: Rosterd, feed: Feed) -> None:
    first = rosterd.account_id
    rosterd.account(name="other")
    sign_in(rosterd, "admin", account=rosterd.account_id)
    assert ask(rosterd, "GET", "/events").json()["items"] == []
    is_problem(ask(rosterd, "GET", f"/accounts/{first}"), 404, "not_found")
    is_problem(ask(rosterd, "GET", f"/events?account={first}"), 404, "not_found")

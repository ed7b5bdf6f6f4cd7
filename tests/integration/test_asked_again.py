"""A request sent again with its Idempotency-Key is answered as it was, whatever it did away with.

Whoever lost the answer to a DELETE sends it again, and must not be told that it had failed.
"""

from __future__ import annotations

from typing import Any

import pytest

from tests.api import Client, is_problem
from tests.harness import Rosterd
from worker.adapters.db.operator_rows import sessions
from worker.web.signin.session import COOKIE, CSRF_HEADER

EVE = "eve@example.com"


@pytest.fixture
def app(rosterd: Rosterd) -> Client:
    rosterd.account(several=True)
    return Client(rosterd, "operator", account=None)


def answered_twice(app: Client, method: str, path: str, status: int, **more: Any) -> None:
    headers = {"X-Reason": "r", "Idempotency-Key": "once"}
    first, again = (app.ask(method, path, headers=headers, **more) for _ in range(2))
    assert first.status_code == status, first.text
    assert "idempotency-replayed" not in first.headers
    assert (again.status_code, again.content) == (status, first.content), again.text
    assert again.headers["idempotency-replayed"] == "true"
    told = app.ask(method, f"{path}?another=1", headers=headers, **more)
    is_problem(told, 422, "idempotency_key_reused")


def test_a_group_deleted_again(rosterd: Rosterd, app: Client) -> None:
    group = app.post("/groups", {"name": "Crew", "account": rosterd.account_id}, 201)
    answered_twice(app, "DELETE", f"/groups/{group['id']}", 204)
    late = app.ask("DELETE", f"/groups/{group['id']}", headers={"X-Reason": "r"})
    is_problem(late, 404, "not_found")


@pytest.mark.parametrize("what", ["", "/sessions/{session}"])
def test_an_operator_removed_or_signed_out_again(rosterd: Rosterd, app: Client, what: str) -> None:
    made = app.post("/operators", {"email": EVE, "role": "viewer"}, 201)
    rosterd.session(EVE)
    place = f"/operators/{made['id']}"
    (session,) = app.get(f"{place}/sessions")["items"]
    answered_twice(app, "DELETE", place + what.format(session=session["id"]), 204)
    assert rosterd.table(sessions) == []


def test_s4_a_connection_gone_live_again(rosterd: Rosterd, app: Client) -> None:
    """Its plan is used up; the second request is not a second attempt to go live."""
    asked = {"source": "standard", "name": "observer", "observe": True}
    made = app.post("/connections", {**asked, "account": rosterd.account_id}, 201)
    place = f"/connections/{made['id']}"
    plan = app.post(f"{place}/plans", {}, 201)
    answered_twice(app, "POST", f"{place}/go-live", 200, json={"plan": plan["id"]})


def test_c4_an_operator_who_is_of_another_account_by_now_is_not_told_the_old_answer(
    rosterd: Rosterd,
) -> None:
    rosterd.account(name="first")
    with rosterd.setup() as use:
        second = use.add_account("second", owner=None, domains=[], parent=None, several=False)

    def ask(account: str) -> Any:
        who = rosterd.operator(EVE, "admin", account=account)
        rosterd.http.cookies.set(COOKIE, rosterd.session(who))
        headers = {CSRF_HEADER: rosterd.csrf(), "X-Reason": "r", "Idempotency-Key": "once"}
        return rosterd.http.post("/api/v1/groups", json={"name": "Crew"}, headers=headers)

    told = ask(rosterd.account_id).json()
    assert told["account"] == rosterd.account_id
    assert rosterd.cli("operator", "remove", EVE, "--reason", "r", "--yes").returncode == 0
    assert ask(second).json()["account"] == second

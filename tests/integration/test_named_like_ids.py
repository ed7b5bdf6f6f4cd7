"""C4: who names something of theirs as the id of another's thing takes nothing over by it."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import update

from tests.harness import Rosterd
from worker.adapters.db import rows
from worker.web.signin.session import COOKIE, CSRF_HEADER


class Admin:
    """An admin of one account, in a browser of their own."""

    def __init__(self, rosterd: Rosterd, email: str, account: str) -> None:
        self._rosterd = rosterd
        rosterd.operator(email, "admin", account=account)
        self._session = rosterd.session(email)
        rosterd.http.cookies.set(COOKIE, self._session)
        self._csrf = rosterd.csrf()
        rosterd.http.cookies.clear()

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        headers = {"Cookie": f"{COOKIE}={self._session}", CSRF_HEADER: self._csrf, "X-Reason": "r"}
        told = self._rosterd.http.request(method, f"/api/v1{path}", headers=headers, json=body)
        self._rosterd.http.cookies.clear()
        return told


@pytest.fixture
def accounts(rosterd: Rosterd) -> tuple[str, str]:
    """The ids of somebody's account, and of another's who means them no good."""
    rosterd.account(name="victim")
    victim = rosterd.account_id
    rosterd.account(name="trickster", several=True)
    return victim, rosterd.account_id


def test_c4_an_account_named_as_anothers_id_is_not_taken_for_it(
    rosterd: Rosterd, accounts: tuple[str, str]
) -> None:
    """By id first: else a child made for one account would be the other's to see and to work."""
    victim, trickster = accounts
    mine = Admin(rosterd, "v@example.com", victim)
    theirs = Admin(rosterd, "t@example.com", trickster)
    trap = theirs.ask("POST", "/accounts", {"name": victim, "parent": trickster})
    assert trap.status_code == 201, trap.text
    # Written anew its row lies behind the trap: which of the two comes first must not matter.
    with rosterd.setup() as use:
        its = rows.accounts.c.id == victim
        use.sql.execute(update(rows.accounts).where(its).values(name="renamed"))
    made = mine.ask("POST", "/accounts", {"name": "our child", "parent": victim})
    assert made.status_code == 201, made.text
    (child,) = rosterd.table(rows.accounts, rows.accounts.c.name == "our child")
    assert child["parent_id"] == victim
    assert mine.ask("GET", f"/accounts/{child['id']}").status_code == 200
    assert theirs.ask("GET", f"/accounts/{child['id']}").status_code == 404


def test_c2_c4_a_connection_named_as_anothers_id_keeps_nobody_from_pausing_it(
    rosterd: Rosterd, accounts: tuple[str, str]
) -> None:
    """An emergency stop by id is not refused because some other connection has it for a name."""
    victim, trickster = accounts
    (one,) = rosterd.table(rows.connections, rows.connections.c.account_id == victim)
    theirs = Admin(rosterd, "t@example.com", trickster)
    trap = theirs.ask("POST", "/connections", {"source": "standard", "name": one["id"]})
    assert trap.status_code == 201, trap.text
    mine = Admin(rosterd, "v@example.com", victim)
    told = mine.ask("POST", f"/connections/{one['id']}/pause")
    assert told.status_code == 200, told.text
    others = rows.connections.c.account_id == trickster
    assert {c["state"] for c in rosterd.table(rows.connections, others)} == {"active"}
    (paused,) = rosterd.table(rows.connections, rows.connections.c.id == one["id"])
    assert paused["state"] == "paused"

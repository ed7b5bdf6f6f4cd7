"""C3: who made a token that opens an account, and who revoked it, stands in its audit log."""

from __future__ import annotations

from typing import Any

from tests.api import Client
from tests.console import Operator
from tests.harness import Rosterd
from worker.adapters.db import rows


def audited(rosterd: Rosterd, token: str) -> list[dict[str, Any]]:
    return rosterd.table(rows.audit, rows.audit.c.subject == token)


def log_of_acme(rosterd: Rosterd) -> list[dict[str, Any]]:
    """What an admin of this one account reads."""
    told = Operator(rosterd, "admin", account="acme").ask("/api/v1/audit")
    assert told.status_code == 200, told.text
    return list(told.json()["items"])


def test_c3_a_token_made_and_revoked_is_audited_in_its_account(rosterd: Rosterd) -> None:
    """Its operators look in their own log, and find both by the id that the list shows."""
    rosterd.account()
    app = Client(rosterd, "operator", account=None)
    asked = {"name": "nightly", "scopes": ["directory:read"], "account": rosterd.account_id}
    made = app.post("/tokens", asked, 201, X_Reason="the nightly report")
    app.write("DELETE", f"/tokens/{made['id']}", status=204, X_Reason="it leaked")
    seen = [entry for entry in log_of_acme(rosterd) if entry["subject"] == made["id"]]
    told = {entry["action"]: entry["reason"] for entry in seen}
    assert told == {"token.add": "the nightly report", "token.revoke": "it leaked"}
    assert len(seen) == 2
    entries = audited(rosterd, made["id"])
    assert {entry["account_id"] for entry in entries} == {rosterd.account_id}
    assert made["token"] not in str(entries), "the log opens nothing"


def test_c3_a_token_of_all_accounts_is_audited_in_none(rosterd: Rosterd) -> None:
    """The strongest of all is not made in silence, and no account's operator is told of it."""
    rosterd.account()
    app = Client(rosterd, "operator", account=None)
    asked = {"name": "everything", "scopes": ["operator"]}
    made = app.post("/tokens", asked, 201, X_Reason="the control room")
    (entry,) = audited(rosterd, made["id"])
    assert (entry["action"], entry["account_id"]) == ("token.add", None)
    assert entry["reason"] == "the control room"
    assert made["id"] not in {entry["subject"] for entry in log_of_acme(rosterd)}

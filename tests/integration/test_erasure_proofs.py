"""A deletion leaves a proof, and whoever doubts it searches the database; on both databases."""

from __future__ import annotations

import json
from typing import Any

from sqlalchemy import insert, update

from tests.api import Client, is_problem
from tests.harness import Feed, Rosterd
from tests.integration.test_by_hand import added, at, told
from worker.adapters.db import rows

KEY = "zebulon-77"
EMAIL = f"{KEY}@example.com"


def leaver(rosterd: Rosterd, feed: Feed) -> str:
    """Somebody with a history: a group, an address that changed, a letter, a bundle with others."""
    rosterd.tell(feed, "group.upserted", {"id": "g1", "name": "Sales"})
    rosterd.hire(feed, KEY, given_name="Zebulon")
    both = {"id": "both", "type": "user.upserted", "timestamp": rosterd.at(2).isoformat()}
    events = [
        {**both, "data": {"id": KEY, "email": EMAIL, "given_name": "Zebulon"}},
        {**both, "id": "other", "data": {"id": "bo-12345", "email": "bo-12345@example.com"}},
    ]
    body = json.dumps({"events": events}).encode()
    assert rosterd.post(rosterd.signed(feed, body, id_="bundle")) == 200
    members = {"group_id": "g1", "user_ids": [KEY, "bo-12345"]}
    rosterd.tell(feed, "group.members_replaced", members)
    rosterd.hire(feed, KEY, f"{KEY}@elsewhere.example")
    rosterd.accept(EMAIL)
    rosterd.tell(feed, "user.suspended", {"id": KEY})
    return str(at(rosterd, EMAIL)["id"])


def erased(rosterd: Rosterd, person: str) -> str:
    return str(told(rosterd, "user", "delete", person, "--yes")["erasure"])


def verified(rosterd: Rosterd, erasure: str, *, holds: bool) -> dict[str, Any]:
    done = rosterd.cli("erasure", "verify", erasure, "--json")
    assert done.returncode == (0 if holds else 1), (done.stdout, done.stderr)
    found: dict[str, Any] = json.loads(done.stdout)
    assert found["holds"] is holds
    return found


def test_u5_the_proof_says_what_was_done_by_whom_and_why(rosterd: Rosterd) -> None:
    feed = rosterd.account()
    person = leaver(rosterd, feed)
    erasure = erased(rosterd, person)
    proof = rosterd.json("erasure", "show", erasure)
    assert (proof["person"], proof["reason"]) == (person, "r")
    assert proof["actor"].startswith("cli:")
    tables = proof["tables"]
    assert tables["people"] == tables["users"] == {"deleted": 1}
    assert tables["deliveries"]["resealed"] == 2, "the bundle and the list tell of others, too"
    assert tables["deliveries"]["emptied"] >= 2
    assert len(proof["tombstones"]) == 1
    assert KEY not in json.dumps(proof)
    (listed,) = rosterd.json("erasure", "list", "--account", "acme")
    assert listed["id"] == erasure
    assert rosterd.json("erasure", "list", "--person", person) == [listed]
    assert rosterd.json("erasure", "list", "--person", "usr_nobody") == []


def test_u5_nothing_is_left_in_any_row_or_body(rosterd: Rosterd) -> None:
    feed = rosterd.account()
    erasure = erased(rosterd, leaver(rosterd, feed))
    found = verified(rosterd, erasure, holds=True)
    assert (found["left"], found["again"], found["unreadable"]) == ({}, {}, 0)
    assert found["tables"] > 30
    bodies = [rosterd.parts.vault.open(row["body"]) for row in rosterd.table(rows.deliveries)]
    assert not [body for body in bodies if b"ebulon" in body]
    assert [body for body in bodies if b"bo-12345@example.com" in body], "the other's words stay"


def test_u5_a_bundle_that_was_sealed_anew_still_tells_of_the_other(rosterd: Rosterd) -> None:
    feed = rosterd.account()
    person = leaver(rosterd, feed)
    erased(rosterd, person)
    (event,) = rosterd.events(rows.events.c.external_id == "other")
    results, _ = rosterd.parts.drain.predict([event["id"]])
    assert [result.reason for result in results] != ["unparseable"]
    assert results[0].event.id == event["id"]


def test_u5_whatever_is_left_is_found_wherever_it_stands(rosterd: Rosterd) -> None:
    feed = rosterd.account()
    erasure = erased(rosterd, leaver(rosterd, feed))
    (letter, *_) = rosterd.table(rows.deliveries)
    hidden = rosterd.parts.vault.seal(json.dumps({"a": [f"<{EMAIL.upper()}>"]}).encode())
    entry = {"account_id": rosterd.account_id, "at": rosterd.at(0), "actor": "x", "action": "y"}
    with rosterd.setup() as use:
        one = rows.deliveries.c.id == letter["id"]
        old = {"received_at": rosterd.at(0), "body": hidden}
        use.sql.execute(update(rows.deliveries).where(one).values(**old))
        use.sql.execute(insert(rows.audit).values(**entry, subject="s", reason=f"of {KEY}, again"))
    found = verified(rosterd, erasure, holds=False)
    assert found["left"] == {"deliveries.body": 1, "audit.reason": 1}
    done = rosterd.cli("erasure", "verify", erasure)
    assert "deliveries.body" in done.stdout
    assert EMAIL not in done.stdout


def test_u5_d16_who_came_back_by_something_newer_is_told_apart(rosterd: Rosterd) -> None:
    feed = rosterd.account()
    erasure = erased(rosterd, leaver(rosterd, feed))
    rosterd.hire(feed, KEY, active=True)
    assert rosterd.user(KEY) is not None
    found = verified(rosterd, erasure, holds=True)
    assert found["again"]["users.key"] == 1
    assert found["again"]["events.subject"] == 1


def test_u5_another_accounts_person_of_that_name_is_nobodys_business(rosterd: Rosterd) -> None:
    feed = rosterd.account()
    person = leaver(rosterd, feed)
    with rosterd.setup() as use:
        use.add_account("other", owner=EMAIL, domains=[], parent=None, several=False)
    found = verified(rosterd, erased(rosterd, person), holds=True)
    assert found["again"] == {}


def test_u5_reasons_that_name_the_person_lose_the_name(rosterd: Rosterd) -> None:
    rosterd.account()
    bo = added(rosterd, EMAIL, "--active")
    why = f"{EMAIL} asked for it"
    assert rosterd.cli("user", "suspend", bo, "--reason", why).returncode == 0
    erasure = erased(rosterd, bo)
    (entry,) = rosterd.table(rows.audit, rows.audit.c.action == "user.suspend")
    assert entry["reason"] == "erased asked for it"
    verified(rosterd, erasure, holds=True)


def test_u5_the_api_tells_the_same_of_accounts_that_are_there(rosterd: Rosterd) -> None:
    feed = rosterd.account()
    person = leaver(rosterd, feed)
    client = Client(rosterd, "directory:write", "operations:read")
    client.write("DELETE", f"/users/{person}", status=204, X_Reason="asked for")
    (listed,) = client.ask("GET", "/erasures").json()["items"]
    assert (listed["person"], listed["reason"]) == (person, "asked for")
    told_ = client.ask("GET", f"/erasures/{listed['id']}").json()
    assert told_ == listed
    found = client.ask("GET", f"/erasures/{listed['id']}/verification").json()
    assert (found["holds"], found["left"]) == (True, {})
    is_problem(client.ask("GET", "/erasures/era_nobody"), 404, "not_found")
    with rosterd.setup() as use:
        use.add_account("other", owner=None, domains=[], parent=None, several=False)
    stranger = Client(rosterd, "operations:read", account="other")
    is_problem(stranger.ask("GET", f"/erasures/{listed['id']}"), 404, "not_found")
    is_problem(stranger.ask("GET", f"/erasures/{listed['id']}/verification"), 404, "not_found")
    assert stranger.ask("GET", "/erasures").json()["items"] == []

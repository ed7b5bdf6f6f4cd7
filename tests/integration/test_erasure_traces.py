"""U5: whoever is deleted for good leaves no trace by another id, another way or another's key."""

from __future__ import annotations

import json
from typing import Any

from tests.api import Client, is_problem
from tests.harness import Feed, Rosterd
from tests.integration.test_by_hand import at
from tests.integration.test_erasure_proofs import erased, verified
from worker.adapters.db import rows
from worker.adapters.db.breaker_rows import breaker_marks
from worker.web.signin.session import COOKIE, CSRF_HEADER

ZEBULON = "zebulon@example.com"
EVE = "eve@example.com"


def test_u5_an_answer_kept_for_an_operators_key_tells_nothing_of_somebody_erased(
    rosterd: Rosterd,
) -> None:
    """Answers are kept for whoever sends a request again, in a browser as with a token."""
    rosterd.account()
    rosterd.operator(EVE, "admin")
    rosterd.http.cookies.set(COOKIE, rosterd.session(EVE))
    headers = {CSRF_HEADER: rosterd.csrf(), "X-Reason": "hired", "Idempotency-Key": "k1"}
    body = {"email": ZEBULON, "given_name": "Zebulon", "account": rosterd.account_id}

    def add() -> Any:
        return rosterd.http.post("/api/v1/users", json=body, headers=headers)

    made = add()
    assert made.status_code == 201, made.text
    assert add().json() == made.json(), "until then it is answered as before"
    person = made.json()["id"]
    rosterd.parts.people.suspend(person, actor="t", reason="left")
    verified(rosterd, erased(rosterd, person), holds=True)
    again = add()
    is_problem(again, 404, "not_found")
    assert "Zebulon" not in again.text
    assert rosterd.table(rows.people) == [], "and nobody is made anew"


def replaced(rosterd: Rosterd, first: Feed) -> Feed:
    """The account's second connection, which has taken over from the first."""
    words = ("--account", "acme", "--source", "standard", "--name", "second", "--observe")
    told = rosterd.json("connection", "add", *words)
    second = Feed(told["feed"], told["id"], told["signing_secret"])
    for act in (
        ("replace", first.connection, second.connection, "--reason", "a new vendor", "--yes"),
        ("go-live", second.connection, "--reason", "t", "--yes", "--wait", "0"),
    ):
        done = rosterd.cli("connection", *act)
        assert done.returncode == 0, done.stderr
    return second


def test_u5_c7_erased_is_what_a_retired_connection_knows_of_a_person(rosterd: Rosterd) -> None:
    """Links outlive a retirement; by them the old id is found, though the address was the link."""
    first = rosterd.account()
    rosterd.hire(first, "old-zebulon", ZEBULON, given_name="Zebulon")
    second = replaced(rosterd, first)
    assert rosterd.accept(ZEBULON) == 200, "open invitations stay valid"
    rosterd.hire(second, "new-zebulon", ZEBULON)
    (person,) = rosterd.table(rows.people)
    assert (person["user_key"], person["connection_id"]) == ("new-zebulon", second.connection)
    rosterd.tell(second, "user.suspended", {"id": "new-zebulon"})
    verified(rosterd, erased(rosterd, person["id"]), holds=True)
    subjects = json.dumps([event["subject"] for event in rosterd.events()])
    assert "zebulon" not in subjects
    assert "zebulon" not in json.dumps([user["key"] for user in rosterd.table(rows.users)])


def test_u5_g8_erased_is_the_event_whose_edit_told_of_a_person(rosterd: Rosterd) -> None:
    """The original bears an id that nobody has; its body is the same person's all the same."""
    feed = rosterd.account()
    typo = {"id": "typo-1", "email": "zebulon@elsewhere.test", "given_name": "Zebulon"}
    rosterd.tell(feed, "user.upserted", typo)
    (letter,) = rosterd.dead()
    rosterd.allow("elsewhere.test")
    app = Client(rosterd, "operator", account=None)
    patch = [{"op": "replace", "path": "/data/id", "value": "right-1"}]
    path = f"/events/{letter['event_id']}/edit-and-replay"
    app.post(path, {"patch": patch}, 201, X_Reason="a typo")
    rosterd.drain()
    rosterd.tell(feed, "user.suspended", {"id": "right-1"})
    verified(rosterd, erased(rosterd, at(rosterd, typo["email"])["id"]), holds=True)
    assert "typo-1" not in {event["subject"] for event in rosterd.events()}


def test_u5_d17_whoever_the_breaker_counted_under_two_ids_is_erased(rosterd: Rosterd) -> None:
    """Somebody hired again counts once for each id; without a name the counts must not collide."""
    feed = rosterd.account()
    rosterd.hire(feed, "old-1", "ana@example.com")
    rosterd.accept("ana@example.com")
    rosterd.tell(feed, "user.suspended", {"id": "old-1"})
    rosterd.hire(feed, "new-1", "ana@example.com", active=True)
    rosterd.tell(feed, "user.suspended", {"id": "new-1"})
    person = at(rosterd, "ana@example.com")
    assert (person["user_key"], person["state"]) == ("new-1", "suspended")
    counted = len(rosterd.table(breaker_marks))
    assert counted == 2
    app = Client(rosterd, "operator", account=None)
    app.write("DELETE", f"/users/{person['id']}", status=204, X_Reason="asked for")
    left = [mark["key"] for mark in rosterd.table(breaker_marks)]
    assert len(left) == counted, "the breaker's window counts them on"
    assert not {"u:old-1", "u:new-1"} & set(left)


def test_u5_g2_an_event_edited_into_somebody_elses_stays_theirs(rosterd: Rosterd) -> None:
    """The original was about whoever is erased; what was made of it waits to change another."""
    feed = rosterd.account()
    for key in ("a1", "b1"):
        rosterd.hire(feed, key)
    wrong = {"id": "a1", "email": "bea@elsewhere.test"}
    rosterd.tell(feed, "user.email_changed", wrong)
    (letter,) = rosterd.dead()
    rosterd.tell(feed, "user.suspended", {"id": "a1"})
    patch = [
        {"op": "replace", "path": "/data/id", "value": "b1"},
        {"op": "replace", "path": "/data/email", "value": "bea@example.com"},
    ]
    path = f"/events/{letter['event_id']}/edit-and-replay"
    Client(rosterd, "operator", account=None).post(path, {"patch": patch}, 201, X_Reason="r")
    erased(rosterd, at(rosterd, "a1@example.com")["id"])
    rosterd.drain()
    assert [user["email"] for user in rosterd.users()] == ["bea@example.com"]
    assert [one for one in rosterd.dead() if one["subject"] == "b1"] == []

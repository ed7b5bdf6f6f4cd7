"""RFC 9967: a write whose sender does not wait is answered later, by a worker, exactly once."""

from __future__ import annotations

import json
from base64 import urlsafe_b64decode
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import update

from domain.later import LaterRequest
from domain.ports import InfrastructureError
from tests.harness import Rosterd
from tests.integration.test_erasure import dump
from tests.scim import GROUP, PATCH, USER, Provider, is_error, provider, speaking
from worker.adapters.db.scim_later_rows import scim_done, scim_requests

BULK = "urn:ietf:params:scim:api:messages:2.0:BulkRequest"
COMPLETED = "urn:ietf:params:scim:event:misc:asyncresp"
ANA = {"schemas": [USER], "userName": "ana@example.com", "externalId": "ana", "password": "Hush1"}


@pytest.fixture
def idp(rosterd: Rosterd) -> Provider:
    return provider(rosterd)


def later(idp: Provider, method: str, path: str, body: Any = None, **headers: str) -> str:
    """Send it without waiting; where its answer will be."""
    told = idp.ask(method, path, body, Prefer="respond-async", **headers)
    assert told.status_code == 202, told.text
    assert told.content == b""
    assert told.headers["preference-applied"] == "respond-async"
    place = str(told.headers["location"].partition("/scim/v2")[2])
    assert place == f"/Async/{told.headers['set-txn']}"
    return place


def work(rosterd: Rosterd) -> None:
    """What a worker of the bulk lane does."""
    rosterd.parts.answer_later.run(budget=timedelta(seconds=30))


def event(idp: Provider, place: str) -> Any:
    """The only event that tells what came of it."""
    claims = idp.told("GET", place)
    assert claims["txn"] == place.rpartition("/")[2]
    return {**claims["events"][COMPLETED], "uri": claims["sub_id"]["uri"]}


def test_u1_u3_g1_single_writes_are_done_later(idp: Provider, rosterd: Rosterd) -> None:
    place = later(idp, "POST", "/Users", ANA)
    waiting = idp.ask("GET", place)
    assert (waiting.status_code, int(waiting.headers["retry-after"])) == (202, 1)
    assert rosterd.users() == []
    work(rosterd)
    told = event(idp, place)
    assert (told["method"], told["status"]) == ("POST", "201")
    assert rosterd.user("ana")["state"] == "invited"  # type: ignore[index]
    path = told["uri"]
    out = {"schemas": [PATCH], "Operations": [{"op": "replace", "path": "active", "value": False}]}
    team = {"schemas": [GROUP], "displayName": "Team", "members": [{"value": path[7:]}]}
    places = [later(idp, "PATCH", path, out), later(idp, "POST", "/Groups", team)]
    places += [later(idp, "PUT", path, {**ANA, "title": "Boss"}), later(idp, "DELETE", path)]
    work(rosterd)
    assert [event(idp, one)["status"] for one in places] == ["200", "201", "200", "204"]
    assert rosterd.user("ana")["state"] == "invited_suspended"  # type: ignore[index]
    is_error(idp.ask("GET", path), 404)
    assert [e["outcome"] for e in rosterd.events()].count("applied") >= 3


def test_what_is_refused_later_says_why(idp: Provider, rosterd: Rosterd) -> None:
    """E4 and the RFC's own errors."""
    places = [
        later(idp, "POST", "/Users", {**ANA, "userName": "x@forbidden.example"}),
        later(idp, "POST", "/Users", {"schemas": [USER]}),
        later(idp, "PATCH", "/Users/nobody", {"schemas": [PATCH], "Operations": []}),
    ]
    work(rosterd)
    told = [event(idp, one) for one in places]
    assert [one["status"] for one in told] == ["400", "400", "404"]
    assert "forbidden.example" in told[0]["response"]["detail"]
    assert [dead["reason"] for dead in rosterd.dead()] == ["domain_not_allowed"]


def test_if_match_counts_when_it_is_done(idp: Provider, rosterd: Rosterd) -> None:
    ana = idp.hire("ana")
    put = {**ana, "title": "Boss"}
    place = later(idp, "PUT", f"/Users/{ana['id']}", put, If_Match=ana["meta"]["version"])
    idp.set_(ana["id"], title="Chief")
    work(rosterd)
    assert event(idp, place)["status"] == "412"
    assert idp.get(ana["id"])["title"] == "Chief"


def test_a_bulk_request_tells_of_each_operation(idp: Provider, rosterd: Rosterd) -> None:
    group = {"schemas": [GROUP], "displayName": "Team", "members": [{"value": "bulkId:a"}]}
    body = {
        "schemas": [BULK],
        "Operations": [
            {"method": "POST", "path": "/Groups", "bulkId": "g", "data": group},
            {"method": "POST", "path": "/Users", "bulkId": "a", "data": ANA},
            {"method": "DELETE", "path": "/Users/nobody"},
        ],
    }
    place = later(idp, "POST", "/Bulk", body)
    txn = place.rpartition("/")[2]
    work(rosterd)
    sets = idp.told("GET", place)["sets"].values()
    told = {one["txn"]: one["events"][COMPLETED] for one in sets}
    assert {txn: one["status"] for txn, one in told.items()} == {
        f"{txn}:0": "201",
        f"{txn}:1": "201",
        f"{txn}:2": "404",
    }
    assert told[f"{txn}:1"]["bulkId"] == "a"
    assert [one["user"] for one in rosterd.export() if one["kind"] == "membership"] == ["ana"]
    is_error(idp.ask("POST", "/Bulk", {"schemas": [BULK]}, Prefer="respond-async"), 400)


def test_the_event_is_a_token_where_one_is_asked_for(idp: Provider, rosterd: Rosterd) -> None:
    place = later(idp, "POST", "/Users", ANA)
    work(rosterd)
    told = idp.ask("GET", place, Accept="application/secevent+jwt")
    assert told.headers["content-type"] == "application/secevent+jwt"
    head, claims, signature = told.text.split(".")
    assert json.loads(urlsafe_b64decode(head + "==")) == {"typ": "secevent+jwt", "alg": "none"}
    assert json.loads(urlsafe_b64decode(claims + "==")) == idp.told("GET", place)
    assert signature == ""


def test_nobody_else_sees_it(idp: Provider, rosterd: Rosterd) -> None:
    place = later(idp, "POST", "/Users", ANA)
    other = speaking(rosterd, rosterd.account(source="scim", name="other"))
    is_error(other.ask("GET", place), 404)
    is_error(idp.ask("GET", "/Async/none"), 404)
    is_error(idp.ask("DELETE", place), 405)


def test_c3_a_token_that_was_revoked_meanwhile_does_nothing(
    idp: Provider, rosterd: Rosterd
) -> None:
    place = later(idp, "POST", "/Users", ANA)
    (row,) = rosterd.table(scim_requests)
    done = rosterd.cli("token", "revoke", row["token_id"], "--reason", "leaked")
    assert done.returncode == 0, done.stderr
    work(rosterd)
    assert rosterd.users() == []
    (feed,) = {row["feed_id"]}
    with rosterd.setup() as use:
        account = use.feed(feed)["account_id"]
        token = use.add_token(account, name="new", scopes=["scim:read"], feed=feed)
    assert event(Provider(rosterd, token), place)["status"] == "401"


def test_c2_it_waits_while_the_connection_is_paused(idp: Provider, rosterd: Rosterd) -> None:
    place = later(idp, "POST", "/Users", ANA)
    assert rosterd.cli("connection", "pause", "scim", "--reason", "t").returncode == 0
    is_error(idp.ask("POST", "/Users", ANA, Prefer="respond-async"), 503)
    work(rosterd)
    assert idp.ask("GET", place).status_code == 202
    assert rosterd.cli("connection", "resume", "scim", "--reason", "t").returncode == 0
    make_due(rosterd)
    work(rosterd)
    assert event(idp, place)["status"] == "201"


def make_due(rosterd: Rosterd) -> None:
    """The time passes for which it was put off."""
    with rosterd.parts.database.begin() as connection:
        waits = scim_requests.c.due_at.is_not(None)
        earlier = scim_requests.c.made_at
        connection.execute(update(scim_requests).where(waits).values(due_at=earlier))
        connection.commit()


def test_g3_a_worker_that_dies_before_it_answers_does_nothing_twice(
    idp: Provider, rosterd: Rosterd
) -> None:
    body = {
        "schemas": [BULK],
        "Operations": [
            {"method": "POST", "path": "/Users", "bulkId": "a", "data": ANA},
            {
                "method": "POST",
                "path": "/Users",
                "bulkId": "b",
                "data": {**ANA, "userName": "bob@example.com", "externalId": "bulkId:a"},
            },
        ],
    }
    places = [
        later(idp, "POST", "/Users", {**ANA, "userName": "eve@example.com", "externalId": "e"})
    ]
    places += [later(idp, "POST", "/Bulk", body)]
    real = rosterd.parts.answer_later

    def dies(request: LaterRequest) -> Any:
        real.perform(request)
        raise InfrastructureError("killed before it could answer")

    dying = replace(real, perform=dies)
    for _ in places:
        with pytest.raises(InfrastructureError):
            dying.run(budget=timedelta(seconds=30))
    assert len(rosterd.table(scim_done)) == 3
    before = rosterd.export(), [row["id"] for row in rosterd.events()]
    make_due(rosterd)
    work(rosterd)
    assert event(idp, places[0])["status"] == "201"
    told = idp.told("GET", places[1])["sets"].values()
    assert [one["events"][COMPLETED]["status"] for one in told] == ["201", "201"]
    assert (rosterd.export(), [row["id"] for row in rosterd.events()]) == before
    assert rosterd.table(scim_done) == []


def test_g7_a_request_that_meets_a_bug_is_answered_and_holds_up_nobody(
    idp: Provider, rosterd: Rosterd
) -> None:
    poisoned = later(idp, "POST", "/Users", ANA)
    other = later(idp, "POST", "/Users", {**ANA, "userName": "bob@example.com", "externalId": "b"})
    real = rosterd.parts.answer_later

    def breaks(request: LaterRequest) -> Any:
        if poisoned.endswith(request.id):
            raise LookupError("a bug")
        return real.perform(request)

    replace(real, perform=breaks).run(budget=timedelta(seconds=30))
    assert event(idp, poisoned)["status"] == "500"
    assert event(idp, other)["status"] == "201"


def test_g6_a_sweep_rings_for_what_no_ring_reached(
    idp: Provider, rosterd: Rosterd, monkeypatch: pytest.MonkeyPatch
) -> None:
    rung: list[tuple[str, str]] = []
    later(idp, "POST", "/Users", ANA)
    monkeypatch.setattr(
        rosterd.parts.ringer, "ring_task", lambda name, lane: rung.append((name, lane))
    )
    rosterd.parts.sweep.run()
    assert ("scim.answer", "bulk") in rung


def test_g2_what_waits_is_seen(idp: Provider, rosterd: Rosterd) -> None:
    for who in ("ana", "bob"):
        later(idp, "POST", "/Users", {**ANA, "userName": f"{who}@example.com", "externalId": who})
    (waits,) = rosterd.parts.gauges.snapshot().backlog
    assert (waits.connection, waits.lane, waits.state, waits.count) == (
        "scim",
        "bulk",
        "pending",
        2,
    )
    assert waits.oldest >= 0


def test_passwords_are_never_kept_and_the_request_goes_with_its_answer(
    idp: Provider, rosterd: Rosterd
) -> None:
    later(idp, "POST", "/Users", ANA)
    (row,) = rosterd.table(scim_requests)
    assert b"Hush1" not in rosterd.parts.vault.open(row["request"])
    assert b"ana@example.com" not in row["request"]
    work(rosterd)
    (row,) = rosterd.table(scim_requests)
    assert row["request"] is None
    assert row["answer"].startswith(b"rs1:")
    assert rosterd.parts.later.forget(days=30) == 0
    with rosterd.parts.database.begin() as connection:
        old = row["ended_at"] - timedelta(days=31)
        connection.execute(update(scim_requests).values(ended_at=old))
        connection.commit()
    rosterd.parts.retain()
    assert rosterd.table(scim_requests) == []


def test_other_preferences_are_answered_at_once(idp: Provider) -> None:
    told = idp.ask("POST", "/Users", ANA, Prefer="return=minimal, wait=10")
    assert told.status_code == 201
    assert "preference-applied" not in told.headers


def test_clients_that_ask_hear_of_it(idp: Provider) -> None:
    """RFC 9967; others read the document of RFC 7643, which has no such member."""
    asked = idp.told("GET", "/ServiceProviderConfig?attributes=securityEvents")
    assert asked["securityEvents"] == {"asyncRequest": "request"}
    assert "securityEvents" not in idp.told("GET", "/ServiceProviderConfig")


def test_u5_d16_what_was_answered_later_of_somebody_deleted_for_good_goes(
    idp: Provider, rosterd: Rosterd
) -> None:
    mine = later(idp, "POST", "/Users", {**ANA, "name": {"givenName": "Zebulon"}})
    bo = {**ANA, "userName": "bo@example.com", "externalId": "bo"}
    others = later(idp, "POST", "/Users", bo)
    work(rosterd)
    path = event(idp, mine)["uri"]
    assert idp.ask("DELETE", path).status_code == 204
    (person,) = [u["id"] for u in rosterd.json("user", "list") if u["external_id"] == "ana"]
    done = rosterd.cli("user", "delete", person, "--reason", "she asked for it", "--yes")
    assert done.returncode == 0, done.stderr
    assert event(idp, mine)["status"] == "201", "which names nobody"
    assert event(idp, others)["status"] == "201"
    left = dump(rosterd)
    assert not [name for name, text in left.items() if "zebulon" in text]
    assert not [name for name, text in left.items() if "ana@example.com" in text]
    assert [name for name, text in left.items() if "bo@example.com" in text]


def test_connections_take_turns(rosterd: Rosterd) -> None:
    """G7: who sent a hundred delays nobody who sent one."""
    first = provider(rosterd)
    many = [later(first, "POST", "/Users", {"userName": f"u{n}@example.com"}) for n in range(5)]
    second = provider(rosterd, "example.com", name="other")
    one = later(second, "POST", "/Users", {"userName": "ana@example.com"})
    rosterd.parts.answer_later.run(budget=timedelta(0))
    rosterd.parts.answer_later.run(budget=timedelta(0))
    done = [idp.ask("GET", place).status_code for idp, place in ((first, many[0]), (second, one))]
    assert done == [200, 200]
    assert [first.ask("GET", place).status_code for place in many[1:]] == [202] * 4
    work(rosterd)
    assert [first.ask("GET", place).status_code for place in many] == [200] * 5

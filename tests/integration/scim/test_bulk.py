"""RFC 7644 3.7 over HTTP: a bulk request is its operations, each an event; /Me is refused."""

from __future__ import annotations

from typing import Any

import pytest

from tests.harness import Rosterd
from tests.scim import GROUP, PATCH, USER, Provider, is_error, provider

BULK = "urn:ietf:params:scim:api:messages:2.0:BulkRequest"


@pytest.fixture
def idp(rosterd: Rosterd) -> Provider:
    return provider(rosterd)


def bulk(idp: Provider, *operations: Any, status: int = 200, **more: Any) -> Any:
    body = {"schemas": [BULK], "Operations": list(operations), **more}
    return idp.told("POST", "/Bulk", body, status=status)


def user(who: str, **more: Any) -> dict[str, Any]:
    data = {"schemas": [USER], "userName": f"{who}@example.com", "externalId": who, **more}
    return {"method": "POST", "path": "/Users", "bulkId": who, "data": data}


def test_u1_g1_people_and_their_group_are_made_in_one_request(
    idp: Provider, rosterd: Rosterd
) -> None:
    team = {
        "method": "POST",
        "path": "/Groups",
        "bulkId": "team",
        "data": {
            "schemas": [GROUP],
            "displayName": "Team",
            "members": [{"value": "bulkId:ana"}, {"value": "bulkId:bob"}],
        },
    }
    answers = bulk(idp, team, user("ana"), user("bob"))["Operations"]
    assert [(one["bulkId"], one["status"]) for one in answers] == [
        ("team", "201"),
        ("ana", "201"),
        ("bob", "201"),
    ]
    members = [line["user"] for line in rosterd.export() if line["kind"] == "membership"]
    assert members == ["ana", "bob"]
    assert [event["outcome"] for event in rosterd.events()] == ["applied"] * 3
    path = answers[0]["location"].partition("/scim/v2")[2]
    # Nobody read its members: the version holds the number alone, as If-Match compares it.
    assert idp.ask("GET", path).headers["etag"].startswith(answers[0]["version"][:-1])


def test_u3_changes_and_departures_are_done_and_told(idp: Provider, rosterd: Rosterd) -> None:
    ana, bob, eve = (idp.hire(who, externalId=who) for who in ("ana", "bob", "eve"))
    out = {"schemas": [PATCH], "Operations": [{"op": "replace", "path": "active", "value": False}]}
    answers = bulk(
        idp,
        {"method": "PATCH", "path": f"/Users/{ana['id']}", "data": out},
        {"method": "DELETE", "path": f"/Users/{bob['id']}"},
        {"method": "PUT", "path": f"/Users/{eve['id']}", "data": {**eve, "title": "Boss"}},
        {"method": "PATCH", "path": "/Users/nobody", "data": out},
        {"method": "PATCH", "path": f"/Users/{eve['id']}", "data": out, "version": 'W/"77"'},
        user("x", title=3, emails="?" * 600),
    )["Operations"]
    assert [one["status"] for one in answers] == ["200", "204", "200", "404", "412", "400"]
    assert answers[1]["location"].endswith(f"/Users/{bob['id']}")
    assert answers[3]["response"]["status"] == "404"
    states = {line["external_id"]: line["state"] for line in rosterd.users()}
    assert states["ana"] == states["bob"] == "invited_suspended"
    assert states["eve"] == "invited"
    assert idp.get(eve["id"])["title"] == "Boss"


def test_e4_what_a_rule_refuses_fails_alone(idp: Provider, rosterd: Rosterd) -> None:
    bad = user("mal")
    bad["data"]["userName"] = "mal@forbidden.example"
    answers = bulk(idp, bad, user("ana"), user("ana2", userName="ana@example.com"))["Operations"]
    assert [one["status"] for one in answers] == ["400", "201", "409"]
    assert "forbidden.example" in answers[0]["response"]["detail"]
    assert answers[2]["response"]["scimType"] == "uniqueness"
    assert [dead["reason"] for dead in rosterd.dead()] == ["domain_not_allowed"]


def test_errors_end_it_where_that_was_asked_for(idp: Provider) -> None:
    answers = bulk(idp, user("a", userName=""), user("b"), failOnErrors=1)["Operations"]
    assert [one["status"] for one in answers] == ["400"]
    assert idp.told("GET", "/Users")["totalResults"] == 0


def test_too_many_operations_or_a_circle_do_nothing(idp: Provider) -> None:
    bulk(idp, *(user(f"u{n}") for n in range(1_001)), status=413)
    circle = user("a", displayName="bulkId:b"), user("b", displayName="bulkId:a")
    done = bulk(idp, user("c"), *circle)["Operations"]
    assert [one["status"] for one in done] == ["201", "409", "409"]
    assert idp.told("GET", "/Users")["totalResults"] == 1
    is_error(idp.ask("POST", "/Bulk", {"schemas": [BULK]}), 400, "invalidSyntax")
    is_error(idp.ask("GET", "/Bulk"), 405)


def test_c2_nothing_is_done_while_the_connection_is_paused(idp: Provider, rosterd: Rosterd) -> None:
    done = rosterd.cli("connection", "pause", "scim", "--reason", "test")
    assert done.returncode == 0, done.stderr
    told = idp.ask("POST", "/Bulk", {"schemas": [BULK], "Operations": [user("a")]})
    is_error(told, 503)
    assert int(told.headers["retry-after"]) > 0


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE"])
def test_a_token_is_no_person(idp: Provider, method: str) -> None:
    """RFC 7644 3.11: 501 where /Me is not supported."""
    body: Any = {} if method in ("POST", "PUT", "PATCH") else None
    is_error(idp.ask(method, "/Me", body), 501)

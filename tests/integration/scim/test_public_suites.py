"""What public collections and checkers send, and providers do not: taken as the RFCs leave it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from urllib.parse import quote

import pytest
from sqlalchemy import update

from tests.harness import Rosterd
from tests.scim import STATE, USER, Provider, is_error, provider
from worker.adapters.db import rows

ENTERPRISE = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"
ASK_STATE = f"?attributes={STATE}"


@pytest.fixture
def idp(rosterd: Rosterd) -> Provider:
    return provider(rosterd)


def known(name: str, *emails: str, **more: object) -> dict[str, object]:
    """A body with a userName that is no address."""
    listed = [{"value": one, "type": "work", "primary": not i} for i, one in enumerate(emails)]
    return {"schemas": [USER], "userName": name, "emails": listed, **more}


def found(idp: Provider, filter_: str, kind: str = "Users") -> list[str]:
    answer = idp.told("GET", f"/{kind}?filter={quote(filter_)}")
    return sorted(one["id"] for one in answer["Resources"])


def _made(idp: Provider, kind: str, name: str, **more: Any) -> dict[str, Any]:
    made: dict[str, Any] = (idp.hire if kind == "Users" else idp.group)(name, **more)
    return made


def state(idp: Provider, id_: str) -> dict[str, object]:
    shown: dict[str, object] = idp.told("GET", f"/Users/{id_}{ASK_STATE}")[STATE]
    return shown


class TestExternalId:
    """RFC 7643, 3.1: its uniqueness is the client's care, not the service's."""

    def test_two_may_have_one_and_are_two(self, idp: Provider, rosterd: Rosterd) -> None:
        ana = idp.hire("ana", externalId="X")
        bob = idp.hire("bob", externalId="X")
        assert bob["externalId"] == "X"
        assert found(idp, 'externalId eq "X"') == sorted([ana["id"], bob["id"]])
        assert found(idp, 'externalId eq "x"') == []
        assert found(idp, 'externalId sw "X"') == sorted([ana["id"], bob["id"]])
        assert found(idp, 'externalId eq "X" and userName sw "b"') == [bob["id"]]
        idp.set_(bob["id"], active=False)
        told = {one["email"]: one["state"] for one in rosterd.users()}
        assert told == {"ana@example.com": "invited", "bob@example.com": "invited_suspended"}

    def test_groups_too(self, idp: Provider) -> None:
        crew, team = (idp.group(name, externalId="X") for name in ("Crew", "Team"))
        assert found(idp, 'externalId eq "X"', "Groups") == sorted([crew["id"], team["id"]])

    def test_it_may_be_taken_later_and_is_left_by_whom_had_it(self, idp: Provider) -> None:
        ana, bob = idp.hire("ana", externalId="X"), idp.hire("bob", externalId="Y")
        assert idp.set_(bob["id"], externalId="X")["externalId"] == "X"
        idp.told("DELETE", f"/Users/{ana['id']}", status=204)
        assert found(idp, 'externalId eq "X"') == [bob["id"]]
        assert idp.set_(bob["id"], title="Cook")["externalId"] == "X"
        assert found(idp, 'externalId eq "X"') == [bob["id"]]
        assert idp.set_(bob["id"], externalId="Z")["externalId"] == "Z"
        assert found(idp, 'externalId eq "X"') == []

    @pytest.mark.parametrize("kind", ["Users", "Groups"])
    def test_one_that_is_taken_away_finds_nobody_any_more(self, idp: Provider, kind: str) -> None:
        ana, bob = (_made(idp, kind, name, externalId=name) for name in ("ana", "bob"))
        shown = idp.patch(ana["id"], {"op": "remove", "path": "externalId"}, kind=kind)
        assert "externalId" not in shown
        assert found(idp, "externalId pr", kind) == [bob["id"]]
        assert found(idp, 'externalId eq "ana"', kind) == []
        assert found(idp, "not (externalId pr)", kind) == [ana["id"]]
        new = _made(idp, kind, "new", externalId="ana")
        assert found(idp, 'externalId eq "ana"', kind) == [new["id"]]
        assert idp.told("GET", f"/{kind}/{ana['id']}")["meta"]["created"] == ana["meta"]["created"]

    def test_a_leaver_who_has_returned_by_another_name_is_not_taken_again(
        self, idp: Provider
    ) -> None:
        """D13: the name of a deleted user means that person, but only while nobody is it."""
        ana = idp.hire("ana")
        idp.told("DELETE", f"/Users/{ana['id']}", status=204)
        again = idp.hire("ana")
        idp.set_(again["id"], userName="anna@example.com")
        other = idp.hire("ana")
        assert other["id"] != again["id"]
        assert state(idp, other["id"])["emailInForce"] == "ana@example.com"
        assert state(idp, again["id"])["emailInForce"] == "anna@example.com"


class TestSharedAddress:
    """E8: who is called by something else may be told with an address that another has."""

    def test_who_shares_one_waits_for_it(self, idp: Provider) -> None:
        first = idp.told("POST", "/Users", known("emp1", "desk@example.com"), status=201)
        second = idp.told("POST", "/Users", known("emp2", "desk@example.com"), status=201)
        assert second["active"] is True
        assert state(idp, first["id"])["emailInForce"] == "desk@example.com"
        assert state(idp, second["id"]) == {
            "state": "waiting",
            "waitsFor": "address",
            "isManaged": False,
        }
        given = [{"value": "own@example.com", "type": "work", "primary": True}]
        idp.set_(second["id"], emails=given)
        assert state(idp, second["id"])["emailInForce"] == "own@example.com"

    def test_it_is_had_once_it_is_given_up(self, idp: Provider, rosterd: Rosterd) -> None:
        first = idp.told("POST", "/Users", known("emp1", "desk@example.com"), status=201)
        second = idp.told("POST", "/Users", known("emp2", "desk@example.com"), status=201)
        moved = [{"value": "own@example.com", "type": "work", "primary": True}]
        idp.set_(first["id"], emails=moved)
        rosterd.drain()
        assert state(idp, second["id"])["emailInForce"] == "desk@example.com"

    def test_after_a_day_it_is_dead_and_names_the_holder(
        self, idp: Provider, rosterd: Rosterd
    ) -> None:
        """E8: shown to operators; the resource stays, and its next word asks again."""
        first = idp.told("POST", "/Users", known("emp1", "desk@example.com"), status=201)
        second = idp.told("POST", "/Users", known("emp2", "desk@example.com"), status=201)
        (waiting,) = rosterd.events(rows.events.c.state == "waiting")
        assert waiting["due_at"] - waiting["waiting_since"] == timedelta(hours=24)
        with rosterd.parts.database.begin() as sql:
            past = waiting["received_at"] - timedelta(hours=25)
            mine = update(rows.events).where(rows.events.c.id == waiting["id"])
            sql.execute(mine.values(waiting_since=past, due_at=past))
            sql.commit()
        rosterd.drain()
        (letter,) = rosterd.dead()
        (holder,) = rosterd.table(rows.people)
        assert letter["reason"] == "address_taken"
        assert holder["id"] in letter["last_error"]
        assert idp.get(second["id"])["userName"] == "emp2"
        idp.told("DELETE", f"/Users/{first['id']}", status=204)
        given = [{"value": "own@example.com", "type": "work", "primary": True}]
        idp.set_(second["id"], emails=given)
        assert state(idp, second["id"])["emailInForce"] == "own@example.com"

    def test_a_name_that_is_an_address_is_claimed(self, idp: Provider) -> None:
        idp.told("POST", "/Users", known("emp1", "desk@example.com"), status=201)
        body = known("desk@example.com", "desk@example.com")
        is_error(idp.ask("POST", "/Users", body), 409, "uniqueness")

    def test_an_address_that_the_rule_names_is_claimed(self, rosterd: Rosterd) -> None:
        """E9."""
        idp = provider(rosterd, address="emails[work]")
        idp.told("POST", "/Users", known("emp1", "desk@example.com"), status=201)
        is_error(idp.ask("POST", "/Users", known("emp2", "desk@example.com")), 409, "uniqueness")


def test_a_value_that_is_no_address_is_kept(idp: Provider) -> None:
    """RFC 7643, 4.1.2: a value of emails SHOULD be an address. What has an @ has to be one."""
    ana = idp.told("POST", "/Users", known("ana", "ana1", "ana@example.com"), status=201)
    assert [one["value"] for one in ana["emails"]] == ["ana1", "ana@example.com"]
    assert state(idp, ana["id"])["emailInForce"] == "ana@example.com"
    is_error(idp.ask("POST", "/Users", known("bob", "bob @example.com")), 400, "invalidValue")


def test_attributes_under_the_core_schema_urn(idp: Provider) -> None:
    """RFC 7644, 3.10 names attributes by it; a body may hold them by it, too."""
    body = {"schemas": [USER], USER: {"userName": "ana@example.com", "title": "Cook"}}
    ana = idp.told("POST", "/Users", body, status=201)
    assert (ana["userName"], ana["title"]) == ("ana@example.com", "Cook")


def test_an_attribute_of_an_extension_after_a_dot(idp: Provider) -> None:
    """RFC 7644, 3.10 has a colon there; Microsoft's collection has not."""
    ana, boss = idp.hire("ana"), idp.hire("boss")
    path = f"{ENTERPRISE}.manager"
    changed = idp.patch(ana["id"], {"op": "replace", "path": path, "value": boss["id"]})
    assert changed[ENTERPRISE]["manager"]["value"] == boss["id"]


@pytest.mark.parametrize(
    "filter_",
    [
        "userName sw an",
        "userName sw an and active eq true",
        'userName eq "ana@example.com" and (emails.value co home.example or emails.value co x)',
        "emails[value eq ana@home.example]",
        "meta.created gt 2015-10-10T14:38:21.8617979-07:00",
        'not (userName eq bob) and title eq "a eq b"',
    ],
)
def test_values_without_quotes(idp: Provider, filter_: str) -> None:
    """By the letter (RFC 7644, 3.4.2.2) a value is JSON."""
    ana = idp.hire("ana", emails=[{"value": "ana@home.example"}], title="a eq b")
    assert found(idp, filter_) == [ana["id"]]


def test_values_without_quotes_by_the_letter(rosterd: Rosterd) -> None:
    idp = provider(rosterd, scim_strict="on")
    is_error(idp.ask("GET", "/Users?filter=userName+sw+an"), 400, "invalidFilter")


@pytest.mark.parametrize("name", ['emails[type eq "work"]', 'emails[value eq "a"].value'])
def test_a_path_among_attributes(idp: Provider, name: str) -> None:
    idp.hire("ana", emails=[{"value": "ana@home.example", "type": "home"}])
    (ana,) = idp.told("GET", f"/Users?attributes={quote(name)}")["Resources"]
    assert ana["emails"][0]["value"] == "ana@home.example"
    assert "userName" not in ana


def test_the_schemas_are_called_as_the_rfc_calls_them(idp: Provider) -> None:
    """RFC 7643, 8.7.1."""
    told = {one["name"]: one["description"] for one in idp.told("GET", "/Schemas")["Resources"]}
    assert (told["User"], told["Group"]) == ("User Account", "Group")


def test_what_describes_the_service_takes_no_filter(idp: Provider) -> None:
    """RFC 7644, 4: 403, so that nobody takes what a filter leaves out for missing."""
    for place in ("Schemas", "ResourceTypes", "ServiceProviderConfig", f"Schemas/{USER}"):
        is_error(idp.ask("GET", f"/{place}?filter=id+pr"), 403)
        assert idp.ask("GET", f"/{place}?count=1").status_code == 200


def test_a_version_is_of_the_whole_resource(idp: Provider) -> None:
    """RFC 7644, 3.14: its example asks for one attribute with the version of all."""
    ana = idp.hire("ana")
    idp.group("Crew", ana["id"])
    path = f"/Users/{ana['id']}"
    tag = idp.ask("GET", path).headers["etag"]
    part = idp.ask("GET", f"{path}?attributes=displayName")
    assert part.headers["etag"] == tag
    assert "groups" not in part.json()
    known = idp.ask("GET", f"{path}?attributes=displayName", If_None_Match=tag)
    assert known.status_code == 304


def test_the_bulk_example_of_the_rfc(idp: Provider) -> None:
    """RFC 7644, 3.7.3, whose PATCH is a bare list of operations."""
    ana, bob = idp.hire("ana"), idp.hire("bob")
    listed = [
        {"op": "remove", "path": "nickName"},
        {"op": "add", "path": "userName", "value": "Dave"},
    ]
    body = {
        "schemas": ["urn:ietf:params:scim:api:messages:2.0:BulkRequest"],
        "failOnErrors": 1,
        "Operations": [
            {"method": "PATCH", "path": f"/Users/{ana['id']}", "data": listed},
            {
                "method": "DELETE",
                "path": f"/Users/{bob['id']}",
                "version": bob["meta"]["version"],
            },
        ],
    }
    done = idp.told("POST", "/Bulk", body)["Operations"]
    assert [one["status"] for one in done] == ["200", "204"]
    assert idp.get(ana["id"])["userName"] == "Dave"


@pytest.mark.parametrize("place", ["/Bulk", "/.search", "/Users/.search"])
@pytest.mark.parametrize("schemas", [None, [], [USER], [None]])
@pytest.mark.parametrize("strict", ["on", "off"])
def test_a_message_names_its_schema_by_the_letter(
    rosterd: Rosterd, place: str, schemas: object, strict: str
) -> None:
    """RFC 7644, 3.1."""
    made = {"method": "POST", "path": "/Users", "bulkId": "a", "data": known("ana@example.com")}
    body: dict[str, Any] = {"Operations": [made]} if place == "/Bulk" else {"count": 1}
    if schemas is not None:
        body["schemas"] = schemas
    answer = provider(rosterd, scim_strict=strict).ask("POST", place, body)
    if strict == "on":
        is_error(answer, 400, "invalidSyntax")
    else:
        assert answer.status_code == 200


def test_an_extension_is_named_among_the_schemas_by_the_letter(rosterd: Rosterd) -> None:
    """RFC 7643, 3."""
    idp = provider(rosterd, scim_strict="on")
    body = known("ana@example.com", **{ENTERPRISE: {"costCenter": "7"}})
    told = is_error(idp.ask("POST", "/Users", body), 400, "invalidSyntax")
    assert ENTERPRISE in told["detail"]
    made = idp.told("POST", "/Users", body | {"schemas": [USER, ENTERPRISE]}, status=201)
    assert made[ENTERPRISE] == {"costCenter": "7"}


def test_an_extension_that_is_not_named_is_taken(idp: Provider) -> None:
    body = known("ana@example.com", **{ENTERPRISE: {"costCenter": "7"}})
    assert idp.told("POST", "/Users", body, status=201)[ENTERPRISE] == {"costCenter": "7"}


def test_a_resource_says_where_it_is(idp: Provider) -> None:
    """RFC 7643, 3.1: meta.location is the Content-Location."""
    ana = idp.hire("ana")
    path, place = f"/Users/{ana['id']}", ana["meta"]["location"]
    for method, body in (("GET", None), ("PUT", known("ana@example.com"))):
        assert idp.ask(method, path, body).headers["content-location"] == place
    assert "content-location" not in idp.ask("DELETE", path).headers


def test_a_reference_is_an_address(idp: Provider) -> None:
    """RFC 7643, 2.3.7: whatever a member is called."""
    crew = idp.group("Crew", "string id/1")
    (member,) = crew["members"]
    assert member["value"] == "string id/1"
    assert member["$ref"].endswith("/Users/string%20id%2F1")

"""Logins that are no addresses: whose address is it then, and who waits for one (E4, E9)."""

from __future__ import annotations

from tests.harness import Rosterd
from tests.scim import STATE, is_error, provider


def emails(address: str) -> list[dict[str, object]]:
    return [{"value": address, "type": "work", "primary": True}]


def test_e9_the_primary_address_is_it(rosterd: Rosterd) -> None:
    idp = provider(rosterd)
    told = {"userName": "ana", "externalId": "u1", "emails": emails("ana@example.com")}
    assert idp.told("POST", "/Users", told, status=201)[STATE]["state"] == "invited"
    found = rosterd.user("u1")
    assert found is not None
    assert (found["email"], found["state"]) == ("ana@example.com", "invited")


def test_e4_e9_an_address_that_may_not_be_used_is_waited_for(rosterd: Rosterd) -> None:
    idp = provider(rosterd)
    told = {"userName": "ana", "externalId": "u1", "emails": emails("ana@elsewhere.example")}
    ana = idp.told("POST", "/Users", told, status=201)
    assert ana["emails"] == told["emails"]
    assert (ana[STATE]["state"], ana[STATE]["waitsFor"]) == ("waiting", "address")
    assert rosterd.user("u1") is None
    assert rosterd.mails() == []
    changed = idp.set_(ana["id"], emails=emails("ana@example.com"), title="Head")
    assert changed[STATE]["state"] == "invited"
    found = rosterd.user("u1")
    assert found is not None
    assert (found["email"], found["state"]) == ("ana@example.com", "invited")
    idp.set_(ana["id"], status=400, emails=emails("ana@elsewhere.example"))


def test_e4_once_the_domain_is_allowed_the_same_words_invite(rosterd: Rosterd) -> None:
    idp = provider(rosterd)
    told = {"userName": "ana", "externalId": "u1", "emails": emails("ana@elsewhere.example")}
    ana = idp.told("POST", "/Users", told, status=201)
    assert idp.told("PUT", f"/Users/{ana['id']}", told)[STATE]["state"] == "waiting"
    rosterd.allow("elsewhere.example")
    assert idp.told("PUT", f"/Users/{ana['id']}", told)[STATE]["state"] == "invited"
    assert len(rosterd.mails()) == 1


def test_e4_who_waits_is_invited_when_the_domain_is_allowed(rosterd: Rosterd) -> None:
    """No provider says again by itself what it was answered 201 to."""
    idp = provider(rosterd)
    told = {"userName": "ana", "externalId": "u1", "emails": emails("ana@elsewhere.example")}
    ana = idp.told("POST", "/Users", {**told, "name": {"givenName": "Ana"}}, status=201)
    out = {"userName": "bob", "externalId": "u2", "emails": emails("bob@elsewhere.example")}
    idp.told("POST", "/Users", {**out, "active": False}, status=201)
    other = {"userName": "cy", "externalId": "u3", "emails": emails("cy@third.example")}
    idp.told("POST", "/Users", other, status=201)
    idp.told("POST", "/Users", {"userName": "dora", "externalId": "u4"}, status=201)
    done = rosterd.cli("domain", "allow", "acme", "elsewhere.example", "--reason", "ours")
    assert done.returncode == 0, done.stderr
    assert "2 people waited" in done.stdout
    rosterd.drain()
    found = {one["external_id"]: one for one in rosterd.users()}
    assert {key: one["state"] for key, one in found.items()} == {
        "u1": "invited",
        "u2": "invited_suspended",
    }
    assert (found["u1"]["email"], found["u1"]["given_name"]) == ("ana@elsewhere.example", "Ana")
    assert len(rosterd.mails()) == 1
    assert idp.get(ana["id"])[STATE]["state"] == "invited"
    before = len(rosterd.events())
    again = rosterd.cli("domain", "allow", "acme", "elsewhere.example", "--reason", "ours")
    assert "waited" not in again.stdout
    assert len(rosterd.events()) == before


def test_u3_who_waits_can_be_out_and_comes_as_such(rosterd: Rosterd) -> None:
    idp = provider(rosterd)
    ana = idp.told("POST", "/Users", {"userName": "ana", "externalId": "u1"}, status=201)
    assert idp.set_(ana["id"], active=False)["active"] is False
    changed = idp.set_(ana["id"], emails=emails("ana@example.com"))
    assert (changed["active"], changed[STATE]["state"]) == (False, "invited_suspended")
    idp.told("DELETE", f"/Users/{ana['id']}", status=204)
    assert rosterd.mails() == []


def test_e4_a_login_of_another_domain_is_refused(rosterd: Rosterd) -> None:
    idp = provider(rosterd)
    told = {"userName": "ana@elsewhere.example", "emails": emails("ana@example.com")}
    answer = idp.ask("POST", "/Users", told)
    assert "elsewhere.example" in is_error(answer, 400, "invalidValue")["detail"]

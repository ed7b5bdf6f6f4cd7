"""Which attribute of a SCIM user is the address (E9)."""

from __future__ import annotations

from tests.harness import Rosterd
from tests.scim import STATE, provider


def emails(work: str, home: str = "home@example.com") -> list[dict[str, object]]:
    return [
        {"value": work, "type": "work", "primary": True},
        {"value": home, "type": "home"},
    ]


def test_the_user_name_is_the_address_where_it_is_one(rosterd: Rosterd) -> None:
    """E9: the default; a login that is none gives way to the primary of emails."""
    idp = provider(rosterd)
    idp.hire("ana", externalId="e1", emails=emails("other@example.com"))
    body = {"userName": "bob", "externalId": "e2", "emails": emails("bob@example.com")}
    idp.told("POST", "/Users", body, status=201)
    assert {one["external_id"]: one["email"] for one in rosterd.users()} == {
        "e1": "ana@example.com",
        "e2": "bob@example.com",
    }


def test_another_attribute_is_the_address_where_the_connection_says_so(rosterd: Rosterd) -> None:
    """E9: read when told, changed by a PATCH of that attribute alone."""
    idp = provider(rosterd, address="emails[primary]")
    told = emails("ana.work@example.com")
    ana = idp.hire("ana", externalId="e1", emails=told)
    assert ana["userName"] == "ana@example.com"
    assert ana[STATE]["emailInForce"] == "ana.work@example.com"
    part = {"op": "replace", "path": 'emails[type eq "work"].value', "value": "ana2@example.com"}
    assert idp.patch(ana["id"], part)[STATE]["emailInForce"] == "ana2@example.com"
    idp.set_(ana["id"], userName="login@example.com")
    assert idp.get(ana["id"])[STATE]["emailInForce"] == "ana2@example.com"
    refused = {**part, "value": "ana@other.example"}
    assert "other.example" in idp.patch(ana["id"], refused, status=400)["detail"]


def test_who_has_no_address_yet_is_known_and_invited_with_the_first_one(rosterd: Rosterd) -> None:
    """E9: nobody can be mailed, so nobody is invited; nothing that was told is lost."""
    idp = provider(rosterd, address="emails[work]")
    ana = idp.hire("ana", externalId="e1", name={"givenName": "Ana"})
    assert ana[STATE] == {"state": "waiting", "waitsFor": "address", "isManaged": False}
    assert rosterd.users() == []
    crew = idp.group("Crew", ana["id"])
    idp.patch(ana["id"], {"op": "add", "path": "emails", "value": emails("ana@example.com")})
    rosterd.drain()
    line = rosterd.user("e1")
    assert line is not None
    assert (line["state"], line["given_name"]) == ("invited", "Ana")
    (edge,) = [one for one in rosterd.export() if one["kind"] == "membership"]
    assert (edge["user"], edge["effective"]) == ("e1", True)
    assert idp.get(crew["id"], kind="Groups")["members"][0]["value"] == ana["id"]


def test_another_rule_is_shown_first_and_changes_whom_it_is_known_of(rosterd: Rosterd) -> None:
    """E9: how many people it mails is told before; then addresses change by events."""
    idp = provider(rosterd)
    ana = idp.hire("ana", externalId="e1", emails=emails("ana.work@example.com"))
    rosterd.accept("ana@example.com")
    words = ("connection", "set", "scim", "address=emails[primary]", "--reason", "mail")
    shown = rosterd.cli(*words, "--dry-run", "--json")
    assert "ana.work@example.com" in shown.stdout
    assert idp.get(ana["id"])[STATE].get("pendingEmail") is None
    done = rosterd.cli(*words, "--yes")
    assert done.returncode == 0, done.stderr
    rosterd.drain()
    assert idp.get(ana["id"])[STATE]["pendingEmail"] == "ana.work@example.com"
    wrong = ("connection", "set", "scim", "address=shoeSize", "--reason", "x")
    assert rosterd.cli(*wrong).returncode == 2

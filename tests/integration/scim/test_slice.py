"""The way of a SCIM request: from HTTP to the exported directory, on both databases."""

from __future__ import annotations

from tests.harness import Rosterd
from tests.scim import STATE, provider


def test_a_user_is_made_changed_suspended_and_brought_back(rosterd: Rosterd) -> None:
    """U1, U3, U4, U10."""
    idp = provider(rosterd)
    ana = idp.hire("ana", externalId="e1", name={"givenName": "Ana", "familyName": "Silva"})
    assert ana["active"] is True
    assert ana[STATE]["state"] == "invited"
    assert ana["meta"]["location"].endswith(f"/scim/v2/Users/{ana['id']}")
    assert rosterd.user("e1") == {
        "kind": "user",
        "connection": "scim",
        "external_id": "e1",
        "email": "ana@example.com",
        "requested_email": "ana@example.com",
        "given_name": "Ana",
        "family_name": "Silva",
        "display_name": None,
        "state": "invited",
        "managed": True,
    }
    rosterd.accept("ana@example.com")
    assert idp.get(ana["id"])[STATE]["state"] == "active"
    gone = idp.set_(ana["id"], active=False)
    assert gone["active"] is False
    assert gone[STATE]["state"] == "suspended"
    assert idp.set_(ana["id"], active=True)["active"] is True
    body = {**gone, "active": True, "title": "Boss"}
    assert idp.told("PUT", f"/Users/{ana['id']}", body)["title"] == "Boss"
    assert rosterd.user("e1")["state"] == "active"  # type: ignore[index]
    assert [e["outcome"] for e in rosterd.events()] == ["applied"] * 4


def test_a_group_its_members_and_its_end(rosterd: Rosterd) -> None:
    """G1."""
    idp = provider(rosterd)
    ana, bob = idp.hire("ana"), idp.hire("bob")
    group = idp.group("Engineering", ana["id"])
    assert [one["value"] for one in group["members"]] == [ana["id"]]
    joined = idp.join(group["id"], bob["id"])
    assert {one["value"] for one in joined["members"]} == {ana["id"], bob["id"]}
    left = idp.leave(group["id"], ana["id"])
    assert [one["value"] for one in left["members"]] == [bob["id"]]
    assert [one["display"] for one in idp.get(bob["id"])["groups"]] == ["Engineering"]
    assert "groups" not in idp.get(ana["id"])
    idp.patch(
        group["id"],
        {"op": "replace", "path": "displayName", "value": "Crew"},
        kind="Groups",
    )
    lines = rosterd.export()
    assert [one["name"] for one in lines if one["kind"] == "group"] == ["Crew"]
    assert [one["user"] for one in lines if one["kind"] == "membership"] == [bob["id"]]
    idp.told("DELETE", f"/Groups/{group['id']}", status=204)
    idp.get(group["id"], kind="Groups", status=404)
    assert {one["kind"] for one in rosterd.export()} == {"user"}

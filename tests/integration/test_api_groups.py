"""Groups over `/api/v1`: made, named, given permissions and members, left to whom they belong."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import pytest

from domain.keys import group_ref
from tests.api import Client, is_problem
from tests.console import Operator
from tests.harness import Feed, Rosterd

REASON = {"X-Reason": "tidying up"}


@pytest.fixture
def feed(rosterd: Rosterd) -> Feed:
    return rosterd.account()


@pytest.fixture
def app(rosterd: Rosterd, feed: Feed) -> Client:
    return Client(rosterd, "directory:read", "directory:write")


def by_name(app: Client) -> dict[str, Any]:
    return {group["name"]: group for group in app.all("/groups")}


def members(app: Client, group: Any, **params: Any) -> list[str]:
    found = app.all(f"/groups/{group['id']}/members", **params)
    return sorted(one["user"]["email"] for one in found if one["effective"])


def test_g5_the_built_in_groups_are_there_and_stay(rosterd: Rosterd, app: Client) -> None:
    groups = by_name(app)
    built_in = {"Owners", "Administrators", "Team Members", "Security", "Provision Managers"}
    assert set(groups) == built_in
    assert all(group["built_in"] and not group["managed"] for group in groups.values())
    for name in built_in:
        path = f"/groups/{groups[name]['id']}"
        is_problem(app.ask("PATCH", path, json={"name": "Mine"}), 409, "protected_group")
        is_problem(app.ask("DELETE", path, headers=REASON), 409, "protected_group")
    is_problem(app.ask("POST", "/groups", json={"name": "owners"}), 422, "invalid")
    assert by_name(app) == groups


def test_g5_built_in_groups_follow_the_role(rosterd: Rosterd, app: Client) -> None:
    for name, role in (
        ("ana", "owner"),
        ("bob", "administrator"),
        ("cleo", "member"),
        ("dan", "guest"),
    ):
        app.post("/users", {"email": f"{name}@example.com", "role": role}, 201)
    groups = by_name(app)
    for limit in (1, 2, 100):
        assert members(app, groups["Owners"], limit=limit) == ["ana@example.com"]
        assert members(app, groups["Administrators"], limit=limit) == ["bob@example.com"]
        team = members(app, groups["Team Members"], limit=limit)
        assert team == ["ana@example.com", "bob@example.com", "cleo@example.com"]
    (ana,) = app.all("/users", role="owner")
    mine = {group["name"] for group in app.get(f"/users/{ana['id']}/groups")["items"]}
    assert mine == {"Owners", "Team Members"}
    path = f"/groups/{groups['Owners']['id']}/members/{ana['id']}"
    is_problem(app.ask("DELETE", path), 409, "follows_role")


def test_a_group_by_hand_lives_and_goes_and_its_people_stay(rosterd: Rosterd, app: Client) -> None:
    crew = app.post("/groups", {"name": "Crew"}, 201)
    assert (crew["managed"], crew["built_in"], crew["permissions"]) == (False, False, [])
    is_problem(app.ask("POST", "/groups", json={"name": "  crew "}), 409, "name_taken")
    people = [app.post("/users", {"email": f"u{i}@example.com"}, 201) for i in range(5)]
    path = f"/groups/{crew['id']}"
    for _ in range(2):
        for person in people:
            assert app.write("PUT", f"{path}/members/{person['id']}", status=204) is None
    emails = [person["email"] for person in people]
    for limit in (1, 2, 5, 100):
        assert members(app, crew, limit=limit) == emails
    assert app.all("/users", group=crew["id"], limit=2) == sorted(people, key=lambda p: p["id"])
    mine = {group["name"]: group for group in app.get(f"/users/{people[0]['id']}/groups")["items"]}
    assert mine == {"Crew": crew, "Team Members": by_name(app)["Team Members"]}
    app.write("DELETE", f"{path}/members/{people[0]['id']}", status=204)
    assert members(app, crew) == emails[1:]
    assert app.write("PATCH", path, {"name": "Team"})["name"] == "Team"
    is_problem(app.ask("DELETE", path), 422, "invalid")
    app.write("DELETE", path, status=204, **{"X-Reason": "tidying up"})
    is_problem(app.ask("GET", path), 404, "not_found")
    assert len(app.all("/users")) == 5
    is_problem(app.ask("PUT", f"{path}/members/{people[0]['id']}"), 404, "not_found")


def test_g6_what_an_identity_provider_governs_is_changed_there(
    rosterd: Rosterd, feed: Feed, app: Client
) -> None:
    rosterd.hire(feed, "u1")
    rosterd.tell(feed, "group.upserted", {"id": "g1", "name": "Crew"})
    bob = app.post("/users", {"email": "bob@example.com"}, 201)
    crew, (user,) = by_name(app)["Crew"], app.all("/users", external_id="u1")
    path, before = f"/groups/{crew['id']}", rosterd.export()
    for method, more, extra in (
        ("PUT", f"/members/{bob['id']}", {}),
        ("PUT", f"/members/{user['id']}", {}),
        ("DELETE", f"/members/{user['id']}", {}),
        ("PATCH", "", {"json": {"name": "Mine"}}),
        ("DELETE", "", {"headers": REASON}),
    ):
        is_problem(app.ask(method, path + more, **extra), 409, "managed_group")
    assert rosterd.export() == before


def test_g3_a_managed_group_that_is_given_a_power_keeps_its_id_and_leaves_management(
    rosterd: Rosterd, feed: Feed, app: Client
) -> None:
    rosterd.hire(feed, "u1")
    rosterd.tell(feed, "group.upserted", {"id": "g1", "name": "Crew"})
    rosterd.tell(feed, "group.member_added", {"group_id": "g1", "user_id": "u1"})
    crew = by_name(app)["Crew"]
    path = f"/groups/{crew['id']}"
    harmless = app.write("PUT", f"{path}/permissions/open_private_space")
    assert (harmless["id"], harmless["managed"]) == (crew["id"], True)
    assert members(app, crew) == ["u1@example.com"]
    powerful = app.write("PUT", f"{path}/permissions/recover_accounts")
    assert (powerful["id"], powerful["managed"]) == (crew["id"], False)
    assert powerful["permissions"] == ["open_private_space", "recover_accounts"]
    assert app.get(path) == powerful
    assert [group for group in app.all("/groups", limit=1) if group["name"] == "Crew"] == [powerful]
    assert members(app, crew, limit=1) == ["u1@example.com"]
    assert app.write("DELETE", f"{path}/permissions/recover_accounts")["managed"] is False
    is_problem(app.ask("PUT", f"{path}/permissions/fly"), 422, "invalid")
    owners = by_name(app)["Owners"]
    told = app.ask("PUT", f"/groups/{owners['id']}/permissions/open_private_space")
    is_problem(told, 409, "protected_group")


def test_g4_who_may_open_a_private_space_is_asked_before(
    rosterd: Rosterd, feed: Feed, app: Client
) -> None:
    rosterd.hire(feed, "u1")
    (user,) = app.all("/users")
    bob = app.post("/users", {"email": "bob@example.com"}, 201)
    rosterd.accept("bob@example.com")
    path = f"/users/{user['id']}/can-open-private-space"

    def told() -> bool:
        answer = app.get(path, actor=bob["id"])
        assert answer["allowed"] is (answer["why"] is None)
        return bool(answer["allowed"])

    assert told() is False
    managers = by_name(app)["Provision Managers"]
    app.write("PUT", f"/groups/{managers['id']}/members/{bob['id']}", status=204)
    assert told() is True
    rosterd.accept("u1@example.com")
    assert told() is False
    for actor in ("usr_nobody", "\u00e4"):
        is_problem(app.ask("GET", path, params={"actor": actor}), 404, "not_found")
    is_problem(app.ask("GET", path), 422, "invalid")


def test_pages_of_groups_hold_each_once(rosterd: Rosterd, feed: Feed, app: Client) -> None:
    for number in range(3):
        rosterd.tell(feed, "group.upserted", {"id": f"g{number}", "name": f"Told {number}"})
        app.post("/groups", {"name": f"Own {number}"}, 201)
    whole = app.all("/groups")
    assert len(whole) == 11
    for limit in (1, 2, 3, 8, 10, 11):
        assert app.all("/groups", limit=limit) == whole


@pytest.mark.parametrize("key", ["g1", "G 1:ü"])
def test_every_surface_takes_either_id_that_any_of_them_shows(
    rosterd: Rosterd, feed: Feed, key: str
) -> None:
    rosterd.tell(feed, "group.upserted", {"id": key, "name": "Crew"})
    rosterd.account(name="beta")
    scopes = ("directory:read", "directory:write")
    app, others = (Client(rosterd, *scopes, account=name) for name in ("acme", "beta"))
    told = by_name(app)["Crew"]["id"]
    listed = rosterd.json("group", "list", "--account", "acme")
    (typed,) = (one["id"] for one in listed if one["name"] == "Crew")
    assert {told, typed} == {group_ref(f"{feed.connection}:{key}"), f"{feed.connection}:{key}"}
    root, ben = Operator(rosterd), Operator(rosterd, "admin", account="beta", name="ben")
    for id_ in (told, typed):
        path = quote(id_, safe="")
        for below in ("", "/members"):
            assert app.ask("GET", f"/groups/{path}{below}").status_code == 200, (id_, below)
            is_problem(others.ask("GET", f"/groups/{path}{below}"), 404, "not_found")
        assert "Crew" in root.page(f"/groups/{path}")
        assert ben.ask(f"/groups/{path}").status_code == 404
        assert rosterd.json("group", "show", id_)["name"] == "Crew"
        assert rosterd.cli("group", "show", id_, "--account", "beta").returncode == 3
        review = ("directory", "review", "--account", "acme", "--group")
        assert rosterd.cli(*review, id_).returncode == 0
    given = f"/groups/{quote(typed, safe='')}/permissions/open_private_space"
    assert app.write("PUT", given)["permissions"] == ["open_private_space"]
    own = rosterd.json("group", "show", told)["id"]
    assert own.startswith("grp_"), "a third one, once an operator said something of it"
    for id_ in (told, typed, own):
        assert app.get(f"/groups/{quote(id_, safe='')}")["id"] == told
        assert rosterd.json("group", "show", id_)["id"] == own
        assert "open private space" in root.page(f"/groups/{quote(id_, safe='')}")

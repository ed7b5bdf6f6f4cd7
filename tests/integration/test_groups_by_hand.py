"""Groups by hand, built in and protected, through the command line and HTTP, on both databases."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import delete

from tests.harness import Feed, Rosterd
from tests.integration.test_by_hand import added, at, told
from worker.adapters.db import rows
from worker.adapters.db.group_rows import own_groups
from worker.adapters.db.mail_rows import alerts


def groups(rosterd: Rosterd, account: str = "acme") -> dict[str, dict[str, Any]]:
    done = rosterd.cli("group", "list", "--account", account, "--json")
    assert done.returncode == 0, done.stderr
    import json

    return {group["name"]: group for group in json.loads(done.stdout)}


def members(rosterd: Rosterd, name: str) -> list[str]:
    import json

    done = rosterd.cli("group", "show", name, "--account", "acme", "--json")
    assert done.returncode == 0, done.stderr
    return [person["email"] for person in json.loads(done.stdout)["members"]]


def made(rosterd: Rosterd, name: str, *permissions: str) -> str:
    id_ = str(told(rosterd, "group", "add", "--account", "acme", name)["id"])
    for permission in permissions:
        told(rosterd, "group", "grant", id_, permission)
    return id_


def provided(rosterd: Rosterd, feed: Feed, name: str, *users: str, id_: str = "g1") -> None:
    rosterd.tell(feed, "group.upserted", {"id": id_, "name": name})
    for user in users:
        rosterd.hire(feed, user)
        rosterd.tell(feed, "group.member_added", {"group_id": id_, "user_id": user})


def reasons(rosterd: Rosterd) -> list[str]:
    return [letter["reason"] for letter in rosterd.dead()]


def test_g4_the_first_active_connection_brings_provision_managers(rosterd: Rosterd) -> None:
    first = {"Owners", "Administrators", "Team Members", "Security"}
    assert rosterd.cli("account", "add", "acme").returncode == 0
    assert set(groups(rosterd)) == first
    words = ("connection", "add", "--account", "acme", "--source", "standard", "--observe")
    assert rosterd.cli(*words).returncode == 0
    assert set(groups(rosterd)) == first, "observing is not active"
    for telling in ("go-live standard --yes --wait 0", "resume standard"):
        done = rosterd.cli("connection", *telling.split(), "--reason", "r")
        assert done.returncode == 0, done.stderr
        assert set(groups(rosterd)) == {*first, "Provision Managers"}
    assert members(rosterd, "Provision Managers") == []


ADD = "connection add --account acme --source standard"
#: Each way on which a connection becomes active, as an operator types it.
WAYS = {
    "add": (ADD,),
    "go-live": (f"{ADD} --observe", "connection go-live standard --yes --wait 0 --reason r"),
    "resume": (ADD, "connection pause standard --reason r", "connection resume standard"),
    "replace": (
        f"{ADD} --name old",
        f"{ADD} --observe",
        "connection retire old --reason r --yes",
        "connection replace old standard --map email --reason r --yes",
        "connection go-live standard --yes --wait 0 --reason r",
    ),
    "import": (
        f"{ADD} --observe",
        "links import standard /dev/null --reason r --yes",
        "connection go-live standard --yes --wait 0 --reason r",
    ),
}


@pytest.mark.parametrize("way", sorted(WAYS))
def test_g4_every_way_on_which_a_connection_becomes_active_brings_provision_managers(
    rosterd: Rosterd, way: str
) -> None:
    assert rosterd.cli("account", "add", "acme").returncode == 0
    for line in WAYS[way]:
        # As if nothing before had brought it: an account of a release that did not know the rule.
        with rosterd.setup() as use:
            use.sql.execute(delete(own_groups).where(own_groups.c.name == "Provision Managers"))
        done = rosterd.cli(*line.split())
        assert done.returncode == 0, (line, done.stderr)
        states = {one["name"]: one["state"] for one in rosterd.json("connection", "list")}
        is_new = states["standard" if "standard" in states else "old"] == "active"
        there = groups(rosterd).get("Provision Managers")
        assert (there is not None) == is_new, line
    assert there is not None
    assert there["permissions"] == ["open_private_space"]
    assert members(rosterd, "Provision Managers") == []


def test_g5_built_in_groups_are_neither_deleted_nor_renamed_nor_given_away(
    rosterd: Rosterd,
) -> None:
    feed = rosterd.account(owner="boss@example.com", existing_groups="manage")
    for name in list(groups(rosterd)):
        for words in (("delete", name, "--yes"), ("rename", name, "Other")):
            refused = told(rosterd, "group", *words, "--account", "acme", code=1)
            assert "built in" in refused["error"]
        told(rosterd, "group", "add", "--account", "acme", name.upper(), code=2)
        rosterd.tell(feed, "group.upserted", {"id": name, "name": f" {name.lower()} "})
    assert reasons(rosterd) == ["protected_group"] * 5
    assert [line for line in rosterd.export() if line["kind"] == "group"] == []
    told(rosterd, "group", "revoke", "Owners", "recover_accounts", "--account", "acme", code=1)


def test_g5_who_has_the_role_is_in_the_group_of_the_role(rosterd: Rosterd) -> None:
    feed = rosterd.account(owner="boss@example.com")
    added(rosterd, "guest@example.com", "--role", "guest", "--active")
    added(rosterd, "bo@example.com", "--role", "administrator", "--active")
    rosterd.hire(feed, "u1")
    assert members(rosterd, "Owners") == ["boss@example.com"]
    assert members(rosterd, "Administrators") == ["bo@example.com"]
    assert members(rosterd, "Team Members") == [
        "bo@example.com",
        "boss@example.com",
        "u1@example.com",
    ]
    words = ("member", "add", "Owners", "bo@example.com", "--account", "acme")
    assert "whoever has the role" in told(rosterd, "group", *words, code=1)["error"]


def test_g1_groups_by_hand_hold_whoever_and_go_without_them(rosterd: Rosterd) -> None:
    feed = rosterd.account()
    rosterd.hire(feed, "u1")
    added(rosterd, "bo@example.com")
    crew = made(rosterd, "Night  crew")
    for who in ("u1@example.com", "bo@example.com"):
        words = ("group", "member", "add", crew, who, "--account", "acme")
        assert told(rosterd, *words)["changed"] is True
        assert told(rosterd, *words)["changed"] is False
    assert members(rosterd, "night CREW") == ["bo@example.com", "u1@example.com"]
    told(rosterd, "group", "rename", crew, "Day crew")
    lines = [line for line in rosterd.export() if line["kind"] != "user"]
    assert {(line["connection"], line.get("name") or line["group"]) for line in lines} == {
        (None, "Day crew")
    }
    told(rosterd, "group", "member", "remove", crew, "bo@example.com", "--account", "acme")
    before = rosterd.export()
    rehearsed = told(rosterd, "group", "delete", crew, "--dry-run")
    assert (rehearsed["memberships"], rehearsed["deleted"]) == (1, False)
    assert rosterd.export() == before
    told(rosterd, "group", "delete", crew, "--yes")
    assert [line["kind"] for line in rosterd.export()] == ["user", "user"]
    assert rosterd.cli("group", "show", crew).returncode == 3


def test_g1_no_two_groups_of_one_name(rosterd: Rosterd) -> None:
    feed = rosterd.account()
    provided(rosterd, feed, "Sales")
    refused = told(rosterd, "group", "add", "--account", "acme", " sales", code=1)
    assert "already" in refused["error"]
    crew = made(rosterd, "Crew")
    told(rosterd, "group", "rename", crew, "SALES", code=1)
    told(rosterd, "group", "rename", crew, "crew")


@pytest.mark.parametrize("name", ["Sales", " sALES "])
def test_g2_a_group_of_the_same_name_is_untouched_unless_the_setting_says_so(
    rosterd: Rosterd, name: str
) -> None:
    feed = rosterd.account()
    sales = made(rosterd, "Sales")
    added(rosterd, "bo@example.com")
    told(rosterd, "group", "member", "add", sales, "bo@example.com", "--account", "acme")
    rosterd.tell(feed, "group.upserted", {"id": "g1", "name": name})
    rosterd.hire(feed, "u1")
    rosterd.tell(feed, "group.member_added", {"group_id": "g1", "user_id": "u1"}, id_="edge")
    assert reasons(rosterd) == ["group_exists"]
    assert rosterd.outcome("edge") == ("waiting", "not_seen"), "it shows, and takes no effect"
    assert members(rosterd, "Sales") == ["bo@example.com"]
    assert groups(rosterd)["Sales"]["managed"] is False
    told(rosterd, "group", "rename", sales, "Old sales")
    rosterd.cli("dead", "replay", "--account", "acme", "--reason", "r", "--yes", "--wait", "0")
    rosterd.drain()
    assert rosterd.outcome("edge")[0] == "applied"
    assert members(rosterd, name) == ["u1@example.com"]


def test_g2_g6_with_the_setting_it_is_managed_and_hands_are_off(rosterd: Rosterd) -> None:
    feed = rosterd.account(existing_groups="manage")
    sales = made(rosterd, "Sales", "open_private_space")
    for name in ("bo", "cy"):
        added(rosterd, f"{name}@example.com", "--active")
        told(rosterd, "group", "member", "add", sales, f"{name}@example.com", "--account", "acme")
    provided(rosterd, feed, "sales", "u1")
    found = groups(rosterd)["sales"]
    assert (found["id"], found["managed"], found["external_id"]) == (sales, True, "g1")
    assert found["permissions"] == ["open_private_space"]
    assert members(rosterd, "sales") == ["bo@example.com", "cy@example.com", "u1@example.com"]
    for words in (
        ("member", "add", sales, "bo@example.com"),
        ("member", "remove", sales, "bo@example.com"),
        ("rename", sales, "Other"),
        ("delete", sales, "--yes"),
    ):
        refused = told(rosterd, "group", *words, "--account", "acme", code=1)
        assert "managed_group" in refused["error"], words
    rosterd.hire(feed, "u2", "bo@example.com")
    rosterd.tell(feed, "group.member_removed", {"group_id": "g1", "user_id": "u2"})
    assert members(rosterd, "sales") == ["cy@example.com", "u1@example.com"]
    rosterd.tell(feed, "group.members_replaced", {"group_id": "g1", "user_ids": ["u1"]})
    assert members(rosterd, "sales") == ["u1@example.com"]
    assert [d["kind"] for d in rosterd.table(rows.decisions)].count("link_group") == 1


def test_g6_a_group_that_only_the_idp_made_is_not_changed_by_hand(rosterd: Rosterd) -> None:
    feed = rosterd.account()
    provided(rosterd, feed, "Sales", "u1")
    added(rosterd, "bo@example.com")
    for words in (
        ("member", "add", "Sales", "bo@example.com"),
        ("member", "remove", "Sales", "u1@example.com"),
        ("rename", "Sales", "Other"),
        ("delete", "Sales", "--yes"),
    ):
        refused = told(rosterd, "group", *words, "--account", "acme", code=1)
        assert "managed_group" in refused["error"], words
    assert members(rosterd, "Sales") == ["u1@example.com"]


@pytest.mark.parametrize("permission", ["recover_accounts", "manage_all_groups"])
@pytest.mark.parametrize("early", [True, False])
def test_g3_a_protected_group_is_refused_when_linked_memberships_included(
    rosterd: Rosterd, permission: str, early: bool
) -> None:
    feed = rosterd.account(existing_groups="manage")
    rescue = made(rosterd, "Rescue", permission)
    rosterd.hire(feed, "u1")
    member = {"group_id": "g1", "user_id": "u1"}
    if early:
        rosterd.tell(feed, "group.member_added", member, id_="edge")
        assert rosterd.outcome("edge") == ("waiting", "not_seen")
    rosterd.tell(feed, "group.upserted", {"id": "g1", "name": "rescue"})
    if not early:
        rosterd.tell(feed, "group.member_added", member, id_="edge")
    rosterd.tell(feed, "group.members_replaced", {"group_id": "g1", "user_ids": ["u1"]})
    assert reasons(rosterd) == ["protected_group"] * 3
    assert rosterd.outcome("edge") == ("dead", "protected_group")
    assert members(rosterd, "Rescue") == []
    assert groups(rosterd)["Rescue"]["managed"] is False
    told(rosterd, "group", "revoke", rescue, permission)
    rosterd.cli("dead", "replay", "--account", "acme", "--reason", "r", "--yes", "--wait", "0")
    rosterd.drain()
    rosterd.cli("dead", "replay", "--account", "acme", "--reason", "r", "--yes", "--wait", "0")
    rosterd.drain()
    assert reasons(rosterd) == []
    assert members(rosterd, "rescue") == ["u1@example.com"]


@pytest.mark.parametrize("linked", [True, False])
def test_g3_a_managed_group_that_is_given_a_protecting_permission_drops_out(
    rosterd: Rosterd, linked: bool
) -> None:
    feed = rosterd.account(existing_groups="manage")
    if linked:
        made(rosterd, "Sales")
    provided(rosterd, feed, "Sales", "u1", "u2")
    told(rosterd, "group", "grant", "Sales", "open_private_space", "--account", "acme")
    assert groups(rosterd)["Sales"]["managed"] is True
    words = ("Sales", "recover_accounts", "--account", "acme", "--reason", "r")
    done = rosterd.cli("group", "grant", *words)
    assert "dropped out of management" in done.stdout
    assert done.stderr == "", "no line of a log between the answers"
    assert groups(rosterd)["Sales"]["managed"] is False
    assert members(rosterd, "Sales") == ["u1@example.com", "u2@example.com"], "they stay"
    for type_, data in (
        ("group.member_added", {"group_id": "g1", "user_id": "u3"}),
        ("group.member_removed", {"group_id": "g1", "user_id": "u1"}),
        ("group.members_replaced", {"group_id": "g1", "user_ids": []}),
        ("group.upserted", {"id": "g1", "name": "Renamed"}),
        ("group.deleted", {"id": "g1"}),
    ):
        rosterd.tell(feed, type_, data)
    assert reasons(rosterd) == ["protected_group"] * 5
    assert members(rosterd, "Sales") == ["u1@example.com", "u2@example.com"]
    told(rosterd, "group", "member", "remove", "Sales", "u1@example.com", "--account", "acme")
    assert members(rosterd, "Sales") == ["u2@example.com"]
    (entry,) = rosterd.table(rows.audit, rows.audit.c.action == "group.drop_out")
    assert entry["reason"] == "r"
    told(rosterd, "group", "revoke", "Sales", "recover_accounts", "--account", "acme")
    assert groups(rosterd)["Sales"]["managed"] is False
    rosterd.tell(feed, "group.upserted", {"id": "g1", "name": "Sales 2"})
    assert groups(rosterd)["Sales 2"]["managed"] is True, "described again, managed again"


def test_g3_a_managed_group_does_not_take_a_protected_name(rosterd: Rosterd) -> None:
    feed = rosterd.account(existing_groups="manage")
    made(rosterd, "Rescue", "recover_accounts")
    provided(rosterd, feed, "Sales", "u1")
    for name in ("Rescue", "Owners"):
        rosterd.tell(feed, "group.upserted", {"id": "g1", "name": name})
    assert reasons(rosterd) == ["protected_group"] * 2
    assert members(rosterd, "Sales") == ["u1@example.com"]


def test_g3_a_deleted_group_that_had_dropped_out_returns_only_when_described(
    rosterd: Rosterd,
) -> None:
    feed = rosterd.account()
    provided(rosterd, feed, "Sales", "u1")
    told(rosterd, "group", "grant", "Sales", "recover_accounts", "--account", "acme")
    told(rosterd, "group", "delete", "Sales", "--yes", "--account", "acme")
    assert "Sales" not in groups(rosterd)
    rosterd.tell(feed, "group.upserted", {"id": "g1", "name": "Sales"})
    assert members(rosterd, "Sales") == ["u1@example.com"]


def test_s1_leaving_a_scope_group_suspends_though_the_group_is_protected(
    rosterd: Rosterd,
) -> None:
    feed = rosterd.account(scope="groups:g1")
    provided(rosterd, feed, "Staff", "u1")
    told(rosterd, "group", "grant", "Staff", "recover_accounts", "--account", "acme")
    rosterd.tell(feed, "group.member_removed", {"group_id": "g1", "user_id": "u1"})
    assert reasons(rosterd) == ["protected_group"]
    assert rosterd.user("u1")["state"] == "invited_suspended"  # type: ignore[index]


def test_g4_provision_managers_open_a_private_space_until_it_is_accepted(
    rosterd: Rosterd,
) -> None:
    feed = rosterd.account(owner="boss@example.com")
    rosterd.hire(feed, "u1")
    added(rosterd, "bo@example.com")
    added(rosterd, "cy@example.com", "--active")

    def may(by: str, whom: str = "u1@example.com") -> bool:
        words = ("user", "private-space", whom, "--by", by, "--account", "acme", "--json")
        done = rosterd.cli(*words)
        assert done.returncode == 0, done.stderr
        return '"allowed": true' in done.stdout

    assert not may("cy@example.com")
    assert not may("boss@example.com"), "not even an owner"
    for who in ("bo@example.com", "cy@example.com"):
        told(rosterd, "group", "member", "add", "Provision Managers", who, "--account", "acme")
    assert may("cy@example.com")
    assert not may("bo@example.com"), "who has not accepted opens nothing"
    assert not may("cy@example.com", "bo@example.com"), "nobody provisioned them"
    assert rosterd.accept("u1@example.com") == 200
    assert not may("cy@example.com")


def test_g4_no_provider_manages_provision_managers(rosterd: Rosterd) -> None:
    feed = rosterd.account(existing_groups="manage")
    provided(rosterd, feed, "Provision Managers", "u1")
    assert set(reasons(rosterd)) == {"protected_group"}
    assert members(rosterd, "Provision Managers") == []


def test_u7_who_is_linked_keeps_groups_by_hand(rosterd: Rosterd) -> None:
    feed = rosterd.account()
    crew = made(rosterd, "Crew")
    added(rosterd, "bo@example.com", "--active")
    told(rosterd, "group", "member", "add", crew, "bo@example.com", "--account", "acme")
    rosterd.hire(feed, "u1", "bo@example.com")
    assert at(rosterd, "bo@example.com")["user_key"] == "u1"
    assert members(rosterd, "Crew") == ["bo@example.com"]


def test_c7_g6_what_a_retired_connection_managed_is_by_hand_from_then_on(rosterd: Rosterd) -> None:
    feed = rosterd.account()
    provided(rosterd, feed, "Sales", "u1", "u2")
    assert rosterd.cli("connection", "retire", "standard", "--reason", "r", "--yes").returncode == 0
    assert groups(rosterd)["Sales"]["managed"] is False
    assert members(rosterd, "Sales") == ["u1@example.com", "u2@example.com"]
    words = ("member", "remove", "Sales", "u1@example.com", "--account", "acme")
    assert told(rosterd, "group", *words)["changed"] is True
    assert members(rosterd, "Sales") == ["u2@example.com"]
    told(rosterd, "group", "rename", "Sales", "Sellers", "--account", "acme")
    told(rosterd, "group", "delete", "Sellers", "--yes", "--account", "acme")
    assert not {"Sales", "Sellers"} & set(groups(rosterd))


def test_g3_g4_operators_are_warned_for_as_long_as_it_is_so(rosterd: Rosterd) -> None:
    feed = rosterd.account()
    added(rosterd, "bo@example.com", "--active")
    words = ("Provision Managers", "bo@example.com", "--account", "acme")
    warning = "acme: 1 may open private spaces"
    assert warning not in rosterd.cli("doctor").stdout
    told(rosterd, "group", "member", "add", *words)
    assert warning in rosterd.cli("doctor").stdout
    assert [row["topic"] for row in rosterd.table(alerts)] == ["group.private_space"]
    told(rosterd, "group", "member", "remove", *words)
    assert warning not in rosterd.cli("doctor").stdout
    assert rosterd.table(alerts) == []
    provided(rosterd, feed, "Sales", "u1")
    told(rosterd, "group", "grant", "Sales", "recover_accounts", "--account", "acme")
    assert "acme: group Sales is out of management" in rosterd.cli("doctor").stdout
    assert "acme: group Sales is out of management" in rosterd.cli("status").stdout
    assert [row["topic"] for row in rosterd.table(alerts)] == ["group.drop_out"]


def test_g3_g4_what_stands_is_counted_by_account_on_page_metrics_and_status(
    rosterd: Rosterd,
) -> None:
    feeds = {name: rosterd.account(name=name) for name in ("acme", "beta", "quiet")}
    for number, name in enumerate(("acme", "beta")):
        for who in ("bo", "cy"):
            words = ("user", "add", "--account", name, f"{who}@example.com", "--active")
            assert rosterd.cli(*words, "--reason", "r").returncode == 0
        for who in ("bo", "cy")[: number + 1]:
            join = ("group", "member", "add", "Provision Managers", f"{who}@example.com")
            told(rosterd, *join, "--account", name)
    provided(rosterd, feeds["beta"], "Sales", "u1", "u2")
    told(rosterd, "group", "grant", "Sales", "open_private_space", "--account", "beta")
    provided(rosterd, feeds["beta"], "Lost", id_="g2")
    told(rosterd, "group", "grant", "Lost", "manage_all_groups", "--account", "beta")
    told(rosterd, "group", "grant", "Team Members", "open_private_space", "--account", "acme")
    told_of = rosterd.json("status")
    # In acme both are members of the team; one is in both groups.
    assert told_of["openers"] == {"acme": 2, "beta": 4, "quiet": 0}
    assert [(one["account"], one["name"]) for one in told_of["dropped"]] == [("beta", "Lost")]
    with rosterd.setup() as use:
        token = use.add_token(None, name="prometheus", scopes=["metrics"])
    bearer = {"Authorization": f"Bearer {token}"}
    lines = rosterd.http.get("/metrics", headers=bearer).text
    for account, may, out in (("acme", 2, 0), ("beta", 4, 1), ("quiet", 0, 0)):
        assert f'rosterd_private_space_openers{{account="{account}"}} {may}.0' in lines
        assert f'rosterd_groups_dropped_out{{account="{account}"}} {out}.0' in lines
    rosterd.operator("eve@example.com")
    rosterd.http.post(f"/sign-in/{rosterd.sign_in_link('eve@example.com')}")
    page = rosterd.http.get("/").text
    assert "group Lost dropped out of management" in page
    assert "beta: 4 may open private spaces" in page
    retire = ("connection", "retire", feeds["beta"].connection, "--reason", "r", "--yes")
    assert rosterd.cli(*retire).returncode == 0
    assert rosterd.json("status")["dropped"] == [], "C7: what a retired one left is no warning"

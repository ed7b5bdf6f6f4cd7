"""The rules about groups and memberships, through HTTP, on both databases."""

from __future__ import annotations

from typing import Any

from tests.harness import Rosterd


def memberships(rosterd: Rosterd) -> list[tuple[str, str, bool]]:
    return [
        (x["group"], x["user"], x["effective"])
        for x in rosterd.export()
        if x["kind"] == "membership"
    ]


def groups(rosterd: Rosterd) -> dict[str, Any]:
    return {x["external_id"]: x["name"] for x in rosterd.export() if x["kind"] == "group"}


def test_g1_groups_are_made_renamed_and_deleted_people_stay(rosterd: Rosterd) -> None:
    feed = rosterd.account()
    rosterd.hire(feed, "u1")
    rosterd.tell(feed, "group.upserted", {"id": "g1", "name": "One"})
    rosterd.tell(feed, "group.member_added", {"group_id": "g1", "user_id": "u1"})
    rosterd.tell(feed, "group.upserted", {"id": "g1", "name": "Two"})
    assert groups(rosterd) == {"g1": "Two"}
    assert memberships(rosterd) == [("g1", "u1", True)]
    rosterd.tell(feed, "group.deleted", {"id": "g1"})
    assert groups(rosterd) == {}
    assert memberships(rosterd) == []
    assert rosterd.user("u1") is not None


def test_g1_u3_suspension_does_not_change_membership(rosterd: Rosterd) -> None:
    feed = rosterd.account()
    rosterd.hire(feed, "u1")
    rosterd.tell(feed, "group.upserted", {"id": "g1", "name": "One"})
    rosterd.tell(feed, "group.member_added", {"group_id": "g1", "user_id": "u1"})
    rosterd.tell(feed, "user.suspended", {"id": "u1"})
    assert memberships(rosterd) == [("g1", "u1", True)]


def test_g5_a_built_in_group_is_refused(rosterd: Rosterd) -> None:
    feed = rosterd.account()
    rosterd.tell(feed, "group.upserted", {"id": "g1", "name": "owners"})
    assert [letter["reason"] for letter in rosterd.dead()] == ["protected_group"]
    assert groups(rosterd) == {}


def test_g7_a_membership_waits_for_either_end_and_shows_it(rosterd: Rosterd) -> None:
    feed = rosterd.account()
    member = {"group_id": "g1", "user_id": "u1"}
    rosterd.tell(feed, "group.member_added", member, id_="edge")
    assert rosterd.outcome("edge") == ("waiting", "not_seen")
    assert memberships(rosterd) == [("g1", "u1", False)]
    rosterd.hire(feed, "u1")
    assert rosterd.outcome("edge") == ("waiting", "not_seen")
    rosterd.tell(feed, "group.upserted", {"id": "g1", "name": "One"})
    assert rosterd.outcome("edge") == ("applied", None)
    assert memberships(rosterd) == [("g1", "u1", True)]


def test_d13_replacing_sets_a_floor_that_late_facts_do_not_pass(rosterd: Rosterd) -> None:
    feed = rosterd.account()
    for key in ("u1", "u2", "u3"):
        rosterd.hire(feed, key)
    rosterd.tell(feed, "group.upserted", {"id": "g1", "name": "One"})
    rosterd.tell(feed, "group.member_added", {"group_id": "g1", "user_id": "u1"}, at=10)
    rosterd.tell(
        feed, "group.members_replaced", {"group_id": "g1", "user_ids": ["u2"]}, at=20, id_="all"
    )
    rosterd.tell(feed, "group.member_added", {"group_id": "g1", "user_id": "u3"}, at=15, id_="late")
    assert memberships(rosterd) == [("g1", "u2", True)]
    assert rosterd.outcome("late")[0] == "superseded"
    (late,) = [e for e in rosterd.events() if e["external_id"] == "late"]
    (winner,) = [e for e in rosterd.events() if e["external_id"] == "all"]
    from domain.values import stamp_key

    assert late["superseded_by"] == stamp_key(winner["digest"])


def test_s1_groups_prefix_keeps_only_those(rosterd: Rosterd) -> None:
    feed = rosterd.account(groups="prefix:app-")
    rosterd.tell(feed, "group.upserted", {"id": "g1", "name": "app-users"})
    rosterd.tell(feed, "group.upserted", {"id": "g2", "name": "printers"}, id_="other")
    assert groups(rosterd) == {"g1": "app-users"}
    assert rosterd.outcome("other") == ("ignored", "out_of_scope")

"""Whoever is in a group by hand when a provider takes it over by its name (G2), told and kept."""

from __future__ import annotations

from typing import Any

import pytest

from domain.keys import group_id, group_ref
from tests.harness import Feed
from tests.listening import Listening
from worker.adapters.db import rows
from worker.adapters.db.access_rows import access_history


@pytest.fixture
def feed(listening: Listening) -> Feed:
    """Three people; the first and the third are in a group of the account's own."""
    feed = listening.begin(existing_groups="manage")
    for key in ("u1", "u2", "u3"):
        listening.hire(feed, key)
    crew = listening.done("group", "add", "Crew", "--account", "acme", "--reason", "x")["id"]
    for key in ("u1", "u3"):
        add = ("group", "member", "add", crew, f"{key}@example.com", "--account", "acme")
        assert listening.cli(*add, "--reason", "x").returncode == 0
    listening.types()
    return feed


def told(listening: Listening, since: int) -> list[tuple[str, str, str | None]]:
    """What the application heard of groups: the type, the id of the group, who."""
    listening.types()
    return [
        (one.type, one.data["group"]["id"], one.data["user"]["external_id"])
        if "group" in one.data
        else (one.type, one.data["id"], None)
        for one in listening.app.told[since:]
        if one.type.startswith("group.")
    ]


def history(listening: Listening, group: str) -> dict[str, list[str]]:
    """What became of each person in a group, by their external id."""
    names: dict[Any, str] = {row["person_id"]: row["key"] for row in listening.table(rows.users)}
    found: dict[str, list[str]] = {}
    turns = listening.table(access_history, access_history.c.group_id == group)
    for row in sorted(turns, key=lambda row: row["id"]):
        found.setdefault(names[row["person_id"]], []).append(row["now"])
    return found


def test_g2_who_is_in_a_group_by_hand_goes_over_with_it(listening: Listening, feed: Feed) -> None:
    own = listening.json("group", "show", "Crew", "--account", "acme")["id"]
    since = len(listening.app.told)
    listening.tell(feed, "group.upserted", {"id": "g1", "name": "Crew"})
    key = group_id(feed.connection, "g1")
    ref = group_ref(key)
    heard = told(listening, since)
    assert heard[:2] == [("group.deleted", own, None), ("group.created", ref, None)]
    assert sorted(heard[2:]) == [("group.member_added", ref, user) for user in ("u1", "u3")]
    assert history(listening, own) == {"u1": ["member", ""], "u3": ["member", ""]}
    assert history(listening, key) == {"u1": ["member"], "u3": ["member"]}


def test_g2_a_provider_that_speaks_of_one_of_them_is_told_once(
    listening: Listening, feed: Feed
) -> None:
    listening.tell(feed, "group.upserted", {"id": "g1", "name": "Crew"})
    listening.types()
    since = len(listening.app.told)
    for type_, user in (("added", "u1"), ("added", "u2"), ("removed", "u3")):
        data = {"group_id": "g1", "user_id": user}
        listening.tell(feed, f"group.member_{type_}", data)
    again = {"group_id": "g1", "user_id": "u3"}
    listening.tell(feed, "group.member_added", again)
    key = group_id(feed.connection, "g1")
    assert sorted((type_, who) for type_, _, who in told(listening, since)) == [
        ("group.member_added", "u2"),
        ("group.member_added", "u3"),
        ("group.member_removed", "u3"),
    ]
    turns = {"u1": ["member"], "u2": ["member"], "u3": ["member", "", "member"]}
    assert history(listening, key) == turns


@pytest.mark.parametrize("whole", [["u2"], []])
def test_g2_the_whole_list_ends_who_is_not_in_it(
    listening: Listening, feed: Feed, whole: list[str]
) -> None:
    listening.tell(feed, "group.upserted", {"id": "g1", "name": "Crew"})
    listening.types()
    since = len(listening.app.told)
    listening.tell(feed, "group.members_replaced", {"group_id": "g1", "user_ids": whole})
    assert sorted((type_, who) for type_, _, who in told(listening, since)) == [
        *(("group.member_added", user) for user in whole),
        ("group.member_removed", "u1"),
        ("group.member_removed", "u3"),
    ]
    kept = history(listening, group_id(feed.connection, "g1"))
    assert kept == {"u1": ["member", ""], "u3": ["member", ""]} | {u: ["member"] for u in whole}


def test_g2_the_groups_end_is_the_end_of_those_by_hand(listening: Listening, feed: Feed) -> None:
    listening.tell(feed, "group.upserted", {"id": "g1", "name": "Crew"})
    listening.types()
    since = len(listening.app.told)
    listening.tell(feed, "group.deleted", {"id": "g1"})
    key = group_id(feed.connection, "g1")
    assert told(listening, since) == [("group.deleted", group_ref(key), None)]
    assert history(listening, key) == {"u1": ["member", ""], "u3": ["member", ""]}


def test_g2_taken_over_and_spoken_of_in_one_batch(listening: Listening, feed: Feed) -> None:
    since = len(listening.app.told)
    listening.tell(feed, "group.upserted", {"id": "g1", "name": "Crew"}, drain=False)
    for type_, user in (("added", "u1"), ("added", "u2"), ("removed", "u3")):
        data = {"group_id": "g1", "user_id": user}
        listening.tell(feed, f"group.member_{type_}", data, drain=False)
    listening.drain()
    added = [who for type_, _, who in told(listening, since) if type_ == "group.member_added"]
    gone = [who for type_, _, who in told(listening, since) if type_ == "group.member_removed"]
    assert sorted(set(added) - set(gone), key=str) == ["u1", "u2"]
    shown = listening.json("group", "show", "Crew", "--account", "acme")
    assert sorted(member["external_id"] for member in shown["members"]) == ["u1", "u2"]

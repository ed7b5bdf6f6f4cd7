"""Rules where two of them meet: links of two accounts, long lists and holds, taken over groups."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from domain.keys import group_id
from tests.harness import Feed, Rosterd
from worker.adapters.db import rows

MANY = 10_000
AT_ONCE = 1_000


def _group(rosterd: Rosterd, name: str) -> dict[str, object]:
    found = [g for g in rosterd.json("group", "list", "--account", "acme") if g["name"] == name]
    assert len(found) == 1, found
    return dict(found[0])


def test_c1_g7_a_file_of_links_moves_nobody_of_another_account(
    rosterd: Rosterd, tmp_path: Path
) -> None:
    """By id or by address: of the account of the connection, or nobody."""
    other = rosterd.account(name="other")
    rosterd.hire(other, "eva")
    (eva,) = rosterd.table(rows.people, rows.people.c.user_key == "eva")
    feed = rosterd.account(several=True)
    path = tmp_path / "links.jsonl"
    lines = [
        {"kind": "user", "external_id": "by-id", "person": eva["id"]},
        {"kind": "user", "external_id": "by-address", "email": "eva@example.com"},
        {"kind": "group", "external_id": "g", "group": group_id(other.connection, "g1")},
    ]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    rosterd.tell(other, "group.upserted", {"id": "g1", "name": "One"})
    before = rosterd.export(str(eva["account_id"]))
    read = ("links", "import", feed.connection, str(path), "--yes", "--json")
    done = rosterd.cli(*read, "--reason", "x")
    assert "linked" not in json.loads(done.stdout), done.stdout + done.stderr
    assert rosterd.export(str(eva["account_id"])) == before
    assert rosterd.users() == []


def test_s3_c6_a_list_that_misses_many_is_held_by_the_breaker(
    rosterd: Rosterd, tmp_path: Path
) -> None:
    feed = rosterd.account(suspend_unlisted="on", breaker_min="5", breaker_percent="0")
    for number in range(12):
        rosterd.hire(feed, f"u{number}")
    path = tmp_path / "list.txt"
    path.write_text("u0\n")
    words = ("connection", "list-is", feed.connection, str(path), "--count", "1")
    assert rosterd.cli(*words, "--reason", "monthly", "--yes").returncode == 0
    rosterd.drain()
    states = [user["state"] for user in rosterd.users()]
    assert states.count("invited_suspended") == 5
    (hold,) = rosterd.json("hold", "list")
    assert hold["events"] == 6
    approve = ("hold", "approve", hold["id"], "--reason", "they left", "--yes")
    assert rosterd.cli(*approve).returncode == 0
    rosterd.drain()
    left = {u["external_id"] for u in rosterd.users() if u["state"] == "invited"}
    assert left == {"u0"}


def _linked_group(rosterd: Rosterd, **account: object) -> Feed:
    """A group by hand that a provider manages since it told of its name (G2)."""
    feed = rosterd.account(existing_groups="manage", **account)  # type: ignore[arg-type]
    made = rosterd.cli("group", "add", "Crew", "--account", "acme", "--reason", "x")
    assert made.returncode == 0, made.stderr
    rosterd.hire(feed, "u1")
    rosterd.tell(feed, "group.upserted", {"id": "g1", "name": "Crew"})
    rosterd.tell(feed, "group.member_added", {"group_id": "g1", "user_id": "u1"})
    assert _group(rosterd, "Crew")["managed"] is True
    return feed


def test_c1_g2_a_group_of_the_accounts_own_is_linked_anew_by_the_next_connection(
    rosterd: Rosterd,
) -> None:
    """`connection replace` says that it does not take it over; its name does."""
    old = _linked_group(rosterd, several=True)
    new = rosterd.connect("acme", name="new", existing_groups="manage")
    replace = ("connection", "replace", old.connection, new.connection, "--map", "same")
    done = rosterd.cli(*replace, "--reason", "x", "--yes")
    assert "linked by its name (G2)" in done.stdout
    rosterd.cli(*replace, "--reason", "x", "--yes", "--partial")
    assert _group(rosterd, "Crew")["managed"] is False, "its provider was turned off (C7)"
    rosterd.tell(new, "group.upserted", {"id": "g9", "name": "Crew"})
    group = _group(rosterd, "Crew")
    assert (group["managed"], group["connection"]) == (True, new.connection)
    rosterd.tell(new, "group.members_replaced", {"group_id": "g9", "user_ids": ["u1"]})
    shown = rosterd.json("group", "show", str(group["id"]))
    assert [member["external_id"] for member in shown["members"]] == ["u1"]


@pytest.mark.long
def test_c2_ten_thousand_events_held_by_a_pause_are_applied_when_it_ends(
    rosterd: Rosterd,
) -> None:
    feed = rosterd.account()
    pause = ("connection", "pause", feed.connection, "--reason", "x")
    assert rosterd.cli(*pause).returncode == 0
    for first in range(0, MANY, AT_ONCE):
        events = [
            {
                "id": f"e{number}",
                "type": "user.upserted",
                "timestamp": rosterd.at(1).isoformat(),
                "data": {"id": f"u{number}", "email": f"u{number}@example.com"},
            }
            for number in range(first, first + AT_ONCE)
        ]
        body = json.dumps({"events": events}).encode()
        assert rosterd.post(rosterd.signed(feed, body, id_=f"m{first}")) == 200
    rosterd.drain()
    assert rosterd.table(rows.people) == []
    assert rosterd.cli("connection", "resume", feed.connection, "--reason", "x").returncode == 0
    while rosterd.drain().get("claimed"):
        pass
    assert len(rosterd.table(rows.people)) == MANY
    assert not rosterd.events(rows.events.c.state != "ended")

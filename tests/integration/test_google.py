"""Google Workspace from a change there to the exported directory, over its channels and its log."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from domain.hydration import Wanted, What, read_id
from tests.channels import connected, listen
from tests.fakes.google import FakeGoogle
from tests.fakes.idp import Fault
from tests.harness import Feed, Rosterd
from tests.hydrating import give_access, let_rest_end, reading, settle
from tests.servers import await_true
from worker.adapters.db import rows
from worker.adapters.db.directory_rows import reads
from worker.adapters.db.hydrating import retain_reads
from worker.adapters.db.reconciliation_rows import catch_ups
from worker.cli.sender import Sent

TEAM, GROUPS = "team@example.com", "/admin/directory/v1/groups"


@pytest.fixture
def google() -> Iterator[FakeGoogle]:
    with FakeGoogle().serving() as fake:
        yield fake


@pytest.fixture
def rosterd(database_url: str, tmp_path: Path) -> Iterator[Rosterd]:
    with reading(database_url, tmp_path, directory_seconds=2) as made:
        yield made


@pytest.fixture
def feed(rosterd: Rosterd, google: FakeGoogle) -> Feed:
    return connected(rosterd, google)


def pass_by(google: FakeGoogle, seconds: float = 3) -> None:
    """Answers bear whole seconds: so that one can be told from the next."""
    google.shift += seconds


def members(rosterd: Rosterd) -> set[tuple[str, str]]:
    found = [line for line in rosterd.export() if line["kind"] == "membership"]
    return {(line["group"], line["user"]) for line in found}


def groups(rosterd: Rosterd) -> dict[str, str]:
    found = [line for line in rosterd.export() if line["kind"] == "group"]
    return {line["external_id"]: line["name"] for line in found}


def states(rosterd: Rosterd) -> dict[str, str]:
    return {line["external_id"]: line["state"] for line in rosterd.users()}


def truth(google: FakeGoogle) -> tuple[set[str], dict[str, str], set[tuple[str, str]]]:
    """Who is in, which groups there are, who of those belongs to which."""
    people = {key for key, user in google.users.items() if not user["suspended"]}
    named = {key: group["name"] for key, group in google.groups.items()}
    edges = {
        (group, user)
        for group, inside in google.members.items()
        for user, type_ in inside.items()
        if type_ == "USER" and user in people
    }
    return people, named, edges


def known(rosterd: Rosterd) -> tuple[set[str], dict[str, str], set[tuple[str, str]]]:
    """The same of what is exported; who is out keeps no membership that counts."""
    people = {key for key, state in states(rosterd).items() if "suspended" not in state}
    return people, groups(rosterd), {edge for edge in members(rosterd) if edge[1] in people}


def test_u1_u3_u4_people_come_change_and_leave(
    rosterd: Rosterd, feed: Feed, google: FakeGoogle
) -> None:
    google.user("101", name={"givenName": "Ana"})
    rosterd.drain()
    user = rosterd.user("101")
    assert user is not None
    assert (user["email"], user["given_name"], user["state"]) == (
        "u101@example.com",
        "Ana",
        "invited",
    )
    pass_by(google)
    google.user("101", suspended=True)
    rosterd.drain()
    assert states(rosterd) == {"101": "invited_suspended"}
    pass_by(google)
    google.user("101", suspended=False)
    rosterd.drain()
    assert states(rosterd) == {"101": "invited"}
    pass_by(google)
    google.rename("101", "ana@example.com")
    rosterd.drain()
    user = rosterd.user("101")
    assert user is not None
    assert user["email"] == "ana@example.com"
    google.delete("101")
    rosterd.drain()
    assert states(rosterd) == {"101": "invited_suspended"}
    pass_by(google)
    # The burst of questions that may follow at once is used up by now.
    let_rest_end(rosterd)
    google.undelete("101")
    rosterd.drain()
    assert states(rosterd) == {"101": "invited"}
    assert rosterd.dead() == []
    assert {row["state"] for row in rosterd.events()} == {"ended"}


def test_u8_who_is_deleted_is_out_while_google_does_not_answer(
    rosterd: Rosterd, feed: Feed, google: FakeGoogle
) -> None:
    google.user("101")
    rosterd.drain()
    google.fault = Fault.HANG
    asked = len(google.asked)
    google.message("delete", google.users["101"])
    for lane, kind in rosterd._due():
        rosterd.parts.drain.run(lane=lane, kind=kind, budget=timedelta(seconds=30))
    assert states(rosterd) == {"101": "invited_suspended"}
    assert len(google.asked) == asked


def test_g1_groups_and_memberships_come_by_reports_that_name_addresses(
    rosterd: Rosterd, feed: Feed, google: FakeGoogle
) -> None:
    for key in ("101", "102"):
        google.user(key)
    google.group("g1", TEAM, "Team")
    google.join("g1", "101")
    google.join("g1", "102")
    rosterd.drain()
    assert known(rosterd) == truth(google)
    assert members(rosterd) == {("g1", "101"), ("g1", "102")}
    pass_by(google)
    google.leave("g1", "101")
    settle(rosterd)
    assert members(rosterd) == {("g1", "102")}
    kept = rosterd.events(rows.events.c.type == "groups_enterprise.remove_user")
    assert [(row["kind"], row["lane"], row["outcome"]) for row in kept] == [
        ("groups.remove_members", "urgent", "applied")
    ], "told under two names, and one event"
    google.groups["g1"]["name"] = "Crew"
    google.happened("admin", "CHANGE_GROUP_NAME", GROUP_EMAIL=TEAM)
    pass_by(google)
    settle(rosterd)
    assert groups(rosterd) == {"g1": "Crew"}
    google.delete_group("g1")
    pass_by(google)
    settle(rosterd)
    assert (groups(rosterd), members(rosterd)) == ({}, set())
    assert rosterd.dead() == []


def test_a_group_of_whom_only_members_were_told_is_known_when_it_is_deleted(
    rosterd: Rosterd, feed: Feed, google: FakeGoogle
) -> None:
    google.user("101")
    google.post, post = None, google.post
    google.group("g1", TEAM, "Team")
    google.post = post
    google.join("g1", "101")
    settle(rosterd)
    assert groups(rosterd) == {"g1": "Team"}
    with rosterd.parts.database.begin() as sql:
        sql.execute(reads.update().values(began_at=rosterd.now() - timedelta(days=99)))
        sql.commit()
    assert retain_reads(rosterd.parts.database, days=30) > 0
    pass_by(google)
    google.delete_group("g1")
    settle(rosterd)
    assert (groups(rosterd), members(rosterd)) == ({}, set())


def test_a_group_that_nobody_ever_named_is_ignored_and_says_so(
    rosterd: Rosterd, feed: Feed, google: FakeGoogle
) -> None:
    google.happened("groups_enterprise", "delete_group", group_id="gone@example.com")
    settle(rosterd)
    (row,) = rosterd.events()
    assert (row["outcome"], row["reason"]) == ("ignored", "no_directory_change")
    story = rosterd.json("event", "show", str(row["id"]))
    assert "nobody is known as gone@example.com" in json.dumps(story)


def test_a_group_that_is_moved_is_not_gone(
    rosterd: Rosterd, feed: Feed, google: FakeGoogle
) -> None:
    """Nobody has the old address: that proves nothing of the group that had it."""
    google.group("g1", TEAM, "Team")
    rosterd.drain()
    google.groups["g1"]["email"] = "crew@example.com"
    pass_by(google)
    google.happened("groups_enterprise", "delete_group", group_id=TEAM)
    settle(rosterd)
    assert groups(rosterd) == {"g1": "Team"}
    assert f"{GROUPS}/g1" in google.paths(), "asked for by its id"


def test_a_deleted_person_of_whom_only_the_address_is_told_is_found_by_it(
    rosterd: Rosterd, feed: Feed, google: FakeGoogle
) -> None:
    """Their address was never asked for: here they are known by it."""
    told = google.channels
    google.channels = {k: c for k, c in told.items() if c.resource == "users"}
    google.user("101")
    rosterd.drain()
    google.channels = {k: c for k, c in told.items() if c.resource != "users"}
    pass_by(google)
    google.delete("101")
    settle(rosterd)
    assert states(rosterd) == {"101": "invited_suspended"}


def test_whoever_has_another_address_now_is_not_suspended_for_the_old_one(
    rosterd: Rosterd, feed: Feed, google: FakeGoogle
) -> None:
    google.user("101")
    rosterd.drain()
    google.post, post = None, google.post
    google.rename("101", "ana@example.com", keeps_alias=False)
    google.post = post
    pass_by(google)
    google.happened("admin", "SUSPEND_USER", USER_EMAIL="u101@example.com")
    settle(rosterd)
    user = rosterd.user("101")
    assert user is not None
    assert (user["state"], user["email"]) == ("invited", "ana@example.com"), "asked for by id"


def test_who_left_a_group_and_then_the_customer_is_out_of_both(
    rosterd: Rosterd, feed: Feed, google: FakeGoogle
) -> None:
    """Google tells nobody's id for the address any more; here it is known."""
    google.user("101")
    google.group("g1", TEAM, "Team")
    google.join("g1", "101")
    settle(rosterd)
    assert members(rosterd) == {("g1", "101")}
    pass_by(google)
    google.leave("g1", "101")
    google.delete("101")
    settle(rosterd)
    assert members(rosterd) == set()
    assert states(rosterd) == {"101": "invited_suspended"}


def test_a_hundred_events_about_one_membership_are_one_question(
    rosterd: Rosterd, feed: Feed, google: FakeGoogle
) -> None:
    google.user("101")
    google.group("g1", TEAM, "Team")
    settle(rosterd)
    google.members["g1"] = {str(number): "USER" for number in range(5000)} | {"101": "USER"}
    asked = len(google.asked)
    pass_by(google)
    for _ in range(100):
        google.happened(
            "groups_enterprise", "add_member", group_id=TEAM, member_id="u101@example.com"
        )
    settle(rosterd)
    assert members(rosterd) == {("g1", "101")}
    paths = google.paths()[asked:]
    assert paths == [f"{GROUPS}/{TEAM}", f"{GROUPS}/g1/members/u101@example.com"]
    told = [
        row["outcome"]
        for row in rosterd.events(rows.events.c.type == "groups_enterprise.add_member")
    ]
    assert (len(told), told.count("applied")) == (100, 1)


def test_two_answers_within_a_second_are_told_apart(
    rosterd: Rosterd, feed: Feed, google: FakeGoogle
) -> None:
    """They bear whole seconds, and at equal times who leaves wins: the second is asked later."""
    google.user("101")
    google.group("g1", TEAM, "Team")
    google.join("g1", "101")
    settle(rosterd)
    google.behind = 60
    for _ in range(2):
        google.leave("g1", "101")
        rosterd.drain()
        google.join("g1", "101")
        rosterd.drain()
    await_true(lambda: not (rosterd.drain() or _waits(rosterd)), seconds=20)
    assert members(rosterd) == {("g1", "101")}


def _waits(rosterd: Rosterd) -> bool:
    return bool(rosterd.events(rows.events.c.state == "waiting"))


@pytest.mark.parametrize("seed", range(4))
def test_g4_any_order_and_duplication_of_messages_ends_as_google_says(
    rosterd: Rosterd, feed: Feed, google: FakeGoogle, seed: int
) -> None:
    """What was read decides; the newest answer is the newest fact, whatever it was asked for.

    Half of the messages are lost; of each person, group and pair one comes in the end, an old one.
    """
    chance = random.Random(seed)
    kept: list[tuple[dict[str, str], bytes]] = []

    def keep(headers: Any, body: bytes) -> int:
        kept.append((dict(headers), body))
        return 200

    google.post = lambda _channel: keep
    google.behind = 120.0 * (seed % 2)
    for key in ("101", "102", "103"):
        google.user(key)
    google.group("g1", TEAM, "Team")
    google.group("g2", "crew@example.com", "Crew")
    for _ in range(30):
        pass_by(google, 2)
        _something(google, chance)
        if chance.random() < 0.4:
            chance.shuffle(kept)
            for _ in range(chance.randrange(len(kept) + 1)):
                _deliver(rosterd, feed, *kept.pop())
            if chance.random() < 0.5:
                settle(rosterd)
    chance.shuffle(kept)
    del kept[: len(kept) // 2]
    google.behind = 3600
    _remind(google)
    chance.shuffle(kept)
    for headers, body in [*kept, *kept[: len(kept) // 2]]:
        _deliver(rosterd, feed, headers, body)
    pass_by(google)
    settle(rosterd)
    assert known(rosterd) == truth(google)
    assert rosterd.dead() == []


def _remind(google: FakeGoogle) -> None:
    """Old words about everybody and everything, which say nothing of what they are now."""
    for user in google.users.values():
        address = user["primaryEmail"]
        google.happened("admin", "CREATE_USER", USER_EMAIL=address)
        for group in google.groups.values():
            told = {"group_id": group["email"], "member_id": address}
            google.happened("groups_enterprise", "add_member", **told)


def _something(google: FakeGoogle, chance: random.Random) -> None:
    user, group = chance.choice(["101", "102", "103"]), chance.choice(["g1", "g2"])
    match chance.randrange(5):
        case 0 if user in google.users:
            google.user(user, suspended=not google.users[user]["suspended"])
        case 1 if user in google.users and not user.endswith("3"):
            inside = user in google.members[group]
            google.leave(group, user) if inside else google.join(group, user)
        case 2:
            google.groups[group]["name"] = f"Name {chance.randrange(9)}"
            google.happened(
                "groups_enterprise", "change_info_setting", group_id=google.groups[group]["email"]
            )
        case _ if user in google.users:
            google.user(user, name={"givenName": f"N{chance.randrange(9)}"})


def _deliver(rosterd: Rosterd, feed: Feed, headers: dict[str, str], body: bytes) -> None:
    told = {**headers, "content-type": "application/json"}
    assert rosterd.post(Sent(feed.path, told, body)) == 200


def test_dropped_messages_are_found_in_the_log_and_doubled_ones_change_nothing(
    rosterd: Rosterd, google: FakeGoogle
) -> None:
    feed = connected(rosterd, google, catch_up_every="1s")
    assert catch_up(rosterd, feed) == 0
    google.user("100")
    post = google.post
    google.post = None
    google.user("101")
    google.user("102")
    google.group("g1", TEAM, "Team")
    google.join("g1", "101")
    google.join("g1", "102")
    google.post = post
    assert google.lost
    pass_by(google)
    assert catch_up(rosterd, feed) == 5, "all but what was told"
    assert known(rosterd) == truth(google)
    google.post = None
    pass_by(google)
    google.leave("g1", "101")
    google.user("102", suspended=True)
    google.delete("100")
    pass_by(google)
    assert catch_up(rosterd, feed) == 3
    assert known(rosterd) == truth(google)
    assert catch_up(rosterd, feed) == 0, "what was read before is known by its key"
    assert rosterd.dead() == []


def test_what_neither_messages_nor_the_log_tell_is_found_by_a_reconciliation(
    rosterd: Rosterd, feed: Feed, google: FakeGoogle
) -> None:
    for key in ("101", "102"):
        google.user(key)
    google.group("g1", TEAM, "Team")
    google.group("g2", "crew@example.com", "Crew")
    google.join("g1", "101")
    google.join("g2", "102")
    settle(rosterd)
    assert known(rosterd) == truth(google)
    google.post = None
    google.user("103")
    google.delete("101")
    google.delete_group("g2")
    google.join("g1", "103")
    google.rename("102", "bo@example.com")
    google.activities.clear()
    pass_by(google)
    done = rosterd.cli(
        *("reconcile", feed.connection, "--apply", "--json"), ROSTERD_OUTBOUND_ALLOW="127.0.0.1"
    )
    assert done.returncode == 0, done.stderr
    settle(rosterd)
    assert known(rosterd) == truth(google)
    user = rosterd.user("102")
    assert user is not None
    assert user["email"] == "bo@example.com"


def catch_up(rosterd: Rosterd, feed: Feed) -> int:
    with rosterd.parts.database.begin() as sql:
        sql.execute(catch_ups.update().values(due_at=rosterd.now(), lease_until=None))
        sql.commit()
    found = rosterd.parts.reading.catch_up.run(feed.connection, budget=timedelta(seconds=5))
    settle(rosterd)
    return found


def test_g2_an_outage_loses_nothing_and_puts_nobody_out(
    rosterd: Rosterd, feed: Feed, google: FakeGoogle
) -> None:
    for key in ("101", "102"):
        google.user(key)
    google.group("g1", TEAM, "Team")
    google.join("g1", "101")
    settle(rosterd)
    pass_by(google)
    for fault in (Fault.HTML, Fault.ERROR, Fault.PROXY_MISSING):
        google.fault = fault
        google.user("102", name={"givenName": fault.value})
        google.leave("g1", "101")
        google.join("g1", "101")
        settle(rosterd)
    google.fault, google.limit = None, 0
    settle(rosterd)
    assert states(rosterd) == {"101": "invited", "102": "invited"}
    waiting = rosterd.events(rows.events.c.state == "waiting")
    assert waiting
    assert {(row["reason"], row["attempts"]) for row in waiting} == {("reading", 0)}
    (left, *_) = (row for row in waiting if row["type"].startswith("groups_enterprise"))
    story = rosterd.json("event", "show", str(left["id"]))
    assert (story["read"]["what"], story["read"]["is_open"]) == ("membership_at", True)
    assert "403, quotaExceeded" in story["read"]["last_error"]
    assert story["read"]["question"] == "whether u101@example.com belongs to team@example.com"
    google.limit = None
    pass_by(google)
    settle(rosterd)
    assert known(rosterd) == truth(google)
    assert members(rosterd) == {("g1", "101")}
    assert rosterd.events(rows.events.c.state == "waiting") == []
    assert rosterd.dead() == []


def test_what_comes_again_after_our_own_outage_is_taken_once(
    rosterd: Rosterd, google: FakeGoogle
) -> None:
    feed = rosterd.account(source="google", scope="everyone")
    give_access(rosterd, feed, google)
    listen(rosterd, feed, google, is_slow=True)
    google.user("101")
    assert rosterd.events() == []
    for channel in list(google.channels):
        assert google.channels[channel].waiting or google.channels[channel].resource
    listen(rosterd, feed, google)
    google.send_again()
    google.send_again()
    rosterd.drain()
    assert states(rosterd) == {"101": "invited"}


def test_s1_a_google_connection_needs_a_scope(rosterd: Rosterd) -> None:
    done = rosterd.cli("account", "add", "acme", "--domain", "example.com")
    assert done.returncode == 0, done.stderr
    refused = rosterd.cli("connection", "add", "--account", "acme", "--source", "google")
    assert refused.returncode != 0
    assert "scope" in refused.stderr


def test_without_access_only_those_who_are_out_are_told(
    rosterd: Rosterd, google: FakeGoogle
) -> None:
    feed = rosterd.account(source="google", scope="everyone")
    give_access(rosterd, feed, google)
    listen(rosterd, feed, google)
    google.user("101")
    google.user("102")
    rosterd.drain()
    assert rosterd.cli("connection", "access", "google", "--remove").returncode == 0
    google.user("103")
    google.channels = {k: c for k, c in google.channels.items() if c.resource != "users"}
    google.user("101", suspended=True)
    rosterd.drain()
    assert states(rosterd) == {"101": "invited_suspended", "102": "invited"}
    assert "believed by its hook's secret alone" in rosterd.cli("doctor").stdout


def test_u5_what_was_asked_by_address_goes_with_its_person(
    rosterd: Rosterd, feed: Feed, google: FakeGoogle
) -> None:
    google.user("101")
    google.group("g1", TEAM, "Team")
    google.join("g1", "101")
    settle(rosterd)
    pair = Wanted.member(TEAM, "u101@example.com", by_address=True)
    asked = {
        read_id(feed.connection, What.PERSON, "101"),
        read_id(feed.connection, What.PERSON_AT, "u101@example.com"),
        read_id(feed.connection, pair.what, pair.key),
    }
    assert asked <= {row["id"] for row in rosterd.table(reads)}
    pass_by(google)
    google.delete("101")
    settle(rosterd)
    (person,) = rosterd.json("user", "list", "--account", "acme")[:1]
    done = rosterd.cli("user", "delete", person["id"], "--reason", "asked to", "--yes")
    assert done.returncode == 0, done.stderr
    left = {row["id"] for row in rosterd.table(reads)}
    assert asked & left == set()
    assert read_id(feed.connection, What.GROUP_AT, TEAM) in left
    (proof,) = rosterd.json("erasure", "list", "--account", "acme")
    found = rosterd.cli("erasure", "verify", proof["id"])
    assert found.returncode == 0, found.stdout

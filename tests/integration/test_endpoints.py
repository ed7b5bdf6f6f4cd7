"""Outbound events: what an application that listens is told, when, and under which signature."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path

import pytest
from standardwebhooks.webhooks import WebhookVerificationError

from domain.keys import group_id, group_ref
from tests.harness import Rosterd
from tests.listening import Listening
from worker.adapters.db import rows
from worker.adapters.db.outbound_rows import announcements, dispatches, endpoints, sequences


def test_every_change_of_a_person_is_told_signed_and_numbered(listening: Listening) -> None:
    feed = listening.begin()
    listening.hire(feed, "u1", given_name="Ana")
    listening.accept("u1@example.com")
    listening.tell(feed, "user.email_changed", {"id": "u1", "email": "ana@example.com"})
    listening.accept("ana@example.com")
    listening.hire(feed, "u1", "ana@example.com", family_name="Silva")
    listening.tell(feed, "user.suspended", {"id": "u1"})
    listening.tell(feed, "user.suspended", {"id": "u1"})
    listening.tell(feed, "user.reactivated", {"id": "u1"})
    assert listening.types() == [
        "user.invited",
        "user.activated",
        "user.updated",
        "user.email_changed",
        "user.updated",
        "user.suspended",
        "user.reactivated",
    ]
    told = listening.app.told
    assert [one.data["sequence"] for one in told] == [1, 2, 3, 4, 5, 6, 7]
    assert len({one.id for one in told}) == 7
    for one in told:
        assert one.verified_by(listening.secret) == one.document
    asked, changed, last = told[2].data, told[3].data, told[-1].data
    assert (asked["email"], asked["requested_email"]) == ("u1@example.com", "ana@example.com")
    assert (changed["email"], changed["previous_email"]) == ("ana@example.com", "u1@example.com")
    person = json.loads(listening.cli("user", "list", "--json").stdout)[0]
    assert last == {
        "id": person["id"],
        "account": listening.account_id,
        "connection": feed.connection,
        "external_id": "u1",
        "email": "ana@example.com",
        "requested_email": "ana@example.com",
        "state": "active",
        "managed": True,
        "role": "member",
        "given_name": "Ana",
        "family_name": "Silva",
        "display_name": None,
        "sequence": 7,
    }


def test_groups_and_memberships_are_told_when_they_take_effect(listening: Listening) -> None:
    feed = listening.begin()
    member = {"group_id": "g1", "user_id": "u1"}
    two = {"group_id": "g2", "user_ids": ["u1", "u9"]}
    ana = {"id": "u1", "email": "u1@example.com"}
    late = {"id": "u9", "email": "u9@example.com"}
    heard = partial(listening.heard, feed)
    assert heard("group.member_added", member) == [], "nothing of it is there yet (G7)"
    assert heard("group.members_replaced", two) == []
    assert heard("user.upserted", ana) == ["user.invited"]
    created = ["group.created", "group.member_added"]
    assert heard("group.upserted", {"id": "g1", "name": "One"}) == created
    added = listening.app.told[-1].data
    ref = group_ref(group_id(feed.connection, "g1"))
    assert added["group"] == {"id": ref, "external_id": "g1", "name": "One"}
    assert added["user"]["email"] == "u1@example.com"
    assert added["sequence"] == 2, "numbered among what is told of the person"
    assert heard("group.upserted", {"id": "g2", "name": "Two"}) == created
    assert heard("user.upserted", late) == ["user.invited", "group.member_added"]
    assert heard("group.upserted", {"id": "g1", "name": "Uno"}) == ["group.renamed"]
    renamed = listening.app.told[-1].data
    assert (renamed["name"], renamed["previous_name"]) == ("Uno", "One")
    assert heard("group.member_added", member) == []
    gone = ["group.member_removed"]
    assert heard("group.members_replaced", {**two, "user_ids": ["u9"]}) == gone
    assert listening.app.told[-1].data["user"]["external_id"] == "u1"
    assert heard("group.member_removed", member) == gone
    assert heard("group.member_added", member) == ["group.member_added"]
    assert heard("group.deleted", {"id": "g1"}) == ["group.deleted"], "it speaks for its members"
    assert heard("group.upserted", {"id": "g1", "name": "Again"}) == ["group.created"]


def test_what_came_to_nothing_in_one_batch_is_not_told(listening: Listening) -> None:
    feed = listening.begin()
    listening.tell(feed, "group.upserted", {"id": "g1", "name": "One"})
    listening.hire(feed, "u1")
    events = [
        {"type": type_, "id": f"e{i}", "timestamp": listening.at(100 + i).isoformat(), "data": data}
        for i, (type_, data) in enumerate(
            [
                ("group.members_replaced", {"group_id": "g1", "user_ids": ["u1"]}),
                ("group.members_replaced", {"group_id": "g1", "user_ids": []}),
                ("group.members_replaced", {"group_id": "g1", "user_ids": ["u1"]}),
            ]
        )
    ]
    listening.post(listening.signed(feed, json.dumps({"events": events}).encode(), id_="all"))
    listening.drain()
    assert listening.types()[2:] == ["group.member_added"]


def test_who_listens_to_nothing_costs_no_row(rosterd: Rosterd) -> None:
    feed = rosterd.account()
    rosterd.hire(feed, "u1")
    rosterd.accept("u1@example.com")
    for table in (announcements, dispatches, sequences):
        assert rosterd.table(table) == []


def test_a_filter_lets_through_what_it_names(listening: Listening) -> None:
    feed = listening.begin("--type", "user.suspended", "--type", "group.member_removed")
    listening.hire(feed, "u1")
    listening.tell(feed, "user.suspended", {"id": "u1"})
    listening.tell(feed, "user.reactivated", {"id": "u1"})
    assert listening.types() == ["user.suspended"]
    assert listening.app.told[0].data["sequence"] == 2, "numbers are the subject's, not its own"
    refused = listening.cli(
        "endpoint", "add", listening.app.url, "--account", "acme", "--type", "user.exploded"
    )
    assert refused.returncode == 2
    assert "user.suspended" in refused.stderr, "it says which there are"


def test_c3_a_rotated_secret_signs_beside_the_old_one_until_the_overlap_ends(
    listening: Listening,
) -> None:
    feed = listening.begin()
    new = listening.done("endpoint", "rotate", listening.endpoint)["signing_secret"]
    listening.hire(feed, "u1")
    listening.deliver()
    (told,) = listening.app.told
    assert told.verified_by(new) == told.verified_by(listening.secret)
    newest = listening.done("endpoint", "rotate", listening.endpoint, "--overlap-hours", "0")
    listening.tell(feed, "user.suspended", {"id": "u1"})
    listening.deliver()
    (_, told) = listening.app.told
    assert told.verified_by(newest["signing_secret"])
    for old in (new, listening.secret):
        with pytest.raises(WebhookVerificationError):
            told.verified_by(old)


def test_a_paused_endpoint_hears_afterwards_what_it_missed(listening: Listening) -> None:
    feed = listening.begin()
    paused = listening.cli("endpoint", "pause", listening.endpoint, "--reason", "a deploy")
    assert paused.returncode == 0, paused.stderr
    listening.hire(feed, "u1")
    listening.tell(feed, "user.suspended", {"id": "u1"})
    assert listening.types() == []
    assert listening.done("endpoint", "list")[0]["waiting"] == 2
    assert "2" in listening.cli("endpoint", "resume", listening.endpoint).stdout
    assert listening.types() == ["user.invited", "user.suspended"]


def test_u3_u4_u6_what_operators_do_by_hand_is_told_too(listening: Listening) -> None:
    listening.begin()
    ana = "ana@example.com"
    for words, told in (
        (f"user add --account acme {ana}", ["user.invited"]),
        (f"user accept {ana} --account acme --reason x", ["user.activated"]),
        (f"user role {ana} administrator --account acme --reason x", ["user.updated"]),
        (f"user break-glass {ana} on --account acme --reason x", []),
        (f"user break-glass {ana} off --account acme --reason x", []),
        (f"user suspend {ana} --account acme --reason x", ["user.suspended"]),
        (f"user reactivate {ana} --account acme --reason x", ["user.reactivated"]),
    ):
        listening.app.told.clear()
        done = listening.cli(*words.split())
        if done.returncode == 2:
            person = listening.done("user", "list", "--account", "acme", "--email", ana)[0]["id"]
            done = listening.cli(*words.replace(ana, person).replace(" --account acme", "").split())
        assert done.returncode == 0, (words, done.stderr)
        assert listening.types() == told, words
    assert listening.app.told[-1].data["managed"] is False


def test_g1_groups_by_hand_are_told_too(listening: Listening) -> None:
    listening.begin()
    ana = listening.done("user", "add", "--account", "acme", "ana@example.com")["id"]
    listening.types()
    for words, told in (
        ("group add Crew --account acme --reason x", ["group.created"]),
        (f"group member add Crew {ana} --account acme --reason x", ["group.member_added"]),
        (f"group member add Crew {ana} --account acme --reason x", []),
        (f"group member remove Crew {ana} --account acme --reason x", ["group.member_removed"]),
        ("group delete Crew --account acme --reason x --yes", ["group.deleted"]),
    ):
        listening.app.told.clear()
        done = listening.cli(*words.split())
        assert done.returncode == 0, (words, done.stderr)
        assert listening.types() == told, words
    assert listening.app.told[-1].data["managed"] is False


def test_a_removed_endpoint_hears_nothing_and_leaves_no_secret(listening: Listening) -> None:
    feed = listening.begin()
    listening.hire(feed, "u1")
    words = ("endpoint", "remove", listening.endpoint)
    assert "1 announcements" in listening.cli(*words, "--dry-run").stdout
    assert listening.cli(*words, "--yes").returncode == 2, "a reason is needed"
    assert listening.cli(*words, "--yes", "--reason", "gone").returncode == 0
    listening.tell(feed, "user.suspended", {"id": "u1"})
    assert listening.types() == []
    assert listening.cli("endpoint", "show", listening.endpoint).returncode == 3
    assert len(listening.table(announcements)) == 1
    told = listening.table(rows.audit, rows.audit.c.subject == listening.endpoint)
    assert [row["action"] for row in told] == ["endpoint.add", "endpoint.removed"]
    assert told[-1]["reason"] == "gone"


def test_a_test_event_is_signed_and_says_what_came_back(listening: Listening) -> None:
    listening.begin()
    assert listening.done("endpoint", "test", listening.endpoint)["status"] == 204
    (told,) = listening.app.told
    assert told.verified_by(listening.secret)["type"] == "endpoint.test"
    listening.app.answers = lambda _told: 500
    failed = listening.cli("endpoint", "test", listening.endpoint)
    assert failed.returncode == 1
    assert "answered 500" in failed.stderr
    assert listening.table(dispatches) == []


@pytest.mark.parametrize(
    "url",
    [
        "http://app.example.com/hooks",
        "https://10.0.0.8/hooks",
        "https://[::1]/hooks",
        "https://[::ffff:169.254.169.254]/",
        "https://user:secret@app.example.com/",
        "ftp://app.example.com/",
        "https://app.example.com/#there",
        "app.example.com",
    ],
)
def test_an_address_that_is_none_of_the_public_is_refused(listening: Listening, url: str) -> None:
    listening.account()
    none = {"ROSTERD_OUTBOUND_ALLOW": ""}
    done = listening.cli("endpoint", "add", url, "--account", "acme", **none)
    assert done.returncode == 2
    assert "secret" not in done.stderr
    assert listening.table(endpoints) == []


def test_who_and_what_is_imported_is_announced_like_any_other(
    listening: Listening, tmp_path: Path
) -> None:
    listening.begin()
    file = tmp_path / "people.csv"
    file.write_text("kind,email,state,group\ngroup,,,Crew\nuser,a@example.com,active,Crew\n")
    for expected in (["user.activated", "group.created", "group.member_added"], []):
        done = listening.cli("directory", "import", str(file), "--reason", "moving in")
        assert done.returncode == 0, done.stderr
        before = len(listening.app.told)
        assert sorted(listening.types()[before:]) == sorted(expected)

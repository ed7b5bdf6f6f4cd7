"""Access reviews: who had access to which group, when, on whose word; on both databases."""

from __future__ import annotations

import csv
import io
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import delete

from tests.api import Client, is_problem
from tests.harness import Feed, Rosterd
from tests.integration.test_by_hand import added, at, told
from worker.adapters.db import rows
from worker.adapters.db.access_rows import BEGAN, access_history

Line = dict[str, Any]


def review(rosterd: Rosterd, *more: str, code: int = 0) -> list[Line]:
    done = rosterd.cli("directory", "review", "--account", "acme", *more)
    assert done.returncode == code, done.stderr
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    if code == 0:
        assert (lines[0]["kind"], lines[-1]["kind"]) == ("review", "end")
        assert lines[-1]["memberships"] == len(lines) - 2
    return lines[1:-1]


def of_group(rosterd: Rosterd, group: str, *more: str) -> list[Line]:
    return review(rosterd, "--group", group, *more)


def ends(part: Line) -> tuple[bool, bool]:
    """Whether it is told when it began, and when it ended."""
    return "at" in (part["from"] or {}), "at" in (part["to"] or {})


def all_recorded(rosterd: Rosterd) -> None:
    for line in review(rosterd):
        for part in (line["member"], *line["access"]):
            assert {"recorded": False} not in (part["from"], part["to"]), line


def sold(rosterd: Rosterd, key: str = "u1") -> Feed:
    """A person who accepted, in a group of the provider's."""
    feed = rosterd.account(owner="boss@example.com")
    rosterd.tell(feed, "group.upserted", {"id": "g1", "name": "Sales"}, id_="made")
    rosterd.hire(feed, key)
    rosterd.tell(feed, "group.member_added", {"group_id": "g1", "user_id": key}, id_="joined")
    rosterd.accept(f"{key}@example.com")
    return feed


def test_each_interval_names_the_word_that_began_and_the_word_that_ended_it(
    rosterd: Rosterd,
) -> None:
    feed = sold(rosterd)
    member = {"group_id": "g1", "user_id": "u1"}
    rosterd.tell(feed, "group.member_removed", member, id_="parted")
    rosterd.tell(feed, "group.member_added", member, id_="again")
    first, second = of_group(rosterd, "Sales")
    assert first["person"]["email"] == "u1@example.com"
    assert first["group"]["external_id"] == "g1"
    words = [first["member"]["from"], first["member"]["to"], second["member"]["from"]]
    assert [word["by"]["external_id"] for word in words] == ["joined", "parted", "again"]
    assert [word["by"]["connection"] for word in words] == ["standard"] * 3
    assert words == sorted(words, key=lambda word: str(word["at"]))
    assert second["member"]["to"] is None
    all_recorded(rosterd)


def test_somebody_invited_or_suspended_is_a_member_without_access(rosterd: Rosterd) -> None:
    feed = sold(rosterd)
    (line,) = of_group(rosterd, "Sales")
    (access,) = line["access"]
    assert access["from"]["at"] > line["member"]["from"]["at"], "the invitation was accepted later"
    assert access["from"]["by"]["actor"].startswith("member:")
    rosterd.tell(feed, "user.suspended", {"id": "u1"}, id_="out")
    (line,) = of_group(rosterd, "Sales")
    (access,) = line["access"]
    assert access["to"]["by"]["external_id"] == "out"
    assert line["member"]["to"] is None, "suspension changes no membership"
    rosterd.tell(feed, "user.reactivated", {"id": "u1"}, id_="back")
    (line,) = of_group(rosterd, "Sales")
    assert [ends(part) for part in line["access"]] == [(True, True), (True, False)]
    assert line["access"][1]["from"]["by"]["external_id"] == "back"
    all_recorded(rosterd)


def test_at_a_moment_and_between_two(rosterd: Rosterd) -> None:
    feed = sold(rosterd)
    between = datetime.now(UTC).isoformat()
    member = {"group_id": "g1", "user_id": "u1"}
    rosterd.tell(feed, "group.member_removed", member)
    later = datetime.now(UTC).isoformat()
    assert len(of_group(rosterd, "Sales", "--at", between)) == 1
    assert of_group(rosterd, "Sales", "--at", later) == []
    assert of_group(rosterd, "Sales", "--since", later) == []
    assert len(of_group(rosterd, "Sales", "--since", between, "--until", later)) == 1
    review(rosterd, "--at", later, "--since", between, code=2)
    review(rosterd, "--group", "nobody's", code=3)


def test_a_deleted_group_ends_every_membership_and_is_still_told(rosterd: Rosterd) -> None:
    feed = sold(rosterd)
    rosterd.hire(feed, "u2")
    rosterd.tell(feed, "group.member_added", {"group_id": "g1", "user_id": "u2"})
    rosterd.tell(feed, "group.deleted", {"id": "g1"}, id_="gone")
    found = of_group(rosterd, "Sales")
    assert len(found) == 2
    assert {line["member"]["to"]["by"]["external_id"] for line in found} == {"gone"}
    all_recorded(rosterd)


def test_a_membership_begins_when_both_ends_are_there(rosterd: Rosterd) -> None:
    feed = rosterd.account()
    rosterd.tell(feed, "group.member_added", {"group_id": "g1", "user_id": "u1"}, id_="early")
    rosterd.tell(feed, "group.upserted", {"id": "g1", "name": "Sales"})
    assert of_group(rosterd, "Sales") == []
    rosterd.tell(feed, "user.upserted", {"id": "u1", "email": "u1@example.com"}, id_="described")
    (line,) = of_group(rosterd, "Sales")
    assert line["member"]["from"]["by"]["external_id"] == "described"
    replaced = {"group_id": "g1", "user_ids": []}
    rosterd.tell(feed, "group.members_replaced", replaced, id_="nobody")
    (line,) = of_group(rosterd, "Sales")
    assert line["member"]["to"]["by"]["external_id"] == "nobody"
    all_recorded(rosterd)


def test_by_hand_it_is_the_operator_and_the_reason(rosterd: Rosterd) -> None:
    rosterd.account()
    bo = added(rosterd, "bo@example.com", "--active")
    told(rosterd, "group", "add", "--account", "acme", "Crew")
    told(rosterd, "group", "member", "add", "Crew", bo, "--account", "acme")
    told(rosterd, "user", "suspend", bo)
    told(rosterd, "user", "reactivate", bo)
    told(rosterd, "group", "member", "remove", "Crew", bo, "--account", "acme")
    (line,) = of_group(rosterd, "Crew")
    assert line["member"]["from"]["by"]["reason"] == "r"
    assert line["member"]["from"]["by"]["actor"].startswith("cli:")
    assert [ends(part) for part in line["access"]] == [(True, True), (True, True)]
    told(rosterd, "group", "member", "add", "Crew", bo, "--account", "acme")
    told(rosterd, "group", "delete", "Crew", "--yes", "--account", "acme")
    assert len(of_group(rosterd, "Crew")) == 2, "a group by hand that is gone has its name"
    all_recorded(rosterd)


def test_roles_are_memberships_of_the_groups_that_follow_them(rosterd: Rosterd) -> None:
    rosterd.account(owner="boss@example.com")
    bo = added(rosterd, "bo@example.com", "--active")
    told(rosterd, "user", "role", bo, "administrator")
    told(rosterd, "user", "role", bo, "member")
    (line,) = of_group(rosterd, "Administrators")
    assert line["person"]["id"] == bo
    assert ends(line["member"]) == (True, True)
    (owner,) = of_group(rosterd, "Owners")
    assert owner["person"]["email"] == "boss@example.com"
    assert {one["person"]["id"] for one in of_group(rosterd, "Team Members")} >= {bo}
    all_recorded(rosterd)


def test_who_is_imported_moved_overridden_or_let_go_is_recorded(rosterd: Rosterd) -> None:
    feed = sold(rosterd)
    lines = [
        {"kind": "user", "email": "im@example.com", "state": "active"},
        {"kind": "group", "name": "Imported"},
        {"kind": "membership", "group": "Imported", "user": "im@example.com"},
    ]
    file = rosterd.settings.data_dir / "people.jsonl"
    file.write_text("".join(json.dumps(line) + "\n" for line in lines))
    told(rosterd, "directory", "import", str(file), "--account", "acme")
    assert len(of_group(rosterd, "Imported")) == 1
    person = at(rosterd, "u1@example.com")["id"]
    soon = (datetime.now(UTC) + timedelta(days=1)).isoformat()
    told(rosterd, "user", "override", person, "suspended", "--until", soon)
    (line,) = of_group(rosterd, "Sales")
    assert ends(line["access"][0]) == (True, True)
    told(rosterd, "group", "grant", "Sales", "manage_all_groups", "--account", "acme")
    told(rosterd, "group", "member", "remove", "Sales", person, "--account", "acme")
    (line,) = of_group(rosterd, "Sales")
    assert line["member"]["from"]["by"]["external_id"] == "joined"
    assert line["member"]["to"]["by"]["reason"] == "r"
    rosterd.tell(feed, "user.suspended", {"id": "u1"})
    all_recorded(rosterd)


def test_of_a_replaced_connection_both_ends_are_told(rosterd: Rosterd) -> None:
    feed = sold(rosterd)
    told(rosterd, "connection", "retire", "standard", "--yes")
    all_recorded(rosterd)
    rosterd.connect("acme", name="new")
    told(rosterd, "connection", "replace", "standard", "new", "--map", "email", "--yes")
    del feed
    all_recorded(rosterd)


def test_an_erased_person_is_a_digest(rosterd: Rosterd) -> None:
    feed = sold(rosterd)
    rosterd.tell(feed, "user.suspended", {"id": "u1"})
    person = at(rosterd, "u1@example.com")["id"]
    told(rosterd, "user", "delete", person, "--yes")
    (line,) = of_group(rosterd, "Sales")
    assert line["person"]["id"] is None
    assert line["person"]["email"] is None
    assert len(line["person"]["erased"]) == 64
    assert ends(line["member"]) == (True, True)
    assert [ends(part) for part in line["access"]] == [(True, True)]
    assert person not in json.dumps(line["person"])
    all_recorded(rosterd)


def test_what_was_before_the_history_is_said_to_be(rosterd: Rosterd) -> None:
    feed = sold(rosterd)
    began = rosterd.now()
    with rosterd.setup() as use:
        use.sql.execute(delete(access_history))
        use.sql.execute(delete(rows.marks).where(rows.marks.c.name == BEGAN))
        use.sql.execute(rows.marks.insert().values(name=BEGAN, at=began))
    (line,) = of_group(rosterd, "Sales")
    assert line["member"] == {"from": {"before": began.isoformat()}, "to": None}
    assert line["access"] == [line["member"]]
    rosterd.tell(feed, "group.member_removed", {"group_id": "g1", "user_id": "u1"})
    (line,) = of_group(rosterd, "Sales")
    assert ends(line["member"]) == (False, True)


def test_what_the_history_missed_is_said_to_be(rosterd: Rosterd) -> None:
    sold(rosterd)
    with rosterd.setup() as use:
        use.sql.execute(delete(rows.memberships))
    (line,) = of_group(rosterd, "Sales")
    assert line["member"]["to"] == {"recorded": False}


def test_csv_is_safe_in_a_spreadsheet(rosterd: Rosterd) -> None:
    feed = sold(rosterd)
    rosterd.tell(feed, "group.upserted", {"id": "g1", "name": '=HYPERLINK("x")'})
    done = rosterd.cli("directory", "review", "--account", "acme", "--csv")
    assert done.returncode == 0, done.stderr
    rows_ = list(csv.DictReader(io.StringIO(done.stdout)))
    (mine,) = [row for row in rows_ if row["group_external_id"] == "g1"]
    assert mine["group"] == '\'=HYPERLINK("x")'
    assert (mine["email"], mine["access_to"]) == ("u1@example.com", "")
    assert "event" in mine["member_from_by"]


def test_the_api_streams_the_same_and_only_of_accounts_that_are_there(rosterd: Rosterd) -> None:
    sold(rosterd)
    client = Client(rosterd, "operations:read")
    path = f"/accounts/{rosterd.account_id}/access-review"
    answer = client.ask("GET", path, params={"group": "Sales"})
    lines = [json.loads(line) for line in answer.text.splitlines()]
    assert lines[1:-1] == of_group(rosterd, "Sales")
    table = client.ask("GET", path, params={"format": "csv"})
    assert table.headers["content-type"].startswith("text/csv")
    assert "attachment" in table.headers["content-disposition"]
    is_problem(client.ask("GET", path, params={"group": "nobody"}), 404, "not_found")
    both = {"at": "2026-01-01T00:00:00Z", "since": "2026-01-01T00:00:00Z"}
    is_problem(client.ask("GET", path, params=both), 422, "invalid")
    with rosterd.setup() as use:
        other = use.add_account("other", owner=None, domains=[], parent=None, several=False)
    is_problem(client.ask("GET", f"/accounts/{other}/access-review"), 404, "not_found")
    reader = Client(rosterd, "directory:read")
    is_problem(reader.ask("GET", path), 403, "insufficient_scope")


@pytest.mark.parametrize("width", [1, 3])
def test_a_group_is_read_some_people_at_a_time(
    rosterd: Rosterd, monkeypatch: pytest.MonkeyPatch, width: int
) -> None:
    from worker.adapters.db import access_review

    monkeypatch.setattr(access_review, "AT_ONCE", width)
    feed = rosterd.account()
    rosterd.tell(feed, "group.upserted", {"id": "g1", "name": "Sales"})
    for number in range(7):
        rosterd.hire(feed, f"u{number}")
    everybody = {"group_id": "g1", "user_ids": [f"u{number}" for number in range(7)]}
    rosterd.tell(feed, "group.members_replaced", everybody)
    with rosterd.parts.database.read() as connection:
        asked = access_review.ReviewAsked(rosterd.account_id, "Sales")
        found = [one for some in access_review.review(connection, asked) for one in some]
    assert len({one.person for one in found}) == len(found) == 7


def withdrawn(rosterd: Rosterd, feed: Feed) -> None:
    """Somebody new turns out to be one who was here before: the new person is taken back."""
    rosterd.hire(feed, "u1", "ana@example.com")
    rosterd.tell(feed, "user.suspended", {"id": "u1"})
    rosterd.hire(feed, "u2", "temp@example.com")


def test_d3_whoever_was_withdrawn_was_in_a_built_in_group_until_then(rosterd: Rosterd) -> None:
    """Nobody took them out of it; the word that withdrew them ended it, and is recorded."""
    feed = rosterd.account()
    withdrawn(rosterd, feed)
    again = {"id": "u2", "email": "ana@example.com", "active": True}
    rosterd.tell(feed, "user.upserted", again, id_="again")
    lines = [x for x in of_group(rosterd, "Team Members") if x["person"]["state"] == "withdrawn"]
    (line,) = lines
    assert line["member"]["to"]["by"]["external_id"] == "again"
    all_recorded(rosterd)


def test_d3_whoever_was_withdrawn_is_in_no_group_of_the_accounts_own(rosterd: Rosterd) -> None:
    """A grant by hand is nobody's any more: a review must not tell that somebody still has it."""
    feed = rosterd.account()
    withdrawn(rosterd, feed)
    made = rosterd.parts.groups.add(rosterd.account_id, "Crew", actor="t", reason="r")
    temp = at(rosterd, "temp@example.com")["id"]
    rosterd.parts.groups.join(made.id, temp, actor="t", reason="r")
    again = {"id": "u2", "email": "ana@example.com", "active": True}
    rosterd.tell(feed, "user.upserted", again, id_="again")
    (line,) = of_group(rosterd, "Crew")
    assert line["person"]["state"] == "withdrawn"
    assert line["member"]["to"]["by"]["external_id"] == "again"

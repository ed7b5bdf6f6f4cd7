"""G8: dead letters in groups of one cause, with notes; and a dead event, edited and replayed."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pytest

from domain.errors import NothingFoundError, RefusedError, UsageError
from domain.permissions import ALL, Asker, NotPermittedError, Role, permissions_of
from domain.replays import Cause
from tests.harness import Rosterd
from tests.integration.test_replays import ANA, dead_of, refuse
from worker.adapters.db import rows
from worker.adapters.db.dead_queries import dead_groups, letters_page
from worker.adapters.db.event_queries import event_story
from worker.adapters.db.replay_rows import event_edits
from worker.services.edit import EditAndReplay

FINGERPRINT = "domain_not_allowed:user.upserted"
MOVED = [{"op": "replace", "path": "/data/email", "value": "u0@example.com"}]


def edits(rosterd: Rosterd) -> EditAndReplay:
    return rosterd.parts.replays.edits


def story(rosterd: Rosterd, event: int, *, with_body: bool = True) -> dict[str, Any]:
    with rosterd.parts.database.read() as sql:
        return event_story(sql, event, vault=rosterd.parts.vault, with_body=with_body)


def run(rosterd: Rosterd, patch: Sequence[dict[str, Any]], reason: str = "a typo") -> int:
    return edits(rosterd).run(rosterd.dead()[0]["event_id"], patch, ANA, reason=reason)


# -- groups ----------------------------------------------------------------------------------


def test_groups_tell_causes_the_day_and_what_was_never_attempted(rosterd: Rosterd) -> None:
    feed = dead_of(rosterd, 3)
    rosterd.post(rosterd.signed(feed, b'{"type": 1}', id_="odd"))
    rosterd.drain()
    with rosterd.parts.database.read() as sql:
        first, second = dead_groups(sql)
        never = dead_groups(sql, cause=Cause.NEVER_ATTEMPTED)
        letters, _ = letters_page(sql, _all(), cause=Cause.REFUSED)
    assert (first.fingerprint, first.count, first.cause) == (FINGERPRINT, 3, Cause.REFUSED)
    assert (sum(first.trend), first.trend[-1], len(first.trend)) == (3, 3, 24)
    assert [group.reason for group in never] == [second.reason] == ["unparseable"]
    assert {letter["reason"] for letter in letters} == {"domain_not_allowed"}


def test_what_is_drawn_for_people_is_not_in_json(rosterd: Rosterd) -> None:
    dead_of(rosterd, 3)
    (row,) = rosterd.json("dead", "groups")
    assert sum(row["trend"]) == 3
    assert "day" not in row
    drawn = rosterd.cli("dead", "groups").stdout
    assert "@" in drawn.splitlines()[1]
    assert "@" in rosterd.cli("dead", "groups", FINGERPRINT).stdout


def test_a_letter_and_its_event_tell_of_as_many_tries(rosterd: Rosterd) -> None:
    dead_of(rosterd, 1)
    words = ("dead", "replay", "--reason-code", "domain_not_allowed", "--reason", "x", "--yes")
    for tries in (1, 2):
        (letter,) = rosterd.json("dead", "list")
        event = rosterd.json("event", "show", str(letter["id"]))
        assert event["attempts"] == letter["attempts"] == tries
        rosterd.cli(*words, "--wait", "0")
        rosterd.drain()


def _all() -> Any:
    from domain.replays import Selection

    return Selection()


def test_pages_of_letters_follow_one_another(rosterd: Rosterd) -> None:
    dead_of(rosterd, 5)
    seen: list[int] = []
    after: int | None = 0
    while after is not None:
        with rosterd.parts.database.read() as sql:
            page, after = letters_page(sql, _all(), after=after, limit=2)
        assert len(page) <= 2
        seen += [row["event_id"] for row in page]
    assert seen == sorted(row["event_id"] for row in rosterd.dead())


def test_a_note_is_read_by_the_next_operator_and_audited(rosterd: Rosterd) -> None:
    dead_of(rosterd, 1)
    told = rosterd.cli("dead", "note", FINGERPRINT, "the partner moves on Monday")
    assert told.returncode == 0, told.stderr
    shown = rosterd.json("dead", "groups", FINGERPRINT)
    assert [note["text"] for note in shown["notes"]] == ["the partner moves on Monday"]
    assert [one["type"] for one in shown["examples"]] == ["user.upserted"]
    audit = rosterd.table(rows.audit, rows.audit.c.action == "dead.note")
    assert [row["subject"] for row in audit] == [FINGERPRINT]
    assert rosterd.cli("dead", "note", "nothing:of", "the kind").returncode == 3
    assert rosterd.cli("dead", "note", FINGERPRINT, " ").returncode == 2


def test_a_note_of_an_account_is_there_for_that_account_and_for_those_of_all(
    rosterd: Rosterd,
) -> None:
    dead_of(rosterd, 1)
    home = rosterd.account_id
    notes = rosterd.parts.replays.notes
    assert len(notes.add(FINGERPRINT, "of all", ANA)) == 1
    mine = Asker("operator:acme", ALL, frozenset({home}), home)
    assert [one.text for one in notes.add(FINGERPRINT, "of acme", mine)] == ["of acme"]
    assert len(notes.add(FINGERPRINT, "again", ANA)) == 3


# -- discards --------------------------------------------------------------------------------


def test_a_discard_needs_a_reason_and_can_be_taken_back(rosterd: Rosterd) -> None:
    dead_of(rosterd, 2)
    use, (first, _) = rosterd.parts.replays.discards, rosterd.events()
    with pytest.raises(UsageError):
        use.discard([first["id"]], ANA, reason=" ")
    with pytest.raises(NotPermittedError):
        use.discard([first["id"]], Asker("v", permissions_of(Role.VIEWER)), reason="r")
    assert use.discard([first["id"]], ANA, reason="left") == [first["id"]]
    with pytest.raises(NothingFoundError):
        use.discard([first["id"]], ANA, reason="left")
    assert len(rosterd.dead()) == 1
    assert use.restore([first["id"]], ANA, reason="no") == [first["id"]]
    assert len(rosterd.dead()) == 2
    audit = rosterd.table(rows.audit, rows.audit.c.subject == str(first["id"]))
    told = [(row["action"], row["account_id"]) for row in audit]
    assert told == [("dead.discarded", rosterd.account_id), ("dead.open", rosterd.account_id)]


# -- edits -----------------------------------------------------------------------------------


def test_an_edited_event_is_another_one_and_the_original_stays_as_it_came(
    rosterd: Rosterd,
) -> None:
    dead_of(rosterd, 1)
    (original,) = rosterd.events()
    body = story(rosterd, original["id"])["body"]
    made = run(rosterd, MOVED)
    rosterd.drain()
    assert [user["email"] for user in rosterd.users()] == ["u0@example.com"]
    before, after = (story(rosterd, number) for number in (original["id"], made))
    assert before["body"] == body
    assert (before["outcome"], before["dead_letter"]["state"]) == ("discarded", "discarded")
    assert f"edited as event {made}: a typo" in before["dead_letter"]["note"]
    assert [link["event"] for link in before["edited_as"]] == [made]
    assert after["edited_from"][0]["event"] == original["id"]
    assert after["edited_from"][0]["patch"] == MOVED
    assert (after["outcome"], after["occurred_at"]) == ("applied", original["occurred_at"])
    audit = rosterd.table(rows.audit, rows.audit.c.action == "dead.edit")
    assert [(row["actor"], row["reason"]) for row in audit] == [("operator:ana", "a typo")]


def test_an_edit_of_old_news_does_not_outrank_newer_news(rosterd: Rosterd) -> None:
    feed = dead_of(rosterd, 1)
    rosterd.hire(feed, "u0", "newest@example.com")
    run(rosterd, MOVED)
    rosterd.drain()
    assert [user["email"] for user in rosterd.users()] == ["newest@example.com"]


def test_a_dry_run_of_an_edit_tells_what_would_become_of_it_and_changes_nothing(
    rosterd: Rosterd,
) -> None:
    dead_of(rosterd, 1)
    number = rosterd.dead()[0]["event_id"]
    before = [rosterd.table(table) for table in (rows.events, rows.deliveries, event_edits)]
    foreseen = edits(rosterd).plan(number, MOVED, ANA, reason="")
    assert foreseen is not None
    assert (foreseen.outcome, foreseen.does) == ("applied", "invite")
    other = [{"op": "replace", "path": "/data/email", "value": "u0@else.example"}]
    foreseen = edits(rosterd).plan(number, other, ANA, reason="")
    assert foreseen is not None
    assert foreseen.outcome == "dead"
    after = [rosterd.table(table) for table in (rows.events, rows.deliveries, event_edits)]
    assert after == before


@pytest.mark.parametrize(
    "patch",
    [
        [],
        [{"op": "replace", "path": "/nothing/here", "value": 1}],
        [{"op": "test", "path": "/data/id", "value": "another"}],
        [{"op": "test", "path": "/data/id", "value": "u0"}],
        [{"op": "remove", "path": "/data/id"}],
        [{"op": "remove", "path": "/type"}],
        [{"op": "explode", "path": "/data"}],
        [{"path": "/data"}],
        [{"op": "add", "path": "/data/given_name", "value": "\ud800"}],
        [{"op": "add", "path": "no pointer", "value": 1}],
        [{"op": "move", "path": "/data/id"}],
        [{"op": "replace", "path": "", "value": []}],
    ],
)
def test_a_patch_that_does_not_fit_is_refused_and_changes_nothing(
    rosterd: Rosterd, patch: list[dict[str, Any]]
) -> None:
    dead_of(rosterd, 1)
    with pytest.raises(UsageError):
        run(rosterd, patch)
    assert len(rosterd.events()) == len(rosterd.dead()) == 1


def test_only_who_may_edits_and_only_what_is_dead(rosterd: Rosterd) -> None:
    feed = dead_of(rosterd, 1)
    use, number = edits(rosterd), rosterd.dead()[0]["event_id"]
    operator = Asker("operator:oli", permissions_of(Role.OPERATOR))
    with pytest.raises(NotPermittedError):
        use.run(number, MOVED, operator, reason="r")
    with pytest.raises(UsageError):
        use.run(number, MOVED, ANA, reason="  ")
    stranger = Asker("operator:bob", ALL, frozenset({"acc_other"}), "acc_other")
    with pytest.raises(NothingFoundError):
        use.run(number, MOVED, stranger, reason="r")
    with pytest.raises(NothingFoundError):
        use.run(999_999, MOVED, ANA, reason="r")
    rosterd.hire(feed, "u7")
    with pytest.raises(RefusedError, match="only what is dead"):
        use.run(rosterd.events()[-1]["id"], MOVED, ANA, reason="r")
    rosterd.post(rosterd.signed(feed, b"no json at all", id_="odd"))
    rosterd.drain()
    odd = next(row["event_id"] for row in rosterd.dead() if row["reason"] == "unparseable")
    with pytest.raises(RefusedError, match="no JSON"):
        use.run(odd, MOVED, ANA, reason="r")


def test_two_edits_of_one_event_make_one(rosterd: Rosterd) -> None:
    dead_of(rosterd, 1)
    run(rosterd, MOVED)
    with pytest.raises(IndexError):
        run(rosterd, MOVED)
    assert len(rosterd.events()) == 2


def test_passwords_in_a_patch_are_cut_like_any_others(rosterd: Rosterd) -> None:
    dead_of(rosterd, 1)
    made = run(rosterd, [*MOVED, {"op": "add", "path": "/data/password", "value": "hunter2"}])
    assert "hunter2" not in story(rosterd, made)["body"]


def test_who_is_deleted_for_good_takes_the_patches_along(rosterd: Rosterd) -> None:
    feed = dead_of(rosterd, 1)
    run(rosterd, MOVED)
    rosterd.drain()
    rosterd.tell(feed, "user.suspended", {"id": "u0"})
    person = rosterd.table(rows.people)[0]["id"]
    rosterd.parts.people.delete(person, actor="ana", reason="asked for it")
    assert [row["patch"] for row in rosterd.table(event_edits)] == [None]


def test_the_command_edits_and_tells(rosterd: Rosterd) -> None:
    dead_of(rosterd, 1)
    number = str(rosterd.dead()[0]["event_id"])
    words = ("event", "edit-and-replay", number, "--patch", json.dumps(MOVED))
    assert "would be applied (invite)" in rosterd.cli(*words, "--dry-run").stdout
    assert rosterd.cli(*words).returncode == 2, "a reason is needed"
    told = rosterd.cli(*words, "--reason", "a typo", "--yes")
    assert f"was made of {number}" in told.stdout
    rosterd.drain()
    assert len(rosterd.users()) == 1
    assert "edited_as" in rosterd.json("event", "show", number)


def test_the_command_plans_starts_pauses_and_reports(rosterd: Rosterd) -> None:
    feed = dead_of(rosterd, 2)
    refuse(rosterd, feed, range(5, 6), "stranger.example")
    rosterd.allow("partner.example")
    plan = rosterd.json("replay", "plan", "--account", "acme")
    assert {(f["outcome"], f["events"]) for f in plan["foretold"]} == {("applied", 2), ("dead", 1)}
    start = ("replay", "start", plan["id"], "--reason", "r", "--rate", "1/m", "--wait", "0")
    assert rosterd.cli(*start).returncode == 0
    again = rosterd.cli(*start)
    assert again.returncode == 1
    assert "is running, by cli:" in again.stderr
    assert rosterd.cli("replay", "pause", plan["id"], "--reason", "lunch").returncode == 0
    assert rosterd.json("replay", "list", "--state", "paused")[0]["why"] == "lunch"
    assert rosterd.cli("replay", "resume", plan["id"], "--rate", "50/s", "--wait", "0").stdout
    rosterd.drain()
    shown = rosterd.json("replay", "show", plan["id"], "--items")
    assert shown["report"]["otherwise"] == 0
    assert len(shown["items"]) == shown["report"]["as_predicted"] == 3
    assert rosterd.cli("replay", "cancel", plan["id"], "--yes").returncode == 1, "it is over"

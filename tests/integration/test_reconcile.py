"""An IdP's directory held against ours: what differs is told, mended on request, and proven."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from domain.directories import DirectoryError
from tests.command import Done
from tests.fakes.directory import Truth, TruthDirectory
from tests.harness import Feed, Rosterd
from worker.adapters.db import rows
from worker.adapters.db.reconciliation_rows import (
    differences,
    read_groups,
    read_members,
    read_people,
    reconciliations,
)
from worker.bootstrap import Container


@pytest.fixture
def truth(monkeypatch: pytest.MonkeyPatch) -> Truth:
    truth = Truth()
    monkeypatch.setattr(Container, "directory_of", lambda _parts, _id: TruthDirectory(truth))
    return truth


@pytest.fixture
def feed(rosterd: Rosterd, truth: Truth) -> Feed:
    """Everybody is known, and the IdP has them so."""
    feed = rosterd.account()
    for key in ("u1", "u2", "u3"):
        rosterd.hire(feed, key, given_name=key.upper())
        truth.hire(key, attributes={"given_name": key.upper()})
    rosterd.tell(feed, "group.upserted", {"id": "g1", "name": "Engineering"})
    rosterd.tell(feed, "group.members_replaced", {"group_id": "g1", "user_ids": ["u1", "u2"]})
    truth.group_of("g1", "Engineering", "u1", "u2")
    return feed


def _reconcile(rosterd: Rosterd, feed: Feed, *words: str) -> dict[str, Any]:
    done = rosterd.cli("reconcile", feed.connection, "--json", *words)
    assert done.returncode == 0, done.stderr
    rosterd.drain()
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def _found(told: dict[str, Any]) -> set[tuple[str, str, str]]:
    return {
        (
            one["what"],
            one["thing"],
            f"{one['external_id']}{'@' + one['group'] if one['group'] else ''}",
        )
        for one in told["differences"]
    }


def _states(rosterd: Rosterd) -> dict[str, str]:
    return {one["external_id"]: one["state"] for one in rosterd.users() if one["managed"]}


def _members(rosterd: Rosterd) -> set[tuple[str, str]]:
    lines = (line for line in rosterd.export() if line["kind"] == "membership")
    return {(line["group"], line["user"]) for line in lines}


def test_two_that_agree_differ_in_nothing_and_nothing_is_kept_of_what_was_read(
    rosterd: Rosterd, truth: Truth, feed: Feed
) -> None:
    told = _reconcile(rosterd, feed, "--apply")
    assert told["state"] == "finished"
    assert told["differences"] == []
    assert told["doubts"] == {}
    assert (told["counts"]["people"], told["counts"]["groups"]) == (3, 1)
    assert [rosterd.table(t) for t in (read_people, read_groups, read_members)] == [[], [], []]
    assert not rosterd.events(rows.events.c.lane == "bulk")


def test_what_was_never_told_is_found_and_only_applied_on_request(
    rosterd: Rosterd, truth: Truth, feed: Feed
) -> None:
    truth.hire("u4")
    truth.hire("u1", "ana@example.com", attributes={"given_name": "Ana"})
    truth.hire("u2", is_active=False)
    del truth.people["u3"]
    truth.group_of("g1", "Platform", "u1", "u4")
    truth.group_of("g2", "Sales", "u4")
    told = _reconcile(rosterd, feed)
    assert _found(told) == {
        ("differing", "user", "u1"),
        ("differing", "user", "u2"),
        ("extra", "user", "u3"),
        ("missing", "user", "u4"),
        ("differing", "group", "g1"),
        ("missing", "group", "g2"),
        ("extra", "membership", "u2@g1"),
        ("missing", "membership", "u4@g1"),
        ("missing", "membership", "u4@g2"),
    }
    fields = {one["external_id"]: one["fields"] for one in told["differences"] if one["fields"]}
    assert fields == {"u1": ["address", "attributes"], "u2": ["active"], "g1": ["name"]}
    assert not rosterd.events(rows.events.c.lane == "bulk"), "a dry run says nothing"
    before = rosterd.export()

    applied = _reconcile(rosterd, feed, "--apply", "--reason", "weekly")
    assert applied["counts"]["said"] == 9
    assert rosterd.export() != before
    assert _states(rosterd) == {
        "u1": "invited",
        "u2": "invited_suspended",
        "u3": "invited_suspended",
        "u4": "invited",
    }
    ana = rosterd.user("u1")
    assert ana is not None
    assert (ana["email"], ana["given_name"]) == ("ana@example.com", "Ana")
    assert _members(rosterd) == {("g1", "u1"), ("g1", "u4"), ("g2", "u4")}
    said = rosterd.events(rows.events.c.lane == "bulk")
    assert {one["outcome"] for one in said} == {"applied"}
    story = rosterd.json("event", "show", str(said[0]["id"]))
    assert story["delivery"]["headers"]["reason"] == "weekly"
    assert story["delivery"]["headers"]["reconciliation"] == applied["id"]
    again = _reconcile(rosterd, feed)
    assert again["differences"] == [], "what was applied is mended"


def test_somebody_who_is_back_is_let_in_whoever_had_put_them_out(
    rosterd: Rosterd, truth: Truth, feed: Feed
) -> None:
    rosterd.tell(feed, "user.suspended", {"id": "u1"})
    rosterd.accept("u2@example.com")
    rosterd.tell(feed, "user.suspended", {"id": "u2"})
    _reconcile(rosterd, feed, "--apply")
    assert _states(rosterd) == {"u1": "invited", "u2": "active", "u3": "invited"}
    rosterd.tell(feed, "user.suspended", {"id": "u2"}, at=7200)
    assert _states(rosterd)["u2"] == "suspended", "what it says since wins"


@pytest.mark.parametrize("counts", [True, False])
def test_an_empty_or_partial_answer_puts_nobody_out_and_says_why(
    rosterd: Rosterd, truth: Truth, feed: Feed, counts: bool
) -> None:
    truth.counts = counts
    people, truth.people = truth.people, {}
    told = _reconcile(rosterd, feed, "--apply")
    assert told["doubts"]["people"] == "it named nobody, and we know of 3"
    truth.people = people
    truth.hidden = {"u2"}
    told = _reconcile(rosterd, feed, "--apply")
    if counts:
        assert told["doubts"]["people"] == "it says that there are 3, and named 2"
        assert "not complete" in rosterd.cli("reconcile", feed.connection, "--last").stdout
    found = {(one["what"], one["external_id"], one["why"]) for one in told["differences"]}
    why = "unproven" if counts else "found_after_all"
    assert ("waiting", "u2", why) in found
    assert set(_states(rosterd).values()) == {"invited"}


def test_a_list_that_changes_while_it_is_read_puts_nobody_out(
    rosterd: Rosterd, truth: Truth, feed: Feed
) -> None:
    asked = iter(range(100))
    gone: list[str] = []

    def leaves(what: str) -> None:
        if what == "people" and next(asked) == 1:
            truth.hire("u0")
            gone.append(what)

    truth.between = leaves
    truth.counts = False
    del truth.people["u3"]
    told = _reconcile(rosterd, feed, "--apply")
    assert gone
    assert "changed" in told["doubts"]["people"]
    assert _states(rosterd)["u3"] == "invited"
    truth.between = lambda _what: None
    _reconcile(rosterd, feed, "--apply")
    assert _states(rosterd)["u3"] == "invited_suspended"


def test_who_is_left_out_of_lists_when_deactivated_is_asked_for_by_name(
    rosterd: Rosterd, truth: Truth, feed: Feed
) -> None:
    truth.counts = False
    truth.hire("u2", is_active=False)
    truth.hidden = {"u2"}
    told = _reconcile(rosterd, feed, "--apply")
    assert ("differing", "user", "u2") in _found(told)
    assert _states(rosterd)["u2"] == "invited_suspended"
    (event,) = rosterd.events(rows.events.c.type == "user.read_inactive")
    assert (event["lane"], event["outcome"]) == ("bulk", "applied")


def test_what_the_idp_said_since_or_what_has_not_ended_is_left_to_the_next_run(
    rosterd: Rosterd, truth: Truth, feed: Feed
) -> None:
    truth.clock = lambda: datetime.now(UTC) - timedelta(minutes=2)
    rosterd.hire(feed, "u1", "new@example.com", at=7200)
    rosterd.tell(feed, "user.suspended", {"id": "u2"}, drain=False)
    del truth.people["u2"]
    told = _reconcile(rosterd, feed, "--apply")
    waiting = {(one["external_id"], one["why"]) for one in told["differences"]}
    assert waiting >= {("u1", "newer"), ("u2", "unended")}
    ana = rosterd.user("u1")
    assert ana is not None
    assert ana["email"] == "new@example.com"


def test_c6_more_than_usual_is_held_by_the_breaker(rosterd: Rosterd, truth: Truth) -> None:
    feed = rosterd.account(breaker_min="1", breaker_percent="0")
    for key in ("u1", "u2", "u3", "u4"):
        rosterd.hire(feed, key)
    truth.hire("u1")
    _reconcile(rosterd, feed, "--apply")
    assert sorted(_states(rosterd).values()) == [
        "invited",
        "invited",
        "invited",
        "invited_suspended",
    ]
    held = rosterd.events(rows.events.c.reason == "breaker")
    assert {one["type"] for one in held} == {"user.unlisted"}
    assert len(held) == 2


def test_s1_nobody_out_of_scope_is_missing_and_the_scope_follows_memberships(
    rosterd: Rosterd, truth: Truth
) -> None:
    feed = rosterd.account(scope="groups:g1")
    for key in ("u1", "u2"):
        truth.hire(key)
    truth.group_of("g1", "Engineering", "u1")
    truth.group_of("g2", "Sales", "u2")
    told = _reconcile(rosterd, feed, "--apply")
    assert ("missing", "user", "u1") in _found(told)
    assert ("missing", "user", "u2") not in _found(told)
    assert _states(rosterd) == {"u1": "invited"}
    truth.group_of("g1", "Engineering")
    told = _reconcile(rosterd, feed, "--apply")
    assert ("waiting", "membership", "u1@g1") in _found(told), "an empty list puts nobody out"
    truth.group_of("g1", "Engineering", "u2")
    _reconcile(rosterd, feed, "--apply")
    assert _states(rosterd) == {"u1": "invited_suspended", "u2": "invited"}


def test_u5_who_was_deleted_for_good_does_not_come_back(
    rosterd: Rosterd, truth: Truth, feed: Feed
) -> None:
    rosterd.tell(feed, "user.suspended", {"id": "u1"})
    (row,) = rosterd.table(rows.users, rows.users.c.key == "u1")
    done = rosterd.cli("user", "delete", row["person_id"], "--reason", "asked for", "--yes")
    assert done.returncode == 0, done.stderr
    told = _reconcile(rosterd, feed, "--apply")
    assert {(one["external_id"], one["why"]) for one in told["differences"]} >= {("u1", "deleted")}
    assert "u1" not in _states(rosterd)


def test_what_a_rule_refused_is_no_second_dead_letter(
    rosterd: Rosterd, truth: Truth, feed: Feed
) -> None:
    truth.hire("u4", "u4@elsewhere.example")
    _reconcile(rosterd, feed, "--apply")
    assert [one["reason"] for one in rosterd.dead()] == ["domain_not_allowed"]
    told = _reconcile(rosterd, feed, "--apply")
    assert _found(told) == {("waiting", "user", "u4")}
    assert len(rosterd.dead()) == 1


def test_a_run_that_is_killed_between_two_steps_goes_on_where_it_was(
    rosterd: Rosterd, truth: Truth, feed: Feed
) -> None:
    for number in range(9):
        truth.hire(f"n{number}")
    done = rosterd.cli("reconcile", feed.connection, "--json", "--apply")
    whole = json.loads(done.stdout)
    rosterd.drain()
    for number in range(9):
        truth.hire(f"m{number}")
    reading = rosterd.parts.reading
    run = reading.reconcile.begin(feed.connection, _order())
    steps = 0
    while (held := reading.runs.take(run)) is not None:
        # Each step by a worker of its own, who dies with the lease in hand.
        reading.reconcile.step(held)
        _end_lease(rosterd, run)
        steps += 1
    assert steps > 20
    rosterd.drain()
    assert {f"m{number}" for number in range(9)} <= _states(rosterd).keys()
    said = rosterd.events(rows.events.c.type == "user.read")
    assert len(said) == len({one["subject"] for one in said}) == 18
    assert whole["counts"]["said"] == 9


def test_a_late_worker_writes_nothing(rosterd: Rosterd, truth: Truth, feed: Feed) -> None:
    reading = rosterd.parts.reading
    run = reading.reconcile.begin(feed.connection, _order())
    late = reading.runs.take(run)
    assert late is not None
    _end_lease(rosterd, run)
    mine = reading.runs.take(run)
    assert mine is not None
    assert reading.reconcile.step(late) is None
    assert rosterd.table(read_people) == []
    assert reading.reconcile.step(mine) is not None
    assert len(rosterd.table(read_people)) == 2


def test_an_idp_that_is_away_is_asked_again_and_one_that_refuses_ends_the_run(
    rosterd: Rosterd, truth: Truth, feed: Feed
) -> None:
    wait = timedelta(minutes=7)

    def away(_what: str) -> None:
        raise DirectoryError("the IdP answered 429", retry_after=wait)

    truth.between = away
    reading = rosterd.parts.reading
    run = reading.reconcile.begin(feed.connection, _order())
    assert reading.reconcile.go_on(run, budget=timedelta(seconds=5))
    (row,) = rosterd.table(reconciliations)
    assert row["due_at"] >= rosterd.now() + wait - timedelta(minutes=1)
    assert reading.runs.due() == []
    assert "429" in row["why"]
    done: Done = rosterd.cli("reconcile", feed.connection)
    assert done.returncode == 1
    assert "is being read since" in done.stderr

    def refuses(_what: str) -> None:
        raise DirectoryError("the token was refused", needs_operator=True)

    truth.between = refuses
    rosterd.parts.reading.runs.cancel(run, actor="test", reason="enough")
    assert reading.reconcile.go_on(run, budget=timedelta(seconds=5))
    done = rosterd.cli("reconcile", feed.connection)
    assert done.returncode == 1
    assert "failed while it was at" in done.stderr
    assert "the token was refused" in done.stderr
    states = [one["state"] for one in rosterd.table(reconciliations)]
    assert sorted(states) == ["cancelled", "failed"]
    assert rosterd.table(differences) == []


def _order() -> Any:
    from domain.reconciliation import Order, Purpose

    return Order(Purpose.RECONCILE, True, "test", "because")


def _end_lease(rosterd: Rosterd, run: str) -> None:
    ends = reconciliations.update().where(reconciliations.c.id == run).values(lease_until=None)
    with rosterd.parts.database.begin() as connection:
        connection.execute(ends)
        connection.commit()

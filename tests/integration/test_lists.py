"""Full lists: who is missing is left alone or suspended, and let in again by who says so (S3)."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path

import pytest

from tests.command import Done
from tests.harness import Feed, Rosterd
from worker.adapters.db import rows


@pytest.fixture
def feed(rosterd: Rosterd) -> Feed:
    feed = rosterd.account(several=True, suspend_unlisted="on")
    for key in ("u1", "u2", "u3"):
        rosterd.hire(feed, key)
    rosterd.accept("u1@example.com")
    rosterd.accept("u2@example.com")
    return feed


def _list(
    rosterd: Rosterd, feed: Feed, *ids: str, count: int | None = None, taken_at: str | None = None
) -> Done:
    path = Path(rosterd.settings.data_dir) / "list.txt"
    path.write_text("\n".join(ids))
    words = ["--reason", "monthly", *(["--taken-at", taken_at] if taken_at else [])]
    told = str(len(ids) if count is None else count)
    found = ("connection", "list-is", feed.connection, str(path), "--count", told)
    done = rosterd.cli(*found, *words, "--yes")
    rosterd.drain()
    return done


def _states(rosterd: Rosterd) -> dict[str, str]:
    return {user["external_id"]: user["state"] for user in rosterd.users() if user["managed"]}


ALL_IN = {"u1": "active", "u2": "active", "u3": "invited"}


def test_s3_who_is_not_in_a_list_is_left_alone_by_default(rosterd: Rosterd, feed: Feed) -> None:
    words = ("connection", "set", feed.connection, "suspend_unlisted=off", "--reason", "x")
    assert rosterd.cli(*words).returncode == 0
    done = _list(rosterd, feed, "u1")
    assert "2 not in the list: left alone (suspend_unlisted is off): u2, u3" in done.stdout
    assert _states(rosterd) == ALL_IN
    assert not rosterd.events(rows.events.c.type.like("user.%listed"))


def test_s3_missing_people_are_suspended_by_events_that_say_why(
    rosterd: Rosterd, feed: Feed
) -> None:
    other = rosterd.connect("acme", name="second", suspend_unlisted="on")
    rosterd.hire(other, "x1")
    rosterd.cli("user", "add", "--account", "acme", "hand@example.com", "--reason", "x")
    done = _list(rosterd, feed, "u1", "stranger")
    assert "2 not in the list: to suspend: u2, u3" in done.stdout
    assert _states(rosterd) == {
        "u1": "active",
        "u2": "suspended",
        "u3": "invited_suspended",
        "x1": "invited",
    }
    told = rosterd.events(rows.events.c.type == "user.unlisted")
    assert {(e["subject"], e["lane"], e["outcome"]) for e in told} == {
        ("u2", "urgent", "applied"),
        ("u3", "urgent", "applied"),
    }
    story = json.loads(rosterd.cli("event", "show", str(told[0]["id"]), "--json").stdout)
    assert story["delivery"]["headers"]["reason"] == "monthly"
    assert story["delivery"]["headers"]["actor"].startswith("cli:")
    (audit,) = rosterd.table(rows.audit, rows.audit.c.action == "connection.list_is")
    assert json.loads(audit["after"])["suspended"] == 2
    assert "0 not in the list" in _list(rosterd, feed, "u1", "stranger").stdout, "twice is once"
    assert len(rosterd.events(rows.events.c.type == "user.unlisted")) == 2


def test_s3_who_is_back_in_a_list_or_said_to_be_active_is_let_in(
    rosterd: Rosterd, feed: Feed
) -> None:
    _list(rosterd, feed, "u1")
    rosterd.tell(feed, "user.reactivated", {"id": "u2"}, at=7200)
    assert _states(rosterd) == {**ALL_IN, "u3": "invited_suspended"}
    rosterd.cli("connection", "set", feed.connection, "suspend_unlisted=off", "--reason", "x")
    assert "1 are back: let in: u3" in _list(rosterd, feed, "u1", "u2", "u3").stdout
    assert _states(rosterd) == ALL_IN


def test_s3_u8_a_list_does_not_undo_what_a_feed_said(rosterd: Rosterd, feed: Feed) -> None:
    _list(rosterd, feed, "u1", "u3")
    rosterd.tell(feed, "user.suspended", {"id": "u2"}, at=7200)
    _list(rosterd, feed, "u1", "u2", "u3")
    assert _states(rosterd)["u2"] == "suspended"
    rosterd.tell(feed, "user.suspended", {"id": "u1"}, at=7300)
    assert "not in the list" in _list(rosterd, feed, "u2", "u3").stdout
    rosterd.tell(feed, "user.reactivated", {"id": "u1"}, at=7400)
    assert _states(rosterd)["u1"] == "active", "who was out already is no news to a list"


def test_s3_d2_a_list_says_nothing_of_who_came_or_was_spoken_of_after_it(
    rosterd: Rosterd, feed: Feed
) -> None:
    taken = rosterd.at(60).isoformat()
    rosterd.hire(feed, "u4", at=90)
    rosterd.hire(feed, "u2", at=120, given_name="Eva")
    done = _list(rosterd, feed, "u1", taken_at=taken)
    assert "1 not in the list: to suspend: u3" in done.stdout
    assert "2 not in the list, but spoken of since it was taken: left alone: u2, u4" in done.stdout
    assert _states(rosterd) == {**ALL_IN, "u3": "invited_suspended", "u4": "invited"}


def test_s3_d17_a_held_suspension_that_is_overtaken_suspends_nobody(
    rosterd: Rosterd, feed: Feed
) -> None:
    """Paused in between: what the IdP said after the list outranks it, in whatever order."""
    rosterd.cli("connection", "pause", feed.connection, "--reason", "x")
    _list(rosterd, feed, "u1", "u3")
    assert _states(rosterd) == ALL_IN
    held = rosterd.events(rows.events.c.state == "held")
    assert [event["type"] for event in held] == ["user.unlisted"]
    rosterd.hire(feed, "u2", at=7200, active=True)
    rosterd.cli("connection", "resume", feed.connection)
    rosterd.drain()
    assert _states(rosterd) == ALL_IN


@pytest.mark.parametrize(
    ("ids", "count", "code", "says"),
    [
        ((), 0, 1, "an empty list proves nothing"),
        (("u1", "u2"), 3, 2, "not complete"),
        (("u1", "u2", "u1"), 3, 2, "u1 is in the list twice"),
        (('{"ids": ["u1"', "]"), 1, 2, "no JSON"),
        (('["u1", 7]',), 2, 2, "no list of ids"),
    ],
)
def test_s3_a_list_that_is_not_proven_complete_suspends_nobody(
    rosterd: Rosterd, feed: Feed, ids: tuple[str, ...], count: int, code: int, says: str
) -> None:
    done = _list(rosterd, feed, *ids, count=count)
    assert (done.returncode, says in done.stderr) == (code, True), done.stderr
    assert _states(rosterd) == ALL_IN
    assert not rosterd.table(rows.audit, rows.audit.c.action == "connection.list_is")


def test_s3_dry_run_bad_moments_and_no_reason_change_nothing(rosterd: Rosterd, feed: Feed) -> None:
    path = Path(rosterd.settings.data_dir) / "ids.json"
    path.write_text('{"ids": ["u1"]}')
    words = ("connection", "list-is", feed.connection, str(path), "--count", "1")
    done = rosterd.cli(*words, "--dry-run", "--json")
    assert json.loads(done.stdout)["missing"] == ["u2", "u3"]
    assert rosterd.cli(*words, "--yes").returncode == 2
    for days in (-31, 1):
        at = (rosterd.at(0) + timedelta(days=days)).isoformat()
        assert rosterd.cli(*words, "--reason", "x", "--taken-at", at).returncode == 2
    assert rosterd.cli(*words[:-1], "1", "--reason", "x", "--connection").returncode == 2
    rosterd.drain()
    assert _states(rosterd) == ALL_IN


def test_s3_nothing_can_be_posted_as_rosterds_own_word(rosterd: Rosterd, feed: Feed) -> None:
    _list(rosterd, feed, "u1", "u2", "u3x")
    feeds = json.loads(rosterd.cli("feed", "list", feed.connection, "--json").stdout)
    (own,) = [row["id"] for row in feeds if row["source"] == "reconciliation"]
    body = b'{"events":[{"type":"user.listed","id":"u3"}]}'
    for secret in (feed.secret, "whsec_AAAA"):
        sent = rosterd.signed(Feed(own, feed.connection, secret), body, id_="m1")
        assert rosterd.post(sent) == 401
    assert rosterd.cli("feed", "rotate", own).returncode == 1
    assert rosterd.cli("feed", "add", feed.connection, "--source", "reconciliation").returncode == 2
    assert "reconciliation" not in rosterd.cli("doctor").stdout, "it is not one to be heard from"


def test_d18_settings_are_listed_changed_and_refused(rosterd: Rosterd, feed: Feed) -> None:
    listed = json.loads(rosterd.cli("connection", "set", feed.connection, "--json").stdout)
    assert {row["name"]: row["value"] for row in listed}["suspend_unlisted"] == "on"
    words = ("connection", "set", feed.connection)
    for wrong in ("nonsense=1", "rehire=maybe", "rehire"):
        done = rosterd.cli(*words, wrong, "--reason", "x")
        assert done.returncode == 2, done.stdout
    assert rosterd.cli(*words, "rehire=new_user").returncode == 2, "no reason"
    assert "rehire: link -> new_user" in rosterd.cli(*words, "rehire=new_user", "--dry-run").stdout
    assert not rosterd.table(rows.audit, rows.audit.c.action == "connection.set")
    assert rosterd.cli(*words, "rehire=new_user", "--reason", "asked for").returncode == 0
    (audit,) = rosterd.table(rows.audit, rows.audit.c.action == "connection.set")
    assert (json.loads(audit["before"]), json.loads(audit["after"])) == (
        {"suspend_unlisted": "on"},
        {"rehire": "new_user", "suspend_unlisted": "on"},
    )

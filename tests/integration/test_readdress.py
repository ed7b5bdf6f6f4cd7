"""Which attribute is the address: changed after it was shown whom it mails (E9)."""

from __future__ import annotations

import json

import pytest

from tests.command import Done
from tests.harness import Feed, Rosterd
from worker.adapters.db import rows


@pytest.fixture
def feed(rosterd: Rosterd) -> Feed:
    """Ana has accepted, Leo is invited, Eva tells no such attribute, Ida's is not allowed."""
    feed = rosterd.account()
    for key, work in (("ana", "a@example.com"), ("leo", "l@example.com"), ("ida", "i@else.org")):
        rosterd.hire(feed, key, attributes={"work_email": work})
    rosterd.hire(feed, "eva")
    rosterd.accept("ana@example.com")
    rosterd.mails()
    return feed


def _set(rosterd: Rosterd, feed: Feed, rule: str, *words: str) -> Done:
    done = rosterd.cli("connection", "set", feed.connection, f"address={rule}", *words)
    rosterd.drain()
    return done


def _emails(rosterd: Rosterd) -> dict[str, tuple[str, str]]:
    return {u["external_id"]: (u["email"], u["requested_email"]) for u in rosterd.users()}


#: Later than now, so taken as said when it is received: after the addresses were read anew.
NOW = 7200
AS_TOLD = {key: (f"{key}@example.com",) * 2 for key in ("ana", "leo", "ida", "eva")}
BY_WORK = {
    **AS_TOLD,
    "ana": ("ana@example.com", "a@example.com"),
    "leo": ("l@example.com", "l@example.com"),
}


def test_e9_another_attribute_shows_first_whom_it_mails_and_changes_nothing(
    rosterd: Rosterd, feed: Feed
) -> None:
    mails = len(rosterd.mails())
    done = _set(rosterd, feed, "attributes.work_email", "--dry-run", "--json")
    told = json.loads(done.stdout)["addresses"]
    assert told["lacking"] == ["eva"]
    assert [(c["external_id"], c["would_be"], c["mails"]) for c in told["changes"]] == [
        (
            "ana",
            "applied",
            [
                {"to": "a@example.com", "kind": "email_change"},
                {"to": "ana@example.com", "kind": "email_change_note"},
            ],
        ),
        ("ida", "domain_not_allowed", []),
        ("leo", "applied", [{"to": "l@example.com", "kind": "invitation"}]),
    ]
    text = _set(rosterd, feed, "attributes.work_email", "--dry-run").stdout
    assert "3 people get another address, 3 mails go out" in text
    assert "1 people have no such attribute" in text
    assert (_emails(rosterd), len(rosterd.mails())) == (AS_TOLD, mails)
    assert not rosterd.events(rows.events.c.type == "user.address_read_anew")


def test_e9_what_was_announced_is_what_happens(rosterd: Rosterd, feed: Feed) -> None:
    assert _set(rosterd, feed, "attributes.work_email", "--yes").returncode == 2, "no reason"
    done = _set(rosterd, feed, "attributes.work_email", "--yes", "--reason", "new tenant")
    assert done.returncode == 0, done.stderr
    assert _emails(rosterd) == BY_WORK
    assert [letter["reason"] for letter in rosterd.dead()] == ["domain_not_allowed"]
    assert rosterd.accept("a@example.com") == 200
    assert rosterd.accept("l@example.com") == 200
    assert _emails(rosterd)["ana"] == ("a@example.com",) * 2
    (audit,) = rosterd.table(rows.audit, rows.audit.c.action == "connection.set")
    assert json.loads(audit["after"]) == {"address": "attributes.work_email"}
    told = rosterd.events(rows.events.c.type == "user.address_read_anew")
    assert {event["lane"] for event in told} == {"bulk"}


def test_e9_from_then_on_the_attribute_is_the_address(rosterd: Rosterd, feed: Feed) -> None:
    _set(rosterd, feed, "attributes.work_email", "--yes", "--reason", "x")
    rosterd.hire(
        feed, "leo", "leo2@example.com", attributes={"work_email": "l2@example.com"}, at=NOW
    )
    moved = {"id": "leo", "email": "leo3@example.com"}
    rosterd.tell(feed, "user.email_changed", moved, at=NOW)
    rosterd.hire(feed, "leo", "leo4@example.com", given_name="Leo", at=NOW)
    assert _emails(rosterd)["leo"] == ("l2@example.com",) * 2, "a missing key is untouched"
    rosterd.hire(feed, "new", "new@example.com", attributes={"work_email": "n@example.com"})
    assert _emails(rosterd)["new"] == ("n@example.com",) * 2


def test_e9_d10_without_the_attribute_nobody_is_made_and_a_suspension_still_holds(
    rosterd: Rosterd, feed: Feed
) -> None:
    _set(rosterd, feed, "attributes.work_email", "--yes", "--reason", "x")
    rosterd.hire(feed, "new")
    rosterd.hire(feed, "odd", attributes={"work_email": "none"})
    assert {"new", "odd"}.isdisjoint(_emails(rosterd))
    reasons = sorted(letter["reason"] for letter in rosterd.dead())
    assert reasons == ["domain_not_allowed", "no_address", "unparseable"]
    for key in ("ana", "eva"):
        rosterd.hire(feed, key, active=False, attributes={"work_email": "none"})
    states = {user["external_id"]: user["state"] for user in rosterd.users()}
    assert (states["ana"], states["eva"]) == ("suspended", "invited_suspended")


def test_e9_back_to_the_sources_own_address(rosterd: Rosterd, feed: Feed) -> None:
    _set(rosterd, feed, "attributes.work_email", "--yes", "--reason", "x")
    later = {"attributes": {"work_email": "l@example.com"}, "at": NOW}
    rosterd.hire(feed, "leo", "leo2@example.com", **later)
    done = _set(rosterd, feed, "default", "--yes", "--reason", "back")
    assert done.returncode == 0, done.stderr
    assert _emails(rosterd) == {**AS_TOLD, "leo": ("leo2@example.com",) * 2}


def test_e9_c6_it_goes_through_the_breaker(rosterd: Rosterd, feed: Feed) -> None:
    limits = ("breaker_min=1", "breaker_percent=1", "--reason", "x", "--yes")
    rosterd.cli("connection", "set", feed.connection, *limits)
    _set(rosterd, feed, "attributes.work_email", "--yes", "--reason", "x")
    told = rosterd.events(rows.events.c.type == "user.address_read_anew")
    assert sorted(event["outcome"] or event["state"] for event in told) == [
        "applied",
        "dead",
        "held",
    ]


@pytest.mark.parametrize(
    ("source", "scope", "rule", "code"),
    [
        ("standard", None, "attributes.x", 0),
        ("standard", None, "attributes.", 2),
        ("standard", None, "username", 2),
        ("workos", None, "username", 0),
        ("workos", None, "emails[primary]", 0),
        ("workos", None, "attributes.x", 2),
        ("okta", "assignment:app", "default", 0),
        ("okta", "assignment:app", "profile.secondEmail", 2),
    ],
)
def test_e9_d18_each_source_tells_its_own_attributes(
    rosterd: Rosterd, source: str, scope: str | None, rule: str, code: int
) -> None:
    feed = rosterd.account(source=source, scope=scope, several=True)
    done = _set(rosterd, feed, rule, "--yes", "--reason", "x")
    assert done.returncode == code, done.stderr
    words = ["--source", source, "--name", "two", "--set", f"address={rule}"]
    words += ["--scope", scope] if scope else []
    added = rosterd.cli("connection", "add", "--account", "acme", *words)
    assert added.returncode == code, added.stderr

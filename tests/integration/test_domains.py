"""The list of domains through HTTP and the command line: what it takes, what it gives back (E4)."""

from __future__ import annotations

import json
import re
import shlex

import pytest

from tests.api import Client
from tests.command import Done
from tests.harness import Feed, Rosterd
from worker.adapters.db import rows
from worker.adapters.db.replay_rows import replays

HOSTS = ("new.example", "sub.new.example", "a.sub.new.example", "notnew.example", "new.example.org")


def _refused(rosterd: Rosterd, feed: Feed, prefix: str = "x") -> None:
    for number, host in enumerate(HOSTS):
        data = {"id": f"{prefix}{number}", "email": f"{prefix}{number}@{host}"}
        rosterd.tell(feed, "user.upserted", data, drain=False)
    rosterd.drain()


def _done(done: Done) -> str:
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_e4_is_about_what_a_provider_says_and_not_about_people_by_hand(rosterd: Rosterd) -> None:
    feed = rosterd.account()
    app = Client(rosterd, "directory:read", "directory:write")
    made = app.post("/users", {"email": "cy@contractor.example"}, 201)
    add = ("user", "add", "--account", "acme", "bo@contractor.example", "--role", "guest", "--json")
    assert _done(rosterd.cli(*add))
    app.write("PUT", f"/users/{made['id']}/email", {"email": "cy@agency.example"})
    by_hand = {"bo@contractor.example", "cy@agency.example"}
    assert {user["email"] for user in rosterd.users()} == by_hand
    assert rosterd.accept("cy@agency.example") == 200
    rosterd.hire(feed, "u1", "cy@agency.example")
    assert [letter["reason"] for letter in rosterd.dead()] == ["domain_not_allowed"]
    assert rosterd.user("u1") is None, "nor does a provider take over whom it may not name"
    listed = rosterd.settings.data_dir / "people.csv"
    listed.write_text("email\ndi@contractor.example\n")
    read = ("directory", "import", str(listed), "--account", "acme", "--reason", "r")
    assert "--any-domain" in rosterd.cli(*read).stderr, "a file may be a provider's"
    assert {user["email"] for user in rosterd.users()} == by_hand
    assert rosterd.cli(*read, "--any-domain").returncode == 0
    assert len(rosterd.users()) == 3


@pytest.mark.parametrize(
    ("entry", "brought"),
    [
        ("new.example", {"x0"}),
        ("*.new.example", {"x1", "x2"}),
        ("*.SUB.new.example.", {"x2"}),
    ],
)
def test_e4_allowing_a_domain_offers_exactly_its_dead_letters(
    rosterd: Rosterd, entry: str, brought: set[str]
) -> None:
    feed = rosterd.account(owner="boss@example.com", name="old & co")
    _refused(rosterd, feed)
    # Neighbours: another reason whose text names the domain, and another account's.
    rosterd.hire(feed, "boss", "boss@example.com", display_name="domain new.example is not")
    first = rosterd.account_id
    other = rosterd.account(name="other")
    _refused(rosterd, other, "y")
    rosterd.account_id = first
    told = _done(rosterd.cli("domain", "allow", "old & co", entry))
    assert f"{len(brought)} dead letters were refused for it" in told
    (offer,) = re.findall(r"^  rosterd (.*)$", told, re.MULTILINE)
    _done(rosterd.cli(*shlex.split(offer), "--yes", "--wait", "0"))
    rosterd.drain()
    keys = {user["external_id"] for user in rosterd.users() if user["managed"]}
    assert keys == brought
    left = {row["reason"] for row in rosterd.dead()}
    assert left == {"domain_not_allowed", "protected_user"}
    assert len(rosterd.dead()) == 2 * len(HOSTS) + 1 - len(brought)


def test_e4_allow_with_replay_does_it_at_once_and_needs_a_reason(rosterd: Rosterd) -> None:
    feed = rosterd.account()
    _refused(rosterd, feed)
    words = ("domain", "allow", "acme", "new.example", "--replay", "--wait", "0")
    assert rosterd.cli(*words).returncode == 2
    assert rosterd.dead(), "nothing was allowed or replayed without a reason"
    assert "new.example" not in _done(rosterd.cli("domain", "list", "acme"))
    assert "1 events" in _done(rosterd.cli(*words, "--reason", "they bought it"))
    rosterd.drain()
    assert [user["external_id"] for user in rosterd.users()] == ["x0"]
    assert [row["reason"] for row in rosterd.table(replays)] == ["they bought it"]
    audit = rosterd.table(rows.audit, rows.audit.c.action == "domain.allow")
    assert [(row["subject"], row["reason"]) for row in audit] == [("new.example", "they bought it")]


def test_e4_a_domain_of_another_script_is_one_in_both_forms(rosterd: Rosterd) -> None:
    feed = rosterd.account()
    rosterd.hire(feed, "u1", "ana@bücher.example")
    rosterd.hire(feed, "u2", "eva@xn--bcher-kva.example")
    told = _done(rosterd.cli("domain", "allow", "acme", "BÜCHER.example"))
    assert "xn--bcher-kva.example (bücher.example) allowed" in told
    assert "2 dead letters" in told
    rosterd.cli("dead", "replay", "--domain", "bücher.example", "--reason", "x", "--wait", "0")
    rosterd.drain()
    assert {user["email"] for user in rosterd.users()} == {
        "ana@bücher.example",
        "eva@xn--bcher-kva.example",
    }
    (one, _) = json.loads(_done(rosterd.cli("domain", "list", "acme", "--json")))[::-1]
    assert (one["domain"], one["reads"]) == ("xn--bcher-kva.example", "bücher.example")
    # One mailbox, however its host is written: it is taken.
    rosterd.hire(feed, "u3", "ANA@xn--bcher-kva.example")
    assert rosterd.user("u3") is None


def test_e4_a_change_to_a_wildcards_own_domain_is_refused(rosterd: Rosterd) -> None:
    feed = rosterd.account("*.example.com")
    rosterd.hire(feed, "u1", "ana@Mail.Example.COM")
    rosterd.tell(feed, "user.email_changed", {"id": "u1", "email": "ana@example.com"})
    rosterd.hire(feed, "u2", "ana@*.example.com")
    assert [row["reason"] for row in rosterd.dead()] == ["domain_not_allowed"] * 2
    assert [user["email"] for user in rosterd.users()] == ["ana@Mail.Example.COM"]


def test_e4_forbidding_touches_later_claims_only_and_says_who_is_there(rosterd: Rosterd) -> None:
    feed = rosterd.account("example.com", "*.example.com")
    rosterd.hire(feed, "u1", "ana@mail.example.com")
    rosterd.hire(feed, "u2", "eva@example.com")
    rosterd.accept("ana@mail.example.com")
    before = rosterd.export()
    told = _done(rosterd.cli("domain", "forbid", "acme", "*.example.com", "--dry-run"))
    assert "would be forbidden" in told
    assert "1 people have addresses there" in told
    assert "*.example.com" in _done(rosterd.cli("domain", "list", "acme"))
    _done(rosterd.cli("domain", "forbid", "acme", "*.example.com", "--yes", "--reason", "sold"))
    assert rosterd.export() == before
    rosterd.hire(feed, "u3", "leo@mail.example.com")
    rosterd.tell(feed, "user.suspended", {"id": "u1"})
    assert rosterd.user("u1")["state"] == "suspended"  # type: ignore[index]
    assert [row["reason"] for row in rosterd.dead()] == ["domain_not_allowed"]
    told = _done(rosterd.cli("domain", "forbid", "acme", "example.com", "--yes"))
    assert "the list is empty now" in told
    assert "was not on the list" in _done(rosterd.cli("domain", "forbid", "acme", "example.com"))
    forbidden = rosterd.table(rows.audit, rows.audit.c.action == "domain.forbid")
    assert [(row["subject"], row["reason"]) for row in forbidden] == [
        ("*.example.com", "sold"),
        ("example.com", ""),
    ]
    assert "allows no domain" in rosterd.cli("doctor").stdout


def test_e4_a_look_alike_is_warned_of_and_subdomains_are_said_to_be_all(rosterd: Rosterd) -> None:
    rosterd.account()
    done = rosterd.cli("domain", "allow", "acme", "ex\u0430mple.com")
    assert "mixes letters of Cyrillic and Latin" in done.stderr
    (undo,) = re.findall(r"rosterd (domain forbid .*)$", done.stderr, re.MULTILINE)
    assert " forbidden" in _done(rosterd.cli(*shlex.split(undo)))
    assert "subdomains only" in _done(rosterd.cli("domain", "allow", "acme", "*.partner.example"))
    assert "subdomains only" not in _done(rosterd.cli("domain", "allow", "acme", "*.example.com"))


@pytest.mark.parametrize(
    ("asked", "by"),
    [
        ("ana@Example.com", "example.com"),
        ("sub.example.com", "*.example.com"),
        ("ana@elsewhere.org", None),
    ],
)
def test_e4_check_says_by_which_entry(rosterd: Rosterd, asked: str, by: str | None) -> None:
    rosterd.account("example.com", "*.example.com")
    done = rosterd.cli("domain", "check", "acme", asked, "--json")
    assert json.loads(done.stdout)["by"] == by
    assert done.returncode == (1 if by is None else 0)
    assert rosterd.cli("domain", "check", "nobody", asked).returncode == 3


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        ("ana@Elsewhere.org", "rosterd domain allow acme elsewhere.org"),
        ("nope", "nope is not on the list: and it cannot be"),
        ("ana@-x-.org", "and it cannot be"),
    ],
)
def test_e4_check_tells_to_type_only_what_would_be_taken(
    rosterd: Rosterd, asked: str, says: str
) -> None:
    rosterd.account()
    done = rosterd.cli("domain", "check", "acme", asked)
    assert done.returncode == 1
    assert says in done.stdout
    for line in re.findall("rosterd (domain allow .*)", done.stdout):
        assert rosterd.cli(*shlex.split(line)).returncode == 0, line

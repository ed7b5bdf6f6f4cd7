"""People whom no identity provider made, through the command line, on both databases."""

from __future__ import annotations

import json
import threading
from typing import Any

import pytest

from domain.inbox import Kind
from tests.command import Done
from tests.harness import Feed, Rosterd
from tests.integration.test_database_faults import beside
from worker.adapters.db import rows


def told(rosterd: Rosterd, *words: str, code: int = 0) -> dict[str, Any]:
    """What a command says to a program; its reason is always "r"."""
    done = said(rosterd, *words, code=code)
    return json.loads(done.stdout) if code == 0 else {"error": done.stderr}


def said(rosterd: Rosterd, *words: str, code: int = 0) -> Done:
    done = rosterd.cli(*words, "--reason", "r", "--json")
    assert done.returncode == code, (words, done.stdout, done.stderr)
    return done


def added(rosterd: Rosterd, email: str, *more: str) -> str:
    found = told(rosterd, "user", "add", "--account", "acme", email, *more)
    return str(found["id"])


def at(rosterd: Rosterd, email: str) -> dict[str, Any]:
    (found,) = [p for p in rosterd.table(rows.people) if p["email"] == email]
    return found


def test_u1_u2_added_by_hand_is_invited_by_mail_and_accepts(rosterd: Rosterd) -> None:
    rosterd.account()
    made = told(rosterd, "user", "add", "--account", "acme", "bo@example.com", "--name", "Bo")
    assert (made["state"], made["role"], made["managed"]) == ("invited", "member", False)
    assert rosterd.accept("bo@example.com") == 200
    (line,) = rosterd.users()
    assert (line["state"], line["display_name"], line["connection"]) == ("active", "Bo", None)


def test_u1_active_at_once_needs_a_reason_and_mails_nobody(rosterd: Rosterd) -> None:
    rosterd.account()
    words = ("user", "add", "--account", "acme", "bo@example.com", "--active")
    assert rosterd.cli(*words).returncode == 2
    assert told(rosterd, *words)["state"] == "active"
    assert rosterd.mails() == []
    (entry,) = rosterd.table(rows.audit, rows.audit.c.action == "user.add")
    assert (entry["reason"], entry["actor"].partition(":")[0]) == ("r", "cli")


def test_e8_an_address_of_somebody_else_is_refused(rosterd: Rosterd) -> None:
    feed = rosterd.account()
    rosterd.hire(feed, "u1")
    told(rosterd, "user", "add", "--account", "acme", "U1@Example.com", code=1)
    bo = added(rosterd, "bo@example.com", "--active")
    told(rosterd, "user", "change-email", bo, "u1@example.com", code=1)
    assert {p["email"] for p in rosterd.table(rows.people)} == {"u1@example.com", "bo@example.com"}


def test_u6_the_owner_of_a_new_account_is_invited(rosterd: Rosterd) -> None:
    done = rosterd.cli("account", "add", "beta", "--owner", "boss@example.com")
    assert done.returncode == 0, done.stderr
    assert at(rosterd, "boss@example.com")["state"] == "invited"
    assert rosterd.accept("boss@example.com") == 200
    assert at(rosterd, "boss@example.com")["state"] == "active"
    assert rosterd.cli("account", "add", "gamma", "--owner", "b@x.org", "--active").returncode == 2
    done = rosterd.cli(
        "account", "add", "gamma", "--owner", "b@x.org", "--active", "--reason", "harness"
    )
    assert done.returncode == 0, done.stderr
    assert at(rosterd, "b@x.org")["state"] == "active"


def test_u6_the_last_owner_stays(rosterd: Rosterd) -> None:
    rosterd.account(owner="boss@example.com")
    boss = at(rosterd, "boss@example.com")["id"]
    for words in (("role", boss, "member"), ("suspend", boss)):
        assert "last owner" in told(rosterd, "user", *words, code=1)["error"]
    invited = added(rosterd, "two@example.com", "--role", "owner")
    assert "last owner" in told(rosterd, "user", "suspend", boss, code=1)["error"]
    assert rosterd.accept("two@example.com") == 200
    assert told(rosterd, "user", "role", boss, "administrator")["role"] == "administrator"
    assert "last owner" in told(rosterd, "user", "role", invited, "guest", code=1)["error"]


def test_u6_break_glass_is_neither_suspended_nor_renamed_nor_adopted(rosterd: Rosterd) -> None:
    feed = rosterd.account(owner="boss@example.com")
    rosterd.hire(feed, "u1")
    rosterd.accept("u1@example.com")
    told(rosterd, "user", "break-glass", at(rosterd, "u1@example.com")["id"], "on")
    bo = added(rosterd, "bo@example.com", "--active")
    told(rosterd, "user", "break-glass", "on", bo)
    rosterd.tell(feed, "user.suspended", {"id": "u1"})
    rosterd.tell(feed, "user.email_changed", {"id": "u1", "email": "other@example.com"})
    rosterd.hire(feed, "u2", "bo@example.com")
    assert [letter["reason"] for letter in rosterd.dead()] == ["protected_user"] * 3
    assert {(u["email"], u["state"], u["managed"]) for u in rosterd.users()} == {
        ("boss@example.com", "active", False),
        ("u1@example.com", "active", True),
        ("bo@example.com", "active", False),
    }
    assert "break-glass" in told(rosterd, "user", "suspend", bo, code=1)["error"]
    told(rosterd, "user", "break-glass", bo, "off")
    rosterd.hire(feed, "u2", "bo@example.com", at=9.0)
    assert rosterd.user("u2") is not None, "the mark is gone, and so is the protection"


def test_u3_u4_let_out_and_in_by_hand_only_who_is_nobodys(rosterd: Rosterd) -> None:
    feed = rosterd.account()
    rosterd.hire(feed, "u1")
    managed = at(rosterd, "u1@example.com")["id"]
    for words in (("suspend", managed), ("reactivate", managed)):
        assert "managed_by_idp" in told(rosterd, "user", *words, code=1)["error"]
    bo = added(rosterd, "bo@example.com")
    old = rosterd.link("bo@example.com")
    assert told(rosterd, "user", "suspend", bo)["state"] == "invited_suspended"
    assert rosterd.http.post(old).status_code == 410
    assert told(rosterd, "user", "reactivate", bo)["state"] == "invited"
    assert rosterd.accept("bo@example.com") == 200
    assert told(rosterd, "user", "suspend", bo)["state"] == "suspended"
    assert told(rosterd, "user", "reactivate", bo)["state"] == "active"


def test_e1_e2_e3_who_is_nobodys_changes_address_and_the_provisioned_do_not(
    rosterd: Rosterd,
) -> None:
    feed = rosterd.account()
    rosterd.hire(feed, "u1")
    managed = at(rosterd, "u1@example.com")["id"]
    refused = told(rosterd, "user", "change-email", managed, "x@example.com", code=1)
    assert "managed_by_idp" in refused["error"]
    bo = added(rosterd, "bo@example.com")
    assert told(rosterd, "user", "change-email", bo, "b2@example.com")["email"] == "b2@example.com"
    assert rosterd.accept("b2@example.com") == 200
    moved = told(rosterd, "user", "change-email", bo, "b3@example.com")
    assert (moved["email"], moved["pending_email"]) == ("b2@example.com", "b3@example.com")
    assert any("about to change" in m and "To: b2@example.com" in m for m in rosterd.mails())
    assert rosterd.accept("b3@example.com") == 200
    assert at(rosterd, "b3@example.com")["state"] == "active"
    for freed in ("bo@example.com", "b2@example.com"):
        added(rosterd, freed)


def test_s2_a_guest_by_hand_is_never_provisioned(rosterd: Rosterd) -> None:
    feed = rosterd.account()
    guest = added(rosterd, "guest@example.com", "--role", "guest", "--active")
    rosterd.hire(feed, "u1", "guest@example.com")
    (letter,) = rosterd.dead()
    assert (letter["reason"], guest in letter["last_error"]) == ("guest", True)
    rosterd.hire(feed, "u2")
    person = at(rosterd, "u2@example.com")["id"]
    assert "guests never" in told(rosterd, "user", "role", person, "guest", code=1)["error"]
    told(rosterd, "user", "role", guest, "member")
    rosterd.cli("dead", "replay", "--account", "acme", "--reason", "r", "--yes", "--wait", "0")
    rosterd.drain()
    assert rosterd.user("u1") is not None


def test_u7_the_adopted_by_hand_keep_their_role(rosterd: Rosterd) -> None:
    feed = rosterd.account(owner="boss@example.com")
    added(rosterd, "bo@example.com", "--active", "--role", "administrator")
    rosterd.hire(feed, "u1", "bo@example.com")
    person = at(rosterd, "bo@example.com")
    assert (person["role"], person["user_key"]) == ("administrator", "u1")


# -- races, on PostgreSQL ----------------------------------------------------------------------


@pytest.fixture
def two_owners(postgres_url: str, tmp_path: Any) -> Any:
    rosterd = Rosterd(postgres_url, tmp_path)
    with rosterd.serving():
        yield rosterd, rosterd.account()
    rosterd.close()


def _owners(rosterd: Rosterd, feed: Feed) -> dict[str, str]:
    for key in ("u1", "u2"):
        rosterd.hire(feed, key)
        rosterd.accept(f"{key}@example.com")
        told(rosterd, "user", "role", at(rosterd, f"{key}@example.com")["id"], "owner")
    return {key: at(rosterd, f"{key}@example.com")["id"] for key in ("u1", "u2")}


def _drained_one_by_one(rosterd: Rosterd) -> None:
    """A worker whose batches hold one event."""
    from dataclasses import replace
    from datetime import timedelta

    drain = replace(rosterd.parts.drain, batch_size=1)
    for kind in (Kind.USERS_SUSPEND, Kind.USERS_CREATE):
        for lane in ("urgent", "standard"):
            drain.run(lane=lane, kind=kind, budget=timedelta(seconds=20))


def _at_once(rosterd: Rosterd, *work: Any) -> None:
    """Everything waits for the account's row, and goes on when it is let go."""
    threads = [threading.Thread(target=one) for one in work]
    with beside(rosterd) as other:
        other.execute("SELECT * FROM accounts FOR UPDATE")
        for thread in threads:
            thread.start()
        waiting = (
            "SELECT count(*) FROM pg_stat_activity "
            "WHERE wait_event_type = 'Lock' AND datname = current_database()"
        )
        deadline = threading.Event()
        for _ in range(100):
            if other.execute(waiting).fetchall()[0][0] >= len(work):
                break
            deadline.wait(0.05)
        other.rollback()
    for thread in threads:
        thread.join(timeout=30)


def _able_owners(rosterd: Rosterd) -> list[str]:
    return [
        p["id"]
        for p in rosterd.table(rows.people)
        if p["role"] == "owner" and p["state"] == "active"
    ]


def test_u6_two_owners_suspended_at_once_by_two_workers(two_owners: Any) -> None:
    rosterd, feed = two_owners
    _owners(rosterd, feed)
    for key in ("u1", "u2"):
        rosterd.tell(feed, "user.suspended", {"id": key}, drain=False)
    _at_once(rosterd, lambda: _drained_one_by_one(rosterd), lambda: _drained_one_by_one(rosterd))
    assert len(_able_owners(rosterd)) == 1
    assert [letter["reason"] for letter in rosterd.dead()] == ["protected_user"]


def test_u6_a_demotion_beside_a_suspension(two_owners: Any) -> None:
    rosterd, feed = two_owners
    owners = _owners(rosterd, feed)
    rosterd.tell(feed, "user.suspended", {"id": "u1"}, drain=False)
    _at_once(
        rosterd,
        lambda: _drained_one_by_one(rosterd),
        lambda: rosterd.cli("user", "role", owners["u2"], "member", "--reason", "r"),
    )
    assert len(_able_owners(rosterd)) == 1


def test_u6_two_unmanaged_owners_adopted_and_suspended_at_once(two_owners: Any) -> None:
    rosterd, feed = two_owners
    for name in ("one", "two"):
        added(rosterd, f"{name}@example.com", "--active", "--role", "owner")
        rosterd.tell(
            feed,
            "user.upserted",
            {"id": name, "email": f"{name}@example.com", "active": False},
            drain=False,
        )
    _at_once(rosterd, lambda: _drained_one_by_one(rosterd), lambda: _drained_one_by_one(rosterd))
    assert len(_able_owners(rosterd)) == 1

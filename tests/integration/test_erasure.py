"""Permanent deletion (U5): by an operator, of somebody suspended, for good; on both databases."""

from __future__ import annotations

import re
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from sqlalchemy import delete, insert, update

from domain.errors import NothingFoundError, RefusedError
from tests.api import Client, is_problem
from tests.harness import Feed, Rosterd
from tests.integration.test_by_hand import added, at, told
from tests.integration.test_database_faults import beside, later, lock
from tests.servers import await_true
from worker.adapters.db import rows
from worker.adapters.db.direct_directory import DirectDirectory
from worker.adapters.db.erasure_rows import erasure_keys, tombstones
from worker.adapters.db.sealed import read_all
from worker.adapters.db.surroundings import Surroundings


def suspended(rosterd: Rosterd, feed: Feed, key: str = "u1") -> str:
    """Somebody who accepted, belongs to a group, and left."""
    rosterd.tell(feed, "group.upserted", {"id": "g1", "name": "Sales"}, at=1)
    rosterd.hire(feed, key, at=2, given_name="Zebulon")
    rosterd.tell(feed, "group.member_added", {"group_id": "g1", "user_id": key}, at=3)
    rosterd.accept(f"{key}@example.com")
    rosterd.tell(feed, "user.suspended", {"id": key}, at=4)
    return str(at(rosterd, f"{key}@example.com")["id"])


def deleted(rosterd: Rosterd, person: str) -> None:
    told(rosterd, "user", "delete", person, "--yes")


def create(rosterd: Rosterd, feed: Feed, second: float, id_: str, **more: Any) -> None:
    data = {"id": "u1", "email": "u1@example.com", **more}
    rosterd.tell(feed, "user.upserted", data, at=second, id_=id_)


def test_u5_only_somebody_suspended_is_deleted_and_nobody_protected(rosterd: Rosterd) -> None:
    feed = rosterd.account(owner="boss@example.com")
    rosterd.hire(feed, "u1")
    boss = at(rosterd, "boss@example.com")["id"]
    assert "last owner" in told(rosterd, "user", "delete", boss, "--yes", code=1)["error"]
    person = at(rosterd, "u1@example.com")["id"]
    assert "suspended" in told(rosterd, "user", "delete", person, "--yes", code=1)["error"]
    rosterd.tell(feed, "user.suspended", {"id": "u1"})
    told(rosterd, "user", "break-glass", person, "on")
    assert "break-glass" in told(rosterd, "user", "delete", person, "--yes", code=1)["error"]
    assert len(rosterd.table(rows.people)) == 2


def test_u5_a_dry_run_changes_nothing(rosterd: Rosterd) -> None:
    feed = rosterd.account()
    person = suspended(rosterd, feed)
    before = rosterd.export()
    assert told(rosterd, "user", "delete", person, "--dry-run")["deleted"] is False
    assert rosterd.export() == before
    assert rosterd.table(tombstones) == []


def test_u5_d16_an_older_event_brings_nobody_back_and_a_newer_create_makes_a_new_person(
    rosterd: Rosterd,
) -> None:
    feed = rosterd.account()
    person = suspended(rosterd, feed)
    deleted(rosterd, person)
    assert rosterd.users() == []
    create(rosterd, feed, 3.5, "older", active=True)
    assert rosterd.outcome("older") == ("superseded", None)
    member = {"group_id": "g1", "user_id": "u1"}
    rosterd.tell(feed, "group.member_added", member, at=3.6, id_="edge")
    assert rosterd.outcome("edge") == ("superseded", None)
    replaced = {"group_id": "g1", "user_ids": ["u1"]}
    rosterd.tell(feed, "group.members_replaced", replaced, at=3.7)
    create(rosterd, feed, 6, "silent")
    assert rosterd.users() == [], "it does not say that the person is active"
    mails = len(rosterd.mails())
    create(rosterd, feed, 7, "newer", active=True)
    (line,) = rosterd.users()
    assert (line["state"], line["external_id"], line["given_name"]) == ("invited", "u1", None)
    assert [x for x in rosterd.export() if x["kind"] == "membership"] == []
    assert at(rosterd, "u1@example.com")["id"] != person
    assert len(rosterd.mails()) == mails + 1
    create(rosterd, feed, 3.8, "late", active=False)
    rosterd.tell(feed, "user.suspended", {"id": "u1"}, at=3.9)
    assert rosterd.user("u1")["state"] == "invited", "the new person has a life of their own"  # type: ignore[index]


def test_u5_the_address_is_free_for_anybody(rosterd: Rosterd) -> None:
    feed = rosterd.account()
    person = suspended(rosterd, feed)
    deleted(rosterd, person)
    rosterd.hire(feed, "u2", "u1@example.com", at=5)
    assert rosterd.user("u2")["state"] == "invited"  # type: ignore[index]


def test_u5_d16_nothing_that_told_of_the_person_stays(rosterd: Rosterd) -> None:
    feed = rosterd.account()
    person = suspended(rosterd, feed, "zz-top")
    rosterd.hire(feed, "zz-top", "zz-top@elsewhere.example", at=3.5)
    told(rosterd, "group", "add", "--account", "acme", "Crew")
    told(rosterd, "group", "member", "add", "Crew", person, "--account", "acme")
    deleted(rosterd, person)
    for table in rows.metadata.sorted_tables:
        for row in rosterd.table(table):
            text = repr(sorted(row.items())).casefold()
            assert "zz-top" not in text, (table.name, text)
            assert "zebulon" not in text, (table.name, text)
    bodies = {rosterd.parts.vault.open(row["body"]) for row in rosterd.table(rows.deliveries)}
    assert not [body for body in bodies if b"Zebulon" in body]
    (entry,) = rosterd.table(rows.audit, rows.audit.c.action == "user.delete")
    assert (entry["subject"], entry["reason"]) == (person, "r")
    assert rosterd.dead() == []
    assert len(rosterd.table(tombstones)) == 1
    assert len(rosterd.table(erasure_keys)) == 1
    walked = list(read_all(rosterd.parts.database, rosterd.parts.vault))
    assert any(one.table == "erasure_keys" and not one.unreadable for one in walked)


def test_u5_not_while_something_about_the_person_is_open(rosterd: Rosterd) -> None:
    feed = rosterd.account()
    person = suspended(rosterd, feed)
    rosterd.tell(feed, "user.reactivated", {"id": "u1"}, at=5, drain=False)
    refused = told(rosterd, "user", "delete", person, "--yes", code=1)
    assert "not applied yet" in refused["error"]
    rosterd.drain()
    assert rosterd.user("u1")["state"] == "active"  # type: ignore[index]


def test_u5_of_people_by_hand(rosterd: Rosterd) -> None:
    rosterd.account()
    bo = added(rosterd, "bo@example.com", "--active")
    told(rosterd, "user", "suspend", bo)
    deleted(rosterd, bo)
    assert rosterd.users() == []
    assert rosterd.cli("user", "show", bo).returncode == 3
    added(rosterd, "bo@example.com")


def test_u5_e5_the_one_who_was_replaced_goes_and_the_new_one_stays(rosterd: Rosterd) -> None:
    feed = rosterd.account()
    old = suspended(rosterd, feed)
    rosterd.hire(feed, "u1", "new@example.com", at=5, active=True)
    assert rosterd.user("u1")["email"] == "new@example.com"  # type: ignore[index]
    deleted(rosterd, old)
    assert [u["email"] for u in rosterd.users()] == ["new@example.com"]
    assert rosterd.accept("new@example.com") == 200
    rosterd.tell(feed, "user.suspended", {"id": "u1"}, at=6)
    assert rosterd.user("u1")["state"] == "suspended"  # type: ignore[index]


@pytest.mark.parametrize("name", ["u1", "never-seen"])
def test_u5_the_tombstone_is_a_digest_of_the_accounts_own(rosterd: Rosterd, name: str) -> None:
    stones = []
    for account in ("alpha", "beta"):
        feed = rosterd.account(name=account)
        rosterd.hire(feed, name, at=1)
        rosterd.tell(feed, "user.suspended", {"id": name}, at=2)
        (person,) = [p for p in rosterd.table(rows.people) if p["account_id"] == rosterd.account_id]
        deleted(rosterd, person["id"])
        stones = rosterd.table(tombstones)
    assert len({stone["id"] for stone in stones}) == 2
    assert len({stone["address"] for stone in stones}) == 2


def test_u5_a_deletion_beside_a_drain_that_waits_for_the_same_subject(
    postgres_url: str, tmp_path: Path
) -> None:
    rosterd = Rosterd(postgres_url, tmp_path)
    with rosterd.serving():
        feed = rosterd.account()
        person = suspended(rosterd, feed)
        member = {"group_id": "g2", "user_id": "u1"}
        rosterd.tell(feed, "group.member_added", member, at=3.5, id_="edge", drain=False)
        with beside(rosterd) as other:
            lock(other, "u1")
            threads = [later(lambda: attempt(rosterd, person)), later(rosterd.drain)]
            await_true(lambda: waiting_for_locks(other) >= 2, name="both wait")
            other.rollback()
        for thread in threads:
            thread.join(timeout=30)
        attempt(rosterd, person)
        rosterd.drain()
        assert rosterd.outcome("edge")[0] in {"superseded", "discarded"}, "it waited for its group"
        assert [line["kind"] for line in rosterd.export()] == ["group"]
        assert rosterd.users() == []
    rosterd.close()


def test_u5_a_deletion_that_a_drain_learns_of_only_behind_its_locks(
    postgres_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The connection's first: when the drain asked for its policy, nobody had been deleted yet."""
    rosterd = Rosterd(postgres_url, tmp_path)
    with rosterd.serving():
        feed = rosterd.account()
        deleted(rosterd, suspended(rosterd, feed))
        stones = rosterd.table(tombstones)
        _say(rosterd, delete(tombstones))
        told_of = DirectDirectory.know

        def know(self: DirectDirectory, around: Surroundings) -> None:
            """The deletion commits between the policy and the locks."""
            _say(rosterd, insert(tombstones).values(stones))
            told_of(self, around)

        with monkeypatch.context() as patch:
            patch.setattr(DirectDirectory, "know", know)
            create(rosterd, feed, 3.5, "old")
        assert rosterd.outcome("old")[0] == "superseded"
        assert rosterd.users() == []
    rosterd.close()


def _say(rosterd: Rosterd, statement: Any) -> None:
    with rosterd.parts.database.begin() as connection:
        connection.execute(statement)
        connection.commit()


def attempt(rosterd: Rosterd, person: str) -> None:
    """Refused while the event is open, and done once."""
    with suppress(RefusedError, NothingFoundError):
        rosterd.parts.people.delete(person, actor="test", reason="r")


def waiting_for_locks(other: psycopg.Connection) -> int:
    told = (
        "SELECT count(*) FROM pg_stat_activity "
        "WHERE wait_event_type = 'Lock' AND datname = current_database()"
    )
    # A transaction sees who does what as it was when it first looked.
    other.execute("SELECT pg_stat_clear_snapshot()")
    return int(other.execute(told).fetchall()[0][0])


def test_u5_c1_who_was_moved_is_forgotten_at_both_connections(rosterd: Rosterd) -> None:
    first = rosterd.account(several=True)
    other = rosterd.connect("acme", name="second")
    person = suspended(rosterd, first, "zz-top")
    move = ("user", "move", person, "--to", other.connection, "--external-id", "zz-other")
    assert rosterd.cli(*move, "--reason", "r").returncode == 0
    deleted(rosterd, person)
    assert len(rosterd.table(tombstones)) == 2
    for table in (rows.users, rows.people, rows.memberships, rows.audit, rows.decisions):
        told_of = repr(rosterd.table(table)).casefold()
        assert not [mark for mark in ("zz-top", "zz-other", "zebulon") if mark in told_of], table


def test_u5_c1_a_person_moved_onto_a_deleted_external_id_hears_nothing_older(
    rosterd: Rosterd,
) -> None:
    first = rosterd.account(several=True)
    other = rosterd.connect("acme", name="second")
    deleted(rosterd, suspended(rosterd, first))
    rosterd.hire(other, "b1", "bo@example.com", at=10)
    person = at(rosterd, "bo@example.com")["id"]
    move = ("user", "move", person, "--to", first.connection, "--external-id", "u1")
    assert rosterd.cli(*move, "--reason", "r").returncode == 0
    create(rosterd, first, 3.5, "older", active=True)
    rosterd.tell(first, "user.suspended", {"id": "u1"}, at=3.6, id_="left")
    member = {"group_id": "g1", "user_id": "u1"}
    rosterd.tell(first, "group.member_added", member, at=3.7, id_="edge")
    assert {rosterd.outcome(name) for name in ("older", "left", "edge")} == {("superseded", None)}
    (line,) = rosterd.users()
    told_now = (line["external_id"], line["email"], line["requested_email"], line["state"])
    assert told_now == ("u1", "bo@example.com", "bo@example.com", "invited")
    rosterd.tell(first, "user.suspended", {"id": "u1"}, at=20)
    assert rosterd.user("u1")["state"] == "invited_suspended"  # type: ignore[index]


def dump(rosterd: Rosterd) -> dict[str, str]:
    """Every row of every table as text, what is sealed opened, by table."""
    vault = rosterd.parts.vault

    def opened(name: str, value: Any) -> Any:
        sealed = name in {"ciphertext", "secret", "payload", "headers", "body", "answer", "request"}
        return vault.open(value) if sealed and value else value

    return {
        table.name: repr(
            [{n: opened(n, v) for n, v in row.items()} for row in rosterd.table(table)]
        ).casefold()
        for table in rows.metadata.sorted_tables
    }


def test_u5_d16_what_others_rows_say_of_the_person_goes_too(rosterd: Rosterd) -> None:
    feed = rosterd.account(breaker_min="1", breaker_percent="0")
    rosterd.cli("operator", "add", "ops@example.org", "--role", "admin")
    app = Client(rosterd, "directory:read", "directory:write")
    person = suspended(rosterd, feed, "zz-top")
    rosterd.hire(feed, "u2", at=2)
    path, asked = f"/users/{person}", {"role": "administrator"}
    app.write("PATCH", path, asked, idempotency_key="role", X_Reason="a drill")
    other = app.post("/users", {"email": "cy@example.com"}, 201, idempotency_key="other")
    # Somebody else asks for the address, is told who has it, and is given up on.
    rosterd.hire(feed, "u3", "zz-top@example.com", at=1)
    (waiting,) = rosterd.events(rows.events.c.state == "waiting")
    with rosterd.setup() as use:
        long_ago = use.now - timedelta(days=2)
        mine = rows.events.c.id == waiting["id"]
        use.sql.execute(update(rows.events).where(mine).values(waiting_since=long_ago))
        use.sql.execute(update(rows.events).where(mine).values(due_at=use.now))
    rosterd.drain()
    assert "zz-top" in rosterd.dead()[0]["last_error"], "or the test proves less than it seems to"
    replay = ("dead", "replay", "--account", "acme", "--detail", "zz-top@example.com")
    rosterd.cli(*replay, "--reason", "r", "--yes", "--wait", "0")
    rosterd.drain()
    # The breaker names whom it holds, in an alert and in a mail that is not out.
    rosterd.tell(feed, "user.reactivated", {"id": "zz-top"}, at=30)
    for key in ("u2", "zz-top"):
        rosterd.tell(feed, "user.suspended", {"id": key}, at=31)
    rosterd.parts.sweep.run()
    (held,) = rosterd.json("hold", "list")
    rosterd.cli("hold", "approve", held["id"], "--reason", "r", "--yes")
    rosterd.drain()
    told_of = {name for name, text in dump(rosterd).items() if "zz-top" in text}
    assert {"api_answers", "dead_letters", "notices", "attempts"} <= told_of
    deleted(rosterd, person)
    left = {name: text for name, text in dump(rosterd).items() if "zz-top" in text}
    assert set(left) <= {"deliveries", "users", "waits"}, "what somebody else asked for"
    assert not [name for name, text in left.items() if re.search(r"zz-top(?!@example)", text)]
    for name, text in dump(rosterd).items():
        assert "zebulon" not in text, name
    headers = {"Idempotency-Key": "role", "X-Reason": "a drill"}
    is_problem(app.ask("PATCH", path, json=asked, headers=headers), 404, "not_found")
    again = app.post("/users", {"email": "cy@example.com"}, 201, idempotency_key="other")
    assert again == other, "others' answers stay"


def test_u5_what_waits_for_somebody_deleted_for_good_becomes_no_dead_letter(
    rosterd: Rosterd,
) -> None:
    """Its words are gone: woken, it was one that nobody can read."""
    feed = rosterd.account()
    rosterd.hire(feed, "u1")
    rosterd.tell(feed, "group.member_added", {"group_id": "g1", "user_id": "u1"}, id_="in")
    assert rosterd.outcome("in")[0] == "waiting"
    rosterd.tell(feed, "user.suspended", {"id": "u1"})
    (person,) = rosterd.table(rows.people)
    rosterd.parts.people.delete(person["id"], actor="test", reason="asked for")
    rosterd.tell(feed, "group.upserted", {"id": "g1", "name": "Group"})
    assert rosterd.dead() == []
    assert rosterd.outcome("in")[0] == "discarded"
    assert rosterd.table(rows.waits) == []
    assert rosterd.users() == []

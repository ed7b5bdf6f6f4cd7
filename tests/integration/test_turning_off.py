"""Pausing, resuming and retiring connections (C2, C7), and one connection an account (C1)."""

from __future__ import annotations

import json
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from domain.errors import UsageError
from domain.inbox import Kind
from tests.harness import Feed, Rosterd
from worker.adapters.db import ingest, rows
from worker.services import drain as draining


def lived(rosterd: Rosterd) -> Feed:
    """Somebody active, one with an address to confirm, invited, suspended; a group."""
    feed = rosterd.account(owner="owner@example.com")
    rosterd.tell(feed, "group.upserted", {"id": "g1", "name": "Engineering"})
    for key in ("ana", "ben", "cleo"):
        rosterd.hire(feed, key)
        rosterd.accept(f"{key}@example.com")
        rosterd.tell(feed, "group.member_added", {"group_id": "g1", "user_id": key})
    rosterd.hire(feed, "dan")
    rosterd.tell(feed, "user.email_changed", {"id": "ben", "email": "ben2@example.com"})
    rosterd.tell(feed, "user.suspended", {"id": "cleo"})
    return feed


def states(rosterd: Rosterd) -> dict[str, tuple[str, bool]]:
    return {line["email"]: (line["state"], line["managed"]) for line in rosterd.users()}


def test_c7_turning_off_suspends_nobody_and_mails_nobody(rosterd: Rosterd) -> None:
    feed = lived(rosterd)
    change, before = rosterd.link("ben2@example.com"), len(rosterd.mails())
    memberships = [x for x in rosterd.export() if x["kind"] == "membership"]
    done = rosterd.cli(
        "connection", "retire", feed.connection, "--reason", "left Okta", "--yes", "--json"
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert (told["people"], told["invitations"], told["pending"], told["groups"]) == (4, 1, 1, 1)
    assert states(rosterd) == {
        "owner@example.com": ("active", False),
        "ana@example.com": ("active", False),
        "ben@example.com": ("active", False),
        "cleo@example.com": ("suspended", False),
        "dan@example.com": ("invited", False),
    }
    assert len(rosterd.mails()) == before
    assert [x["managed"] for x in rosterd.export() if x["kind"] == "group"] == [False]
    assert [x for x in rosterd.export() if x["kind"] == "membership"] == memberships
    assert rosterd.http.post(change).status_code == 410, "the pending address lapses"
    assert rosterd.accept("dan@example.com") == 200, "the open invitation stays valid"
    assert states(rosterd)["dan@example.com"] == ("active", False)
    kept = {row["key"] for row in rosterd.table(rows.users) if row["person_id"]}
    assert kept == {"ana", "ben", "cleo", "dan"}, "links are kept"


def test_c7_an_invitation_that_was_not_sent_yet_is_sent_all_the_same(rosterd: Rosterd) -> None:
    feed = rosterd.account()
    rosterd.hire(feed, "ana")
    rosterd.cli("connection", "retire", feed.connection, "--reason", "x", "--yes")
    assert rosterd.accept("ana@example.com") == 200


def test_c7_the_lapsed_address_is_free_for_others(rosterd: Rosterd) -> None:
    feed = lived(rosterd)
    rosterd.cli("connection", "retire", feed.connection, "--reason", "x", "--yes")
    done = rosterd.cli("user", "add", "--account", "acme", "ben2@example.com")
    assert done.returncode == 0, done.stderr


def test_c7_a_dry_run_tells_the_numbers_and_changes_nothing(rosterd: Rosterd) -> None:
    feed = lived(rosterd)
    rosterd.hire(feed, "eve", "eve@elsewhere.example")
    rosterd.tell(feed, "user.suspended", {"id": "ana"}, drain=False)
    before = rosterd.export()
    words = ("connection", "retire", feed.connection, "--reason", "x", "--json")
    told = json.loads(rosterd.cli(*words, "--dry-run").stdout)
    assert rosterd.export() == before
    assert (told["events"], told["letters"], told["credentials"]) == (1, 1, 1)
    rosterd.drain()
    assert states(rosterd)["ana@example.com"] == ("suspended", True)
    spoken = rosterd.cli("connection", "retire", feed.connection, "--reason", "x", "--dry-run")
    assert "4 people leave management" in spoken.stdout


def test_c7_what_is_open_at_that_moment_ends_visibly(rosterd: Rosterd) -> None:
    feed = lived(rosterd)
    rosterd.tell(feed, "user.upserted", {"id": "x", "email": "dan@example.com"}, id_="waits")
    rosterd.tell(feed, "user.suspended", {"id": "ben"}, id_="later", drain=False)
    rosterd.cli("connection", "pause", feed.connection, "--reason", "x")
    rosterd.cli("connection", "retire", feed.connection, "--reason", "x", "--yes")
    rosterd.drain()
    assert rosterd.outcome("waits") == ("ignored", "retired")
    assert rosterd.outcome("later") == ("ignored", "retired")
    assert states(rosterd)["ben@example.com"] == ("active", False)
    assert rosterd.table(rows.waits) == []
    (number,) = [row["id"] for row in rosterd.events() if row["external_id"] == "later"]
    assert "was retired before" in rosterd.cli("event", "show", str(number)).stdout


def test_c7_is_for_good_and_says_what_to_do_instead(rosterd: Rosterd) -> None:
    feed = lived(rosterd)
    rosterd.cli("connection", "retire", feed.connection, "--reason", "x", "--yes")
    for verb in ("retire", "resume", "pause"):
        done = rosterd.cli("connection", verb, feed.connection, "--reason", "x")
        assert done.returncode == 1, verb
        assert "connection replace" in done.stderr, verb
        assert done.stdout == "", "refused before anything is told or asked"
    asked = rosterd.cli("connection", "retire", feed.connection, "--reason", "x", "--dry-run")
    assert (asked.returncode, asked.stdout) == (1, "")


def test_c7_a_dead_letter_replayed_afterwards_moves_nobody(rosterd: Rosterd) -> None:
    feed = lived(rosterd)
    rosterd.tell(feed, "user.upserted", {"id": "z", "email": "z@elsewhere.example"}, id_="dead")
    rosterd.cli("connection", "retire", feed.connection, "--reason", "x", "--yes")
    rosterd.allow("elsewhere.example")
    (letter,) = rosterd.dead()
    words = ("dead", "replay", str(letter["event_id"]), "--reason", "x", "--yes", "--wait", "0")
    assert "1 skipped(retired)" in rosterd.cli(*words).stdout
    rosterd.drain()
    rosterd.parts.sweep.run()
    assert rosterd.outcome("dead") == ("dead", "domain_not_allowed")
    assert "z@elsewhere.example" not in states(rosterd)


def test_c7_credentials_die_at_once_where_a_process_remembers_the_feed(
    database_url: str, tmp_path: Path
) -> None:
    rosterd = Rosterd(database_url, tmp_path)
    rosterd.parts = type(rosterd.parts)(
        rosterd.settings.model_copy(update={"feed_cache_seconds": 60.0})
    )
    with rosterd.serving():
        feed = rosterd.account()
        rosterd.hire(feed, "ana")
        rosterd.cli("connection", "retire", feed.connection, "--reason", "x", "--yes")
        assert rosterd.tell(feed, "user.suspended", {"id": "ana"}, drain=False) == 401
        assert len(rosterd.events()) == len(rosterd.table(rows.deliveries)) == 1
    rosterd.close()


def test_c2_the_next_request_is_held_or_not_where_a_process_remembers_the_feed(
    database_url: str, tmp_path: Path
) -> None:
    rosterd = Rosterd(database_url, tmp_path)
    rosterd.parts = type(rosterd.parts)(
        rosterd.settings.model_copy(update={"feed_cache_seconds": 60.0})
    )
    with rosterd.serving():
        feed = rosterd.account()
        rosterd.hire(feed, "ana")
        rosterd.cli("connection", "pause", feed.connection, "--reason", "x")
        assert rosterd.tell(feed, "user.suspended", {"id": "ana"}, id_="held") == 200
        assert rosterd.outcome("held")[0] == "held"
        rosterd.cli("connection", "resume", feed.connection)
        rosterd.tell(feed, "user.reactivated", {"id": "ana"}, id_="next")
        assert rosterd.outcome("next")[0] == "applied"
    rosterd.close()


def meanwhile(monkeypatch: pytest.MonkeyPatch, act: Any) -> None:
    """Do something between a request's look at the state and its commit, once."""
    storing: Any = ingest._Storing
    insert = storing.insert_deliveries
    left = [act]

    def late(self: Any) -> None:
        if left:
            left.pop()()
        insert(self)

    monkeypatch.setattr(storing, "insert_deliveries", late)


def test_c7_a_request_in_flight_is_stored_whole_and_ends_as_retired(
    on_postgres: Rosterd, monkeypatch: pytest.MonkeyPatch
) -> None:
    rosterd, feed = on_postgres, lived(on_postgres)
    words = ("connection", "retire", feed.connection, "--reason", "x", "--yes")
    meanwhile(monkeypatch, lambda: rosterd.cli(*words))
    assert rosterd.tell(feed, "user.suspended", {"id": "ana"}, id_="flying") == 200
    assert rosterd.outcome("flying")[0] == "pending"
    rosterd.parts.sweep.run()
    rosterd.drain()
    assert rosterd.outcome("flying") == ("ignored", "retired")
    assert states(rosterd)["ana@example.com"] == ("active", False)


def test_c2_a_request_that_meets_the_resume_does_not_stay_held(
    on_postgres: Rosterd, monkeypatch: pytest.MonkeyPatch
) -> None:
    rosterd, feed = on_postgres, lived(on_postgres)
    rosterd.cli("connection", "pause", feed.connection, "--reason", "x")
    meanwhile(monkeypatch, lambda: rosterd.cli("connection", "resume", feed.connection))
    rosterd.tell(feed, "user.suspended", {"id": "ana"}, id_="flying")
    assert rosterd.outcome("flying")[0] == "held"
    rosterd.parts.sweep.run()
    rosterd.drain()
    assert rosterd.outcome("flying")[0] == "applied"


def test_c2_held_events_apply_by_their_stamps_once_resumed(rosterd: Rosterd) -> None:
    feed = rosterd.account()
    rosterd.hire(feed, "ana")
    rosterd.accept("ana@example.com")
    rosterd.cli("connection", "pause", feed.connection, "--reason", "upgrade of the app")
    rosterd.tell(feed, "user.reactivated", {"id": "ana"}, at=200, id_="later")
    rosterd.tell(feed, "user.suspended", {"id": "ana"}, at=100, id_="earlier")
    rosterd.tell(feed, "user.suspended", {"id": "ana"}, at=100, id_="earlier")
    rosterd.parts.sweep.run()
    rosterd.drain()
    assert {rosterd.outcome(name) for name in ("later", "earlier")} == {("held", "paused")}
    assert "is paused" in rosterd.cli("status").stdout
    assert "is paused, 2 events" in rosterd.cli("doctor").stdout
    snapshot = rosterd.parts.gauges.snapshot()
    assert list(snapshot.suspensions) == [feed.connection], "a held suspension counts"
    assert "rosterd_connection_paused" in {m.name for m in rosterd.parts.state_gauges()}
    rosterd.cli("connection", "resume", feed.connection)
    rosterd.drain()
    assert rosterd.user("ana")["state"] == "active"  # type: ignore[index]
    assert rosterd.outcome("earlier")[0] != "held"


def test_c2_resuming_leaves_what_a_paused_feed_holds(rosterd: Rosterd) -> None:
    feed = rosterd.account()
    other = rosterd.feed(feed)
    rosterd.cli("feed", "pause", other.id, "--reason", "x")
    rosterd.tell(other, "user.upserted", {"id": "b", "email": "b@example.com"}, id_="theirs")
    rosterd.cli("connection", "pause", feed.connection, "--reason", "x")
    rosterd.tell(feed, "user.upserted", {"id": "a", "email": "a@example.com"}, id_="ours")
    rosterd.cli("connection", "resume", feed.connection)
    rosterd.parts.sweep.run()
    rosterd.drain()
    assert (rosterd.outcome("ours")[0], rosterd.outcome("theirs")[0]) == ("applied", "held")


def test_c2_pausing_beside_a_drain_loses_nothing(
    on_postgres: Rosterd, monkeypatch: pytest.MonkeyPatch
) -> None:
    rosterd = on_postgres
    feed = rosterd.account()
    for number in range(6):
        data = {"id": f"u{number}", "email": f"u{number}@example.com"}
        rosterd.tell(feed, "user.upserted", data, drain=False)
    claimed, go_on = threading.Event(), threading.Event()
    load = vars(draining)["load"]

    def slow(*args: Any) -> Any:
        claimed.set()
        assert go_on.wait(20)
        return load(*args)

    monkeypatch.setattr(draining, "load", slow)
    drain = rosterd.parts.drain
    with ThreadPoolExecutor(2) as pool:
        work = pool.submit(
            drain.run,
            lane="standard",
            kind=Kind.USERS_CREATE,
            budget=timedelta(seconds=0),
        )
        assert claimed.wait(20)
        pausing = pool.submit(
            rosterd.cli, "connection", "pause", feed.connection, "--reason", "stop"
        )
        go_on.set()
        work.result()
        assert pausing.result().returncode == 0
    found = {row["state"] for row in rosterd.events()}
    assert found <= {"ended", "held"}, found
    rosterd.cli("connection", "resume", feed.connection)
    rosterd.drain()
    assert {row["outcome"] for row in rosterd.events()} == {"applied"}
    assert len(rosterd.users()) == 6


def test_c2_resuming_with_thousands_held_leaves_others_their_turn(rosterd: Rosterd) -> None:
    feed = rosterd.account(several=True)
    other = rosterd.connect("acme", name="other")
    rosterd.cli("connection", "pause", feed.connection, "--reason", "x")
    document = {
        "events": [
            {
                "id": f"e{number}",
                "type": "user.upserted",
                "timestamp": rosterd.at(number / 1000).isoformat(),
                "data": {"id": f"u{number}", "email": f"u{number}@example.com"},
            }
            for number in range(1500)
        ]
    }
    body = json.dumps(document).encode()
    assert rosterd.post(rosterd.signed(feed, body, id_="many")) == 200
    rosterd.cli("connection", "resume", feed.connection)
    rosterd.tell(other, "user.upserted", {"id": "x", "email": "x@example.com"}, drain=False)
    lane = {"lane": "standard", "kind": Kind.USERS_CREATE, "budget": timedelta(0)}
    tally, is_more = rosterd.parts.drain.run(**lane)  # type: ignore[arg-type]
    assert is_more
    assert tally.claimed < 1500
    assert "x@example.com" in states(rosterd), "within the first batch"


def test_c1_a_second_connection_is_refused_where_one_governs(rosterd: Rosterd) -> None:
    rosterd.account()
    words = ("connection", "add", "--account", "acme", "--source", "standard", "--name", "second")
    refused = rosterd.cli(*words)
    assert refused.returncode == 2
    assert "account set acme --several on" in refused.stderr
    assert rosterd.cli(*words, "--observe").returncode == 0, "one that observes governs nobody"
    assert rosterd.cli("connection", "resume", "second").returncode == 1
    live = ("connection", "go-live", "second", "--reason", "x", "--yes", "--wait", "0")
    assert rosterd.cli(*live).returncode != 0
    assert rosterd.cli("account", "set", "acme", "--several", "on").returncode == 0
    assert rosterd.cli(*live).returncode == 0
    off = rosterd.cli("account", "set", "acme", "--several", "off")
    assert off.returncode == 1
    assert "second, standard" in off.stderr
    rosterd.cli("connection", "retire", "second", "--reason", "x", "--yes")
    assert rosterd.cli("account", "set", "acme", "--several", "off").returncode == 0
    (audit, *_) = rosterd.table(rows.audit, rows.audit.c.action == "account.set")
    assert json.loads(audit["after"]) == {"several": True}


def test_c1_of_two_connections_added_at_once_one_is_refused(on_postgres: Rosterd) -> None:
    with on_postgres.setup() as use:
        use.add_account("acme", owner=None, domains=[], parent=None, several=False)
    with ThreadPoolExecutor(2) as pool:
        codes = list(pool.map(lambda name: _added(on_postgres, name), ["one", "two"]))
    assert sorted(codes) == [False, True]


def _added(rosterd: Rosterd, name: str) -> bool:
    try:
        rosterd.connect("acme", name=name)
    except UsageError:
        return False
    return True


def test_c4_accounts_are_listed_as_a_tree_with_their_counts(rosterd: Rosterd) -> None:
    rosterd.account(name="msp")
    for name, parent in (("zeta", "msp"), ("alpha", "zeta"), ("beta", None)):
        more = ("--parent", parent) if parent else ()
        assert rosterd.cli("account", "add", name, *more).returncode == 0
    listed = json.loads(rosterd.cli("account", "list", "--json").stdout)
    told = [(row["name"], row["depth"]) for row in listed]
    assert told == [("beta", 0), ("msp", 0), ("zeta", 1), ("alpha", 2)]
    shown = json.loads(rosterd.cli("account", "show", "msp", "--json").stdout)
    assert [child["name"] for child in shown["children"]] == ["alpha", "zeta"]
    assert shown["connections"] == 1

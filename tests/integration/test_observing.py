"""S4: an observing connection stores, decides and shows; going live does what was shown."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from domain.inbox import Kind
from tests.harness import Feed, Rosterd
from worker.adapters.db import rows


def observing(rosterd: Rosterd, *, source: str = "standard", **settings: str) -> Feed:
    """An account with somebody in it whom no provider made, and a connection that observes."""
    with rosterd.setup() as use:
        rosterd.account_id = use.add_account(
            "acme", owner=None, domains=["example.com"], parent=None, several=False
        )
    cli(rosterd, "user", "add", "--account", "acme", "known@example.com", *ACTIVE)
    words = ["connection", "add", "--account", "acme", "--source", source, "--observe"]
    for name, value in settings.items():
        words += ["--set", f"{name}={value}"]
    made = told(rosterd, *words)
    return Feed(made["feed"], made["id"], made["signing_secret"])


ACTIVE = ("--active", "--reason", "x")


def cli(rosterd: Rosterd, *words: str, code: int = 0) -> str:
    done = rosterd.cli(*words)
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout + done.stderr


def told(rosterd: Rosterd, *words: str) -> Any:
    return json.loads(cli(rosterd, *words, "--json"))


def history(rosterd: Rosterd, feed: Feed, count: int = 6) -> None:
    """People who come, move, leave and are hired again; groups; a stranger; a refusal."""
    for number in range(count):
        rosterd.hire(feed, f"u{number}", drain=False)
    for type_, data in (
        ("user.upserted", {"id": "k", "email": "known@example.com", "given_name": "Kay"}),
        ("user.upserted", {"id": "x", "email": "x@elsewhere.org"}),
        ("user.upserted", {"id": "guest", "email": "guest@example.com", "user_type": "guest"}),
        ("group.upserted", {"id": "g1", "name": "one"}),
        ("group.members_replaced", {"group_id": "g1", "user_ids": ["u0", "u1", "u2"]}),
        ("group.member_removed", {"group_id": "g1", "user_id": "u2"}),
        ("group.member_added", {"group_id": "g1", "user_id": "nobody"}),
        ("user.suspended", {"id": "u1"}),
        ("user.upserted", {"id": "again", "email": "u1@example.com"}),
        ("user.email_changed", {"id": "again", "email": "else@example.com"}),
        ("user.email_changed", {"id": "u3", "email": "moved@example.com"}),
        ("user.suspended", {"id": "u4"}),
        ("user.reactivated", {"id": "u4"}),
    ):
        rosterd.tell(feed, type_, data, drain=False)
    rosterd.drain()


def contents(rosterd: Rosterd) -> dict[str, Any]:
    # Requests are counted a second later, by a thread of their own.
    known = {"plans", "audit", "batch_markers", "receipts"}
    return {
        t.name: sorted(map(repr, rosterd.table(t)))
        for t in rows.metadata.sorted_tables
        if t.name not in known
    }


def test_s4_everything_is_stored_shown_and_nothing_applied(rosterd: Rosterd) -> None:
    feed = observing(rosterd)
    history(rosterd, feed)
    events = rosterd.events()
    assert {(e["state"], e["reason"], e["due_at"]) for e in events} == {("held", "observing", None)}
    assert [line["email"] for line in rosterd.users()] == ["known@example.com"]
    before = contents(rosterd)
    plan = told(rosterd, "connection", "plan", feed.connection)
    assert plan["people"] == {"invite": 6, "link": 1}
    assert contents(rosterd) == before
    rosterd.parts.sweep.run()
    rosterd.drain()
    assert contents(rosterd)["events"] == before["events"]
    assert rosterd.mails() == []
    seen = told(rosterd, "connection", "watch", feed.connection, "--wait", "0")
    assert seen["state"] == "held"


def test_s4_what_was_announced_is_what_happens(rosterd: Rosterd, tmp_path: Path) -> None:
    feed = observing(rosterd)
    history(rosterd, feed)
    everybody = tmp_path / "everybody"
    plan = told(rosterd, "connection", "plan", feed.connection, "--people", str(everybody))
    lines = [json.loads(line) for line in everybody.read_text().splitlines()]
    by_id = {line["external_id"]: (line["does"], line["email"], line["state"]) for line in lines}
    assert by_id == {
        "u0": ("invite", "u0@example.com", "invited"),
        "again": ("invite", "else@example.com", "invited"),
        "u2": ("invite", "u2@example.com", "invited"),
        "u3": ("invite", "moved@example.com", "invited"),
        "u4": ("invite", "u4@example.com", "invited"),
        "u5": ("invite", "u5@example.com", "invited"),
        "k": ("link", "known@example.com", "active"),
    }
    assert plan["people"] == {"invite": 6, "link": 1}
    refused = [c for c in plan["counts"] if c["outcome"] == "dead"]
    assert [(c["events"], c["reason"]) for c in refused] == [(1, "domain_not_allowed")]
    assert "elsewhere.org" in refused[0]["why"]
    said = cli(rosterd, "connection", "plan", feed.connection)
    assert "would invite 6, link 1, have 1 groups with" in said
    assert "refuse 1 because domain elsewhere.org is not on" in said
    words = ("connection", "go-live", feed.connection, "--reason", "agreed", "--wait", "0")
    gone = told(rosterd, *words, "--plan", plan["plan"])
    assert gone["events"] == plan["events"] == 19
    assert {e["lane"] for e in rosterd.events()} == {"bulk"}
    rosterd.drain()
    with rosterd.setup() as use:
        happened = use.happened(feed.connection, gone["plan"])
    assert happened.as_dict() == {k: v for k, v in plan.items() if k in happened.as_dict()}
    states = {u["external_id"]: (u["email"], u["state"]) for u in rosterd.users()}
    assert states == {key: (email, state) for key, (_, email, state) in by_id.items()}
    rosterd.hire(feed, "later")
    assert rosterd.user("later") is not None, "and from now on it is live"
    (entry,) = rosterd.table(rows.audit, rows.audit.c.action == "connection.go_live")
    assert entry["reason"] == "agreed"
    again = cli(rosterd, *words, "--yes", code=1)
    assert "is active" in again


def test_s4_g4_a_history_of_many_batches_happens_as_it_was_announced(
    database_url: str, tmp_path: Path
) -> None:
    rosterd = Rosterd(database_url, tmp_path, batch_size=3)
    with rosterd.serving():
        feed = observing(rosterd, breaker_min="2", breaker_percent="0")
        history(rosterd, feed, 12)
        for number in range(6, 12):
            rosterd.tell(feed, "user.suspended", {"id": f"u{number}"}, drain=False)
        for number in range(6):
            rosterd.hire(feed, f"harmless{number}", drain=False)
        plan = rosterd.parts.observe.plan(feed.connection)
        assert (plan.events, plan.held) == (37, 9)
        with rosterd.setup() as use:
            found = use.connection(feed.connection)
            kept = use.keep_plan(found, plan, None)
            use.go_live(found, scope=None, plan=kept, reason="x")
        rosterd.drain()
        with rosterd.setup() as use:
            assert use.happened(feed.connection, kept).as_dict() == plan.as_dict()
    rosterd.close()


def test_s4_a_plan_that_is_out_of_date_is_refused_with_the_difference(rosterd: Rosterd) -> None:
    feed = observing(rosterd)
    history(rosterd, feed)
    plan = told(rosterd, "connection", "plan", feed.connection)["plan"]
    rosterd.hire(feed, "late")
    words = ("connection", "go-live", feed.connection, "--reason", "x", "--wait", "0")
    said = cli(rosterd, *words, "--plan", plan, code=1)
    assert "invite: 6 were shown, now 7" in said
    assert "events: 19 were shown, now 20" in said
    assert {e["state"] for e in rosterd.events()} == {"held"}
    cli(rosterd, *words, "--plan", "pln_nobody", code=3)
    cli(rosterd, *words, code=2)
    cli(rosterd, *words, "--plan", plan, "--accept-changes")
    rosterd.drain()
    assert rosterd.user("late") is not None


def test_s4_g4_applied_in_one_go_it_ends_as_if_it_had_been_live(rosterd: Rosterd) -> None:
    feed = observing(rosterd)
    history(rosterd, feed)
    cli(rosterd, "connection", "go-live", feed.connection, "--reason", "x", "--yes", "--wait", "0")
    rosterd.drain()
    observed = rosterd.export()
    live = rosterd.account(name="live")
    cli(rosterd, "user", "add", "--account", "live", "known@example.com", *ACTIVE)
    history(rosterd, live)
    assert rosterd.export() == observed
    actions = {e["action"] for e in rosterd.table(rows.audit, rows.audit.c.event_id.is_not(None))}
    assert "events.sort" not in actions, "the audit says what it was"


def test_s4_c6_going_live_passes_the_breaker_as_the_plan_said(rosterd: Rosterd) -> None:
    feed = observing(rosterd, breaker_min="2", breaker_percent="0")
    for number in range(6):
        rosterd.hire(feed, f"u{number}", drain=False)
    for number in range(5):
        rosterd.tell(feed, "user.suspended", {"id": f"u{number}"}, drain=False)
    plan = told(rosterd, "connection", "plan", feed.connection)
    assert plan["held"] == 3
    assert plan["people"] == {"invite": 4, "add_suspended": 2}
    assert "hold 3 by the breaker" in cli(rosterd, "connection", "plan", feed.connection)
    words = ("connection", "go-live", feed.connection, "--reason", "x", "--wait", "0")
    cli(rosterd, *words, "--plan", plan["plan"])
    rosterd.drain()
    (row,) = told(rosterd, "hold", "list")
    assert row["events"] == 3
    cli(rosterd, "hold", "approve", row["id"], "--reason", "x", "--yes")
    rosterd.drain()
    states = [line["state"] for line in rosterd.users() if line["external_id"]]
    assert sorted(states) == ["invited", *["invited_suspended"] * 5]


def test_s4_s1_without_a_scope_it_may_observe_and_not_go_live(rosterd: Rosterd) -> None:
    feed = observing(rosterd, source="okta")
    words = ("connection", "go-live", feed.connection, "--reason", "x", "--yes", "--wait", "0")
    assert "whom to provision" in cli(rosterd, *words, code=2)
    assert rosterd.table(rows.connections)[0]["state"] == "observing"
    planned = told(rosterd, "connection", "plan", feed.connection, "--scope", "everyone")
    cli(rosterd, *words, "--plan", planned["plan"])
    (found,) = rosterd.table(rows.connections)
    assert (found["state"], found["scope_rule"]) == ("active", "everyone")


def test_s4_c2_a_pause_is_no_way_round_the_plan(rosterd: Rosterd) -> None:
    feed = observing(rosterd)
    rosterd.hire(feed, "u0")
    for words in (("pause", "--reason", "x"), ("resume",)):
        said = cli(rosterd, "connection", words[0], feed.connection, *words[1:], code=1)
        assert "observing" in said
    rosterd.drain()
    assert rosterd.user("u0") is None


def test_s4_a_suspension_that_is_only_observed_raises_no_alarm(rosterd: Rosterd) -> None:
    feed = observing(rosterd)
    rosterd.tell(feed, "user.suspended", {"id": "u0"})
    assert rosterd.parts.gauges.snapshot().suspensions == {}


def test_s4_a_list_as_a_file_is_read_once_and_said(rosterd: Rosterd, tmp_path: Path) -> None:
    feed = observing(rosterd)
    everybody = tmp_path / "everybody.jsonl"
    lines = [{"id": f"u{n}", "email": f"u{n}@example.com", "active": n > 0} for n in range(450)]
    told_ = {"type": "group.members_replaced", "data": {"group_id": "g1", "user_ids": ["u1"]}}
    group = {"type": "group.upserted", "data": {"id": "g1", "name": "one"}}
    everybody.write_text("\n".join(json.dumps(line) for line in (*lines, group, told_)) + "\n")
    assert told(rosterd, "connection", "list")[0]["backfilled"] is None
    assert "acme/standard is not backfilled" in cli(rosterd, "status")
    assert told(rosterd, "connection", "show", feed.connection)[0]["backfilled"] is None
    assert "not backfilled" in rosterd.cli("doctor").stdout
    words = ("connection", "backfill", feed.connection, str(everybody), "--as-of", "2h")
    assert told(rosterd, *words, "--dry-run")["stored"] == 0
    assert rosterd.events() == []
    assert told(rosterd, *words)["stored"] == 452
    assert {(e["lane"], e["state"]) for e in rosterd.events()} == {("bulk", "held")}
    assert told(rosterd, "connection", "list")[0]["backfilled"]
    rosterd.parts.gauges._known = None
    assert "not backfilled" not in cli(rosterd, "status")
    rosterd.hire(feed, "u1", "newer@example.com")
    plan = told(rosterd, "connection", "plan", feed.connection)
    assert plan["people"] == {"invite": 449, "add_suspended": 1}
    cli(rosterd, *_live(feed), "--plan", plan["plan"])
    rosterd.drain()
    assert rosterd.user("u1")["email"] == "newer@example.com", "told later"  # type: ignore[index]
    (entry,) = rosterd.table(rows.audit, rows.audit.c.action == "connection.backfill")
    assert json.loads(entry["after"]) == {"lines": 452, "stored": 452}


def _live(feed: Feed) -> tuple[str, ...]:
    return ("connection", "go-live", feed.connection, "--reason", "x", "--wait", "0")


def test_s4_a_bad_list_is_refused_whole_with_its_lines(rosterd: Rosterd, tmp_path: Path) -> None:
    feed = observing(rosterd)
    bad = tmp_path / "bad.jsonl"
    good = json.dumps({"id": "u1", "email": "u1@example.com"})
    lines = (good, "{", "[]", '{"type": "no.such"}', '{"email": 3}', good)
    bad.write_text("\n".join(lines))
    said = cli(rosterd, "connection", "backfill", feed.connection, str(bad), code=2)
    assert [line in said for line in ("line 2:", "line 3:", "line 4:", "line 5:")] == [True] * 4
    assert "nothing was stored" in said
    assert rosterd.events() == []
    empty = tmp_path / "empty"
    empty.touch()
    cli(rosterd, "connection", "backfill", feed.connection, str(empty), code=2)
    cli(rosterd, "connection", "backfill", feed.connection, str(tmp_path / "none"), code=2)
    assert "no directory to ask" in cli(rosterd, "connection", "backfill", feed.connection, code=1)
    assert told(rosterd, "connection", "list")[0]["backfilled"] is None


def test_s4_a_source_without_a_directory_to_read_says_so(rosterd: Rosterd) -> None:
    feed = observing(rosterd, source="okta")
    said = cli(rosterd, "connection", "backfill", feed.connection, code=1)
    assert "has no access to the directory of okta" in said


def test_s4_nobody_begins_behind_a_batch_of_a_history_that_is_under_way(
    postgres_url: str, tmp_path: Path
) -> None:
    rosterd = Rosterd(postgres_url, tmp_path)
    with rosterd.serving():
        feed = observing(rosterd)
        other = rosterd.account(name="other")
        history(rosterd, feed)
        cli(rosterd, *_live(feed), "--yes")
        rosterd.tell(other, "no.such", {"id": "x"}, drain=False)

        def claim(work: Any, limit: int) -> list[int]:
            found = work.claim(lane="bulk", kind=Kind.SORT, limit=limit, troubled=False)
            return [event.id for event in found]

        order = [e["id"] for e in sorted(rosterd.events(), key=lambda e: e["occurred_at"])]
        mine = [
            number
            for number in order
            if number
            in {e["id"] for e in rosterd.events(rows.events.c.connection_id == feed.connection)}
        ]
        with rosterd.parts.works() as one:
            assert claim(one, 4) == mine[:4]
            with rosterd.parts.works() as two:
                assert claim(two, 4) == []
        with rosterd.parts.works() as two:
            assert claim(two, 4) == mine[:4]
    rosterd.close()


def test_g4_going_live_for_the_first_time_brings_provision_managers(rosterd: Rosterd) -> None:
    feed = observing(rosterd)
    assert "Provision Managers" not in cli(rosterd, "group", "list", "--account", "acme", "--json")
    cli(rosterd, *_live(feed), "--yes")
    assert "Provision Managers" in cli(rosterd, "group", "list", "--account", "acme", "--json")

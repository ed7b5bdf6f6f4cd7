"""C6: what one connection takes away beyond its limit is held until an operator has looked."""

from __future__ import annotations

import json
import re
import threading
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import update

from domain.inbox import Kind
from domain.replays import Selection
from tests.harness import Feed, Rosterd
from worker.adapters.db import rows
from worker.adapters.db.breaker_rows import breaker_marks, breakers, holds
from worker.adapters.db.mail_rows import alerts


def crew(rosterd: Rosterd, count: int = 10, **settings: str) -> Feed:
    """A connection with so many people, whose breaker lets three through."""
    usual: dict[str, Any] = {"breaker_min": "3", "breaker_percent": "0"}
    feed = rosterd.account(**{**usual, **settings})
    for number in range(count):
        data = {"id": f"u{number}", "email": f"u{number}@example.com"}
        rosterd.tell(feed, "user.upserted", data, drain=False)
    rosterd.drain()
    return feed


def suspend(rosterd: Rosterd, feed: Feed, *numbers: int, drain: bool = True) -> None:
    for number in numbers:
        rosterd.tell(feed, "user.suspended", {"id": f"u{number}"}, id_=f"s{number}", drain=False)
    if drain:
        rosterd.drain()


def states(rosterd: Rosterd) -> dict[str, str]:
    return {line["external_id"]: line["state"] for line in rosterd.users()}


def out(rosterd: Rosterd) -> set[str]:
    return {key for key, state in states(rosterd).items() if "suspended" in state}


def held(rosterd: Rosterd) -> list[str]:
    events = rosterd.events(rows.events.c.state == "held")
    assert {e["reason"] for e in events} <= {"breaker"}
    assert all(e["due_at"] is None and e["attempts"] == 0 for e in events)
    return [e["external_id"] for e in events]


def hold(rosterd: Rosterd) -> str:
    (found,) = rosterd.table(holds, holds.c.state == "open")
    return str(found["id"])


def cli(rosterd: Rosterd, *words: str, code: int = 0) -> str:
    done = rosterd.cli(*words)
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout + done.stderr


def age(rosterd: Rosterd, table: Any, column: str, by: timedelta) -> None:
    """As if it had happened so much earlier."""
    with rosterd.parts.database.begin() as connection:
        for row in connection.execute(table.select()).mappings().all():
            mine = [column == row[column.name] for column in table.primary_key]
            then = {column: row[column] - by}
            connection.execute(update(table).where(*mine).values(then))
        connection.commit()


def told(rosterd: Rosterd, *words: str) -> Any:
    return json.loads(cli(rosterd, *words, "--json"))


def test_c6_below_the_limit_nothing_is_held_and_beyond_it_exactly_the_rest(
    rosterd: Rosterd,
) -> None:
    feed = crew(rosterd)
    suspend(rosterd, feed, 0, 1)
    suspend(rosterd, feed, 2)
    assert held(rosterd) == []
    suspend(rosterd, feed, 3, 4, 5)
    assert out(rosterd) == {"u0", "u1", "u2"}
    assert held(rosterd) == ["s3", "s4", "s5"]
    assert len(rosterd.table(holds)) == 1, "one trip, one hold"
    rosterd.parts.sweep.run()
    rosterd.drain()
    assert held(rosterd) == ["s3", "s4", "s5"], "a sweep leaves them"


def test_c6_everything_else_flows_and_so_does_another_connection(rosterd: Rosterd) -> None:
    feed = crew(rosterd)
    suspend(rosterd, feed, 0, 1, 2, 3)
    other = rosterd.account(name="other", breaker_min="3", breaker_percent="0")
    mine = rosterd.account_id
    rosterd.hire(other, "o1")
    rosterd.tell(other, "user.suspended", {"id": "o1"})
    assert states(rosterd) == {"o1": "invited_suspended"}
    rosterd.hire(feed, "new")
    rosterd.tell(feed, "user.upserted", {"id": "u9", "email": "u9@example.com", "given_name": "I"})
    rosterd.tell(feed, "user.reactivated", {"id": "u0"})
    assert mine == rosterd.account_id
    (acme,) = [r["id"] for r in rosterd.table(rows.accounts) if r["name"] == "acme"]
    rosterd.account_id = acme
    assert states(rosterd)["new"] == states(rosterd)["u0"] == "invited"
    assert held(rosterd) == ["s3"]


def test_c6_d17_counted_are_distinct_people_who_really_lost_something(rosterd: Rosterd) -> None:
    feed = crew(rosterd)
    suspend(rosterd, feed, 0)
    for again in range(5):
        rosterd.tell(feed, "user.suspended", {"id": "u0"}, id_=f"again{again}")
        rosterd.tell(feed, "user.suspended", {"id": "nobody"}, id_=f"unknown{again}")
    rosterd.tell(feed, "user.suspended", {"id": "u0"}, id_="again0")
    for _ in range(3):
        rosterd.tell(feed, "user.reactivated", {"id": "u0"})
        rosterd.tell(feed, "user.suspended", {"id": "u0"})
    rosterd.tell(feed, "user.suspended", {"id": "u1"}, at=-7200, id_="older")
    rosterd.tell(feed, "user.reactivated", {"id": "u2"}, at=3000)
    rosterd.tell(feed, "user.suspended", {"id": "u2"}, at=2000, id_="superseded")
    suspend(rosterd, feed, 3)
    rosterd.tell(feed, "user.reactivated", {"id": "u0"})
    rosterd.tell(feed, "user.suspended", {"id": "u0"})
    assert held(rosterd) == [], "u0, u1 and u3"
    suspend(rosterd, feed, 4)
    assert held(rosterd) == ["s4"]


def test_c6_the_limit_is_the_larger_of_a_number_and_a_share_of_the_people(
    rosterd: Rosterd,
) -> None:
    feed = crew(rosterd, 20, breaker_min="1", breaker_percent="20")
    suspend(rosterd, feed, *range(6))
    assert out(rosterd) == {"u0", "u1", "u2", "u3"}, "a fifth of twenty"
    suspend(rosterd, feed, 6)
    age(rosterd, breakers, "people_at", timedelta(hours=2))
    suspend(rosterd, feed, 7)
    assert len(out(rosterd)) == 4, "who went in this window still counts among the people"


def test_c6_the_window_slides(rosterd: Rosterd) -> None:
    feed = crew(rosterd, breaker_window="10m")
    suspend(rosterd, feed, 0, 1)
    age(rosterd, breaker_marks, "at", timedelta(minutes=6))
    suspend(rosterd, feed, 2, 3)
    assert held(rosterd) == ["s3"]
    age(rosterd, breaker_marks, "at", timedelta(minutes=6))
    suspend(rosterd, feed, 4, 5, 6)
    assert held(rosterd) == ["s3", "s6"], "the first two are out of the window"
    age(rosterd, breakers, "people_at", timedelta(hours=1))
    age(rosterd, breaker_marks, "at", timedelta(hours=1))
    suspend(rosterd, feed, 7)
    assert {m["key"] for m in rosterd.table(breaker_marks)} == {"u:u7"}, "and old ones go"


def test_c6_a_hold_outlives_its_window_and_stays_coherent(rosterd: Rosterd) -> None:
    feed = crew(rosterd, breaker_window="10m")
    suspend(rosterd, feed, 0, 1, 2, 3, 4)
    first = told(rosterd, "hold", "list")[0]
    age(rosterd, breaker_marks, "at", timedelta(minutes=11))
    rosterd.parts.sweep.run()
    rosterd.drain()
    assert held(rosterd) == ["s3", "s4"], "time alone lets nothing go"
    rosterd.tell(feed, "user.deleted", {"id": "u4"}, id_="newer")
    suspend(rosterd, feed, 5, 6, 7, 8)
    assert out(rosterd) == {f"u{n}" for n in (0, 1, 2, 4, 5, 6)}, "a window lets its own three"
    assert held(rosterd) == ["s3", "s4", "s7", "s8"]
    (row,) = told(rosterd, "hold", "list")
    assert row["id"] == first["id"], "one connection, one open hold"
    trip = ("counted", "most", "people", "opened_at")
    assert [row[name] for name in trip] == [first[name] for name in trip]
    assert row["events"] == 4
    assert row["explanation"].startswith("would suspend 3 of 10 people"), "u4 is out already"
    cli(rosterd, "hold", "approve", row["id"], "--reason", "x", "--yes")
    rosterd.drain()
    assert out(rosterd) == {f"u{n}" for n in range(9)}
    assert {rosterd.outcome(f"s{n}")[0] for n in (3, 7, 8)} == {"applied"}
    assert rosterd.outcome("s4")[0] in {"unchanged", "superseded"}


def test_c6_what_joins_a_hold_waits_the_whole_time_to_be_looked_at(rosterd: Rosterd) -> None:
    feed = crew(rosterd, breaker_window="10m", breaker_auto_approve="4h")
    suspend(rosterd, feed, 0, 1, 2, 3)
    age(rosterd, holds, "auto_at", timedelta(hours=3, minutes=59))
    suspend(rosterd, feed, 4)
    age(rosterd, holds, "auto_at", timedelta(minutes=2))
    rosterd.parts.sweep.run()
    rosterd.drain()
    assert held(rosterd) == ["s3", "s4"]
    age(rosterd, holds, "auto_at", timedelta(hours=4))
    rosterd.parts.sweep.run()
    rosterd.drain()
    assert held(rosterd) == []


def test_c6_c7_retiring_a_connection_closes_its_hold_for_good(rosterd: Rosterd) -> None:
    cli(rosterd, "operator", "add", "eve@ops.example", "--role", "admin")
    feed = crew(rosterd, breaker_auto_approve="4h")
    suspend(rosterd, feed, 0, 1, 2, 3)
    cli(rosterd, "hold", "reject", hold(rosterd), "--reason", "x", "--yes")
    (rejected,) = rosterd.table(holds)
    suspend(rosterd, feed, 4, 5)
    last = hold(rosterd)
    rosterd.parts.sweep.run()
    assert len(rosterd.table(alerts)) == 1
    cli(rosterd, "connection", "retire", "standard", "--reason", "moved away", "--yes")
    assert told(rosterd, "hold", "list") == []
    rows_ = {row["id"]: row for row in told(rosterd, "hold", "list", "--all")}
    assert (rows_[last]["state"], rows_[last]["events"]) == ("retired", 2)
    assert rows_[last]["explanation"] == "retired: 2 events"
    assert rows_[last]["reason"] == "moved away"
    assert rows_[rejected["id"]]["state"] == "rejected"
    assert rosterd.table(alerts) == [], "nobody is asked any more"
    (entry,) = rosterd.table(rows.audit, rows.audit.c.action == "hold.retired")
    assert entry["reason"] == "moved away"
    for answer in ("approve", "reject"):
        said = cli(rosterd, "hold", answer, last, "--reason", "x", "--yes", code=1)
        assert "was retired by" in said
    said = cli(rosterd, "hold", "approve", rejected["id"], "--reason", "x", "--yes", code=1)
    assert "nothing of it is applied any more" in said
    age(rosterd, holds, "auto_at", timedelta(hours=5))
    rosterd.parts.sweep.run()
    rosterd.drain()
    assert sum("suspended" in person["state"] for person in rosterd.users()) == 3
    assert "the breaker holds" not in cli(rosterd, "status")


def test_c6_an_explanation_with_names_and_numbers(rosterd: Rosterd) -> None:
    feed = crew(rosterd)
    suspend(rosterd, feed, *range(9))
    (row,) = told(rosterd, "hold", "list")
    assert row["explanation"].startswith("would suspend 6 of 10 people, within 1 min; first: ")
    assert "u3@example.com, u4@example.com" in row["explanation"]
    shown = told(rosterd, "hold", "show", row["id"])
    assert (shown["counted"], shown["most"], shown["people"]) == (3, 3, 10)
    assert [e["subject"] for e in shown["held"]] == [f"u{n}" for n in range(3, 9)]
    story = told(rosterd, "event", "show", str(shown["held"][0]["id"]))
    assert row["id"] in story["attempts_made"][0]["detail"]
    assert "3 people and groups" in story["attempts_made"][0]["detail"]
    assert row["id"] in cli(rosterd, "hold", "list", "--account", "acme", "--all")
    assert "would suspend 6" in cli(rosterd, "hold", "show", row["id"])


def test_c6_approve_lets_go_what_is_held_and_begins_the_window_anew(rosterd: Rosterd) -> None:
    feed = crew(rosterd)
    suspend(rosterd, feed, *range(5))
    number = hold(rosterd)
    said = cli(rosterd, "hold", "approve", number, "--reason", "x", "--dry-run")
    assert "would let go 2 events" in said
    assert held(rosterd) == ["s3", "s4"]
    assert "2 events go on" in cli(
        rosterd, "hold", "approve", number, "--reason", "layoff", "--yes"
    )
    rosterd.drain()
    assert out(rosterd) == {f"u{n}" for n in range(5)}
    suspend(rosterd, feed, 5, 6, 7)
    assert held(rosterd) == [], "what was approved counts no more"
    suspend(rosterd, feed, 8)
    assert held(rosterd) == ["s8"]
    (decision,) = rosterd.table(rows.decisions, rows.decisions.c.kind == "breaker_approved")
    assert json.loads(decision["inputs"]) == {
        "hold": number,
        "events": "2",
        "counted": "3",
        "most": "3",
        "people": "10",
        "window_seconds": "3600",
    }
    (entry,) = rosterd.table(rows.audit, rows.audit.c.action == "hold.approved")
    assert (entry["subject"], entry["reason"]) == (number, "layoff")
    assert entry["actor"].startswith("cli:")
    again = cli(rosterd, "hold", "approve", number, "--reason", "x", "--yes", code=1)
    assert "was approved by cli:" in again
    cli(rosterd, "hold", "approve", "hld_nobody", "--reason", "x", "--yes", code=3)
    cli(rosterd, "hold", "approve", number, "--reason", " ", "--yes", code=2)


def test_c6_reject_is_a_decision_that_keeps_the_facts_out(rosterd: Rosterd) -> None:
    feed = crew(rosterd)
    suspend(rosterd, feed, *range(5))
    number = hold(rosterd)
    cli(rosterd, "hold", "reject", number, "--reason", "a broken sync", "--yes")
    rosterd.drain()
    assert rosterd.outcome("s3") == ("discarded", "breaker")
    assert out(rosterd) == {"u0", "u1", "u2"}
    rosterd.tell(feed, "user.upserted", {"id": "u3", "email": "u3@example.com", "given_name": "I"})
    assert states(rosterd)["u3"] == "invited", "later news finds no trace of it"
    rosterd.tell(feed, "user.suspended", {"id": "u3"}, id_="s3")
    assert states(rosterd)["u3"] == "invited", "sent again it is the same event"
    event = rosterd.events(rows.events.c.external_id == "s3")[0]["id"]
    attempts = rosterd.table(rows.attempts, rows.attempts.c.event_id == event)
    assert [a["outcome"] for a in attempts] == ["held", "discarded"]
    assert "a broken sync" in attempts[1]["detail"]
    (decision,) = rosterd.table(rows.decisions, rows.decisions.c.kind == "breaker_rejected")
    assert json.loads(decision["inputs"])["events"] == "2"
    said = cli(rosterd, "hold", "approve", number, "--reason", "it was right after all", "--yes")
    assert re.search(r"takes back .* rejected by cli:\S+ at 20\S+ \S+ UTC: a broken sync", said)
    rosterd.drain()
    assert out(rosterd) == {f"u{n}" for n in range(5)}


def test_c6_raised_once_the_rest_is_held_again_and_the_next_window_is_as_ever(
    rosterd: Rosterd,
) -> None:
    feed = crew(rosterd, 12)
    suspend(rosterd, feed, *range(9))
    number = hold(rosterd)
    raise_ = ("hold", "raise-once", number, "--reason", "half a team", "--yes", "--to")
    assert "is 3 already" in cli(rosterd, *raise_, "3", code=1)
    cli(rosterd, *raise_, "6")
    rosterd.drain()
    assert out(rosterd) == {f"u{n}" for n in range(6)}
    assert held(rosterd) == ["s6", "s7", "s8"]
    assert hold(rosterd) != number, "a trip of its own"
    age(rosterd, breaker_marks, "at", timedelta(hours=1))
    age(rosterd, breakers, "raised_until", timedelta(hours=1))
    suspend(rosterd, feed, 9, 10, 11)
    assert held(rosterd) == ["s6", "s7", "s8"]
    rosterd.tell(feed, "user.email_changed", {"id": "u7", "email": "x@example.com"}, id_="more")
    assert held(rosterd)[3:] == ["more"], "three again"


def test_c6_a_held_suspension_older_than_a_return_ends_superseded(rosterd: Rosterd) -> None:
    feed = crew(rosterd)
    suspend(rosterd, feed, 0, 1, 2, 3)
    rosterd.tell(feed, "user.reactivated", {"id": "u3"})
    cli(rosterd, "hold", "approve", hold(rosterd), "--reason", "x", "--yes")
    rosterd.drain()
    assert rosterd.outcome("s3") == ("superseded", None)
    assert states(rosterd)["u3"] == "invited"


def test_c6_after_the_time_that_was_set_it_is_approved_by_itself(rosterd: Rosterd) -> None:
    feed = crew(rosterd, breaker_auto_approve="4h")
    suspend(rosterd, feed, 0, 1, 2, 3)
    rosterd.parts.sweep.run()
    assert held(rosterd) == ["s3"]
    age(rosterd, holds, "auto_at", timedelta(hours=4))
    rosterd.parts.sweep.run()
    rosterd.drain()
    assert out(rosterd) == {f"u{n}" for n in range(4)}
    (entry,) = rosterd.table(rows.audit, rows.audit.c.action == "hold.approved")
    assert entry["actor"] == "rosterd"


def test_c6_removals_deletions_and_address_changes_count_too(rosterd: Rosterd) -> None:
    feed = crew(rosterd, breaker_min="4")
    for key in ("g1", "g2", "g3"):
        rosterd.tell(feed, "group.upserted", {"id": key, "name": key}, drain=False)
    members = [f"u{n}" for n in range(6)]
    for key in ("g1", "g2"):
        told = {"group_id": key, "user_ids": members if key == "g1" else members[:2]}
        rosterd.tell(feed, "group.members_replaced", told, drain=False)
    rosterd.drain()
    assert held(rosterd) == []
    fewer = {"group_id": "g1", "user_ids": members[5:]}
    rosterd.tell(feed, "group.members_replaced", fewer, id_="five at once")
    rosterd.tell(feed, "group.deleted", {"id": "g1"}, id_="a group of six")
    assert held(rosterd) == ["five at once", "a group of six"], "whole, or not at all"
    rosterd.tell(feed, "group.deleted", {"id": "g2"}, id_="a group of two")
    rosterd.tell(feed, "group.member_removed", {"group_id": "g1", "user_id": "u0"}, id_="known")
    rosterd.tell(feed, "user.email_changed", {"id": "u1", "email": "b@example.com"}, id_="same")
    rosterd.tell(feed, "user.email_changed", {"id": "u8", "email": "c@example.com"}, id_="fourth")
    assert len(held(rosterd)) == 2
    for name, data in (
        ("user.email_changed", {"id": "u9", "email": "d@example.com"}),
        ("user.upserted", {"id": "u9", "email": "e@example.com"}),
        ("group.member_removed", {"group_id": "g1", "user_id": "u5"}),
        ("group.deleted", {"id": "g3"}),
    ):
        rosterd.tell(feed, name, data, id_=f"{name} {data['id' if 'id' in data else 'user_id']}")
    assert held(rosterd)[2:] == [
        *("user.email_changed u9", "user.upserted u9", "group.member_removed u5"),
        "group.deleted g3",
    ]
    memberships = [line for line in rosterd.export() if line["kind"] == "membership"]
    assert {line["user"] for line in memberships if line["group"] == "g1"} == {*members[1:]}
    assert states(rosterd)["u9"] == "invited"


def test_c6_d10_a_suspension_inside_an_event_is_held_with_it_and_then_applied(
    rosterd: Rosterd,
) -> None:
    feed = crew(rosterd)
    suspend(rosterd, feed, 0, 1, 2)
    gone = {"id": "u3", "email": "u3@elsewhere.org", "active": False}
    rosterd.tell(feed, "user.upserted", gone, id_="both")
    assert held(rosterd) == ["both"]
    assert rosterd.dead() == []
    cli(rosterd, "hold", "approve", hold(rosterd), "--reason", "x", "--yes")
    rosterd.drain()
    assert out(rosterd) == {f"u{n}" for n in range(4)}


def test_c6_c2_a_pause_and_its_end_let_nothing_go_that_the_breaker_holds(
    rosterd: Rosterd,
) -> None:
    feed = crew(rosterd)
    suspend(rosterd, feed, 0, 1, 2, 3)
    cli(rosterd, "connection", "pause", feed.connection, "--reason", "x")
    cli(rosterd, "connection", "resume", feed.connection)
    rosterd.drain()
    assert held(rosterd) == ["s3"]
    cli(rosterd, "connection", "pause", feed.connection, "--reason", "x")
    cli(rosterd, "hold", "approve", hold(rosterd), "--reason", "x", "--yes")
    rosterd.drain()
    assert "u3" not in out(rosterd), "the pause holds it now"
    cli(rosterd, "connection", "resume", feed.connection)
    rosterd.drain()
    assert "u3" in out(rosterd)


def test_c6_g8_a_replay_is_not_counted_and_its_dry_run_knows(rosterd: Rosterd) -> None:
    feed = crew(rosterd)
    gone = {"id": "u9", "email": "u9@elsewhere.org"}
    rosterd.tell(feed, "user.email_changed", gone)
    suspend(rosterd, feed, 0, 1, 2)
    rosterd.allow("elsewhere.org")
    selection = Selection(account=rosterd.account_id)
    assert [p.result.outcome for p in rosterd.parts.replay.predict(selection)] == ["applied"]
    rosterd.parts.replay.start(selection, actor="eve", reason="x")
    rosterd.drain()
    assert held(rosterd) == []
    assert rosterd.user("u9")["email"] == "u9@elsewhere.org"  # type: ignore[index]


@pytest.mark.parametrize(
    "setting", ["breaker_min=-1", "breaker_min=x", "breaker_percent=101", "breaker_window=soon"]
)
def test_c6_d18_settings_that_are_none_are_refused(rosterd: Rosterd, setting: str) -> None:
    with rosterd.setup() as use:
        use.add_account("acme", owner=None, domains=[], parent=None, several=False)
    words = ("connection", "add", "--account", "acme", "--source", "standard", "--set", setting)
    assert setting.partition("=")[0] in cli(rosterd, *words, code=2)


def test_c6_d5_two_workers_do_not_both_let_the_last_one_through(
    postgres_url: str, tmp_path: Path
) -> None:
    rosterd = Rosterd(postgres_url, tmp_path)
    others = [Rosterd(postgres_url, tmp_path, batch_size=4) for _ in range(3)]
    with rosterd.serving():
        feed = crew(rosterd, 120, breaker_min="50")
        suspend(rosterd, feed, *range(120), drain=False)
        began = threading.Barrier(len(others))

        def run(other: Rosterd) -> None:
            began.wait()
            more = True
            while more:
                tally, _ = other.parts.drain.run(
                    lane="urgent", kind=Kind.USERS_SUSPEND, budget=timedelta(seconds=20)
                )
                more = tally.claimed > 0

        threads = [threading.Thread(target=run, args=(other,)) for other in others]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(out(rosterd)) == 50
        assert len(held(rosterd)) == 70
        assert len(rosterd.table(holds)) == 1
    for other in (*others, rosterd):
        other.close()


def test_c6_it_is_said_where_operators_look(rosterd: Rosterd) -> None:
    feed = crew(rosterd)
    suspend(rosterd, feed, 0, 1, 2, 3)
    assert "acme/standard: the breaker holds what it takes away" in cli(rosterd, "status")
    assert "its breaker is open" in rosterd.cli("doctor").stdout
    tripped = {"account": "acme", "connection": "standard"}
    assert _gauge(rosterd, "rosterd_breaker_open", tripped) == 1.0
    cli(rosterd, "hold", "reject", hold(rosterd), "--reason", "x", "--yes")
    assert _gauge(rosterd, "rosterd_breaker_open", tripped) == 0.0


def _gauge(rosterd: Rosterd, name: str, labels: dict[str, str]) -> float:
    rosterd.parts.gauges._known = None
    families = {family.name: family for family in rosterd.parts.state_gauges()}
    (sample,) = [s for s in families[name].samples if s.labels == labels]
    return sample.value


def test_c6_operators_are_mailed_once_with_names_and_numbers(rosterd: Rosterd) -> None:
    cli(rosterd, "operator", "add", "eve@ops.example", "--role", "admin")
    feed = crew(rosterd)
    suspend(rosterd, feed, 0, 1, 2, 3, 4)
    rosterd.parts.sweep.run()
    rosterd.parts.sweep.run()
    mine = [text for text in rosterd.mails() if "To: eve@ops.example" in text]
    assert len(mine) == 1
    assert "The breaker of acme/standard holds 2 events" in mine[0]
    assert "u3@example.com" in mine[0]
    assert f"rosterd hold approve {hold(rosterd)}" in mine[0]


def test_c6_operators_are_mailed_again_when_much_more_is_held(rosterd: Rosterd) -> None:
    cli(rosterd, "operator", "add", "eve@ops.example", "--role", "admin")
    feed = crew(rosterd)

    def told_of() -> list[str]:
        rosterd.parts.sweep.run()
        mails = [text for text in rosterd.mails() if "To: eve@ops.example" in text]
        return [found for text in mails for found in re.findall(r"holds (\d+) events", text)[:1]]

    suspend(rosterd, feed, 0, 1, 2, 3, 4)
    assert told_of() == ["2"]
    suspend(rosterd, feed, 5, 6)
    assert told_of() == ["2"], "not within the hour"
    age(rosterd, alerts, "told_at", timedelta(hours=2))
    assert told_of() == ["2", "4"]
    suspend(rosterd, feed, 7)
    age(rosterd, alerts, "told_at", timedelta(hours=2))
    assert told_of() == ["2", "4"], "not twice as many"

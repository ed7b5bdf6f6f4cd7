"""G8: a replay is planned, started, paced, paused, resumed, cancelled, and what comes between."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from domain.errors import NothingFoundError, UsageError
from domain.pacing import Pace
from domain.permissions import ALL, Asker, NotPermittedError, Role, permissions_of
from domain.replays import (
    ItemSeen,
    Order,
    ReplaySeen,
    ReplayState,
    ReplayStateError,
    Report,
    Selection,
)
from tests.harness import Feed, Rosterd
from worker.adapters.db import rows
from worker.adapters.db.replay_queries import items_page, replay_seen, report_of
from worker.adapters.db.replay_rows import replay_items, replays
from worker.adapters.db.replay_turns import SQLReplayTurns

ANA = Asker("operator:ana", ALL)
WHY = Order("the domain is allowed")


def dead_of(rosterd: Rosterd, count: int, host: str = "partner.example") -> Feed:
    """People whom nobody took because of their domain."""
    feed = rosterd.account()
    refuse(rosterd, feed, range(count), host)
    return feed


def refuse(rosterd: Rosterd, feed: Feed, numbers: range, host: str = "partner.example") -> None:
    for i in numbers:
        data = {"id": f"u{i}", "email": f"u{i}@{host}"}
        rosterd.tell(feed, "user.upserted", data, drain=False)
    rosterd.drain()


def mine(rosterd: Rosterd) -> Selection:
    return Selection(account=rosterd.account_id)


def planned(rosterd: Rosterd, selection: Selection | None = None, by: Asker = ANA) -> str:
    use = rosterd.parts.replay
    replay = use.plan(selection or mine(rosterd), by)
    while not use.plan_on(replay):
        pass
    return replay


def seen(rosterd: Rosterd, replay: str) -> ReplaySeen:
    with rosterd.parts.database.read() as sql:
        return replay_seen(sql, replay)


def items(rosterd: Rosterd, replay: str, **which: Any) -> list[ItemSeen]:
    with rosterd.parts.database.read() as sql:
        return items_page(sql, replay, **which)[0]


def report(rosterd: Rosterd, replay: str) -> Report:
    with rosterd.parts.database.read() as sql:
        return report_of(sql, replay)


def actions(rosterd: Rosterd, replay: str) -> list[tuple[str, str, str]]:
    found = rosterd.table(rows.audit, rows.audit.c.subject == replay)
    return [(a["action"], a["actor"], a["reason"]) for a in sorted(found, key=lambda a: a["id"])]


def elapsed(rosterd: Rosterd, seconds: float) -> None:
    """Time goes by for the rate and the leases of all replays."""
    with rosterd.parts.database.begin() as sql:
        for row in sql.execute(replays.select()).mappings().all():
            earlier = {
                name: row[name] - timedelta(seconds=seconds)
                for name in ("paced_at", "lease_until")
                if row[name] is not None
            }
            if earlier:
                sql.execute(replays.update().where(replays.c.id == row["id"]).values(**earlier))
        sql.commit()


# -- plans -----------------------------------------------------------------------------------


def test_g8_a_plan_says_of_every_event_what_will_become_of_it_and_changes_none(
    rosterd: Rosterd,
) -> None:
    dead_of(rosterd, 3)
    rosterd.allow("partner.example")
    before = rosterd.events()
    plan = seen(rosterd, planned(rosterd))
    assert plan.state is ReplayState.PLANNED
    assert [(f.outcome, f.does, f.events) for f in plan.foretold] == [("applied", "invite", 3)]
    assert rosterd.events() == before
    assert len(rosterd.dead()) == 3
    assert actions(rosterd, plan.id) == [("dead.plan", "operator:ana", "")]


def test_g8_the_report_of_a_plan_carried_out_equals_the_plan(rosterd: Rosterd) -> None:
    feed = dead_of(rosterd, 2)
    refuse(rosterd, feed, range(10, 13), "stranger.example")
    rosterd.allow("partner.example")
    replay = planned(rosterd)
    rosterd.parts.replay.start_plan(replay, WHY, ANA)
    rosterd.drain()
    told = report(rosterd, replay)
    assert (told.as_predicted, told.otherwise) == (5, 0)
    assert {(r.predicted, r.outcome, r.events) for r in told.rows} == {
        ("applied", "applied", 2),
        ("dead", "dead", 3),
    }
    assert seen(rosterd, replay).state is ReplayState.FINISHED
    assert [a for a, *_ in actions(rosterd, replay)] == ["dead.plan", "dead.replay", "dead.finish"]


def test_g8_what_comes_after_the_plan_is_not_in_it(rosterd: Rosterd) -> None:
    feed = dead_of(rosterd, 2)
    use = rosterd.parts.replay
    replay = use.plan(mine(rosterd), ANA)
    refuse(rosterd, feed, range(5, 8))
    while not use.plan_on(replay):
        pass
    rosterd.allow("partner.example")
    use.start_plan(replay, WHY, ANA)
    rosterd.drain()
    assert {user["external_id"] for user in rosterd.users()} == {"u0", "u1"}
    assert len(rosterd.dead()) == 3


def test_g8_events_of_one_subject_are_foretold_one_after_the_other(rosterd: Rosterd) -> None:
    feed = dead_of(rosterd, 1)
    data = {"id": "u0", "email": "u0@partner.example", "given_name": "Ana"}
    rosterd.tell(feed, "user.upserted", data)
    rosterd.allow("partner.example")
    first, second = items(rosterd, planned(rosterd))
    assert (first.does, second.does) == ("invite", "update")


def test_g8_a_plan_that_turned_out_otherwise_says_so(rosterd: Rosterd) -> None:
    dead_of(rosterd, 2)
    replay = planned(rosterd)
    rosterd.allow("partner.example")
    rosterd.parts.replay.start_plan(replay, WHY, ANA)
    rosterd.drain()
    told = report(rosterd, replay)
    assert (told.as_predicted, told.otherwise) == (0, 2)
    assert [one.outcome for one in items(rosterd, replay, differs=True)] == ["applied"] * 2
    assert items(rosterd, replay, differs=False) == []


def test_an_empty_filter_is_refused_and_who_may_not_is_told(rosterd: Rosterd) -> None:
    dead_of(rosterd, 1)
    use = rosterd.parts.replay
    with pytest.raises(UsageError):
        use.plan(Selection(), ANA)
    with pytest.raises(NothingFoundError):
        use.plan(Selection(reason="conflict"), ANA)
    with pytest.raises(NotPermittedError):
        use.plan(mine(rosterd), Asker("operator:vera", permissions_of(Role.VIEWER)))
    assert rosterd.table(replays) == []


def test_a_plan_that_nobody_finished_is_finished_by_a_worker(rosterd: Rosterd) -> None:
    dead_of(rosterd, 3)
    replay = rosterd.parts.replay.plan(mine(rosterd), ANA)
    assert rosterd.parts.replays.conduct.run()
    assert seen(rosterd, replay).state is ReplayState.PLANNED


# -- two at once -----------------------------------------------------------------------------


def test_g8_of_two_who_start_one_plan_one_wins_and_the_other_is_told(rosterd: Rosterd) -> None:
    dead_of(rosterd, 4)
    rosterd.allow("partner.example")
    replay = planned(rosterd)
    told = at_once(
        *(
            lambda name=name: rosterd.parts.replay.start_plan(replay, WHY, Asker(name, ALL))
            for name in ("ana", "bob")
        )
    )
    (refused,) = [error for error in told if error is not None]
    assert isinstance(refused, ReplayStateError)
    winner = seen(rosterd, replay).moved_by
    assert f"by {winner}" in str(refused)
    rosterd.drain()
    assert len(rosterd.mails()) == 4
    assert sum(action == "dead.replay" for action, *_ in actions(rosterd, replay)) == 1


def test_g8_two_plans_of_the_same_events_try_each_of_them_once(rosterd: Rosterd) -> None:
    dead_of(rosterd, 4)
    rosterd.allow("partner.example")
    plans = [planned(rosterd) for _ in range(2)]
    told = at_once(*(lambda p=plan: rosterd.parts.replay.start_plan(p, WHY, ANA) for plan in plans))
    assert told == [None, None]
    rosterd.drain()
    counts = Counter[str]()
    for plan in plans:
        counts.update(seen(rosterd, plan).counts)
    assert counts == {"applied": 4, "skipped": 4}
    skipped = [one for plan in plans for one in items(rosterd, plan, state="skipped")]
    assert {one.reason for one in skipped} == {"elsewhere"}


def test_pausing_and_cancelling_twice_is_once(rosterd: Rosterd) -> None:
    dead_of(rosterd, 3)
    use, replay = rosterd.parts.replay, planned(rosterd)
    with pytest.raises(ReplayStateError):
        use.pause(replay, ANA)
    use.start_plan(replay, Order("slowly", Pace(timedelta(minutes=1))), ANA)
    for _ in range(2):
        use.pause(replay, ANA, reason="lunch")
    assert use.cancel(replay, ANA, reason="no") == 3
    assert use.cancel(replay, ANA, reason="no") == 0
    for act in (use.pause, use.resume):
        with pytest.raises(ReplayStateError):
            act(replay, ANA)
    named = [action for action, *_ in actions(rosterd, replay)]
    assert named == ["dead.plan", "dead.replay", "dead.pause", "dead.cancel"]
    assert {event["state"] for event in rosterd.events()} == {"dead"}


def test_a_pause_and_a_cancel_at_once_leave_it_cancelled_with_nothing_under_way(
    rosterd: Rosterd,
) -> None:
    dead_of(rosterd, 6)
    rosterd.allow("partner.example")
    use, replay = rosterd.parts.replay, planned(rosterd)
    use.start_plan(replay, Order("slowly", Pace(timedelta(seconds=30))), ANA)
    told = at_once(
        lambda: use.pause(replay, ANA),
        lambda: use.cancel(replay, ANA),
        rosterd.parts.replays.conduct.run,
        rosterd.drain,
    )
    assert all(error is None or isinstance(error, ReplayStateError) for error in told)
    rosterd.drain()
    now = seen(rosterd, replay)
    assert now.state is ReplayState.CANCELLED
    assert now.counts.get("cancelled", 0) + now.counts.get("applied", 0) == 6
    assert {event["state"] for event in rosterd.events()} <= {"dead", "ended"}
    assert len(rosterd.dead()) == now.counts["cancelled"]


def at_once(*acts: Callable[[], Any]) -> list[Exception | None]:
    """All at the same moment, from threads; what each raised."""
    barrier, told = threading.Barrier(len(acts)), [None] * len(acts)
    found: list[Exception | None] = list(told)

    def run(place: int, act: Callable[[], Any]) -> None:
        barrier.wait()
        try:
            act()
        except Exception as error:  # noqa: BLE001 - whatever it is, the test looks at it
            found[place] = error

    threads = [threading.Thread(target=run, args=each) for each in enumerate(acts)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return found


# -- the course ------------------------------------------------------------------------------


def test_a_ramp_goes_on_step_by_step_and_stops_at_its_failure_ratio(rosterd: Rosterd) -> None:
    feed = dead_of(rosterd, 1)
    refuse(rosterd, feed, range(10, 30), "stranger.example")
    rosterd.allow("partner.example")
    use, replay = rosterd.parts.replay, planned(rosterd)
    use.start_plan(replay, Order("with care", Pace(has_ramp=True, stop_percent=20)), ANA)
    rosterd.drain()
    now = seen(rosterd, replay)
    assert now.state is ReplayState.STOPPED
    assert now.why == "10 of 10 failed, more than the 20 % at which it was to stop"
    assert now.counts == {"applied": 1, "dead": 10, "frozen": 10}
    assert actions(rosterd, replay)[-1][:2] == ("dead.stop", "rosterd")
    rosterd.allow("stranger.example")
    use.resume(replay, ANA, reason="that was it")
    rosterd.drain()
    now = seen(rosterd, replay)
    assert (now.state, now.counts) == (ReplayState.FINISHED, {"applied": 11, "dead": 10})


def test_a_paused_replay_tries_nothing_and_goes_on_where_it_was(rosterd: Rosterd) -> None:
    dead_of(rosterd, 4)
    rosterd.allow("partner.example")
    use, replay = rosterd.parts.replay, planned(rosterd)
    use.start_plan(replay, Order("slowly", Pace(timedelta(minutes=1))), ANA)
    rosterd.drain()
    elapsed(rosterd, 60)
    rosterd.parts.replays.conduct.run()
    assert seen(rosterd, replay).counts == {"applied": 1, "released": 1, "frozen": 2}
    use.pause(replay, ANA, reason="lunch")
    assert seen(rosterd, replay).counts == {"applied": 1, "frozen": 3}
    elapsed(rosterd, 600)
    rosterd.drain()
    now = seen(rosterd, replay)
    assert (now.state, now.why, now.left) == (ReplayState.PAUSED, "lunch", 3)
    use.resume(replay, ANA, change={"interval": timedelta(0)})
    rosterd.drain()
    assert seen(rosterd, replay).counts == {"applied": 4}
    assert len(rosterd.mails()) == 4


def test_a_worker_that_is_gone_is_followed_by_another_once_its_lease_ends(
    rosterd: Rosterd,
) -> None:
    dead_of(rosterd, 2)
    rosterd.allow("partner.example")
    use, replay = rosterd.parts.replay, planned(rosterd)
    use.start_plan(replay, Order("slowly", Pace(timedelta(seconds=10))), ANA)
    gone, other = (SQLReplayTurns(rosterd.parts.database, name) for name in ("gone", "other"))
    assert gone.turn(replay) is not None
    assert other.turn(replay) is None
    assert other.at_work() == []
    elapsed(rosterd, 11)
    assert other.at_work() == [(replay, ReplayState.RUNNING)]
    assert other.turn(replay) == 1
    assert gone.turn(replay) is None, "who comes back finds that another has it"
    rosterd.drain()
    assert seen(rosterd, replay).counts == {"applied": 2} or len(rosterd.users()) == 2


def test_events_of_a_subject_are_tried_in_the_order_in_which_they_came(rosterd: Rosterd) -> None:
    feed = dead_of(rosterd, 1)
    for name in ("Ana", "Bea", "Cleo"):
        data = {"id": "u0", "email": "u0@partner.example", "given_name": name}
        rosterd.tell(feed, "user.upserted", data)
    rosterd.allow("partner.example")
    kinds = [event["kind"] for event in rosterd.events()]
    rosterd.parts.replay.start(mine(rosterd), actor="ana", reason="r")
    assert {event["kind"] for event in rosterd.events()} == {"events.sort"}, "one queue"
    rosterd.drain()
    tries = rosterd.table(rows.attempts, rows.attempts.c.outcome == "applied")
    ids = [event["id"] for event in rosterd.events()]
    assert [row["event_id"] for row in sorted(tries, key=lambda row: row["id"])] == ids
    assert [event["kind"] for event in rosterd.events()] == kinds, "what they are, they stay"


def test_what_waits_is_told_as_it_is_later(rosterd: Rosterd) -> None:
    feed = dead_of(rosterd, 1)
    rosterd.hire(feed, "holder", "u0@example.com", at=1)
    rosterd.tell(feed, "user.upserted", {"id": "x", "email": "u0@partner.example"})
    rosterd.allow("partner.example")
    replay = planned(rosterd)
    rosterd.parts.replay.start_plan(replay, WHY, ANA)
    rosterd.drain()
    now = seen(rosterd, replay)
    assert now.state is ReplayState.FINISHED
    assert sorted(now.counts) == ["applied", "waiting"]
    rosterd.tell(feed, "user.email_changed", {"id": "u0", "email": "moved@partner.example"})
    rosterd.accept("moved@partner.example")
    rosterd.drain()
    assert {row.outcome for row in report(rosterd, replay).rows} >= {"applied"}


# -- what is not there any more --------------------------------------------------------------


def test_an_erased_person_is_left_out_and_that_is_said(rosterd: Rosterd) -> None:
    feed = rosterd.account()
    rosterd.hire(feed, "u1")
    rosterd.tell(feed, "user.email_changed", {"id": "u1", "email": "u1@partner.example"})
    refuse(rosterd, feed, range(5, 6))
    replay = planned(rosterd)
    rosterd.tell(feed, "user.suspended", {"id": "u1"})
    person = next(
        row["id"] for row in rosterd.table(rows.people) if row["email"] == "u1@example.com"
    )
    rosterd.parts.people.delete(person, actor="ana", reason="asked to be forgotten")
    rosterd.allow("partner.example")
    rosterd.parts.replay.start_plan(replay, WHY, ANA)
    rosterd.drain()
    erased, applied = items(rosterd, replay)
    assert (erased.state, erased.reason) == ("skipped", "erased")
    assert applied.outcome == "applied"
    assert seen(rosterd, replay).state is ReplayState.FINISHED


def test_a_discarded_one_and_one_without_its_body_are_left_out(rosterd: Rosterd) -> None:
    dead_of(rosterd, 3)
    replay = planned(rosterd)
    first, second, _ = rosterd.events()
    rosterd.parts.replays.discards.discard([first["id"]], ANA, reason="left")
    with rosterd.parts.database.begin() as sql:
        which = rows.deliveries.c.id == second["delivery_id"]
        sql.execute(rows.deliveries.delete().where(which))
        sql.commit()
    again = seen(rosterd, planned(rosterd))
    assert {(f.outcome, f.reason) for f in again.foretold} == {
        ("dead", "domain_not_allowed"),
        ("skipped", "purged"),
    }
    rosterd.allow("partner.example")
    rosterd.parts.replay.start_plan(replay, WHY, ANA)
    rosterd.drain()
    assert [one.reason for one in items(rosterd, replay)] == ["discarded", "purged", None]
    assert [one.outcome for one in items(rosterd, replay)] == ["skipped", "skipped", "applied"]


def test_a_paused_connection_is_waited_for_and_named(rosterd: Rosterd) -> None:
    feed = dead_of(rosterd, 2)
    rosterd.allow("partner.example")
    replay = planned(rosterd)
    rosterd.cli("connection", "pause", feed.connection, "--reason", "r")
    rosterd.parts.replay.start_plan(replay, WHY, ANA)
    rosterd.drain()
    now = seen(rosterd, replay)
    assert (now.state, now.waits_for) == (ReplayState.RUNNING, ("standard",))
    rosterd.cli("connection", "resume", feed.connection, "--reason", "r")
    rosterd.drain()
    assert seen(rosterd, replay).counts == {"applied": 2}


# -- accounts --------------------------------------------------------------------------------


def test_g7_another_accounts_replays_and_letters_are_unknown(rosterd: Rosterd) -> None:
    dead_of(rosterd, 2)
    alpha, replay = rosterd.account_id, planned(rosterd)
    rosterd.account(name="beta")
    beta = Asker("operator:bob", ALL, frozenset({rosterd.account_id}), rosterd.account_id)
    use, letter = rosterd.parts.replay, rosterd.dead()[0]["event_id"]
    for act in (
        lambda: use.plan(Selection(ids=(letter,)), beta),
        lambda: use.plan(Selection(account=alpha), beta),
        lambda: use.start_plan(replay, WHY, beta),
        lambda: use.pause(replay, beta),
        lambda: use.resume(replay, beta),
        lambda: use.cancel(replay, beta),
        lambda: rosterd.parts.replays.discards.discard([letter], beta, reason="r"),
        lambda: rosterd.parts.replays.notes.add("domain_not_allowed:user.upserted", "x", beta),
    ):
        with pytest.raises(NothingFoundError):
            act()
    assert seen(rosterd, replay).state is ReplayState.PLANNED
    assert {item["state"] for item in rosterd.table(replay_items)} == {"frozen"}


# -- retention -------------------------------------------------------------------------------


def test_the_list_of_an_old_replays_events_goes_and_what_it_was_stays(rosterd: Rosterd) -> None:
    dead_of(rosterd, 2)
    rosterd.allow("partner.example")
    unused, done = planned(rosterd), planned(rosterd)
    rosterd.parts.replay.start_plan(done, WHY, ANA)
    rosterd.drain()
    assert rosterd.parts.replays.retain(days=30) == {"replay_items": 0}
    with rosterd.parts.database.begin() as sql:
        long_ago = rosterd.now() - timedelta(days=31)
        sql.execute(replays.update().values(made_at=long_ago))
        sql.execute(replays.update().where(replays.c.id == done).values(ended_at=long_ago))
        sql.commit()
    assert rosterd.parts.replays.retain(days=30) == {"replay_items": 4}
    assert rosterd.table(replay_items) == []
    assert seen(rosterd, unused).state is ReplayState.CANCELLED
    assert (seen(rosterd, done).state, seen(rosterd, done).reason) == ("finished", WHY.reason)

"""Delivery of announcements under attack: deaf, slow, dead and picky applications, dead senders."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import update

from domain.dispatches import DELIVERY, DISABLED_AFTER, Due
from domain.inbox import Lane
from tests.harness import Feed
from tests.listening import Listening, listening_on
from tests.receiver import Told, receiver
from tests.servers import await_true
from worker.adapters.db.outbound_rows import announcements, dispatches, endpoints
from worker.adapters.webhook import retry_after
from worker.bootstrap import Container
from worker.tasks.courier import OTHER_CONNECTIONS, Courier


def waiting(listening: Listening) -> list[dict[str, Any]]:
    found = listening.table(dispatches, dispatches.c.due_at.is_not(None))
    return sorted(found, key=lambda row: row["id"])


def endpoint(listening: Listening) -> dict[str, Any]:
    found: dict[str, Any] = listening.done("endpoint", "show", listening.endpoint)
    return found


def hired(listening: Listening, *keys: str) -> Feed:
    feed = listening.begin()
    for key in keys:
        listening.hire(feed, key)
    return feed


def test_one_that_fails_holds_up_its_own_person_only(listening: Listening) -> None:
    feed = hired(listening, "u1", "u2")
    listening.app.answers = lambda told: 500 if told.data["external_id"] == "u1" else 204
    listening.hire(feed, "u1", given_name="Ana")
    listening.hire(feed, "u2", given_name="Bo")
    for _ in range(4):
        listening.deliver()
        listening.let_waits_end()
    by_person = defaultdict(list)
    for told in listening.app.told:
        by_person[told.data["external_id"]].append(told.data["sequence"])
    assert by_person["u2"] == [1, 2]
    assert set(by_person["u1"]) == {1}, "what came later does not overtake it"
    assert len({told.id for told in listening.app.told if told.data["external_id"] == "u1"}) == 1


def test_when_it_is_back_all_that_waits_goes_out_at_once(listening: Listening) -> None:
    listening.app.answers = lambda _told: 503
    hired(listening, "u1", "u2", "u3")
    listening.deliver()
    assert endpoint(listening)["failing_since"] is not None
    assert len(waiting(listening)) == 3
    assert listening.deliver() == {}, "not before its time"
    listening.app.answers = lambda _told: 204
    first = waiting(listening)[0]
    with listening.parts.database.begin() as connection:
        mine = dispatches.c.id == first["id"]
        connection.execute(update(dispatches).where(mine).values(due_at=listening.at(0)))
        connection.execute(update(endpoints).values(rests_until=None))
        connection.commit()
    listening.deliver()
    assert waiting(listening) == []
    assert endpoint(listening)["failing_since"] is None


def test_a_suspension_does_not_wait_for_one_that_is_refused_while_others_are_taken(
    listening: Listening,
) -> None:
    feed = hired(listening, "u1", "u2")
    listening.deliver()
    listening.app.answers = lambda told: 400 if told.type == "user.updated" else 204
    listening.hire(feed, "u1", given_name="Ana")
    listening.tell(feed, "user.suspended", {"id": "u1"})
    for _ in range(4):
        listening.deliver()
        listening.let_waits_end()
    assert listening.app.types()[2:] == ["user.updated"] * 3 + ["user.suspended"]
    recent = {row["type"]: row["state"] for row in endpoint(listening)["recent"]}
    assert recent["user.updated"] == "failed", "seen, and to be replayed"
    listening.app.answers = lambda _told: 204
    listening.cli("endpoint", "replay", listening.endpoint, "--since", "0", "--reason", "mended")
    assert "user.updated" in listening.types()[6:]


def test_a_suspension_is_tried_at_once_though_what_is_before_it_waits(
    listening: Listening,
) -> None:
    listening.app.answers = lambda _told: 500
    feed = hired(listening, "u1")
    listening.deliver()
    listening.app.answers = lambda _told: 204
    assert listening.deliver() == {}
    listening.tell(feed, "user.suspended", {"id": "u1"})
    assert listening.types()[1:] == ["user.invited", "user.suspended"]


def test_what_is_asked_to_wait_waits(listening: Listening) -> None:
    listening.app.answers = lambda _told: (429, {"Retry-After": "1800"})
    hired(listening, "u1")
    listening.deliver()
    (row,) = waiting(listening)
    (one,) = listening.table(announcements)
    assert row["due_at"] - one["made_at"] > timedelta(seconds=1700)
    listening.app.answers = lambda _told: 204
    assert listening.deliver() == {}, "and so does all the rest"


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("120", 120), ("0", 0), ("-5", None), ("soon", None), (None, None), ("١٢", None)],
)
def test_retry_after_is_read_as_the_rfc_says(text: str | None, seconds: int | None) -> None:
    from datetime import UTC, datetime

    now = datetime(2026, 1, 1, tzinfo=UTC)
    expected = None if seconds is None else timedelta(seconds=seconds)
    assert retry_after(text, now) == expected
    assert retry_after("Thu, 01 Jan 2026 00:01:00 GMT", now) == timedelta(minutes=1)


def test_410_ends_it_at_once_and_resuming_sends_what_was_kept(listening: Listening) -> None:
    listening.app.answers = lambda _told: 410
    feed = hired(listening, "u1", "u2")
    listening.deliver()
    assert len(listening.app.told) == 1
    found = endpoint(listening)
    assert (found["state"], found["why"]) == ("disabled", "it answered 410 Gone")
    listening.tell(feed, "user.suspended", {"id": "u1"})
    listening.let_waits_end()
    assert listening.deliver() == {}
    listening.app.answers = lambda _told: 204
    listening.app.told.clear()
    assert "3 announcements" in listening.cli("endpoint", "resume", listening.endpoint).stdout
    assert sorted(listening.types()) == ["user.invited", "user.invited", "user.suspended"]


def test_five_days_of_failures_disable_it(listening: Listening) -> None:
    listening.app.answers = lambda _told: 500
    hired(listening, "u1")
    listening.deliver()
    assert endpoint(listening)["state"] == "active"
    with listening.parts.database.begin() as connection:
        long_ago = listening.at(0) - DISABLED_AFTER
        connection.execute(update(endpoints).values(failing_since=long_ago))
        connection.commit()
    listening.let_waits_end()
    listening.deliver()
    found = endpoint(listening)
    assert found["state"] == "disabled"
    assert "answered 500" in found["why"]
    assert len(waiting(listening)) == 1, "kept until it is resumed"


def test_the_patience_is_some_three_days() -> None:
    longest = sum((DELIVERY.ceiling(n) for n in range(1, DELIVERY.max_attempts)), timedelta())
    assert timedelta(days=2.5) < longest / 2 < timedelta(days=3.5), "full jitter: half of it"


def test_what_failed_to_the_end_lets_the_next_of_its_person_go(listening: Listening) -> None:
    feed = hired(listening, "u1")
    listening.app.answers = lambda told: 500 if told.type == "user.invited" else 204
    listening.deliver()
    with listening.parts.database.begin() as connection:
        nearly = {"attempts": DELIVERY.max_attempts - 1}
        connection.execute(update(dispatches).values(nearly))
        connection.commit()
    listening.let_waits_end()
    assert listening.deliver() == {"failed": 1}
    listening.hire(feed, "u1", given_name="Ana")
    listening.let_waits_end()
    assert listening.types()[2:] == ["user.updated"]


def test_a_redirect_is_a_failure_that_says_what_to_do(listening: Listening) -> None:
    listening.app.answers = lambda _told: (301, {"Location": "http://169.254.169.254/"})
    hired(listening, "u1")
    listening.deliver()
    assert "give the address itself" in endpoint(listening)["last_error"]
    assert len(listening.app.told) == 1


_SENDER = """
import sys
from worker.bootstrap import Container
from worker.settings import load_settings
parts = Container(load_settings(data_dir=sys.argv[1], database_url=sys.argv[2],
                                outbound_allow="127.0.0.1"))
print(parts.deliver.run())
"""


def test_g2_killed_between_sending_and_noting_it_is_sent_again_under_its_id(
    listening: Listening,
) -> None:
    hired(listening, "u1")
    folder, url = str(listening.settings.data_dir), listening.settings.database
    killed: list[int] = []

    def kill_the_sender(_told: Told) -> int:
        if not killed:
            killed.append(sender.pid)
            os.kill(sender.pid, signal.SIGKILL)
        return 204

    listening.app.answers = kill_the_sender
    sender = subprocess.Popen(
        [sys.executable, "-c", _SENDER, folder, url], stdout=subprocess.DEVNULL
    )
    assert sender.wait(60) == -signal.SIGKILL
    (row,) = waiting(listening)
    assert (row["state"], row["attempts"]) == ("sending", 0)
    assert listening.deliver() == {}, "it is leased"
    listening.let_waits_end()
    assert listening.deliver() == {"delivered": 1}
    first, second = listening.app.told
    assert (first.id, first.body) == (second.id, second.body)


def test_a_sender_back_after_its_lease_notes_nothing(listening: Listening) -> None:
    hired(listening, "u1")
    store = listening.parts.deliver.dispatches
    lease = timedelta(minutes=1)
    (late,) = store.claim(listening.endpoint, lane=Lane.STANDARD, limit=5, lease=lease)
    assert store.claim(listening.endpoint, lane=Lane.STANDARD, limit=5, lease=lease) == []
    listening.let_waits_end()
    (now,) = store.claim(listening.endpoint, lane=Lane.STANDARD, limit=5, lease=lease)
    assert not store.delivered(late, was_failing=False)
    assert not store.failed(late, "why", wait=lease, rest=None, gives_way=False)
    assert store.delivered(now, was_failing=False)
    assert not store.delivered(now, was_failing=False), "once"


def test_two_workers_number_without_holes_or_doubles_and_deliver_in_order(
    postgres_url: str, tmp_path: Path
) -> None:
    with receiver() as app, listening_on(postgres_url, tmp_path, app) as listening:
        feed = listening.begin()
        people = [f"u{i}" for i in range(6)]
        for key in people:
            listening.hire(feed, key)
        for turn in range(25):
            for key in people:
                type_ = "user.suspended" if turn % 2 == 0 else "user.reactivated"
                listening.tell(feed, type_, {"id": key}, drain=False)
                name = {"id": key, "email": f"{key}@example.com", "given_name": f"n{turn}"}
                listening.tell(feed, "user.upserted", name, drain=False)
        workers = [Container(listening.settings) for _ in range(2)]
        small = [replace(parts.drain, batch_size=7) for parts in workers]
        threads = [threading.Thread(target=_drain_all, args=(drain,)) for drain in small]
        threads += [threading.Thread(target=_deliver_all, args=(parts,)) for parts in workers]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        listening.drain()
        listening.deliver()
        for parts in workers:
            parts.close()
        told = defaultdict(list)
        for one in app.told:
            told[one.subject].append(one.data["sequence"])
        assert len(told) == len(people)
        for numbers in told.values():
            assert numbers == list(range(1, len(numbers) + 1))
        assert sum(map(len, told.values())) > 4 * len(people)


def _drain_all(drain: Any) -> None:
    from domain.inbox import Kind

    for _ in range(3):
        for kind in (Kind.USERS_SUSPEND, Kind.USERS_REACTIVATE, Kind.USERS_CREATE):
            lane = "urgent" if kind is Kind.USERS_SUSPEND else "standard"
            drain.run(lane=lane, kind=kind, budget=timedelta(seconds=30))


def _deliver_all(parts: Container) -> None:
    deadline = time.monotonic() + 3
    while time.monotonic() < deadline:
        parts.deliver.run()


def courier(listening: Listening) -> Courier:
    found = Courier(listening.parts)
    listening.parts.couriers.append(found.wake)
    return found


def ended(listening: Listening, at: str) -> Callable[[], bool]:
    return lambda: (
        not listening.table(
            dispatches, dispatches.c.endpoint_id == at, dispatches.c.due_at.is_not(None)
        )
    )


def test_g7_a_hanging_endpoint_delays_neither_another_nor_a_drain(listening: Listening) -> None:
    hangs = threading.Event()

    def hang(_told: Told) -> int:
        hangs.wait(30)
        return 204

    feed = listening.begin()
    with receiver() as deaf:
        deaf.answers = hang
        other = listening.done("endpoint", "add", deaf.url, "--account", "acme")["id"]
        sender = courier(listening)
        try:
            for number in range(12):
                listening.hire(feed, f"u{number}")
            await_true(ended(listening, listening.endpoint), seconds=20, name="the other's")
            listening.tell(feed, "user.suspended", {"id": "u3"})
            await_true(lambda: "user.suspended" in listening.app.types(), seconds=20)
            assert not ended(listening, other)()
        finally:
            hangs.set()
            sender.stop()


def test_an_endpoint_gets_a_bounded_number_of_requests_at_once(listening: Listening) -> None:
    def slow(_told: Told) -> int:
        time.sleep(0.02)
        return 204

    feed = listening.begin()
    listening.app.answers = slow
    for number in range(60):
        listening.tell(
            feed,
            "user.upserted",
            {"id": f"u{number}", "email": f"u{number}@example.com"},
            drain=False,
        )
    listening.drain()
    sender = courier(listening)
    try:
        sender.wake()
        await_true(ended(listening, listening.endpoint), seconds=30, name="all")
    finally:
        sender.stop()
    assert len(listening.app.told) == 60
    assert 1 < listening.app.most_at_once <= OTHER_CONNECTIONS


def test_a_commit_wakes_the_senders_of_its_own_process(listening: Listening) -> None:
    """Never waiting for the sweep: there is none here, and no broker."""
    feed = listening.begin()
    sender = courier(listening)
    try:
        listening.hire(feed, "u1")
        await_true(lambda: listening.app.types() == ["user.invited"], seconds=10)
        listening.accept("u1@example.com")
        await_true(lambda: listening.app.types()[1:] == ["user.activated"], seconds=10)
        person = listening.app.told[0].subject
        listening.parts.people.set_role(person, role("administrator"), actor="t", reason="r")
        await_true(lambda: listening.app.types()[2:] == ["user.updated"], seconds=10)
    finally:
        sender.stop()


def role(name: str) -> Any:
    from domain.model import Role

    return Role(name)


def test_the_sweep_finds_what_nobody_rang_for(listening: Listening) -> None:
    hired(listening, "u1")
    rung: list[str] = []
    listening.parts.couriers.append(lambda: rung.append("rung"))
    listening.parts.sweep.run()
    assert rung == ["rung"]
    listening.deliver()
    listening.parts.sweep.run()
    assert rung == ["rung"]


def test_a_replay_sends_what_followed_a_cursor_once_more(listening: Listening) -> None:
    feed = hired(listening, "u1", "u2")
    listening.tell(feed, "user.suspended", {"id": "u1"})
    listening.deliver()
    cursors = [row["cursor"] for row in reversed(endpoint(listening)["recent"])]
    words = ("endpoint", "replay", listening.endpoint, "--since")
    assert listening.done(*words, str(cursors[0]), "--dry-run")["count"] == 2
    assert listening.cli(*words, "0", "--yes").returncode == 2, "a reason is needed"
    assert listening.cli(*words, "yesterday", "--reason", "x").returncode == 2
    before = [told.id for told in listening.app.told]
    assert listening.done(*words, str(cursors[0]), "--reason", "a bug")["count"] == 2
    listening.deliver()
    again = [told.id for told in listening.app.told[3:]]
    assert sorted(again) == sorted(before[1:]), "under their old ids"
    assert listening.done(*words, "1h", "--reason", "a bug")["count"] == 3
    listening.deliver()
    assert len(listening.app.told) == 8


def test_g9_retention_lets_go_of_what_was_delivered_and_of_nothing_else(
    listening: Listening,
) -> None:
    feed = hired(listening, "u1")
    listening.deliver()
    paused = ("endpoint", "pause", listening.endpoint, "--reason", "x")
    assert listening.cli(*paused).returncode == 0
    listening.hire(feed, "u2")
    with listening.parts.database.begin() as connection:
        long_ago = listening.at(0) - timedelta(days=31)
        connection.execute(update(announcements).values(made_at=long_ago))
        connection.commit()
    assert listening.parts.retain()["announcements"] == 1
    (kept,) = listening.table(announcements)
    (row,) = waiting(listening)
    assert row["announcement_id"] == kept["id"]
    with listening.parts.database.begin() as connection:
        connection.execute(update(endpoints).values(state="disabled"))
        connection.commit()
    assert listening.parts.retain()["dropped"] == 1
    assert listening.table(dispatches) == []
    listening.cli("endpoint", "resume", listening.endpoint)
    listening.hire(feed, "u3")
    (new,) = listening.table(announcements)
    assert new["id"] > kept["id"], "a cursor never goes back"


def test_what_is_under_way_is_not_replayed_twice(listening: Listening) -> None:
    hired(listening, "u1")
    count = listening.parts.announce.replay(listening.endpoint, since=0, actor="t", reason="r")
    assert count == 0
    listening.deliver()
    assert len(listening.app.told) == 1


def test_a_broken_answer_of_one_is_no_end_of_the_others(listening: Listening) -> None:
    def broken(told: Told) -> tuple[int, Mapping[str, str]]:
        if told.data["external_id"] == "u1":
            raise ConnectionError
        return 204, {}

    hired(listening, "u1", "u2")
    listening.app.answers = broken
    for _ in range(2):
        with suppress(Exception):
            listening.deliver()
        listening.let_waits_end()
    assert "u2" in {told.data["external_id"] for told in listening.app.told}
    assert [row["attempts"] >= 1 for row in waiting(listening)] == [True]


def test_due_is_told_by_lane(listening: Listening) -> None:
    feed = hired(listening, "u1")
    listening.deliver()
    listening.tell(feed, "user.suspended", {"id": "u1"})
    due = listening.parts.deliver.dispatches.due()
    assert due == [Due(listening.endpoint, Lane.URGENT, is_failing=False)]

"""What hooks did not bring is found in the IdP's log, once, through the same inbox (G2, G3)."""

from __future__ import annotations

import hmac
import json
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from domain.directory_access import DirectoryAccess
from domain.reconciliation import Order, Purpose
from tests.fakes.directory import Truth, TruthDirectory
from tests.fakes.idp import Fault
from tests.fakes.workos import FakeWorkos
from tests.harness import Feed, Rosterd
from worker.adapters.db import catching_up, rows
from worker.adapters.db.ingest import store_inside
from worker.adapters.db.reconciliation_rows import catch_ups, reconciliations
from worker.bootstrap import Container
from worker.tasks.reader import Reader

SOON = timedelta(seconds=5)


@pytest.fixture
def workos() -> Iterator[FakeWorkos]:
    with FakeWorkos().serving() as fake:
        yield fake


@pytest.fixture
def caught(database_url: str, tmp_path: Path) -> Iterator[Rosterd]:
    harness = Rosterd(database_url, tmp_path, outbound_allow="127.0.0.1")
    with harness.serving():
        yield harness
    harness.close()


@pytest.fixture
def feed(caught: Rosterd, workos: FakeWorkos) -> Feed:
    """A connection whose log is read from here on."""
    feed = caught.account(source="workos", catch_up_every="1s")
    give_access(caught, feed, workos)
    assert caught.parts.reading.catch_up.run(feed.connection, budget=SOON) == 0
    return feed


def give_access(rosterd: Rosterd, feed: Feed, workos: FakeWorkos) -> None:
    done = rosterd.cli(
        *("connection", "access", feed.connection, "--kind", "workos", "--url", workos.url),
        *("--set", f"directory={workos.directory}", "--secret", "-", "--reason", "test"),
        typed=workos.key,
        ROSTERD_OUTBOUND_ALLOW="127.0.0.1",
    )
    assert done.returncode == 0, done.stderr


def hook(rosterd: Rosterd, feed: Feed, event: dict[str, Any]) -> int:
    """The same event as WorkOS sends it by itself."""
    body = json.dumps({name: event[name] for name in ("id", "event", "data", "created_at")})
    at = str(int(time.time() * 1000))
    signed = hmac.new(feed.secret.encode(), f"{at}.{body}".encode(), sha256).hexdigest()
    headers = {"workos-signature": f"t={at}, v1={signed}", "content-type": "application/json"}
    return rosterd.http.post(feed.path, content=body, headers=headers).status_code


def catch_up(rosterd: Rosterd, feed: Feed) -> int:
    found = _due_now(rosterd).parts.reading.catch_up.run(feed.connection, budget=SOON)
    rosterd.drain()
    return found


def _due_now(rosterd: Rosterd) -> Rosterd:
    with rosterd.parts.database.begin() as sql:
        sql.execute(catch_ups.update().values(due_at=rosterd.now(), lease_until=None))
        sql.commit()
    return rosterd


def _states(rosterd: Rosterd) -> dict[str, str]:
    return {one["external_id"]: one["state"] for one in rosterd.users()}


def test_g2_dropped_hooks_are_found_and_doubled_ones_change_nothing(
    caught: Rosterd, workos: FakeWorkos, feed: Feed
) -> None:
    sent = [workos.user(f"u{number}") for number in range(5)]
    sent.append(workos.leave("u1"))
    for event in sent[::2]:
        assert hook(caught, feed, event) == 200
    caught.drain()
    assert catch_up(caught, feed) == 3
    expected = {f"u{number}": "invited" for number in range(5)} | {"u1": "invited_suspended"}
    assert _states(caught) == expected
    assert catch_up(caught, feed) == 0, "read once"
    for event in sent:
        assert hook(caught, feed, event) == 200, "late, and told in other bytes than the log"
    caught.drain()
    assert _states(caught) == expected
    assert len(caught.events()) == len(sent)
    assert caught.dead() == [], "no conflict: what a log told is the same event by its id"
    suspended = caught.events(rows.events.c.type == "dsync.user.deleted")
    assert [one["lane"] for one in suspended] == ["urgent"]
    (row,) = caught.table(catch_ups)
    assert (row["found"], row["known"]) == (3, 3)
    shown = caught.json("connection", "show", feed.connection)[0]
    assert (shown["log_found"], shown["log_fails"]) == (3, None)
    told = {family.name: family.samples for family in caught.parts.state_gauges()}
    events = {s.labels["result"]: s.value for s in told["rosterd_caught_up_events"]}
    assert events == {"new": 3, "known": 3}


def test_events_of_others_are_passed_and_long_logs_are_read_to_their_end(
    caught: Rosterd, workos: FakeWorkos, feed: Feed
) -> None:
    for number in range(130):
        workos.user(f"u{number % 3}", directory="directory_2" if number % 2 else "")
    found = catch_up(caught, feed)
    mine = [e for e in workos.events if e["data"]["directory_id"] == workos.directory]
    assert found == len(mine)
    assert {one["subject"] for one in caught.events()} <= {"u0", "u1", "u2"}


def test_g3_a_kill_between_the_events_and_the_cursor_loses_and_doubles_nothing(
    caught: Rosterd, workos: FakeWorkos, feed: Feed, monkeypatch: pytest.MonkeyPatch
) -> None:
    workos.user("u1")
    stored = store_inside

    def killed(*args: Any) -> Any:
        stored(*args)
        raise KeyboardInterrupt

    monkeypatch.setattr(f"{catching_up.__name__}.store_inside", killed)
    with pytest.raises(KeyboardInterrupt):
        caught.parts.reading.catch_up.run(_due(caught, feed), budget=SOON)
    assert caught.events() == [], "one transaction: neither is there"
    monkeypatch.setattr(f"{catching_up.__name__}.store_inside", stored)
    assert caught.parts.reading.catch_up.run(feed.connection, budget=SOON) == 0, "leased"
    assert catch_up(caught, feed) == 1
    assert _states(caught) == {"u1": "invited"}


def _due(rosterd: Rosterd, feed: Feed) -> str:
    _due_now(rosterd)
    return feed.connection


def test_a_late_worker_neither_stores_nor_moves_the_cursor(
    caught: Rosterd, workos: FakeWorkos, feed: Feed
) -> None:
    store = caught.parts.reading.catch_up.store
    workos.user("u1")
    late = store.take(_due(caught, feed))
    assert late is not None
    assert store.take(feed.connection) is None, "one worker at a time"
    mine = store.take(_due(caught, feed))
    assert mine is not None
    directory = caught.parts.directory_of(feed.connection)
    assert directory is not None
    assert store.keep(late, directory.log(late.cursor), []) is None
    assert store.keep(mine, directory.log(mine.cursor), []) == []


def test_retry_after_is_honoured_and_a_refusal_waits_for_an_operator(
    caught: Rosterd, workos: FakeWorkos, feed: Feed
) -> None:
    workos.user("u1")
    workos.faults.append(Fault.LIMITED)
    assert catch_up(caught, feed) == 0
    (row,) = caught.table(catch_ups)
    assert row["due_at"] > caught.now()
    assert "429" in row["why"]
    workos.key = "sk_changed"
    assert catch_up(caught, feed) == 0
    (row,) = caught.table(catch_ups)
    assert row["due_at"] > caught.now() + timedelta(minutes=50)
    assert "401" in caught.json("connection", "show", feed.connection)[0]["log_fails"]
    assert feed.connection not in caught.parts.reading.catch_up.store.due()


def test_c2_what_is_paused_is_read_and_held(
    caught: Rosterd, workos: FakeWorkos, feed: Feed
) -> None:
    assert caught.cli("connection", "pause", feed.connection, "--reason", "x").returncode == 0
    workos.user("u1")
    assert catch_up(caught, feed) == 1
    assert [one["reason"] for one in caught.events()] == ["paused"]
    assert _states(caught) == {}


def test_g7_an_idp_that_hangs_keeps_no_other_from_being_read(
    caught: Rosterd, workos: FakeWorkos
) -> None:
    with ExitStack() as stack:
        hangs = stack.enter_context(FakeWorkos().serving())
        feed = caught.account(source="workos", several=True, catch_up_every="1s")
        give_access(caught, feed, workos)
        other = caught.connect("acme", source="workos", name="hangs", catch_up_every="1s")
        give_access(caught, other, hangs)
        for one in (feed, other):
            caught.parts.reading.catch_up.run(one.connection, budget=SOON)
        hangs.fault = Fault.HANG
        workos.user("u1")
        reader = Reader(_due_now(caught).parts)
        stack.callback(reader.stop)
        stack.callback(hangs.let_go.set)
        reader.start()
        waited = threading.Event()
        for _ in range(200):
            if caught.events() and hangs.asked:
                break
            waited.wait(0.1)
        assert [one["subject"] for one in caught.events()] == ["u1"]
        assert hangs.asked, "the other one was asked, and has not answered"


def test_what_is_read_gives_the_same_words_as_its_events(
    caught: Rosterd, workos: FakeWorkos, feed: Feed
) -> None:
    workos.user("u1", job_title="Engineer")
    workos.user("u2")
    workos.user("u2", state="inactive")
    workos.group("g1", "Engineering", "u1")
    told = caught.cli(
        *("reconcile", feed.connection, "--apply", "--json"), ROSTERD_OUTBOUND_ALLOW="127.0.0.1"
    )
    assert told.returncode == 0, told.stderr
    caught.drain()
    assert catch_up(caught, feed) == 4
    again = caught.cli(
        *("reconcile", feed.connection, "--json"), ROSTERD_OUTBOUND_ALLOW="127.0.0.1"
    )
    differ = [one for one in json.loads(again.stdout)["differences"] if one["what"] != "waiting"]
    assert differ == []
    assert _states(caught) == {"u1": "invited", "u2": "invited_suspended"}


def test_g7_connections_without_a_log_keep_no_other_from_being_read(
    rosterd: Rosterd, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Four find a thread at a look, and SCIM connections have no log that tells of hooks."""
    truth = Truth()
    monkeypatch.setattr(Container, "directory_of", lambda _parts, _id: TruthDirectory(truth))
    for number in range(4):
        feed = rosterd.account(source="scim", name=f"tenant{number}")
        with rosterd.setup() as use:
            access = DirectoryAccess("okta", "https://example.okta.com", {}, "token")
            use.give_access(use.connection(feed.connection), access, reason="x")
    other = rosterd.account(name="other")
    rosterd.hire(other, "u1")
    truth.hire("u1")
    order = Order(Purpose.RECONCILE, applies=True, actor="op", reason="x")
    run = rosterd.parts.reading.reconcile.begin(other.connection, order)

    while jobs := list(rosterd.parts.reading.jobs()):
        assert [job.name for job in jobs] == [run], "and nobody who has nothing to read"
        jobs[0].work()
    (row,) = rosterd.table(reconciliations, reconciliations.c.id == run)
    assert row["state"] == "finished"

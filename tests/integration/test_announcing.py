"""No change is lost to an application that listens: two workers at once, who leaves, who moves."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from domain.inbox import Kind
from domain.keys import group_id, group_ref
from tests.harness import Feed
from tests.listening import Listening, listening_on
from tests.receiver import receiver
from tests.servers import await_true
from worker.adapters.db import rows, uow
from worker.adapters.db.outbound_rows import endpoints

BUDGET = timedelta(seconds=30)
G1 = {"group_id": "g1", "user_ids": ["u1"]}


@pytest.fixture
def on_postgres(postgres_url: str, tmp_path: Path) -> Iterator[Listening]:
    with receiver() as app, listening_on(postgres_url, tmp_path, app) as harness:
        yield harness


class Pause:
    """The first call waits to be let go on; the others pass."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self._function = function
        self._first = threading.Lock()
        self.reached = threading.Event()
        self.go_on = threading.Event()

    def __get__(self, instance: object, _owner: type) -> Callable[..., Any]:
        return partial(self, instance)

    def __call__(self, *words: Any, **more: Any) -> Any:
        if self._first.acquire(blocking=False):
            self.reached.set()
            assert self.go_on.wait(30)
        return self._function(*words, **more)


def _waits(listening: Listening) -> bool:
    said = (
        "SELECT count(*) FROM pg_stat_activity "
        "WHERE datname = current_database() AND wait_event_type = 'Lock'"
    )
    with listening.parts.database.read() as connection:
        return bool(connection.execute(text(said)).scalar())


def _drain(listening: Listening, kind: Kind) -> threading.Thread:
    work = partial(listening.parts.drain.run, lane="standard", kind=kind, budget=BUDGET)
    thread = threading.Thread(target=work)
    thread.start()
    return thread


_HIRE = ("user.upserted", {"id": "u1", "email": "u1@example.com"}, Kind.USERS_CREATE)
_LIST = ("group.members_replaced", G1, Kind.GROUPS_UPSERT)
_NAME = ("group.upserted", {"id": "g1", "name": "One"}, Kind.GROUPS_UPSERT)
_JOIN = ("group.member_added", {"group_id": "g1", "user_id": "u1"}, Kind.GROUPS_ADD_MEMBERS)


@pytest.mark.parametrize(
    ("before", "first", "second"),
    [
        ([_NAME], _HIRE, _LIST),
        ([_NAME], _LIST, _HIRE),
        ([_JOIN], _HIRE, _NAME),
        ([_JOIN], _NAME, _HIRE),
    ],
    ids=["hired then listed", "listed then hired", "hired then named", "named then hired"],
)
def test_g7_both_ends_of_a_membership_on_two_workers_at_once(
    on_postgres: Listening,
    monkeypatch: pytest.MonkeyPatch,
    before: list[Any],
    first: tuple[str, dict[str, Any], Kind],
    second: tuple[str, dict[str, Any], Kind],
) -> None:
    """Each worker brings one end, and has not committed when the other one decides."""
    feed = on_postgres.begin()
    for type_, data, _ in before:
        on_postgres.tell(feed, type_, data)
    for type_, data, _ in (first, second):
        on_postgres.tell(feed, type_, data, drain=False)
    assert on_postgres.parts.drain.batch_size, "built once, before the threads"
    pause = Pause(uow.SQLWork.commit)
    monkeypatch.setattr(uow.SQLWork, "commit", pause)
    one = _drain(on_postgres, first[2])
    assert pause.reached.wait(30)
    other = _drain(on_postgres, second[2])
    await_true(lambda: _waits(on_postgres), name="the second worker waits for the first")
    pause.go_on.set()
    one.join()
    other.join()
    on_postgres.drain()
    told = on_postgres.types()
    assert told.count("group.member_added") == 1
    assert sorted(told) == ["group.created", "group.member_added", "user.invited"]


def test_two_workers_who_hire_do_not_wait_for_each_other(
    on_postgres: Listening, monkeypatch: pytest.MonkeyPatch
) -> None:
    feed = on_postgres.begin()
    on_postgres.hire(feed, "u1")
    on_postgres.tell(feed, "user.upserted", {"id": "u2", "email": "u2@example.com"}, drain=False)
    pause = Pause(uow.SQLWork.commit)
    monkeypatch.setattr(uow.SQLWork, "commit", pause)
    one = _drain(on_postgres, Kind.USERS_CREATE)
    assert pause.reached.wait(30)
    on_postgres.tell(feed, "user.upserted", {"id": "u3", "email": "u3@example.com"}, drain=False)
    _drain(on_postgres, Kind.USERS_CREATE).join(30)
    assert on_postgres.user("u3") is not None, "committed beside who has not committed yet"
    pause.go_on.set()
    one.join()


def test_c7_who_leaves_management_is_told_and_every_group(listening: Listening) -> None:
    feed = _staffed(listening)
    before = len(listening.app.told)
    done = listening.cli("connection", "retire", feed.connection, "--reason", "x", "--yes")
    assert done.returncode == 0, done.stderr
    assert sorted(listening.types()[before:]) == ["group.updated", "user.updated", "user.updated"]
    for told in listening.app.told[before:]:
        assert (told.data["managed"], told.data["connection"]) == (False, None)
    ref = group_ref(group_id(feed.connection, "g1"))
    assert {t.data["id"] for t in listening.app.told[before:] if "name" in t.data} == {ref}


def test_c1_who_is_taken_over_is_told_and_their_group_under_its_new_id(
    listening: Listening,
) -> None:
    old = _staffed(listening, several=True)
    new = listening.connect("acme", name="new")
    before = len(listening.app.told)
    done = listening.cli(
        "connection",
        "replace",
        old.connection,
        new.connection,
        "--map",
        "same",
        "--reason",
        "x",
        "--yes",
    )
    assert done.returncode == 0, done.stdout + done.stderr
    listening.types()
    told = listening.app.told[before:]
    moved = [t for t in told if t.type == "user.updated" and t.data["connection"] == new.connection]
    assert {t.data["external_id"] for t in moved} == {"u1", "u2"}
    groups = {t.type: t.data for t in told if t.type.startswith("group.")}
    ref = group_ref(group_id(new.connection, "g1"))
    assert groups["group.created"]["id"] == ref
    assert groups["group.member_added"]["group"]["id"] == ref
    assert groups["group.member_added"]["user"]["external_id"] == "u1"
    assert groups["group.deleted"]["id"] == group_ref(group_id(old.connection, "g1"))


def test_g3_a_group_that_drops_out_of_management_is_told(listening: Listening) -> None:
    feed = _staffed(listening)
    group = group_id(feed.connection, "g1")
    before = len(listening.app.told)
    done = listening.cli("group", "grant", group, "recover_accounts", "--reason", "x")
    assert done.returncode == 0, done.stderr
    assert listening.types()[before:] == ["group.updated"]
    assert listening.app.told[-1].data["managed"] is False


def _staffed(listening: Listening, **account: Any) -> Feed:
    feed = listening.begin(**account)
    for key in ("u1", "u2"):
        listening.hire(feed, key)
    listening.tell(feed, "group.upserted", {"id": "g1", "name": "One"})
    listening.tell(feed, "group.member_added", {"group_id": "g1", "user_id": "u1"})
    listening.types()
    return feed


def test_an_endpoint_is_added_once_nobody_works_who_does_not_know_of_it(
    on_postgres: Listening, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever is committed after `endpoint add` has returned is announced to it."""
    feed = on_postgres.account()
    on_postgres.tell(feed, "user.upserted", {"id": "u1", "email": "u1@example.com"}, drain=False)
    order: list[str] = []
    commit = uow.SQLWork.commit

    def committed(work: Any) -> None:
        commit(work)
        order.append("committed")

    pause = Pause(committed)
    monkeypatch.setattr(uow.SQLWork, "commit", pause)
    worker = _drain(on_postgres, Kind.USERS_CREATE)
    assert pause.reached.wait(30)

    def add() -> None:
        on_postgres.listen()
        order.append("added")

    adding = threading.Thread(target=add)
    adding.start()
    await_true(lambda: bool(on_postgres.table(endpoints)), name="the endpoint is there")
    pause.go_on.set()
    adding.join()
    worker.join()
    assert order[0] == "committed"
    assert on_postgres.table(rows.people), "and what it did is done, unannounced"
    on_postgres.hire(feed, "u2")
    assert on_postgres.types() == ["user.invited"]


@pytest.mark.parametrize(("leaver", "hired"), [("u0", "u1"), ("u1", "u0")])
def test_g1_somebody_hired_again_who_stays_in_a_group_is_not_told_to_be_gone(
    listening: Listening, leaver: str, hired: str
) -> None:
    """E8: both ids are in the group. Told by id, the end of the one came behind the other's."""
    feed = listening.begin()
    listening.tell(feed, "group.upserted", {"id": "g", "name": "Group"})
    listening.hire(feed, leaver, "a@example.com")
    for key in (leaver, hired):
        listening.tell(feed, "group.member_added", {"group_id": "g", "user_id": key})
    listening.tell(feed, "user.suspended", {"id": leaver})
    listening.hire(feed, hired, "a@example.com")
    (edge,) = [
        one for one in listening.export() if one["kind"] == "membership" and one["user"] == hired
    ]
    assert edge["effective"] is True
    assert [one for one in listening.types() if "member" in one] == ["group.member_added"]

"""What goes the driver's way on PostgreSQL, and others who are at work there at the same time."""

from __future__ import annotations

import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest

from domain.changes import Change
from domain.inbox import Kind
from domain.looking import EventFilter
from domain.model import User
from domain.ports import InfrastructureError
from tests.harness import Rosterd
from tests.integration.test_database_faults import beside, later
from tests.scim import heard
from tests.servers import await_true
from worker.adapters.db import bulk, event_pages, rows
from worker.adapters.db.direct import direct_of
from worker.adapters.db.direct_directory import DirectDirectory
from worker.adapters.db.event_pages import SQLEvents
from worker.adapters.db.mapping import user_to_row

NO_TIME = timedelta(0)


def _sessions(rosterd: Rosterd) -> int:
    with beside(rosterd) as other:
        mine = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
        (count,) = other.execute(mine).fetchone() or (0,)
    return int(count)


def test_g4_a_membership_of_somebody_who_is_being_made_is_read_behind_their_lock(
    on_postgres: Rosterd, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Three at once: one makes the subject, one adds it to a group, one takes it out again."""
    rosterd = on_postgres
    feed = rosterd.account()
    rosterd.tell(feed, "group.upserted", {"id": "g1", "name": "Group"})
    member = {"group_id": "g1", "user_id": "u1"}
    rosterd.tell(feed, "group.member_added", member, at=5, id_="in", drain=False)
    rosterd.tell(feed, "group.member_removed", member, at=6, id_="out", drain=False)
    foresee, drain = DirectDirectory.foresee, rosterd.parts.drain

    def and_meanwhile(self: DirectDirectory, changes: Sequence[tuple[str, Change]]) -> None:
        monkeypatch.setattr(DirectDirectory, "foresee", foresee)
        with rosterd.parts.database.begin() as other:
            made = user_to_row(User(feed.connection, "u1"), rosterd.account_id)
            bulk.insert(other, rows.users, [made])
            with ThreadPoolExecutor(1) as thread:
                asked = thread.submit(foresee, self, changes)
                time.sleep(0.4)  # It waits for the row that is being made.
                other.commit()
        asked.result()
        drain.run(lane="urgent", kind=Kind.GROUPS_REMOVE_MEMBERS, budget=timedelta(seconds=5))

    monkeypatch.setattr(DirectDirectory, "foresee", and_meanwhile)
    drain.run(lane="standard", kind=Kind.GROUPS_ADD_MEMBERS, budget=NO_TIME)
    rosterd.hire(feed, "u1")
    assert rosterd.outcome("out")[0] == "applied"
    assert rosterd.outcome("in")[0] == "superseded"
    assert [line for line in rosterd.export() if line["kind"] == "membership"] == []


def test_d5_turns_of_several_accounts_are_taken_in_one_order(on_postgres: Rosterd) -> None:
    """Two batches of the same two accounts, each alone in one of them, waited for each other."""
    told = []
    with heard(on_postgres) as asked:
        for alone, other in (("a", "b"), ("b", "a")):
            with on_postgres.parts.works() as work:
                work.directory.take_turns(alone={alone}, beside={other})
            told.append([one.given for one in asked if one.given in (["a"], ["b"])])
            asked.clear()
    assert told == [[["a"], ["b"]], [["a"], ["b"]]]


def test_f14_a_session_that_the_server_ended_for_sleeping_is_lost_and_tried_again(
    on_postgres: Rosterd,
) -> None:
    limit = "SELECT set_config('idle_in_transaction_session_timeout', '100', true)"
    with on_postgres.parts.kept_connections.begin() as sql:
        direct = direct_of(sql)
        assert direct is not None
        before = _sessions(on_postgres)
        direct.ask(limit)
        # The server looks at it after the next statement.
        direct.ask("SELECT 1 AS one")
        await_true(lambda: _sessions(on_postgres) < before, name="the end of the session")
        with pytest.raises(InfrastructureError) as lost:
            direct.ask("SELECT 1 AS one")
    assert lost.value.is_lost


def test_f25_threads_that_end_leave_no_connection(on_postgres: Rosterd) -> None:
    """Those of a web server end after some seconds without work."""
    on_postgres.account()
    before = _sessions(on_postgres)
    for _ in range(8):
        later(lambda: on_postgres.parts.drain.predict([])).join()
    assert _sessions(on_postgres) <= before + 1


@pytest.mark.parametrize("waits", [False, True])
def test_g9_a_tail_waits_for_whoever_wrote_before_and_has_not_ended(
    on_postgres: Rosterd, monkeypatch: pytest.MonkeyPatch, waits: bool
) -> None:
    """A SCIM write has its number before it waits for its locks, and may commit behind others."""
    monkeypatch.setattr(event_pages, "SETTLED", timedelta(0))
    rosterd = on_postgres
    feed = rosterd.account()
    events = SQLEvents(rosterd.parts.database, rosterd.parts.vault)
    lock = "SELECT pg_advisory_xact_lock(7)" if waits else "SELECT FROM accounts FOR UPDATE"
    with beside(rosterd) as holding, beside(rosterd) as writing:
        if waits:
            holding.execute(lock)
            thread = later(lambda: writing.execute(lock))
            time.sleep(0.2)
        else:
            writing.execute(lock)
        rosterd.tell(feed, "user.suspended", {"id": "u1"}, drain=False)
        held, begin = events.coming(EventFilter(), after=0, limit=9)
        holding.rollback()
        if waits:
            thread.join()
        writing.rollback()
    found, _ = events.coming(EventFilter(), after=begin, limit=9)
    assert (held, [one["subject"] for one in found]) == ([], ["u1"])


def test_a_connection_stays_with_its_thread_while_that_lives(on_postgres: Rosterd) -> None:
    """In another's session a thread would have to prepare all of its statements anew."""
    kept = on_postgres.parts.kept_connections

    def session() -> int:
        with kept.beside() as direct:
            return int(direct.ask("SELECT pg_backend_pid() AS pid")[0]["pid"])

    with ThreadPoolExecutor(1) as other:
        mine, theirs = session(), other.submit(session).result()
        assert mine != theirs
        assert (session(), other.submit(session).result()) == (mine, theirs)

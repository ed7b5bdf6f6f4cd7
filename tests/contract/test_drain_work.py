"""`DrainWork`: claims, retries, waits and the way back, whoever keeps the events."""

from __future__ import annotations

from datetime import timedelta

import pytest

from domain.inbox import Kind, Outcome, Reason, State
from domain.ports import ClaimedEvent, DrainWork, Result, Writes
from tests.contract.conftest import Port

STANDARD = "standard"


def claim(work: DrainWork, *, limit: int = 100, troubled: bool = False) -> list[ClaimedEvent]:
    return work.claim(lane=STANDARD, kind=Kind.USERS_CREATE, limit=limit, troubled=troubled)


def finish(port: Port, *results: Result) -> None:
    with port.work() as work:
        work.finish(results)
        work.commit()


def claimed(port: Port, *, troubled: bool = False) -> list[ClaimedEvent]:
    with port.work() as work:
        return claim(work, troubled=troubled)


def test_events_are_claimed_oldest_first_up_to_the_limit(port: Port) -> None:
    for name in ("e1", "e2", "e3"):
        port.add(name)
    with port.work() as work:
        found = claim(work, limit=2)
        assert [event.id for event in found] == sorted(event.id for event in found)
        assert len(found) == 2
        assert {event.connection for event in found} == {port.connection}
        assert [(e.attempts, e.crashes, e.is_first_try) for e in found] == [(0, 0, True)] * 2
    assert len(claimed(port)) == 3, "nothing was committed, so nothing is gone"


def test_a_claim_is_for_one_lane_and_kind(port: Port) -> None:
    if port.name == "memory":
        pytest.skip("the memory has one lane and one kind")
    port.add("e1")
    with port.work() as work:
        for lane, kind in (("urgent", Kind.USERS_CREATE), (STANDARD, Kind.USERS_SUSPEND)):
            assert work.claim(lane=lane, kind=kind, limit=9, troubled=False) == []


def test_what_has_ended_is_neither_claimed_nor_retaken(port: Port) -> None:
    port.add("e1")
    (event,) = claimed(port)
    finish(port, Result(event, State.ENDED, Outcome.APPLIED))
    assert claimed(port) == []
    with port.work() as work:
        assert work.retake([event.id]) == []


def test_a_retry_is_claimed_apart_and_only_when_it_is_due(port: Port) -> None:
    port.add("e1")
    port.add("e2")
    one, two = claimed(port)
    with port.work() as work:
        soon, later = work.now, work.now + timedelta(hours=1)
        retry = Result(one, State.RETRYING, None, Reason.ERROR, "why", due_at=soon, attempts=1)
        wait = Result(two, State.RETRYING, None, Reason.ERROR, "why", due_at=later, attempts=3)
        work.finish([retry, wait])
        work.commit()
    assert claimed(port) == []
    (again,) = claimed(port, troubled=True)
    assert (again.id, again.attempts, again.is_first_try) == (one.id, 1, False)


def test_d1_what_waits_is_woken_by_its_keys_and_by_no_other(port: Port) -> None:
    port.add("e1")
    port.add("e2")
    one, two = claimed(port)
    finish(
        port,
        Result(one, State.WAITING, None, Reason.NOT_SEEN, waits=("u:a", "g:b")),
        Result(two, State.WAITING, None, Reason.NOT_SEEN, waits=("u:c",)),
    )
    assert claimed(port) == []
    with port.work() as work:
        work.directory.wake({"g:b", "u:nobody"})
        work.save(Writes())
        work.commit()
    (woken,) = claimed(port)
    assert woken.id == one.id
    assert woken.waiting_since is not None
    finish(port, Result(woken, State.ENDED, Outcome.APPLIED))
    with port.work() as work:
        work.directory.wake({"g:b"})
        work.save(Writes())
        work.commit()
    assert claimed(port) == [], "who has ended waits for nothing any more"


def test_g8_reopening_for_a_dry_run_leaves_no_trace(port: Port) -> None:
    port.add("e1")
    (event,) = claimed(port)
    finish(port, Result(event, State.DEAD, Outcome.DEAD, Reason.DOMAIN_NOT_ALLOWED, "why"))
    with port.work() as work:
        work.reopen([event.id])
        assert [found.id for found in work.retake([event.id])] == [event.id]
    with port.work() as work:
        assert work.retake([event.id]) == []
    assert claimed(port) == []


def test_a_batch_knows_the_bodies_policies_and_sources_of_its_events(port: Port) -> None:
    port.add("e1")
    with port.work() as work:
        found = claim(work)
        assert set(work.bodies(found)) == {found[0].delivery}
        assert work.policies(found)[port.connection].domains == {"example.com"}
        assert set(work.sources(found)) == {found[0].feed}

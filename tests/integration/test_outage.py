"""An outage play: an IdP's API hangs, limits, fails and lies while its webhooks keep coming."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from domain.questions import AT_ONCE
from tests.fakes.idp import Fault
from tests.fakes.okta import FakeOkta
from tests.harness import Feed, Rosterd
from tests.hydrating import give_access, hook, let_rest_end, person, reading
from tests.servers import await_true
from worker.adapters.db import rows
from worker.adapters.db.directory_rows import reads
from worker.tasks.hydrator import Hydrator

CREATED, UPDATED = "user.lifecycle.create", "user.account.update_profile"
FAULTS = (Fault.HANG, Fault.LIMITED, Fault.ERROR, Fault.GARBAGE, Fault.HALF, Fault.HTML)
PEOPLE = 12


@pytest.fixture
def okta() -> Iterator[FakeOkta]:
    with FakeOkta().serving() as fake:
        yield fake


@pytest.fixture
def other() -> Iterator[FakeOkta]:
    with FakeOkta().serving() as fake:
        yield fake


@pytest.fixture
def rosterd(database_url: str, tmp_path: Path) -> Iterator[Rosterd]:
    with reading(database_url, tmp_path) as made:
        yield made


@pytest.fixture
def hydrator(rosterd: Rosterd) -> Iterator[Hydrator]:
    made = Hydrator(rosterd.parts)
    yield made
    made.stop()


def test_g2_g7_an_idp_that_is_out_delays_nobody_and_is_caught_up_with(
    rosterd: Rosterd, okta: FakeOkta, other: FakeOkta, hydrator: Hydrator
) -> None:
    """Nothing lost, others not delayed, no attempt used up, no stampede when it is back."""
    feed = rosterd.account(source="okta", scope="everyone", several=True)
    second = rosterd.connect("acme", source="okta", scope="everyone", name="second")
    give_access(rosterd, feed, okta)
    give_access(rosterd, second, other)
    for number, fault in enumerate(FAULTS):
        okta.fault = fault
        before = len(okta.asked)
        for key in range(PEOPLE):
            okta.user(f"00u{key}", firstName=f"{fault}")
            hook(rosterd, feed, okta.happened(UPDATED if number else CREATED, person(f"00u{key}")))
        _others_go_on(rosterd, second, other, hydrator, f"00v{number}")
        _await(rosterd, hydrator, lambda before=before: len(okta.asked) > before)  # type: ignore[misc]
        let_rest_end(rosterd)
    waiting = _states(rosterd, feed)
    assert len(waiting) == PEOPLE * len(FAULTS), "nothing is lost"
    assert set(waiting) == {("waiting", "reading", 0)}, "nothing is used up, nobody is suspended"
    okta.fault, okta.most_at_once = None, 0
    okta.let_go.set()
    begun = len(okta.asked)
    _await(rosterd, hydrator, lambda: {state for state, *_ in _states(rosterd, feed)} == {"ended"})
    people = [u for u in rosterd.users() if str(u["external_id"]).startswith("00u")]
    assert {u["given_name"] for u in people} == {str(FAULTS[-1])}
    assert len(people) == PEOPLE
    assert {u["state"] for u in people} == {"invited"}
    # One question a person, however many events; a few were under way when it came back.
    assert len(okta.asked) - begun <= PEOPLE + AT_ONCE
    assert okta.most_at_once <= AT_ONCE
    assert not rosterd.table(reads, reads.c.due_at.is_not(None))


def test_u3_leavers_are_out_at_once_while_their_idp_is_out(
    rosterd: Rosterd, okta: FakeOkta, hydrator: Hydrator
) -> None:
    feed = rosterd.account(source="okta", scope="everyone")
    give_access(rosterd, feed, okta)
    okta.user("00u1")
    hook(rosterd, feed, okta.happened(CREATED, person("00u1")))
    _await(rosterd, hydrator, lambda: rosterd.user("00u1") is not None)
    okta.fault = Fault.HANG
    hook(rosterd, feed, okta.happened(UPDATED, person("00u1")))
    hook(rosterd, feed, okta.happened("user.lifecycle.suspend", person("00u1")))
    _await(rosterd, hydrator, lambda: _state(rosterd, "00u1") == "invited_suspended")
    assert ("waiting", "reading", 0) in _states(rosterd, feed)


def _others_go_on(
    rosterd: Rosterd, feed: Feed, okta: FakeOkta, hydrator: Hydrator, key: str
) -> None:
    """Somebody of the other connection comes, is read and is in, whatever ails the first."""
    okta.user(key)
    hook(rosterd, feed, okta.happened(CREATED, person(key)))
    _await(rosterd, hydrator, lambda: rosterd.user(key) is not None)


def _states(rosterd: Rosterd, feed: Feed) -> list[tuple[str, str | None, int]]:
    mine = rosterd.events(rows.events.c.feed_id == feed.id)
    return [(row["state"], row["reason"], row["attempts"]) for row in mine]


def _state(rosterd: Rosterd, key: str) -> Any:
    user = rosterd.user(key)
    return user["state"] if user is not None else None


def _await(rosterd: Rosterd, hydrator: Hydrator, is_so: Callable[[], bool]) -> None:
    """What workers do, until it is so."""

    def look() -> bool:
        for lane, kind in rosterd._due():
            rosterd.parts.drain.run(lane=lane, kind=kind, budget=timedelta(seconds=30))
        hydrator.wake()
        return is_so()

    await_true(look, seconds=120)

"""Addresses that change hands in rings: in any order, in one batch or several (E8)."""

from __future__ import annotations

import threading
from itertools import permutations

import pytest

from tests.harness import Feed, Rosterd
from worker.adapters.db import rows

NAMES = ("ana", "eva", "ida", "leo")


def _hired(rosterd: Rosterd, count: int, *, several: bool = False) -> list[Feed]:
    """People with addresses of their own, nobody of whom has accepted."""
    feed = rosterd.account(several=several)
    for name in NAMES[:count]:
        rosterd.hire(feed, name)
    return [feed] * count


def _turned(count: int) -> dict[str, str]:
    """Each gets the next one's address, the last one the first one's."""
    names = NAMES[:count]
    return {name: f"{names[(n + 1) % count]}@example.com" for n, name in enumerate(names)}


def _emails(rosterd: Rosterd) -> dict[str, str]:
    return {user["external_id"]: user["email"] for user in rosterd.users() if user["managed"]}


def _tell(rosterd: Rosterd, feed: Feed, name: str, email: str, *, drain: bool) -> None:
    rosterd.tell(feed, "user.email_changed", {"id": name, "email": email}, drain=drain)


@pytest.mark.parametrize("at_once", [True, False], ids=["one batch", "one by one"])
@pytest.mark.parametrize("order", [*permutations(range(2)), *permutations(range(3))])
def test_e8_a_ring_of_people_who_never_accepted_moves_whole(
    rosterd: Rosterd, order: tuple[int, ...], at_once: bool
) -> None:
    feeds = _hired(rosterd, len(order))
    wanted = _turned(len(order))
    for number in order:
        name = NAMES[number]
        _tell(rosterd, feeds[number], name, wanted[name], drain=not at_once)
    rosterd.drain()
    assert _emails(rosterd) == wanted
    assert not rosterd.dead()
    assert not rosterd.events(rows.events.c.state != "ended")
    held = {row["id"].partition(":")[2]: row["person_id"] for row in rosterd.table(rows.addresses)}
    people = {row["user_key"]: row["id"] for row in rosterd.table(rows.people)}
    assert held == {email: people[name] for name, email in wanted.items()}
    for name, email in wanted.items():
        assert rosterd.accept(email) == 200
        assert rosterd.user(name)["state"] == "active"  # type: ignore[index]


def test_e8_a_ring_of_four_that_is_told_backwards(rosterd: Rosterd) -> None:
    feeds = _hired(rosterd, 4)
    for name, email in reversed(_turned(4).items()):
        _tell(rosterd, feeds[0], name, email, drain=True)
    assert _emails(rosterd) == _turned(4)


def test_e8_a_chain_moves_from_its_free_end_and_no_ring_is_seen_in_it(rosterd: Rosterd) -> None:
    feeds = _hired(rosterd, 3)
    _tell(rosterd, feeds[0], "ana", "eva@example.com", drain=True)
    _tell(rosterd, feeds[0], "eva", "ida@example.com", drain=True)
    assert _emails(rosterd) == {name: f"{name}@example.com" for name in NAMES[:3]}
    waiting = rosterd.events(rows.events.c.state == "waiting")
    assert [event["reason"] for event in waiting] == ["address_taken"] * 2
    _tell(rosterd, feeds[0], "ida", "new@example.com", drain=True)
    assert _emails(rosterd) == {**_turned(3), "ida": "new@example.com"}


def test_e8_a_ring_across_connections_of_an_account_that_allows_several(rosterd: Rosterd) -> None:
    (one,) = _hired(rosterd, 1, several=True)
    other = rosterd.connect("acme", name="second")
    rosterd.hire(other, "eva")
    _tell(rosterd, one, "ana", "eva@example.com", drain=True)
    assert _emails(rosterd)["ana"] == "ana@example.com"
    _tell(rosterd, other, "eva", "ana@example.com", drain=True)
    assert _emails(rosterd) == _turned(2)
    assert not rosterd.dead()


def test_e8_d5_rings_told_to_many_workers_at_once_resolve(
    postgres_url: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    rosterd = Rosterd(postgres_url, tmp_path_factory.mktemp("swaps"))
    with rosterd.serving():
        feed = rosterd.account()
        rings = 12
        for number in range(rings):
            for name in NAMES:
                key = f"{name}{number}"
                rosterd.tell(
                    feed, "user.upserted", {"id": key, "email": f"{key}@example.com"}, drain=False
                )
        rosterd.drain()
        for number in range(rings):
            for index, name in enumerate(NAMES):
                email = f"{NAMES[(index + 1) % 4]}{number}@example.com"
                _tell(rosterd, feed, f"{name}{number}", email, drain=False)
        assert rosterd.parts.drain.batch_size, "built once, before the threads"
        workers = [threading.Thread(target=rosterd.drain) for _ in range(4)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        for _ in range(50):
            if not rosterd.events(rows.events.c.state != "ended"):
                break
            rosterd.drain()
        moved = _emails(rosterd)
    rosterd.close()
    assert moved == {
        f"{name}{number}": f"{NAMES[(index + 1) % 4]}{number}@example.com"
        for number in range(rings)
        for index, name in enumerate(NAMES)
    }

"""Rings of addresses with people who accepted: all move with the last yes (E8, E2)."""

from __future__ import annotations

import threading
from datetime import UTC, datetime
from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.exploring import patient
from tests.harness import Feed, Rosterd
from worker.adapters.db import rows

NAMES = ("ana", "eva", "ida", "leo")


def _staffed(rosterd: Rosterd, count: int, *, accepted: str = "all", **more: object) -> Feed:
    feed = rosterd.account(**more)  # type: ignore[arg-type]
    for name in NAMES[:count]:
        rosterd.hire(feed, name)
        if accepted == "all" or name in accepted.split():
            assert rosterd.accept(f"{name}@example.com") == 200
    return feed


def _turned(count: int) -> dict[str, str]:
    names = NAMES[:count]
    return {name: f"{names[(n + 1) % count]}@example.com" for n, name in enumerate(names)}


def _old(count: int) -> dict[str, str]:
    return {name: f"{name}@example.com" for name in NAMES[:count]}


def _emails(rosterd: Rosterd) -> dict[str, str]:
    return {user["external_id"]: user["email"] for user in rosterd.users() if user["managed"]}


def _give(rosterd: Rosterd, feed: Feed, name: str, email: str, *, drain: bool = True) -> None:
    rosterd.tell(feed, "user.email_changed", {"id": name, "email": email}, drain=drain)


def _insist_moved(rosterd: Rosterd, wanted: dict[str, str]) -> None:
    """In the directory, in the table of addresses, and nothing waits or is dead."""
    assert _emails(rosterd) == wanted
    people = {row["user_key"]: row for row in rosterd.table(rows.people)}
    held = {row["id"].partition(":")[2]: row["person_id"] for row in rosterd.table(rows.addresses)}
    assert held == {email: people[name]["id"] for name, email in wanted.items()}
    assert all(person["pending"] is None for person in people.values())
    assert not rosterd.events(rows.events.c.state != "ended")
    assert not rosterd.dead()


@pytest.mark.parametrize("at_once", [True, False], ids=["one batch", "one by one"])
@pytest.mark.parametrize("yes", [*permutations(NAMES[:2]), ("ida", "ana", "eva")])
def test_e8_e2_active_people_exchange_addresses_with_the_last_yes(
    rosterd: Rosterd, yes: tuple[str, ...], at_once: bool
) -> None:
    count = len(yes)
    feed = _staffed(rosterd, count)
    wanted = _turned(count)
    for name, email in wanted.items():
        _give(rosterd, feed, name, email, drain=not at_once)
    rosterd.drain()
    notes = [m for m in rosterd.mails() if "email-changes" in m]
    assert sorted(m.split("To: ")[1].split("\n")[0] for m in notes) == sorted(wanted.values())
    waiting = rosterd.events(rows.events.c.state == "waiting")
    assert {event["reason"] for event in waiting} == {"address_taken"}
    links = {name: rosterd.link(wanted[name]) for name in yes}
    for name in yes:
        assert _emails(rosterd) == _old(count), "the old addresses are in force"
        page = rosterd.http.post(links[name])
        assert page.status_code == 200
        is_last = name == yes[-1]
        assert ("belongs to somebody else" in page.text) is not is_last
        assert ("is in force" in page.text) is is_last
        # Who presses again hears the same.
        assert rosterd.http.post(links[name]).status_code == 200
        if not is_last:
            rosterd.drain()
    assert _emails(rosterd) == wanted, "at once, no worker needed"
    rosterd.drain()
    _insist_moved(rosterd, wanted)
    exchanged = rosterd.table(rows.audit, rows.audit.c.action == "user.exchange_address")
    assert len(exchanged) == count - 1


def test_e8_e3_who_never_accepted_moves_with_the_others_and_is_invited_there(
    rosterd: Rosterd,
) -> None:
    feed = _staffed(rosterd, 3, accepted="eva")
    wanted = _turned(3)
    for name, email in wanted.items():
        _give(rosterd, feed, name, email)
    assert _emails(rosterd) == _old(3)
    asked = [row["user_key"] for row in rosterd.table(rows.people) if row["pending"] is not None]
    assert asked == ["eva"], "only who accepted has something to prove"
    assert rosterd.accept("ida@example.com") == 200
    rosterd.drain()
    _insist_moved(rosterd, wanted)
    for name in ("ana", "ida"):
        assert rosterd.accept(wanted[name]) == 200
        assert rosterd.user(name)["state"] == "active"  # type: ignore[index]


def test_e8_e6_whoever_leaves_a_ring_takes_the_links_of_the_others_with_them(
    rosterd: Rosterd,
) -> None:
    """What is not given up cannot be proven; who has proven it already need not again."""
    feed = _staffed(rosterd, 3)
    for name, email in _turned(3).items():
        _give(rosterd, feed, name, email)
    assert rosterd.accept("eva@example.com") == 200, "ana has promised"
    eva = rosterd.link("ida@example.com")
    _give(rosterd, feed, "ida", "ida@example.com")
    assert rosterd.http.post(eva).status_code == 410
    assert _emails(rosterd) == _old(3)
    assert all(row["pending"] is None for row in rosterd.table(rows.people))
    # Told again, it is a ring again, and ana need not say again what she said.
    _give(rosterd, feed, "ida", "ana@example.com")
    assert rosterd.accept("ida@example.com") == 200
    assert rosterd.accept("ana@example.com") == 200
    rosterd.drain()
    _insist_moved(rosterd, _turned(3))


def test_e8_e6_a_promise_counts_once_the_address_is_given_up(rosterd: Rosterd) -> None:
    """No second mail to somebody who has proven the address already."""
    feed = _staffed(rosterd, 2)
    for name, email in _turned(2).items():
        _give(rosterd, feed, name, email)
    assert rosterd.accept("eva@example.com") == 200
    _give(rosterd, feed, "eva", "third@example.com")
    assert rosterd.accept("third@example.com") == 200
    rosterd.drain()
    _insist_moved(rosterd, {"ana": "eva@example.com", "eva": "third@example.com"})


def test_e8_e6_a_promise_is_void_once_another_address_was_asked_for(rosterd: Rosterd) -> None:
    feed = _staffed(rosterd, 2)
    for name, email in _turned(2).items():
        _give(rosterd, feed, name, email)
    assert rosterd.accept("eva@example.com") == 200
    _give(rosterd, feed, "ana", "ana@example.com")
    _give(rosterd, feed, "eva", "third@example.com")
    assert rosterd.accept("third@example.com") == 200
    _give(rosterd, feed, "ana", "eva@example.com")
    assert _emails(rosterd)["ana"] == "ana@example.com", "asked for anew, so to be proven anew"
    assert rosterd.accept("eva@example.com") == 200
    rosterd.drain()
    _insist_moved(rosterd, {"ana": "eva@example.com", "eva": "third@example.com"})


def test_e8_u3_who_is_suspended_leaves_the_ring_and_returns_to_it(rosterd: Rosterd) -> None:
    feed = _staffed(rosterd, 2, on_return="same_user")
    for name, email in _turned(2).items():
        _give(rosterd, feed, name, email)
    ana = rosterd.link("eva@example.com")
    rosterd.tell(feed, "user.suspended", {"id": "eva"})
    assert rosterd.http.post(ana).status_code == 410
    assert _emails(rosterd) == _old(2)
    rosterd.tell(feed, "user.reactivated", {"id": "eva"})
    assert rosterd.accept("eva@example.com") == 200
    assert rosterd.accept("ana@example.com") == 200
    rosterd.drain()
    _insist_moved(rosterd, _turned(2))


def test_e8_a_claim_in_a_ring_does_not_die_after_24_hours_and_one_outside_does(
    rosterd: Rosterd, monkeypatch: pytest.MonkeyPatch
) -> None:
    feed = _staffed(rosterd, 3)
    for name, email in _turned(2).items():
        _give(rosterd, feed, name, email)
    _give(rosterd, feed, "ida", "ana@example.com")
    events = rows.events
    with rosterd.parts.database.begin() as connection:
        # A day passes for whatever waits.
        past = datetime(2020, 1, 1, tzinfo=UTC)
        waits = events.c.state == "waiting"
        connection.execute(events.update().where(waits).values(waiting_since=past, due_at=past))
        connection.commit()
    rosterd.drain()
    assert [letter["reason"] for letter in rosterd.dead()] == ["address_taken"]
    waiting = rosterd.events(events.c.state == "waiting")
    assert {event["subject"] for event in waiting} == {"ana", "eva"}
    assert rosterd.accept("eva@example.com") == 200
    assert rosterd.accept("ana@example.com") == 200
    rosterd.drain()
    assert _emails(rosterd) == {**_turned(2), "ida": "ida@example.com"}


def test_e8_d18_an_operator_may_answer_for_members_of_a_ring(rosterd: Rosterd) -> None:
    feed = _staffed(rosterd, 2)
    for name, email in _turned(2).items():
        _give(rosterd, feed, name, email)
    people = {row["user_key"]: row["id"] for row in rosterd.table(rows.people)}
    for name in ("ana", "eva"):
        done = rosterd.cli("user", "accept", people[name], "--reason", "on the phone")
        assert done.returncode == 0, done.stderr
    rosterd.drain()
    _insist_moved(rosterd, _turned(2))


def test_e8_c7_turning_off_frees_no_address_that_was_only_promised(rosterd: Rosterd) -> None:
    feed = _staffed(rosterd, 2)
    for name, email in _turned(2).items():
        _give(rosterd, feed, name, email)
    retire = ("connection", "retire", feed.connection, "--reason", "x", "--yes")
    assert rosterd.cli(*retire).returncode == 0
    held = {row["id"].partition(":")[2]: row["person_id"] for row in rosterd.table(rows.addresses)}
    people = {row["email"]: row["id"] for row in rosterd.table(rows.people)}
    assert held == people


def test_e8_d5_members_who_answer_at_once(
    postgres_url: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Each finds the other busy, or not: in the end all have moved, and nobody waited for good."""
    rosterd = Rosterd(postgres_url, tmp_path_factory.mktemp("at-once"))
    with rosterd.serving():
        feed = rosterd.account()
        pairs = 8
        for number in range(pairs):
            for name in ("ana", "eva"):
                rosterd.hire(feed, f"{name}{number}")
                assert rosterd.accept(f"{name}{number}@example.com") == 200
        wanted = {}
        for number in range(pairs):
            for name, other in (("ana", "eva"), ("eva", "ana")):
                wanted[f"{name}{number}"] = f"{other}{number}@example.com"
                _give(rosterd, feed, f"{name}{number}", f"{other}{number}@example.com")
        links = [rosterd.link(email) for email in wanted.values()]
        assert rosterd.parts.members is not None, "built once, before the threads"
        answers: list[int] = []

        def press(mine: list[str]) -> None:
            answers.extend(rosterd.http.post(link).status_code for link in mine)

        threads = [threading.Thread(target=press, args=(links[n::2],)) for n in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert answers == [200] * len(links)
        rosterd.drain()
        _insist_moved(rosterd, wanted)
    rosterd.close()


@patient(8)
@given(
    order=st.integers(2, 4).flatmap(lambda size: st.permutations(range(size))),
    accepted=st.sets(st.integers(0, 3)),
    data=st.data(),
)
def test_e8_any_ring_told_in_any_order_and_batches_ends_moved(
    database_url: str,
    tmp_path_factory: pytest.TempPathFactory,
    order: list[int],
    accepted: set[int],
    data: st.DataObject,
) -> None:
    rosterd = Rosterd(database_url, tmp_path_factory.mktemp("ring"))
    account = f"acme{len(rosterd.table(rows.accounts))}"
    try:
        with rosterd.serving():
            feed = rosterd.account(name=account)
            count = len(order)
            for number in range(count):
                rosterd.hire(feed, NAMES[number])
            mine = [
                row for row in rosterd.table(rows.people) if row["connection_id"] == feed.connection
            ]
            ids = {row["user_key"]: row["id"] for row in mine}
            who = [NAMES[number] for number in order if number in accepted]
            for name in who:
                rosterd.parts.members.vouch(ids[name], actor="test", reason="x")
            for number in order:
                wanted = _turned(count)[NAMES[number]]
                is_last = number == order[-1]
                _give(
                    rosterd, feed, NAMES[number], wanted, drain=is_last or data.draw(st.booleans())
                )
            for name in data.draw(st.permutations(who)):
                assert _emails(rosterd) == _old(count)
                rosterd.parts.members.vouch(ids[name], actor="test", reason="x")
            rosterd.drain()
            assert _emails(rosterd) == _turned(count)
            assert not rosterd.dead()
            assert not rosterd.events(rows.events.c.state != "ended")
    finally:
        rosterd.close()

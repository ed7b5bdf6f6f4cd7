"""Entra ID from a change in the tenant to the exported directory, on a Graph that has limits."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fakes.graph import FakeGraph
from tests.fakes.idp import Fault
from tests.harness import Feed, Rosterd
from tests.hydrating import let_rest_end, reading
from tests.subscribed import catch_up, connected, look_after


@pytest.fixture
def graph() -> Iterator[FakeGraph]:
    with FakeGraph().serving() as fake:
        yield fake


@pytest.fixture
def rosterd(database_url: str, tmp_path: Path) -> Iterator[Rosterd]:
    with reading(database_url, tmp_path, directory_seconds=5) as made:
        yield made


@pytest.fixture
def feed(rosterd: Rosterd, graph: FakeGraph) -> Feed:
    made = connected(rosterd, graph)
    assert look_after(rosterd, made) is None
    assert catch_up(rosterd, made) == 0
    return made


def states(rosterd: Rosterd) -> dict[str, str]:
    return {one["external_id"]: one["state"] for one in rosterd.users()}


def members(rosterd: Rosterd) -> set[tuple[str, str]]:
    lines = [line for line in rosterd.export() if line["kind"] == "membership"]
    return {(line["group"], line["user"]) for line in lines if line["effective"]}


def test_u1_u3_u4_g1_a_change_in_the_tenant_is_a_change_in_the_directory(
    rosterd: Rosterd, feed: Feed, graph: FakeGraph
) -> None:
    ana = graph.user(givenName="Ana", surname="Silva", mail="ana@example.com")
    crew = graph.group(name="Crew")
    graph.join(crew, ana)
    rosterd.drain()
    assert states(rosterd) == {ana: "invited"}
    assert members(rosterd) == {(crew, ana)}
    (user,) = rosterd.users()
    assert (user["given_name"], user["email"]) == ("Ana", "ana@example.com")
    graph.shift += 2
    graph.user(ana, accountEnabled=False)
    rosterd.drain()
    assert states(rosterd) == {ana: "invited_suspended"}
    graph.shift += 2
    graph.user(ana, accountEnabled=True, mail="ana.silva@example.com")
    graph.group(crew, "Sailors")
    graph.leave(crew, ana)
    rosterd.drain()
    assert states(rosterd) == {ana: "invited"}
    assert members(rosterd) == set()
    names = [line["name"] for line in rosterd.export() if line["kind"] == "group"]
    assert names == ["Sailors"]
    assert set(graph.deliveries.statuses) == {202}


def test_u3_who_is_deleted_softly_is_out_whatever_it_is_announced_as(
    rosterd: Rosterd, feed: Feed, graph: FakeGraph
) -> None:
    ana, ben, crew = graph.user(), graph.user(), graph.group()
    graph.join(crew, ana)
    rosterd.drain()
    graph.shift += 3
    graph.remove(ana)
    graph.remove(ben, for_good=True)
    graph.remove(crew)
    rosterd.drain()
    assert states(rosterd) == {ana: "invited_suspended", ben: "invited_suspended"}
    assert not [line for line in rosterd.export() if line["kind"] == "group"]
    assert rosterd.dead() == []


def test_s2_a_guest_is_nobodys_business(rosterd: Rosterd, feed: Feed, graph: FakeGraph) -> None:
    graph.user(userType="Guest", mail="guest@example.com")
    rosterd.drain()
    assert states(rosterd) == {}
    assert [one["reason"] for one in rosterd.events()] == ["guest"]


def test_g2_what_notifications_did_not_bring_is_found_by_the_delta_query(
    rosterd: Rosterd, feed: Feed, graph: FakeGraph
) -> None:
    ana, ben, crew = graph.user(), graph.user(), graph.group(name="Crew")
    graph.join(crew, ana)
    graph.join(crew, ben)
    rosterd.drain()
    graph.shift += 3
    graph.is_sending = False
    cleo = graph.user()
    graph.user(ana, accountEnabled=False)
    graph.leave(crew, ben)
    graph.join(crew, cleo)
    rosterd.drain()
    assert states(rosterd) == {ana: "invited", ben: "invited"}
    assert catch_up(rosterd, feed) > 0
    rosterd.drain()
    assert states(rosterd) == {ana: "invited_suspended", ben: "invited", cleo: "invited"}
    assert members(rosterd) == {(crew, ana), (crew, cleo)}
    assert catch_up(rosterd, feed) == 0


def test_a_log_with_a_gap_is_told_to_operators(
    rosterd: Rosterd, feed: Feed, graph: FakeGraph
) -> None:
    graph.user()
    rosterd.drain()
    graph.forgets_before = 99
    catch_up(rosterd, feed)
    told = rosterd.json("operator", "alerts")
    assert [one["topic"] for one in told] == ["log.gap"]
    graph.forgets_before, graph.is_sending = 0, False
    late = graph.user()
    catch_up(rosterd, feed)
    rosterd.drain()
    assert late in states(rosterd)


def test_u8_a_secret_that_leaked_lets_nobody_in(
    rosterd: Rosterd, feed: Feed, graph: FakeGraph
) -> None:
    forged = graph._notification(
        next(one for one in graph.subscriptions.values() if one.resource == "users"),
        "00000000-0000-4000-8000-00000000e711",
        "created",
        None,
        rosterd.now(),
    )
    graph._notify(next(iter(graph.subscriptions.values())).url, forged)
    rosterd.drain()
    assert states(rosterd) == {}


def test_while_graph_is_away_events_wait_and_nothing_is_lost(
    rosterd: Rosterd, feed: Feed, graph: FakeGraph
) -> None:
    graph.fault = Fault.UNAVAILABLE
    people = {graph.user() for _ in range(3)}
    rosterd.drain()
    assert states(rosterd) == {}
    assert {one["reason"] for one in rosterd.events()} == {"reading"}
    graph.fault = None
    for _ in range(6):
        let_rest_end(rosterd)
        rosterd.drain()
    assert set(states(rosterd)) == people


def test_without_access_what_has_to_be_read_is_a_dead_letter_and_who_is_deleted_is_out(
    rosterd: Rosterd, graph: FakeGraph
) -> None:
    feed = connected(rosterd, graph)
    look_after(rosterd, feed)
    ana = graph.user()
    rosterd.drain()
    with rosterd.setup() as use:
        use.take_access(use.connection(feed.connection), reason="a test")
    graph.user(ana, displayName="Ana")
    graph.remove(ana, for_good=True)
    rosterd.drain()
    assert states(rosterd) == {ana: "invited_suspended"}
    assert [one["reason"] for one in rosterd.dead()] == ["needs_reading"]


def test_a_notification_of_another_tenant_is_not_ours(
    rosterd: Rosterd, feed: Feed, graph: FakeGraph
) -> None:
    done = rosterd.cli(
        "connection", "set", feed.connection, "tenant=another-tenant", "--reason", "x"
    )
    assert done.returncode == 0, done.stderr
    graph.user()
    rosterd.drain()
    assert [one["reason"] for one in rosterd.events()] == ["out_of_scope"]


def test_a_handshake_is_text_and_stores_nothing(rosterd: Rosterd, feed: Feed) -> None:
    asked = f"{feed.path}?validationToken=Validation%3A+%3Cscript%3E+%2B"
    answer = rosterd.http.post(asked, headers={"content-type": "text/plain; charset=utf-8"})
    assert (answer.status_code, answer.text) == (200, "Validation: <script> +")
    assert answer.headers["content-type"].startswith("text/plain")
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert rosterd.http.get(asked).status_code == 401
    forged = {"value": [{"clientState": "guessed", "changeType": "updated"}]}
    assert rosterd.http.post(feed.path, json=forged).status_code == 401
    assert rosterd.events() == []

"""Subscriptions at an identity provider: made, renewed, replaced, ended, by one at a time."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from domain.subscribing import Do, Made, Step
from tests.api import Client
from tests.fakes.graph import FakeGraph
from tests.fakes.idp import Fault
from tests.harness import Feed, Rosterd
from tests.hydrating import reading
from tests.subscribed import connected, give_access, look_after, pass_time
from worker.adapters.db.gauges import take
from worker.adapters.db.subscription_rows import subscription_turns, subscriptions
from worker.adapters.db.watching import LAPSES, WatchRule, standing


@pytest.fixture
def graph() -> Iterator[FakeGraph]:
    with FakeGraph().serving() as fake:
        yield fake


@pytest.fixture
def rosterd(database_url: str, tmp_path: Path) -> Iterator[Rosterd]:
    with reading(database_url, tmp_path) as made:
        yield made


@pytest.fixture
def feed(rosterd: Rosterd, graph: FakeGraph) -> Feed:
    return connected(rosterd, graph)


def test_a_connection_with_access_subscribes_to_people_and_groups(
    rosterd: Rosterd, feed: Feed, graph: FakeGraph
) -> None:
    assert rosterd.parts.reading.subscribe.store.due() == [feed.connection]
    (job,) = [one for one in rosterd.parts.reading.jobs() if one.name.startswith("subscriptions")]
    job.work()
    made = sorted(graph.subscriptions.values(), key=lambda one: one.resource)
    assert [one.resource for one in made] == ["groups", "users"]
    assert {one.secret for one in made} == {feed.secret}
    assert {one.url for one in made} == {one.lifecycle_url for one in made}
    assert made[0].url.endswith(feed.path)
    assert look_after(rosterd, feed) is None
    assert len(graph.subscriptions) == 2, "once is enough"
    assert rosterd.parts.reading.subscribe.store.due() == []


def test_half_a_life_before_its_end_it_is_renewed(
    rosterd: Rosterd, feed: Feed, graph: FakeGraph
) -> None:
    look_after(rosterd, feed)
    before = set(graph.subscriptions)
    pass_time(rosterd, graph, days=14)
    look_after(rosterd, feed)
    assert {one.ends_at for one in graph.subscriptions.values()} != set()
    assert min(one.ends_at for one in graph.subscriptions.values()) < rosterd.now() + timedelta(20)
    pass_time(rosterd, graph, days=1)
    look_after(rosterd, feed)
    assert set(graph.subscriptions) == before
    for one in graph.subscriptions.values():
        assert one.ends_at > rosterd.now() + timedelta(days=28)


def test_one_that_the_provider_lost_or_let_end_is_made_anew(
    rosterd: Rosterd, feed: Feed, graph: FakeGraph
) -> None:
    look_after(rosterd, feed)
    graph.subscriptions.popitem()
    pass_time(rosterd, graph, days=15)
    look_after(rosterd, feed)
    assert sorted(one.resource for one in graph.subscriptions.values()) == ["groups", "users"]
    pass_time(rosterd, graph, days=30)
    look_after(rosterd, feed)
    assert sorted(one.resource for one in graph.subscriptions.values()) == ["groups", "users"]
    assert len(rosterd.table(subscriptions)) == 2


@pytest.mark.parametrize("allows_twice", [True, False])
def test_a_rotated_secret_is_borne_before_the_old_one_ends(
    rosterd: Rosterd, feed: Feed, graph: FakeGraph, allows_twice: bool
) -> None:
    graph.allows_twice = allows_twice
    look_after(rosterd, feed)
    done = rosterd.json("feed", "rotate", feed.id, "--overlap-hours", "48")
    fresh = done["signing_secret"]
    pass_time(rosterd, graph, days=0.01)
    assert look_after(rosterd, feed) is None
    assert {one.secret for one in graph.subscriptions.values()} == {fresh}
    assert sorted(one.resource for one in graph.subscriptions.values()) == ["groups", "users"]
    assert len(rosterd.table(subscriptions)) == 2


def test_whatever_fails_is_tried_again_and_told(
    rosterd: Rosterd, feed: Feed, graph: FakeGraph
) -> None:
    graph.faults.extend([None, Fault.UNAVAILABLE])
    why = look_after(rosterd, feed)
    assert why is not None
    assert "503" in why
    (turn,) = rosterd.table(subscription_turns)
    assert (turn["failures"], "503" in turn["why"]) == (1, True)
    assert turn["due_at"] > rosterd.now()
    pass_time(rosterd, graph, days=1)
    assert look_after(rosterd, feed) is None
    (turn,) = rosterd.table(subscription_turns)
    assert (turn["failures"], turn["why"]) == (0, "")


def test_an_address_that_graph_cannot_reach_needs_an_operator(
    rosterd: Rosterd, feed: Feed, graph: FakeGraph
) -> None:
    graph.deliver = lambda *_: (0, "", b"")
    why = look_after(rosterd, feed)
    assert why is not None
    assert "ROSTERD_PUBLIC_URL" in why
    assert graph.subscriptions == {}
    (turn,) = rosterd.table(subscription_turns)
    assert turn["due_at"] > rosterd.now() + timedelta(minutes=25)


def test_one_process_at_a_time_and_a_late_one_notes_nothing(
    rosterd: Rosterd, feed: Feed, graph: FakeGraph
) -> None:
    store = rosterd.parts.reading.subscribe.store
    late = store.take(feed.connection)
    assert late is not None
    assert store.take(feed.connection) is None
    pass_time(rosterd, graph, days=1)
    mine = store.take(feed.connection)
    assert mine is not None
    made = Made("late", rosterd.now() + timedelta(days=1))
    assert store.keep(late, Step(Do.OPEN, "users"), made) is None
    assert rosterd.table(subscriptions) == []
    assert store.keep(mine, Step(Do.OPEN, "users"), made) is not None


@pytest.mark.parametrize("how", ["remove", "retire"])
def test_when_access_goes_they_are_ended(
    rosterd: Rosterd, feed: Feed, graph: FakeGraph, how: str
) -> None:
    look_after(rosterd, feed)
    words = ("access", feed.connection, "--remove") if how == "remove" else (how, feed.connection)
    told = rosterd.cli(*("connection", *words, "--reason", "x"), ROSTERD_OUTBOUND_ALLOW="127.0.0.1")
    assert told.returncode == 0, told.stderr
    assert graph.subscriptions == {}
    assert rosterd.table(subscriptions) == []
    assert rosterd.table(subscription_turns) == []


def test_when_access_goes_while_graph_is_away_it_goes_all_the_same(
    rosterd: Rosterd, feed: Feed, graph: FakeGraph
) -> None:
    look_after(rosterd, feed)
    graph.fault = Fault.ERROR
    told = rosterd.cli(
        *("connection", "access", feed.connection, "--remove", "--reason", "x"),
        ROSTERD_OUTBOUND_ALLOW="127.0.0.1",
    )
    assert told.returncode == 0, told.stderr
    assert len(graph.subscriptions) == 2, "they end by themselves"
    assert rosterd.table(subscriptions) == []


def test_a_feed_that_is_retired_is_subscribed_to_no_more(
    rosterd: Rosterd, feed: Feed, graph: FakeGraph
) -> None:
    look_after(rosterd, feed)
    assert rosterd.cli("feed", "retire", feed.id, "--reason", "x").returncode == 0
    pass_time(rosterd, graph, days=1)
    assert look_after(rosterd, feed) is None
    assert graph.subscriptions == {}


@pytest.mark.parametrize("said", ["reauthorizationRequired", "subscriptionRemoved", "missed"])
def test_what_graph_says_of_them_is_done_at_once(
    rosterd: Rosterd, feed: Feed, graph: FakeGraph, said: str
) -> None:
    look_after(rosterd, feed)
    pass_time(rosterd, graph, days=2)
    look_after(rosterd, feed)
    first = next(iter(graph.subscriptions))
    graph.speak_of(first, said)
    assert graph.deliveries.statuses == [202]
    assert rosterd.parts.reading.subscribe.store.due() == [feed.connection]
    assert look_after(rosterd, feed) is None
    assert sorted(one.resource for one in graph.subscriptions.values()) == ["groups", "users"]
    for one in graph.subscriptions.values():
        assert one.ends_at > rosterd.now() + timedelta(days=28)
    rosterd.drain()
    assert [one["outcome"] for one in rosterd.events()] == ["ignored"]


def test_c2_a_pause_keeps_no_subscription_from_being_renewed(
    rosterd: Rosterd, feed: Feed, graph: FakeGraph
) -> None:
    look_after(rosterd, feed)
    assert rosterd.cli("connection", "pause", feed.connection, "--reason", "x").returncode == 0
    for _ in range(2):
        pass_time(rosterd, graph, days=2)
        graph.speak_of(next(iter(graph.subscriptions)), "reauthorizationRequired")
        assert look_after(rosterd, feed) is None
        assert min(s.ends_at for s in graph.subscriptions.values()) > rosterd.now() + timedelta(28)
    assert {one["state"] for one in rosterd.events()} == {"held"}


def test_a_secret_that_leaked_does_not_keep_graph_busy(
    rosterd: Rosterd, feed: Feed, graph: FakeGraph
) -> None:
    look_after(rosterd, feed)
    asked = len(graph.asked)
    graph.speak_of(next(iter(graph.subscriptions)), "missed")
    look_after(rosterd, feed)
    assert len(graph.asked) == asked, "they were made a moment ago"


def test_whoever_has_no_such_directory_is_not_looked_after(rosterd: Rosterd) -> None:
    other = rosterd.account(name="other", source="okta", scope="everyone")
    assert look_after(rosterd, other) is None
    shown = rosterd.cli("connection", "subscriptions", other.connection, "--renew")
    assert shown.returncode == 0, shown.stderr
    assert rosterd.table(subscription_turns) == []


def test_another_tenant_begins_anew(rosterd: Rosterd, feed: Feed, graph: FakeGraph) -> None:
    look_after(rosterd, feed)
    with FakeGraph().serving() as other:
        other.deliver = graph.deliver
        give_access(rosterd, feed, other)
        pass_time(rosterd, graph, days=15)
        assert look_after(rosterd, feed) is None
        assert len(other.subscriptions) == 2


def test_operators_see_them_and_have_them_renewed(
    rosterd: Rosterd, feed: Feed, graph: FakeGraph
) -> None:
    none = rosterd.cli("connection", "subscriptions", feed.connection)
    assert "none: workers make them" in none.stdout
    look_after(rosterd, feed)
    told = rosterd.json("connection", "subscriptions", feed.connection)
    assert [one["topic"] for one in told["subscriptions"]] == ["groups", "users"]
    assert {one["key"] for one in told["subscriptions"]} == set(graph.subscriptions)
    assert feed.secret not in str(told)
    pass_time(rosterd, graph, days=3)
    words = ("connection", "subscriptions", feed.connection)
    done = rosterd.cli(*words, "--renew", "--reason", "x", ROSTERD_OUTBOUND_ALLOW="127.0.0.1")
    assert done.returncode == 0, done.stderr
    for one in graph.subscriptions.values():
        assert one.ends_at > rosterd.now() + timedelta(days=28)
    graph.fault = Fault.ERROR
    failed = rosterd.cli(*words, "--renew", "--reason", "x", ROSTERD_OUTBOUND_ALLOW="127.0.0.1")
    assert failed.returncode == 1
    assert "were not renewed" in failed.stderr
    assert "1 times in a row" in rosterd.cli(*words).stdout


def test_the_api_does_the_same(rosterd: Rosterd, feed: Feed, graph: FakeGraph) -> None:
    look_after(rosterd, feed)
    client = Client(rosterd, "operator", account=None)
    path = f"/connections/{feed.connection}/subscriptions"
    told = client.get(path)
    assert [one["topic"] for one in told["subscriptions"]] == ["groups", "users"]
    assert (told["failures"], told["why"]) == (0, "")
    client.post(f"{path}/renew", status=202, X_Reason="x")
    assert rosterd.parts.reading.subscribe.store.due() == [feed.connection]


def test_one_that_cannot_be_renewed_is_an_alert_while_it_lasts(
    rosterd: Rosterd, feed: Feed, graph: FakeGraph
) -> None:
    look_after(rosterd, feed)
    graph.fault = Fault.ERROR
    pass_time(rosterd, graph, days=15)
    look_after(rosterd, feed)
    told = rosterd.cli("doctor")
    assert "was not renewed, 1 times in a row (it answered 500)" in told.stdout.replace("\n", " ")
    assert lapses(rosterd) == [], "half of its life is left: it is early"
    pass_time(rosterd, graph, days=7)
    look_after(rosterd, feed)
    (line,) = lapses(rosterd)
    assert "the subscription that brings the webhooks of entra ends on" in line
    gauges = {family.name: family.samples for family in rosterd.parts.state_gauges()}
    (left,) = gauges["rosterd_subscription_life_left_ratio"]
    assert 0.2 < left.value < 0.25
    (failures,) = gauges["rosterd_subscription_failures"]
    assert failures.value == 2
    graph.fault = None
    pass_time(rosterd, graph, days=0.1)
    assert look_after(rosterd, feed) is None
    assert lapses(rosterd) == []


def lapses(rosterd: Rosterd) -> list[str]:
    """What operators would be told of at this moment."""
    with rosterd.parts.database.read() as sql:
        found = standing(sql, take(sql), WatchRule(100, timedelta(hours=1)))
        return [one.headline for one in found if one.topic == LAPSES]

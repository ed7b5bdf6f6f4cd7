"""Subscriptions at a Microsoft Graph that insists on what its documentation says."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qs, urlsplit

import pytest

from domain.directories import DirectoryError
from domain.outbound import parse_allowed
from domain.subscribing import Made, Subscriber, subscriber_of
from tests.fakes.graph import FakeGraph
from tests.unit.adapters.directories.test_graph_directory import access_to
from worker.adapters.directories import graph_subscriptions
from worker.adapters.directories.registry import directory_for
from worker.adapters.outbound_http import OutboundHTTP

URL = "https://rosterd.example.com/hooks/fed_1"
SECRET = "the secret of the feed"


class Ears:
    """Our side of the notification URL. status: of its answers to notifications."""

    def __init__(self) -> None:
        self.heard: list[bytes] = []
        self.status = 202
        self.type = "text/plain; charset=utf-8"
        self.seconds = 0.0
        self.mangles = False

    def __call__(self, url: str, body: bytes, content_type: str) -> tuple[int, str, bytes]:
        time.sleep(self.seconds)
        query = parse_qs(urlsplit(url).query)
        if "validationToken" not in query:
            assert content_type.startswith("application/json")
            self.heard.append(body)
            return self.status, "", b""
        token = query["validationToken"][0]
        return 200, self.type, (token.upper() if self.mangles else token).encode()


@pytest.fixture
def graph() -> Iterator[FakeGraph]:
    with FakeGraph().serving() as fake:
        yield fake


@pytest.fixture
def ears(graph: FakeGraph) -> Ears:
    graph.deliver = made = Ears()
    return made


@pytest.fixture
def subscriber(graph: FakeGraph) -> Iterator[Subscriber]:
    http = OutboundHTTP(parse_allowed("127.0.0.1"))
    found = subscriber_of(directory_for(access_to(graph), http, seconds=2))
    assert found is not None
    yield found
    http.close()


def subscribed(subscriber: Subscriber, topic: str = "users") -> Made:
    return subscriber.subscribe(topic, url=URL, secret=SECRET)


def test_one_is_made_for_as_long_as_graph_takes_it(
    graph: FakeGraph, ears: Ears, subscriber: Subscriber
) -> None:
    made = subscribed(subscriber)
    assert graph.subscriptions[made.key].secret == SECRET
    left = made.ends_at - datetime.now(UTC)
    assert timedelta(days=28, hours=20) < left < timedelta(minutes=41_760)
    graph.user()
    assert len(ears.heard) == 1


def test_graph_takes_none_that_lives_longer_or_is_over(
    graph: FakeGraph, ears: Ears, subscriber: Subscriber, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = subscribed(subscriber)
    for life in (timedelta(minutes=41_760 + 2), timedelta(minutes=-1)):
        monkeypatch.setattr(graph_subscriptions, "ASKED", life)
        with pytest.raises(DirectoryError):
            subscribed(subscriber, "groups")
        with pytest.raises(DirectoryError):
            subscriber.renew(made)
    assert len(graph.subscriptions) == 1


@pytest.mark.parametrize("fault", ["type", "mangles", "late"])
def test_graph_makes_none_before_its_token_came_back(
    graph: FakeGraph, ears: Ears, subscriber: Subscriber, fault: str
) -> None:
    if fault == "type":
        ears.type = "text/html"
    elif fault == "mangles":
        ears.mangles = True
    else:
        ears.seconds, graph.validation_seconds = 0.1, 0.05
    with pytest.raises(DirectoryError, match="ROSTERD_PUBLIC_URL") as error:
        subscribed(subscriber)
    assert error.value.needs_operator
    assert graph.subscriptions == {}


def test_one_that_is_renewed_lives_on_and_one_that_ended_is_no_more(
    graph: FakeGraph, ears: Ears, subscriber: Subscriber
) -> None:
    made = subscribed(subscriber)
    graph.subscriptions[made.key].ends_at = datetime.now(UTC) + timedelta(minutes=1)
    again = subscriber.renew(made)
    assert again is not None
    assert (again.key, again.ends_at >= made.ends_at) == (made.key, True)
    graph.subscriptions[made.key].ends_at = datetime.now(UTC) - timedelta(seconds=1)
    graph.user()
    assert ears.heard == [], "Graph sends to live ones only"
    assert subscriber.renew(made) is None
    subscriber.unsubscribe(made)


def test_a_second_one_for_the_same_makes_room_for_itself(
    graph: FakeGraph, ears: Ears, subscriber: Subscriber
) -> None:
    first = subscribed(subscriber)
    second = subscriber.subscribe("users", url=URL, secret="another")
    assert set(graph.subscriptions) == {second.key}
    assert first.key != second.key
    with pytest.raises(DirectoryError, match="409") as error:
        subscriber.subscribe("users", url=f"{URL}0", secret="of another rosterd")
    assert error.value.needs_operator
    assert set(graph.subscriptions) == {second.key}, "another's is left alone"


def test_an_odd_id_is_no_path(ears: Ears, subscriber: Subscriber) -> None:
    with pytest.raises(DirectoryError):
        subscriber.unsubscribe(Made("../users/1", datetime.now(UTC)))


def test_graph_tries_5xx_again_takes_4xx_as_an_answer_and_counts_what_is_slow(
    graph: FakeGraph, ears: Ears, subscriber: Subscriber
) -> None:
    subscribed(subscriber)
    ears.status = 503
    graph.user()
    assert (graph.deliveries.statuses, graph.deliveries.given_up) == ([503] * 3, 1)
    ears.status = 401
    graph.user()
    assert graph.deliveries.statuses[3:] == [401]
    graph.slow_seconds, ears.status = -1.0, 202
    graph.user()
    assert graph.deliveries.slow == 1


def test_without_the_permission_nothing_is_listed(
    graph: FakeGraph, ears: Ears, subscriber: Subscriber
) -> None:
    made = subscribed(subscriber)
    graph.expire()
    assert subscriber.renew(made) is not None, "with a fresh token"
    graph.secret = "changed"
    graph.expire()
    with pytest.raises(DirectoryError, match="invalid_client"):
        subscriber.renew(made)

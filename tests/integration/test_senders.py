"""Every vendor's sender against rosterd: what comes in after an outage of ours, and comes in once.

Senders as in `tests.fakes.senders`; each sends its source's own request. What a vendor loses by its
own rules is for catch-up and reconciliation to find (`test_catch_up`, `test_reconcile_vendors`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from domain.ports import InfrastructureError, Request
from tests.fakes.senders import SENDERS, Line
from tests.harness import Feed, Rosterd
from worker.adapters.db.engine import Database, KeptConnection
from worker.adapters.sources.registry import SOURCES
from worker.cli.bench.source_requests import request_of
from worker.cli.sender import Sent

#: What loses an event of which one try met a fault of ours, by its own rules.
LOSES = {"fusionauth", "onelogin", "polis", "zitadel"}


@contextmanager
def away(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The database is out of reach."""

    def refused(*_: Any, **__: Any) -> Any:
        raise InfrastructureError("database is away")

    with monkeypatch.context() as patch:
        patch.setattr(Database, "begin", refused)
        patch.setattr(KeptConnection, "begin", refused)
        yield


def posting(rosterd: Rosterd, feed: Feed, request: Request, line: Line) -> Callable[[], int]:
    def post() -> int:
        line.answers.append(rosterd.post(Sent(feed.path, request.headers, request.body)))
        assert line.answers[-1] is not None
        return line.answers[-1]

    return post


def prepared(rosterd: Rosterd, source: str) -> tuple[Feed, Request]:
    feed = rosterd.account(source=source, scope="everyone")
    return feed, request_of(source, feed.secret, 1)


def test_every_source_that_posts_has_its_sender() -> None:
    assert set(SENDERS) == set(SOURCES) - {"scim", "set"}


@pytest.mark.parametrize("source", sorted(SENDERS))
def test_g1_a_fault_of_ours_is_tried_again_by_whoever_does_and_stored_once(
    rosterd: Rosterd, source: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    feed, request = prepared(rosterd, source)
    line = Line()
    post = posting(rosterd, feed, request, line)

    def once_away() -> int:
        if line.answers:
            return post()
        with away(monkeypatch):
            return post()

    is_delivered = SENDERS[source].deliver(once_away, line.wait)
    assert line.answers[0] == 503, "never a 4xx for a fault of ours, and never a false yes"
    assert is_delivered is (source not in LOSES)
    assert len(rosterd.events()) == (1 if is_delivered else 0)


@pytest.mark.parametrize("source", sorted(SENDERS))
def test_g3_a_yes_that_got_lost_is_sent_again_and_stored_once(
    rosterd: Rosterd, source: str
) -> None:
    feed, request = prepared(rosterd, source)
    line = Line()
    post = posting(rosterd, feed, request, line)

    def first_unheard() -> int | None:
        return post() if line.answers else (post(), None)[1]

    SENDERS[source].deliver(first_unheard, line.wait)
    assert set(line.answers) == {SOURCES[source].success_status}
    assert len(rosterd.events()) == 1


@pytest.mark.parametrize("source", sorted(SENDERS))
def test_a_first_answer_contents_the_sender(rosterd: Rosterd, source: str) -> None:
    feed, request = prepared(rosterd, source)
    line = Line()
    assert SENDERS[source].deliver(posting(rosterd, feed, request, line), line.wait)
    assert (len(line.answers), line.waited) == (1, 0.0)


@pytest.mark.parametrize(
    ("source", "first", "is_delivered"),
    [
        ("okta", 400, False),
        ("okta", 503, True),
        ("okta", None, True),
        ("auth0", 401, False),
        ("auth0", 500, True),
        ("clerk", 401, True),
        ("google", 501, False),
        ("google", 503, True),
        ("keycloak", None, False),
        ("keycloak", 401, True),
        ("polis", 202, False),
        ("polis", 503, False),
        ("pingone", 202, False),
        ("workos", 400, True),
        ("entra", 403, False),
        ("zitadel", 302, True),
    ],
)
def test_the_senders_bite(source: str, first: int | None, is_delivered: bool) -> None:
    answers = iter([first, 200])
    assert SENDERS[source].deliver(lambda: next(answers)) is is_delivered


@pytest.mark.parametrize("source", sorted(SENDERS))
def test_no_sender_tries_for_ever(source: str) -> None:
    line = Line()

    def send() -> None:
        line.answers.append(None)

    assert not SENDERS[source].deliver(send, line.wait)
    assert len(line.answers) <= 1 + len(SENDERS[source].waits)

"""Odd documents that are authentic: each is stored, and ends without an error of ours."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from tests.exploring import patient
from tests.fuzz.shapes import bodies
from tests.harness import Feed, Rosterd
from worker import telemetry
from worker.cli.sender import Sent
from worker.cli.signing import SIGN

#: What the sources answer to what they take.
TAKEN = {200, 202, 204}
#: Signed by a library that signs text only.
TEXT = {"standard", "clerk", "scalekit"}


def sent(source: str, feed: Feed, body: bytes) -> Sent:
    """The body, proven as the source's provider does it."""
    return Sent(feed.path, SIGN[source](feed.secret, body, datetime.now(UTC)), body)


def violations() -> dict[str, float]:
    """What this process has reported that should not happen, by kind."""
    (family,) = telemetry.BUGS.collect()
    return {
        str(sample.labels): sample.value
        for sample in family.samples
        if sample.name.endswith("_total")
    }


def test_whatever_is_authentic_is_stored_and_ends(rosterd: Rosterd) -> None:
    feeds = {name: rosterd.account(name=name, source=name, scope="assignment:app") for name in SIGN}
    told: Counter[str] = Counter()
    before = violations()

    @patient(120)
    @given(data=st.data(), source=st.sampled_from(list(feeds)))
    def whatever(data: Any, source: str) -> None:
        body = data.draw(bodies(source))
        told[source] += 1
        request = sent(source, feeds[source], body)
        assert rosterd.post(request) in TAKEN | {401}
        if source not in TEXT or body.decode("utf-8", "replace").encode() == body:
            assert rosterd.post(request) in TAKEN, "and once more is a duplicate"

    whatever()
    rosterd.drain()
    assert violations() == before, "nothing had to be narrowed down"
    events = rosterd.events()
    assert len(events) > 50
    assert {event["attempts"] for event in events} == {0}, "an error would be tried again"
    assert {event["crashes"] for event in events} == {0}
    assert {event["state"] for event in events} <= {"ended", "dead", "waiting"}
    assert "error" not in {event["reason"] for event in events}

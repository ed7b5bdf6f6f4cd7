"""A rosterd that Google tells of what happens: channels of the fake, whose messages come here."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import count
from typing import Any

from tests.fakes.google import Channel, FakeGoogle
from tests.harness import Feed, Rosterd
from tests.hydrating import give_access
from worker.cli.sender import Sent

STATES = ("add", "update", "delete", "undelete")
APPLICATIONS = ("admin", "groups_enterprise")
_NUMBERS = count()


def listen(rosterd: Rosterd, feed: Feed, google: FakeGoogle, *, is_slow: bool = False) -> None:
    """Open a channel for each kind of change. is_slow: messages wait for `google.send_again`."""
    for resource, state in (
        *(("users", state) for state in STATES),
        *((f"activity/{name}", "") for name in APPLICATIONS),
    ):
        made = Channel(
            f"chn_{next(_NUMBERS)}",
            resource,
            state,
            feed.path,
            feed.secret,
            google.now() + 3600,
        )
        google.channels[made.id] = made

    def post(headers: Mapping[str, str], body: bytes) -> int:
        told = {**headers, "content-type": "application/json"}
        return 503 if is_slow else rosterd.post(Sent(feed.path, told, body))

    google.post = lambda _channel: post


def connected(rosterd: Rosterd, google: FakeGoogle, **more: Any) -> Feed:
    """A connection with access, and channels open."""
    feed = rosterd.account(source="google", scope="everyone", **more)
    give_access(rosterd, feed, google)
    listen(rosterd, feed, google)
    return feed

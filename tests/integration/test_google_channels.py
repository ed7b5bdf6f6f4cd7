"""Channels at Google: opened, replaced before their end, stopped, and what they bring."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.fakes.google import Channel, FakeGoogle, Post
from tests.fakes.idp import Fault
from tests.harness import Feed, Rosterd
from tests.hydrating import give_access, let_rest_end, reading
from worker.adapters.db.subscription_rows import subscription_turns, subscriptions
from worker.cli.sender import Sent

RESOURCES = [
    ("activity/admin", ""),
    ("activity/groups_enterprise", ""),
    *(("users", state) for state in ("add", "delete", "undelete", "update")),
]


@pytest.fixture
def google() -> Iterator[FakeGoogle]:
    with FakeGoogle().serving() as fake:
        yield fake


@pytest.fixture
def rosterd(database_url: str, tmp_path: Path) -> Iterator[Rosterd]:
    with reading(database_url, tmp_path, directory_seconds=2) as made:
        yield made


@pytest.fixture
def statuses() -> list[int]:
    """How messages were answered."""
    return []


@pytest.fixture
def feed(rosterd: Rosterd, google: FakeGoogle, statuses: list[int]) -> Feed:
    """A connection with access; what Google sends goes through our front door."""

    def to(channel: Channel) -> Post:
        def post(headers: Mapping[str, str], body: bytes) -> int:
            told = {**headers, "content-type": "application/json"}
            statuses.append(rosterd.post(Sent(urlsplit(channel.address).path, told, body)))
            return statuses[-1]

        return post

    google.post = to
    made = rosterd.account(source="google", scope="everyone")
    give_access(rosterd, made, google)
    return made


def look_after(rosterd: Rosterd, feed: Feed) -> str | None:
    """What a worker does about channels that are due; why it failed."""
    return rosterd.parts.reading.subscribe.run(feed.connection)


def pass_time(rosterd: Rosterd, google: FakeGoogle, hours: float) -> None:
    """As if so many hours had gone by, for both sides."""
    by = timedelta(hours=hours)
    with rosterd.parts.database.begin() as sql:
        for row in sql.execute(subscriptions.select()).mappings().all():
            moments = ("made_at", "renewed_at", "renew_at", "ends_at")
            earlier = {name: row[name] - by for name in moments}
            mine = subscriptions.c.id == row["id"]
            sql.execute(subscriptions.update().where(mine).values(**earlier))
        due = {"due_at": rosterd.now(), "lease_until": None}
        sql.execute(subscription_turns.update().values(**due))
        sql.commit()
    for channel in google.channels.values():
        channel.expires -= by.total_seconds()


def watched(google: FakeGoogle) -> list[tuple[str, str]]:
    now = google.now()
    return sorted((c.resource, c.state) for c in google.channels.values() if c.expires > now)


def test_a_connection_with_access_is_told_of_people_and_of_two_logs(
    rosterd: Rosterd, feed: Feed, google: FakeGoogle, statuses: list[int]
) -> None:
    assert rosterd.parts.reading.subscribe.store.due() == [feed.connection]
    assert look_after(rosterd, feed) is None
    assert watched(google) == RESOURCES
    assert {channel.token for channel in google.channels.values()} == {feed.secret}
    assert statuses == [200] * 6, "the first messages come before Google answers"
    assert rosterd.events() == []
    assert look_after(rosterd, feed) is None
    assert len(google.channels) == 6, "once is enough"


def test_another_is_opened_before_the_end_and_the_old_one_is_stopped(
    rosterd: Rosterd, feed: Feed, google: FakeGoogle, statuses: list[int]
) -> None:
    look_after(rosterd, feed)
    before = set(google.channels)
    pass_time(rosterd, google, 2)
    look_after(rosterd, feed)
    assert set(google.channels) == before, "not yet"
    pass_time(rosterd, google, 1.1)
    google.faults.extend([None] * 6 + [Fault.UNAVAILABLE])
    assert "503" in (look_after(rosterd, feed) or "")
    assert len(google.channels) == 12, "both are there, and nothing is missed"
    google.user("101")
    google.user("101", name={"givenName": "Ana"})
    rosterd.drain()
    told = [row["type"] for row in rosterd.events()]
    assert sorted(told) == ["admin.CREATE_USER", *["users.add"] * 2, *["users.update"] * 2], (
        "an activity is known by its key, a message by its channel and number"
    )
    user = rosterd.user("101")
    assert user is not None
    assert user["given_name"] == "Ana"
    pass_time(rosterd, google, 0)
    assert look_after(rosterd, feed) is None
    assert watched(google) == RESOURCES
    assert not before & set(google.channels)
    assert set(google.stopped) == before
    assert set(statuses) == {200}


def test_what_ended_unseen_is_opened_anew(rosterd: Rosterd, feed: Feed, google: FakeGoogle) -> None:
    look_after(rosterd, feed)
    pass_time(rosterd, google, 7)
    assert watched(google) == []
    assert look_after(rosterd, feed) is None
    assert watched(google) == RESOURCES
    assert len(rosterd.table(subscriptions)) == 6


def test_c3_a_rotated_secret_is_borne_before_the_old_one_ends(
    rosterd: Rosterd, feed: Feed, google: FakeGoogle, statuses: list[int]
) -> None:
    look_after(rosterd, feed)
    done = rosterd.json("feed", "rotate", feed.id, "--overlap-hours", "48")
    pass_time(rosterd, google, 0)
    google.user("101")
    assert look_after(rosterd, feed) is None
    assert {channel.token for channel in google.channels.values()} == {done["signing_secret"]}
    google.user("102")
    rosterd.drain()
    assert set(statuses) == {200}
    assert {one["external_id"] for one in rosterd.users()} == {"101", "102"}


@pytest.mark.parametrize("how", ["remove", "retire"])
def test_when_access_goes_channels_are_stopped(
    rosterd: Rosterd, feed: Feed, google: FakeGoogle, how: str
) -> None:
    look_after(rosterd, feed)
    words = ("access", feed.connection, "--remove") if how == "remove" else (how, feed.connection)
    told = rosterd.cli(*("connection", *words, "--reason", "x"), ROSTERD_OUTBOUND_ALLOW="127.0.0.1")
    assert told.returncode == 0, told.stderr
    assert (google.channels, len(google.stopped)) == ({}, 6)
    assert rosterd.table(subscriptions) == []


def test_an_address_that_google_does_not_send_to_needs_an_operator(
    rosterd: Rosterd, feed: Feed, google: FakeGoogle
) -> None:
    google.needs_https = True
    why = look_after(rosterd, feed)
    assert why is not None
    assert "ROSTERD_PUBLIC_URL" in why
    assert google.channels == {}
    (turn,) = rosterd.table(subscription_turns)
    assert turn["due_at"] > rosterd.now() + timedelta(minutes=25)


def test_from_a_change_at_google_to_the_exported_directory(
    rosterd: Rosterd, feed: Feed, google: FakeGoogle
) -> None:
    look_after(rosterd, feed)
    google.user("101", name={"givenName": "Ana"})
    google.group("g1", "team@example.com", "Team")
    google.join("g1", "101")
    for _ in range(3):
        rosterd.drain()
        let_rest_end(rosterd)
    assert {line["kind"] for line in rosterd.export()} == {"user", "group", "membership"}
    google.shift += 3
    google.delete("101")
    rosterd.drain()
    user = rosterd.user("101")
    assert user is not None
    assert user["state"] == "invited_suspended"

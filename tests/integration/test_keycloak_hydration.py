"""Keycloak's admin events that say too little: read, suspensions that hide in them first."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from tests.fakes.keycloak import FakeKeycloak
from tests.harness import Feed, Rosterd
from tests.hydrating import give_access, reading
from worker.adapters.db import rows
from worker.adapters.db.directory_rows import reads
from worker.cli.sender import Sent
from worker.cli.signing import SIGN


@pytest.fixture
def keycloak() -> Iterator[FakeKeycloak]:
    with FakeKeycloak().serving() as fake:
        yield fake


@pytest.fixture
def rosterd(database_url: str, tmp_path: Path) -> Iterator[Rosterd]:
    with reading(database_url, tmp_path) as made:
        yield made


@pytest.fixture
def feed(rosterd: Rosterd, keycloak: FakeKeycloak) -> Feed:
    made = rosterd.account(source="keycloak", scope="everyone")
    give_access(rosterd, made, keycloak)
    return made


def _tell(rosterd: Rosterd, feed: Feed, event: dict[str, Any]) -> str:
    """As the extension sends it; its id."""
    kind = f"admin.{event['resourceType']}-{event['operationType']}"
    body = json.dumps({**event, "uid": (uid := str(uuid4())), "type": kind}).encode()
    headers = SIGN["keycloak"](feed.secret, body, rosterd.now())
    assert rosterd.post(Sent(feed.path, headers, body)) == 200
    return uid


def test_who_is_told_of_without_a_representation_is_read(
    rosterd: Rosterd, feed: Feed, keycloak: FakeKeycloak
) -> None:
    keycloak.user("u1", firstName="Ana")
    _tell(rosterd, feed, keycloak.happened("CREATE", "USER", "users/u1"))
    keycloak.group("g1", "Staff")
    _tell(rosterd, feed, keycloak.happened("CREATE", "GROUP", "groups/g1"))
    rosterd.drain()
    user = rosterd.user("u1")
    assert user is not None
    assert (user["given_name"], user["email"]) == ("Ana", "u1@example.com")
    assert [line["name"] for line in rosterd.export() if line["kind"] == "group"] == ["Staff"]


@pytest.mark.parametrize("told", [None, '{"username":"u1","enabl...'])
def test_a_suspension_that_hides_is_read_before_all_others(
    rosterd: Rosterd, feed: Feed, keycloak: FakeKeycloak, told: str | None
) -> None:
    """Left out or cut short: nobody knows what stood in it, so that it goes first."""
    keycloak.user("u1")
    _tell(rosterd, feed, keycloak.happened("CREATE", "USER", "users/u1"))
    rosterd.drain()
    for number in range(5):
        keycloak.user(f"n{number}")
        _tell(rosterd, feed, keycloak.happened("CREATE", "USER", f"users/n{number}"))
    keycloak.user("u1", enabled=False)
    more = {} if told is None else {"representation": told}
    before = len(keycloak.asked)
    uid = _tell(rosterd, feed, keycloak.happened("UPDATE", "USER", "users/u1", **more))
    for lane, kind in rosterd._due():
        rosterd.parts.drain.run(lane=lane, kind=kind, budget=rosterd.settings.link_life)
    assert {row["rank"] for row in rosterd.table(reads, reads.c.subject == "u1")} == {0}
    rosterd.drain()
    assert keycloak.paths()[before].endswith("/users/u1")
    (row,) = rosterd.events(rows.events.c.external_id == uid)
    assert (row["kind"], row["lane"], row["outcome"]) == ("users.suspend", "urgent", "applied")
    user = rosterd.user("u1")
    assert user is not None
    assert user["state"] == "invited_suspended"


def test_without_access_it_is_as_it_was(rosterd: Rosterd, keycloak: FakeKeycloak) -> None:
    feed = rosterd.account(source="keycloak", scope="everyone")
    empty = _tell(rosterd, feed, keycloak.happened("UPDATE", "USER", "users/u1"))
    cut = _tell(rosterd, feed, keycloak.happened("UPDATE", "USER", "users/u1", representation="{"))
    rosterd.drain()
    assert rosterd.outcome(empty) == ("ignored", "no_directory_change")
    assert rosterd.outcome(cut) == ("dead", "unparseable")
    assert not keycloak.asked

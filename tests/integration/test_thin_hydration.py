"""PingOne and OneLogin from their hooks to the directory: read before anybody is let in (U8)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.fakes.idp import Fault
from tests.fakes.onelogin import FakeOnelogin
from tests.fakes.pingone import FakePingone
from tests.harness import Feed, Rosterd
from tests.hydrating import give_access, let_rest_end, reading
from worker.adapters.db import rows
from worker.adapters.db.reconciliation_rows import catch_ups
from worker.cli.sender import Sent
from worker.cli.signing import SIGN

SOON = timedelta(seconds=5)


@pytest.fixture
def rosterd(database_url: str, tmp_path: Path) -> Iterator[Rosterd]:
    with reading(database_url, tmp_path) as made:
        yield made


@pytest.fixture
def pingone() -> Iterator[FakePingone]:
    with FakePingone().serving() as fake:
        yield fake


@pytest.fixture
def onelogin() -> Iterator[FakeOnelogin]:
    with FakeOnelogin().serving() as fake:
        yield fake


def attached(rosterd: Rosterd, source: str, idp: FakePingone | FakeOnelogin) -> Feed:
    feed = rosterd.account(source=source, scope="everyone", catch_up_every="1s")
    give_access(rosterd, feed, idp)
    return feed


def tell(rosterd: Rosterd, feed: Feed, source: str, *events: dict[str, Any]) -> None:
    """A batch, as the vendor's hook sends it."""
    body = json.dumps(events).encode()
    headers = {
        "content-type": "application/json",
        **SIGN[source](feed.secret, body, rosterd.now()),
    }
    assert rosterd.post(Sent(feed.path, headers, body)) == 200
    rosterd.drain()


def state(rosterd: Rosterd, key: str) -> str | None:
    user = rosterd.user(key)
    return None if user is None else str(user["state"])


def test_u1_u3_u4_g1_pingone_from_hook_to_directory(rosterd: Rosterd, pingone: FakePingone) -> None:
    feed = attached(rosterd, "pingone", pingone)
    hired = pingone.user("u1", name={"given": "Ana"})
    made = pingone.group("g1", "Crew")
    pingone.members["g1"] = ["u1"]
    joined = pingone.happened("MEMBER_OF_GROUP.CREATED", user="u1", group="g1")
    tell(rosterd, feed, "pingone", hired, made, joined)
    user = rosterd.user("u1")
    assert user is not None
    assert (user["given_name"], user["state"]) == ("Ana", "invited")
    edges = [line for line in rosterd.export() if line["kind"] == "membership"]
    assert [(edge["group"], edge["user"], edge["effective"]) for edge in edges] == [
        ("g1", "u1", True)
    ]
    tell(rosterd, feed, "pingone", pingone.user("u1", enabled=False))
    assert state(rosterd, "u1") == "invited_suspended", "which no activity says"
    tell(rosterd, feed, "pingone", pingone.user("u1", enabled=True))
    assert state(rosterd, "u1") == "invited"
    pingone.groups["g1"]["name"] = "Staff"
    left = pingone.happened("MEMBER_OF_GROUP.DELETED", user="u1", group="g1")
    tell(rosterd, feed, "pingone", left, pingone.group("g1", "Staff"), pingone.leave("u1"))
    assert state(rosterd, "u1") == "invited_suspended"
    lines = rosterd.export()
    assert [line["name"] for line in lines if line["kind"] == "group"] == ["Staff"]
    assert not [line for line in lines if line["kind"] == "membership"]


@pytest.mark.parametrize(("limit", "answer"), [(1 << 20, 413), (4 << 20, 200)])
def test_how_long_a_batch_of_pingones_may_be_is_set(
    database_url: str, tmp_path: Path, limit: int, answer: int
) -> None:
    with reading(database_url, tmp_path, max_body_bytes=limit) as rosterd:
        feed = rosterd.account(source="pingone", scope="everyone")
        activity = {"id": "a1", "recordedAt": "2026-06-01T00:00:00Z", "note": "x" * (1 << 20)}
        body = json.dumps([activity]).encode()
        headers = SIGN["pingone"](feed.secret, body, rosterd.now())
        told = {"content-type": "application/json", **headers}
        assert rosterd.post(Sent(feed.path, told, body)) == answer


@pytest.mark.parametrize("source", ["pingone", "onelogin"])
def test_u8_a_leaked_secret_puts_nobody_into_a_group(
    rosterd: Rosterd, source: str, request: pytest.FixtureRequest
) -> None:
    idp: FakePingone | FakeOnelogin = request.getfixturevalue(source)
    feed = attached(rosterd, source, idp)
    if isinstance(idp, FakePingone):
        tell(rosterd, feed, source, idp.user("u1"), idp.group("g1", "Admins"))
        forged = idp.happened("MEMBER_OF_GROUP.CREATED", user="u1", group="g1")
    else:
        idp.role(3, "Admins")
        tell(rosterd, feed, source, idp.user(1))
        forged = idp.happened(4, 1, role_id=3)
    tell(rosterd, feed, source, forged)
    assert [line for line in rosterd.export() if line["kind"] == "membership"] == []


def test_a_role_that_was_taken_away_is_found_by_whatever_number_tells_of_it(
    rosterd: Rosterd, onelogin: FakeOnelogin
) -> None:
    feed = attached(rosterd, "onelogin", onelogin)
    onelogin.role(3, "Crew", 7)
    tell(rosterd, feed, "onelogin", onelogin.user(7), onelogin.happened(4, 7, role_id=3))
    assert [line["group"] for line in rosterd.export() if line["kind"] == "membership"] == ["3"]
    onelogin.shift += 3
    onelogin.role(3, "Crew")
    tell(rosterd, feed, "onelogin", onelogin.happened(21, 7, role_id=3))
    # Two questions about one membership are a second apart.
    let_rest_end(rosterd)
    rosterd.drain()
    assert [line for line in rosterd.export() if line["kind"] == "membership"] == []
    groups = [line["name"] for line in rosterd.export() if line["kind"] == "group"]
    assert groups == ["Crew"], "and the role was described by the way"


def test_what_failed_at_pingone_changes_nothing(rosterd: Rosterd, pingone: FakePingone) -> None:
    feed = attached(rosterd, "pingone", pingone)
    tell(rosterd, feed, "pingone", pingone.user("u1"))
    asked = len(pingone.asked)
    tell(rosterd, feed, "pingone", pingone.happened("USER.DELETED", user="u1", status="FAILED"))
    assert state(rosterd, "u1") == "invited"
    assert len(pingone.asked) == asked


def test_u1_u3_u4_onelogin_from_hook_to_directory(rosterd: Rosterd, onelogin: FakeOnelogin) -> None:
    feed = attached(rosterd, "onelogin", onelogin)
    hired = onelogin.user(7, firstname="Ana")
    login = onelogin.happened(5, 7)
    onelogin.role(3, "Crew", 7)
    tell(rosterd, feed, "onelogin", hired, login, onelogin.happened(4, 7, role_id=3))
    user = rosterd.user("7")
    assert user is not None
    assert (user["given_name"], user["email"]) == ("Ana", "u7@example.com")
    # Whole seconds: what OneLogin tells next is of another one.
    onelogin.shift += 2
    onelogin.users[7]["status"] = 2
    asked = len(onelogin.asked)
    tell(rosterd, feed, "onelogin", onelogin.happened(551, 7))
    assert state(rosterd, "7") == "invited_suspended"
    assert len(onelogin.asked) == asked, "a suspension waits for no reading"
    onelogin.shift += 2
    onelogin.user(7, status=1)
    tell(rosterd, feed, "onelogin", onelogin.happened(16, 7))
    assert state(rosterd, "7") == "invited", "whatever 16 means, OneLogin was asked"


def test_a_lock_that_passes_by_itself_suspends_nobody(
    rosterd: Rosterd, onelogin: FakeOnelogin
) -> None:
    feed = attached(rosterd, "onelogin", onelogin)
    tell(rosterd, feed, "onelogin", onelogin.user(7))
    onelogin.shift += 2
    onelogin.user(7, status=3, locked_until="2026-03-09T09:00:00Z")
    tell(rosterd, feed, "onelogin", onelogin.happened(531, 7))
    assert state(rosterd, "7") == "invited"
    onelogin.shift += 2
    onelogin.user(7, status=3, locked_until=None)
    tell(rosterd, feed, "onelogin", onelogin.happened(553, 7))
    assert state(rosterd, "7") == "invited_suspended"


@pytest.mark.parametrize("source", ["pingone", "onelogin"])
def test_u8_a_leaked_secret_lets_nobody_in(
    rosterd: Rosterd, source: str, request: pytest.FixtureRequest
) -> None:
    """A hook that knows only its secret can claim that somebody is there; it cannot make them."""
    idp: FakePingone | FakeOnelogin = request.getfixturevalue(source)
    feed = attached(rosterd, source, idp)
    forged = (
        idp.happened("USER.CREATED", user="evil")
        if isinstance(idp, FakePingone)
        else idp.happened(13, 666)
    )
    tell(rosterd, feed, source, forged)
    assert rosterd.user("evil") is None
    assert rosterd.user("666") is None
    assert [line for line in rosterd.export() if line["kind"] == "user"] == []


@pytest.mark.parametrize("source", ["pingone", "onelogin"])
def test_an_idp_that_hangs_loses_nothing(
    rosterd: Rosterd, source: str, request: pytest.FixtureRequest
) -> None:
    idp: FakePingone | FakeOnelogin = request.getfixturevalue(source)
    feed = attached(rosterd, source, idp)
    event = idp.user("u1") if isinstance(idp, FakePingone) else idp.user(1)
    idp.fault = Fault.UNAVAILABLE
    tell(rosterd, feed, source, event)
    (row,) = rosterd.events()
    assert (row["state"], row["reason"], row["attempts"]) == ("waiting", "reading", 0)
    idp.fault = None
    let_rest_end(rosterd)
    rosterd.drain()
    assert state(rosterd, "u1" if source == "pingone" else "1") == "invited"


@pytest.mark.parametrize("source", ["pingone", "onelogin"])
def test_g2_g3_what_the_hook_did_not_bring_is_found_in_the_log_once(
    rosterd: Rosterd, source: str, request: pytest.FixtureRequest
) -> None:
    idp: FakePingone | FakeOnelogin = request.getfixturevalue(source)
    feed = attached(rosterd, source, idp)
    idp.shift = -20
    assert rosterd.parts.reading.catch_up.run(feed.connection, budget=SOON) == 0
    idp.shift = -10
    told = idp.user("u1") if isinstance(idp, FakePingone) else idp.user(1)
    tell(rosterd, feed, source, told)
    idp.shift = -5
    # Dropped on the way:
    dropped = idp.leave("u1") if isinstance(idp, FakePingone) else idp.happened(17, 1)
    assert dropped
    idp.shift = 0
    for _ in range(2):
        with rosterd.parts.database.begin() as sql:
            sql.execute(catch_ups.update().values(due_at=rosterd.now(), lease_until=None))
            sql.commit()
        rosterd.parts.reading.catch_up.run(feed.connection, budget=SOON)
        rosterd.drain()
    assert state(rosterd, "u1" if source == "pingone" else "1") == "invited_suspended"
    types = [row["type"] for row in rosterd.events(rows.events.c.outcome.is_not(None))]
    out = "USER.DELETED" if source == "pingone" else "17"
    assert types.count(out) == 1
    if source == "pingone":
        assert types.count("USER.CREATED") == 1, "by its id the log's is the hook's"


@pytest.mark.parametrize("source", ["pingone", "onelogin"])
def test_without_access_what_says_nothing_changes_nothing(
    rosterd: Rosterd, source: str, request: pytest.FixtureRequest
) -> None:
    idp: FakePingone | FakeOnelogin = request.getfixturevalue(source)
    feed = rosterd.account(source=source, scope="everyone")
    event = idp.user("u1") if isinstance(idp, FakePingone) else idp.user(1)
    tell(rosterd, feed, source, event)
    assert [(row["outcome"], row["reason"]) for row in rosterd.events()] == [
        ("ignored", "no_directory_change")
    ]
    done = rosterd.cli("doctor")
    assert "access" in done.stdout

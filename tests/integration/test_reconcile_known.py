"""Who is known here otherwise than by the IdP's own id, or by a group that is not kept."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import pytest

from domain.directories import Read, ReadPerson, UnaskableError
from tests.fakes.directory import Truth, TruthDirectory
from tests.harness import Feed, Rosterd
from tests.scim import speaking
from worker.bootstrap import Container


@pytest.fixture
def truth(monkeypatch: pytest.MonkeyPatch) -> Truth:
    truth = Truth()
    monkeypatch.setattr(Container, "directory_of", lambda _parts, _id: TruthDirectory(truth))
    return truth


def mended(rosterd: Rosterd, feed: Feed) -> dict[str, Any]:
    """What a reconciliation that applies what it finds tells."""
    done = rosterd.cli("reconcile", feed.connection, "--json", "--apply")
    assert done.returncode == 0, done.stderr
    rosterd.drain()
    told: dict[str, Any] = json.loads(done.stdout)
    return told


def states(rosterd: Rosterd) -> dict[str, str]:
    return {one["email"]: one["state"] for one in rosterd.users()}


def test_d13_u3_who_got_an_external_id_later_is_not_put_out(rosterd: Rosterd, truth: Truth) -> None:
    """Okta links whom it finds: the key here is of first contact, the IdP's id came after it."""
    feed = rosterd.account(source="scim", scim_state="always")
    scim = speaking(rosterd, feed)
    ana, bob = scim.hire("ana"), scim.hire("bob", externalId="u2")
    crew = scim.group("Crew", ana["id"], bob["id"])
    rosterd.accept("ana@example.com")
    scim.set_(ana["id"], externalId="u1")
    truth.hire("u1", "ana@example.com")
    truth.hire("u2", "bob@example.com")
    truth.group_of(crew["id"], "Crew", "u1", "u2")
    for run in range(3):
        at = datetime.now(UTC) + timedelta(seconds=30 * run + 10)
        truth.clock = partial(datetime.fromtimestamp, at.timestamp(), UTC)
        assert mended(rosterd, feed)["differences"] == []
        assert states(rosterd)["ana@example.com"] == "active"
    truth.people.pop("u1")
    mended(rosterd, feed)
    assert states(rosterd)["ana@example.com"] == "suspended", "and a leaver is found by it"


class _Picky(TruthDirectory):
    """Answers for its own ids only, as most do."""

    def __init__(self, truth: Truth) -> None:
        super().__init__(truth)
        self.person = partial(self._picky, truth)

    def _picky(self, truth: Truth, key: str) -> Read[ReadPerson]:
        if ":" in key:
            raise UnaskableError(f"{key!r} is no id", needs_operator=True)
        return truth.person(key)


def test_g7_who_cannot_be_asked_after_does_not_end_the_run(
    rosterd: Rosterd, truth: Truth, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another feed of the connection calls somebody by its own id."""
    monkeypatch.setattr(Container, "directory_of", lambda _parts, _id: _Picky(truth))
    feed = rosterd.account()
    rosterd.hire(feed, "hr:17", "contractor@example.com")
    rosterd.hire(feed, "u1")
    truth.hire("u1", is_active=False)
    truth.hire("u2")
    told = mended(rosterd, feed)
    (waiting,) = [one for one in told["differences"] if one["external_id"] == "hr:17"]
    assert waiting["why"] == "unaskable"
    assert states(rosterd) == {
        "contractor@example.com": "invited",
        "u1@example.com": "invited_suspended",
        "u2@example.com": "invited",
    }


def test_s1_u3_who_left_the_group_that_provisions_is_out_though_it_is_not_kept(
    rosterd: Rosterd, truth: Truth
) -> None:
    feed = rosterd.account(scope="groups:g1", groups="prefix:app-")
    for key in ("u1", "u2"):
        truth.hire(key)
    truth.group_of("g1", "Everybody", "u1", "u2")
    mended(rosterd, feed)
    assert set(states(rosterd).values()) == {"invited"}
    truth.group_of("g1", "Everybody", "u2")
    mended(rosterd, feed)
    assert states(rosterd) == {"u1@example.com": "invited_suspended", "u2@example.com": "invited"}
    assert mended(rosterd, feed)["differences"] == []


def test_s1_u3_the_same_of_whom_hooks_let_in(rosterd: Rosterd, truth: Truth) -> None:
    """The hook that took them out was lost."""
    feed = rosterd.account(scope="groups:g1", groups="prefix:app-")
    rosterd.hire(feed, "u1")
    rosterd.tell(feed, "group.upserted", {"id": "g1", "name": "Everybody"})
    rosterd.tell(feed, "group.members_replaced", {"group_id": "g1", "user_ids": ["u1", "u2"]})
    assert states(rosterd) == {"u1@example.com": "invited"}
    truth.hire("u1")
    truth.hire("u2")
    truth.group_of("g1", "Everybody", "u2")
    mended(rosterd, feed)
    assert states(rosterd)["u1@example.com"] == "invited_suspended"

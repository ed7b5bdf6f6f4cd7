"""Events that say too little: read at the IdP, coalesced, laned and decided by what was read."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from domain.hydration import read_id
from tests.api import Client
from tests.fakes.idp import Fault
from tests.fakes.okta import FakeOkta
from tests.harness import Feed, Rosterd
from tests.hydrating import give_access, group, hook, let_rest_end, person, reading
from worker.adapters.db import rows
from worker.adapters.db.directory_rows import accesses, reads

UPDATED = "user.account.update_profile"


@pytest.fixture
def okta() -> Iterator[FakeOkta]:
    with FakeOkta().serving() as fake:
        yield fake


@pytest.fixture
def rosterd(database_url: str, tmp_path: Path) -> Iterator[Rosterd]:
    with reading(database_url, tmp_path) as made:
        yield made


@pytest.fixture
def feed(rosterd: Rosterd, okta: FakeOkta) -> Feed:
    made = rosterd.account(source="okta", scope="everyone")
    give_access(rosterd, made, okta)
    return made


def _hired(rosterd: Rosterd, feed: Feed, okta: FakeOkta, key: str = "00u1") -> None:
    okta.user(key, firstName="Ana")
    assert hook(rosterd, feed, okta.happened("user.lifecycle.create", person(key))) == 200
    rosterd.drain()
    assert rosterd.user(key) is not None


def test_a_profile_that_changed_is_read(rosterd: Rosterd, feed: Feed, okta: FakeOkta) -> None:
    _hired(rosterd, feed, okta)
    okta.user("00u1", firstName="Anna", lastName="Silva")
    event = okta.happened(UPDATED, person("00u1"))
    assert hook(rosterd, feed, event) == 200
    rosterd.drain()
    user = rosterd.user("00u1")
    assert user is not None
    assert (user["given_name"], user["family_name"]) == ("Anna", "Silva")
    assert rosterd.outcome(event["uuid"]) == ("applied", None)


def test_an_address_that_changed_is_seen_only_by_reading(
    rosterd: Rosterd, feed: Feed, okta: FakeOkta
) -> None:
    _hired(rosterd, feed, okta)
    okta.user("00u1", email="ana.silva@example.com")
    hook(rosterd, feed, okta.happened(UPDATED, person("00u1")))
    rosterd.drain()
    user = rosterd.user("00u1")
    assert user is not None
    assert user["requested_email"] == "ana.silva@example.com"


def test_u8_who_is_let_in_is_read_first(rosterd: Rosterd, feed: Feed, okta: FakeOkta) -> None:
    """A hook that only knows a leaked secret can claim somebody; it cannot make them."""
    forged = okta.happened("user.lifecycle.create", person("00uevil", "evil@example.com"))
    hook(rosterd, feed, forged)
    rosterd.drain()
    assert rosterd.user("00uevil") is None
    _hired(rosterd, feed, okta)
    hook(rosterd, feed, okta.happened("user.lifecycle.suspend", person("00u1")))
    okta.user("00u1", status="SUSPENDED")
    rosterd.drain()
    hook(rosterd, feed, okta.happened("user.lifecycle.unsuspend", person("00u1")))
    rosterd.drain()
    user = rosterd.user("00u1")
    assert user is not None
    assert user["state"] == "invited_suspended", "Okta says so, whatever the hook says"


def test_a_suspension_waits_for_no_reading(rosterd: Rosterd, feed: Feed, okta: FakeOkta) -> None:
    _hired(rosterd, feed, okta)
    okta.fault = Fault.HANG
    hook(rosterd, feed, okta.happened("user.lifecycle.suspend", person("00u1")))
    asked = len(okta.asked)
    rosterd.drain()
    user = rosterd.user("00u1")
    assert user is not None
    assert user["state"] == "invited_suspended"
    assert len(okta.asked) == asked


def test_a_suspension_that_hides_in_an_update_goes_urgent(
    rosterd: Rosterd, feed: Feed, okta: FakeOkta
) -> None:
    _hired(rosterd, feed, okta)
    okta.user("00u1", status="DEPROVISIONED")
    event = okta.happened(UPDATED, person("00u1"))
    hook(rosterd, feed, event)
    rosterd.drain()
    (row,) = rosterd.events(rows.events.c.external_id == event["uuid"])
    assert (row["kind"], row["lane"], row["outcome"]) == ("users.suspend", "urgent", "applied")
    user = rosterd.user("00u1")
    assert user is not None
    assert user["state"] == "invited_suspended"


def test_who_is_gone_is_out_and_a_group_that_is_gone_is_deleted(
    rosterd: Rosterd, feed: Feed, okta: FakeOkta
) -> None:
    _hired(rosterd, feed, okta)
    okta.shift += 5
    del okta.users["00u1"]
    hook(rosterd, feed, okta.happened(UPDATED, person("00u1")))
    okta.group("00g1", "Engineering")
    hook(rosterd, feed, okta.happened("group.lifecycle.create", group("00g1", "Engineering")))
    rosterd.drain()
    # A 404 bears no version, only the answer's date, in whole seconds.
    okta.shift += 5
    del okta.groups["00g1"]
    hook(rosterd, feed, okta.happened("group.profile.update", group("00g1", "Engineering")))
    rosterd.drain()
    user = rosterd.user("00u1")
    assert user is not None
    assert user["state"] == "invited_suspended"
    assert not [line for line in rosterd.export() if line["kind"] == "group"]


def test_a_group_is_renamed_by_what_was_read(rosterd: Rosterd, feed: Feed, okta: FakeOkta) -> None:
    okta.group("00g1", "Engineering")
    hook(rosterd, feed, okta.happened("group.lifecycle.create", group("00g1", "Engineering")))
    okta.group("00g1", "Development")
    hook(rosterd, feed, okta.happened("group.profile.update", group("00g1", "Engineering")))
    rosterd.drain()
    assert [line["name"] for line in rosterd.export() if line["kind"] == "group"] == ["Development"]


def test_a_hundred_notifications_are_one_read(rosterd: Rosterd, feed: Feed, okta: FakeOkta) -> None:
    _hired(rosterd, feed, okta)
    before = len(okta.asked)
    okta.user("00u1", firstName="Anna")
    for _ in range(4):
        hook(rosterd, feed, *(okta.happened(UPDATED, person("00u1")) for _ in range(25)))
    rosterd.drain()
    assert len(okta.asked) == before + 1
    told = [row["outcome"] for row in rosterd.events(rows.events.c.type == UPDATED)]
    assert set(told) <= {"applied", "unchanged", "superseded"}, "by one of the same version"
    assert told.count("applied") == 1
    assert len(told) == 100


def test_d2_what_is_told_after_a_read_began_causes_another(
    rosterd: Rosterd, feed: Feed, okta: FakeOkta
) -> None:
    _hired(rosterd, feed, okta)
    okta.user("00u1", firstName="Anna")
    hook(rosterd, feed, okta.happened(UPDATED, person("00u1")))
    _drain_only(rosterd)
    questions = rosterd.parts.directories.hydrate.questions
    question = questions.claim(feed.connection, lease=timedelta(seconds=30))
    directory = rosterd.parts.directory_of(feed.connection)
    assert directory is not None
    read = directory.person("00u1")
    okta.user("00u1", firstName="Annika")
    late = okta.happened(UPDATED, person("00u1"))
    hook(rosterd, feed, late)
    _drain_only(rosterd)
    assert questions.answered(question, read)  # type: ignore[arg-type]
    rosterd.drain()
    user = rosterd.user("00u1")
    assert user is not None
    assert user["given_name"] == "Annika"
    (row,) = rosterd.events(rows.events.c.external_id == late["uuid"])
    assert row["state"] == "ended"


def test_a_lease_that_was_lost_writes_nothing(rosterd: Rosterd, feed: Feed, okta: FakeOkta) -> None:
    """A worker that was frozen with an old answer in hand: somebody else has asked since."""
    _hired(rosterd, feed, okta)
    hook(rosterd, feed, okta.happened(UPDATED, person("00u1")))
    _drain_only(rosterd)
    questions = rosterd.parts.directories.hydrate.questions
    directory = rosterd.parts.directory_of(feed.connection)
    assert directory is not None
    stale = directory.person("00u1")
    frozen = questions.claim(feed.connection, lease=timedelta(seconds=-1))
    okta.user("00u1", firstName="Anna")
    rosterd.drain()
    assert questions.answered(frozen, stale) is None  # type: ignore[arg-type]
    user = rosterd.user("00u1")
    assert user is not None
    assert user["given_name"] == "Anna"


@pytest.mark.parametrize(
    "fault", [Fault.HANG, Fault.LIMITED, Fault.ERROR, Fault.GARBAGE, Fault.HALF, Fault.HTML]
)
def test_what_is_no_answer_uses_up_no_attempt(
    rosterd: Rosterd, feed: Feed, okta: FakeOkta, fault: Fault
) -> None:
    _hired(rosterd, feed, okta)
    okta.user("00u1", firstName="Anna")
    okta.fault = fault
    event = okta.happened(UPDATED, person("00u1"))
    hook(rosterd, feed, event)
    for _ in range(3):
        rosterd.drain()
        let_rest_end(rosterd)
    (row,) = rosterd.events(rows.events.c.external_id == event["uuid"])
    assert (row["state"], row["reason"], row["attempts"]) == ("waiting", "reading", 0)
    user = rosterd.user("00u1")
    assert user is not None
    assert user["state"] == "invited", "no answer suspends nobody"
    okta.fault = None
    rosterd.drain()
    assert rosterd.outcome(event["uuid"]) == ("applied", None)


def test_operators_see_what_waits_and_why(rosterd: Rosterd, feed: Feed, okta: FakeOkta) -> None:
    okta.fault = Fault.GARBAGE
    event = okta.happened(UPDATED, person("00u1"))
    hook(rosterd, feed, event)
    rosterd.drain()
    (row,) = rosterd.events(rows.events.c.external_id == event["uuid"])
    story = rosterd.json("event", "show", str(row["id"]))
    assert story["read"]["is_open"]
    assert "broken JSON" in story["read"]["last_error"]
    told = Client(rosterd, "operations:read").get(f"/events/{row['id']}")
    assert told["read"]["attempts"] == story["read"]["attempts"] >= 1
    doctor = rosterd.cli("doctor").stdout
    assert "its directory gave no answer" in doctor
    assert "broken JSON" in doctor
    (failing,) = rosterd.parts.gauges.snapshot().readings
    assert (failing.questions, failing.failures >= 1) == (1, True)
    text = "".join(map(str, rosterd.parts.state_gauges()))
    assert "rosterd_directory_questions" in text
    rosterd.cli("connection", "access", "okta", "--remove")
    assert "believed by its hook's secret alone" in rosterd.cli("doctor").stdout


def test_an_idp_that_gives_no_answer_is_left_alone(
    rosterd: Rosterd, feed: Feed, okta: FakeOkta
) -> None:
    for number in range(20):
        _hired(rosterd, feed, okta, f"00u{number}")
        let_rest_end(rosterd)
    okta.fault = Fault.LIMITED
    before = len(okta.asked)
    hook(rosterd, feed, *(okta.happened(UPDATED, person(f"00u{n}")) for n in range(20)))
    rosterd.drain()
    assert len(okta.asked) == before + 1, "once, and then it rests"
    (row,) = rosterd.table(accesses)
    assert row["rests_until"] - rosterd.now() > timedelta(seconds=2), "as long as it asks for"
    assert "429" in row["last_error"]


def test_another_connection_is_asked_meanwhile(
    rosterd: Rosterd, feed: Feed, okta: FakeOkta
) -> None:
    okta.fault = Fault.HANG
    hook(rosterd, feed, okta.happened("user.lifecycle.create", person("00u1")))
    with FakeOkta().serving() as another:
        with rosterd.setup() as use:
            use.add_account(
                "other", owner=None, domains=["example.com"], parent=None, several=False
            )
        second = rosterd.connect("other", source="okta", scope="everyone", name="second")
        give_access(rosterd, second, another)
        another.user("00u1")
        event = another.happened("user.lifecycle.create", person("00u1"))
        hook(rosterd, second, event)
        rosterd.drain()
        assert rosterd.outcome(event["uuid"]) == ("applied", None)


def test_without_access_everything_is_as_it_was(rosterd: Rosterd, okta: FakeOkta) -> None:
    feed = rosterd.account(source="okta", scope="everyone")
    hook(rosterd, feed, okta.happened("user.lifecycle.create", person("00u1")))
    event = okta.happened(UPDATED, person("00u1"))
    hook(rosterd, feed, event)
    rosterd.drain()
    assert rosterd.user("00u1") is not None
    assert rosterd.outcome(event["uuid"]) == ("ignored", "no_directory_change")
    assert not rosterd.table(reads)
    assert not okta.asked


def test_what_was_refused_for_want_of_reading_is_read_at_its_replay(
    rosterd: Rosterd, okta: FakeOkta
) -> None:
    feed = rosterd.account(source="okta", scope="everyone", read_back="required")
    okta.user("00u1")
    event = okta.happened("user.lifecycle.create", person("00u1"))
    hook(rosterd, feed, event)
    rosterd.drain()
    assert rosterd.outcome(event["uuid"]) == ("dead", "needs_reading")
    give_access(rosterd, feed, okta)
    (letter,) = rosterd.dead()
    done = rosterd.cli("dead", "replay", str(letter["id"]), "--reason", "x", "--yes", "--wait", "0")
    assert done.returncode == 0, done.stderr
    rosterd.drain()
    assert rosterd.user("00u1") is not None


def test_assignment_is_judged_by_its_own_time(rosterd: Rosterd, okta: FakeOkta) -> None:
    """The record may be older than the assignment, and than an unassignment before it."""
    feed = rosterd.account(source="okta", scope="assignment:0oa1")
    give_access(rosterd, feed, okta)
    app = {"id": "0oa1", "type": "AppInstance"}
    okta.user("00u1", email="ana@example.com", login="ana")
    for type_ in ("add", "remove", "add"):
        okta.shift += 10
        told = okta.happened(
            f"application.user_membership.{type_}", person("00u1"), app, at=okta.now() - 60
        )
        hook(rosterd, feed, told)
        rosterd.drain()
    user = rosterd.user("00u1")
    assert user is not None
    assert (user["state"], user["email"]) == ("invited", "ana@example.com")


def test_an_answer_is_sealed_and_goes_with_its_person(
    rosterd: Rosterd, feed: Feed, okta: FakeOkta
) -> None:
    _hired(rosterd, feed, okta)
    (row,) = rosterd.table(reads)
    assert row["id"] == read_id(feed.connection, "person", "00u1")  # type: ignore[arg-type]
    assert b"example.com" not in row["answer"]
    assert row["due_at"] is None
    rosterd.cli("connection", "access", "okta", "--remove")
    assert not rosterd.table(reads)


def _drain_only(rosterd: Rosterd) -> None:
    """What workers do while nobody asks the IdP."""
    for lane, kind in rosterd._due():
        rosterd.parts.drain.run(lane=lane, kind=kind, budget=timedelta(seconds=30))

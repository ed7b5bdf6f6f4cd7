"""PingOne's activities: proof, batches, what each asks for, and what has to be read."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from domain import changes
from domain.hydration import Wanted, What
from domain.inbox import Kind, Reason
from domain.ports import NotAuthenticError, Parsed, Request, SigningSecret, UnparseableError
from tests.unit.adapters.sources.asking import NOW
from worker.adapters.sources.pingone import PingoneSource

SOURCE = PingoneSource()
_BASE = "https://api.pingone.eu/v1/environments/e1"


def activity(type_: str, *resources: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {
        "id": "a1",
        "recordedAt": "2026-03-09T08:30:00.250Z",
        "action": {"type": type_},
        "resources": list(resources),
        "result": {"status": "SUCCESS"},
        **more,
    }


ANA = {"type": "USER", "id": "u1", "name": "ana@example.com", "href": f"{_BASE}/users/u1"}
OPS = {"type": "GROUP", "id": "g1", "name": "Ops", "href": f"{_BASE}/groups/g1"}
EDGE = {
    "type": "MEMBER_OF_GROUP",
    "id": "u1",
    "name": "Ops",
    "href": f"{_BASE}/users/u1/memberOfGroups/g1",
}
PERSON, GROUP = Wanted(What.PERSON, "u1"), Wanted(What.GROUP, "g1")
CASES: list[tuple[Any, ...]] = [
    ("USER.CREATED", ANA, Kind.USERS_CREATE, "u1", (), PERSON),
    *((f"USER.{it}", ANA, Kind.HYDRATE, "u1", (), PERSON) for it in ("UPDATED", "MOVED")),
    *((f"USER.{it}", ANA, Kind.HYDRATE, "u1", (), PERSON) for it in ("LOCKED", "UNLOCKED")),
    ("USER.DELETED", ANA, Kind.USERS_SUSPEND, "u1", (changes.SuspendUser("u1"),), None),
    ("GROUP.CREATED", OPS, Kind.GROUPS_UPSERT, "g1", (changes.PutGroup("g1", "Ops"),), None),
    ("GROUP.UPDATED", OPS, Kind.GROUPS_UPSERT, "g1", (changes.PutGroup("g1", "Ops"),), GROUP),
    ("GROUP.DELETED", OPS, Kind.GROUPS_DELETE, "g1", (changes.DeleteGroup("g1"),), None),
    (
        "MEMBER_OF_GROUP.CREATED",
        EDGE,
        Kind.GROUPS_ADD_MEMBERS,
        "u1",
        (changes.AddMember("g1", "u1"),),
        Wanted.member("g1", "u1"),
    ),
    (
        "MEMBER_OF_GROUP.DELETED",
        EDGE,
        Kind.GROUPS_REMOVE_MEMBERS,
        "u1",
        (changes.RemoveMember("g1", "u1"),),
        None,
    ),
]


@pytest.mark.parametrize(("type_", "resource", "kind", "subject", "told", "wants"), CASES)
def test_type_asks_for_its_change(
    type_: str,
    resource: dict[str, Any],
    kind: Kind,
    subject: str,
    told: tuple[changes.Change, ...],
    wants: Wanted | None,
) -> None:
    document = [activity(type_, resource)]
    (split,) = SOURCE.split(document, Request("POST", {}))
    assert (split.id, split.type, split.kind, split.subject) == ("a1", type_, kind, subject)
    assert split.occurred_at == datetime(2026, 3, 9, 8, 30, 0, 250_000, tzinfo=UTC)
    parsed = SOURCE.parse(document, 0)
    assert parsed.changes == told
    assert parsed.wants == wants
    assert bool(told) or parsed.ignored is Reason.NO_DIRECTORY_CHANGE


@pytest.mark.parametrize("case", CASES, ids=lambda case: case[0])
@pytest.mark.parametrize("status", ["FAILED", "failed", "UNKNOWN"])
def test_what_did_not_succeed_changes_nothing_and_is_not_read(
    case: tuple[Any, ...], status: str
) -> None:
    document = [activity(case[0], case[1], result={"status": status})]
    assert SOURCE.split(document, Request("POST", {}))[0].kind is Kind.SORT
    parsed = SOURCE.parse(document, 0)
    assert (parsed, parsed.wants) == (Parsed(ignored=Reason.NO_DIRECTORY_CHANGE), None)


def test_array_page_and_single_document_are_the_same_activities() -> None:
    one, two = activity("USER.DELETED", ANA), activity("USER.DELETED", ANA, id="a2")
    for document in ([one, two], {"_embedded": {"activities": [one, two]}}):
        assert [event.id for event in SOURCE.split(document, Request("POST", {}))] == ["a1", "a2"]
    assert [event.id for event in SOURCE.split(one, Request("POST", {}))] == ["a1"]
    assert SOURCE.split([], Request("POST", {})) == []


def test_five_hundred_in_a_batch_and_a_bad_one_spoils_no_other() -> None:
    batch = [activity("USER.DELETED", ANA, id=f"a{n}") for n in range(499)]
    batch.insert(7, activity("USER.DELETED", {"type": "POPULATION", "id": "p"}, id="bad"))
    assert len(SOURCE.split(batch, Request("POST", {}))) == 500
    with pytest.raises(UnparseableError) as refusal:
        SOURCE.parse(batch, 7)
    assert refusal.value.place == "resources"
    assert SOURCE.parse(batch, 8).changes == (changes.SuspendUser("u1"),)


@pytest.mark.parametrize(
    "href",
    [
        "",
        "https://[",
        f"{_BASE}/users/u1",
        f"{_BASE}/users//memberOfGroups/g1",
        f"{_BASE}/users/u1/memberOfGroups/",
        f"{_BASE}/groups/g1/memberOfGroups/g1",
    ],
)
def test_a_membership_without_its_two_ids_says_where(href: str) -> None:
    document = [activity("MEMBER_OF_GROUP.CREATED", {**EDGE, "href": href})]
    with pytest.raises(UnparseableError) as refusal:
        SOURCE.parse(document, 0)
    assert refusal.value.place == "resources[].href"
    assert SOURCE.split(document, Request("POST", {}))[0].kind is Kind.GROUPS_ADD_MEMBERS


def test_delivery_without_ids_says_where() -> None:
    with pytest.raises(UnparseableError) as refusal:
        SOURCE.split([activity("USER.DELETED", ANA), {"action": {}}], Request("POST", {}))
    assert refusal.value.place == "[1].id"


SECRETS = [SigningSecret("old", "before"), SigningSecret("new", "typed by somebody")]


@pytest.mark.parametrize("told", ["typed by somebody", "Bearer typed by somebody"])
def test_the_secret_proves_alone_and_after_bearer(told: str) -> None:
    assert SOURCE.verify(Request("POST", {"authorization": told}), SECRETS, NOW) is SECRETS[1]


@pytest.mark.parametrize(
    ("told", "reason"),
    [
        (None, "missing"),
        ("", "missing"),
        ("Bearer", "wrong"),
        ("Bearer ", "wrong"),
        ("Bearer Bearer typed by somebody", "wrong"),
        ("Basic typed by somebody", "wrong"),
        ("typed by somebody ", "wrong"),
        ("\ud800", "wrong"),
    ],
)
def test_anything_else_is_refused(told: str | None, reason: str) -> None:
    headers = {} if told is None else {"authorization": told}
    with pytest.raises(NotAuthenticError) as refusal:
        SOURCE.verify(Request("POST", headers), [*SECRETS, SigningSecret("empty", "")], NOW)
    assert refusal.value.reason == reason

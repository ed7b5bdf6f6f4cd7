"""Events of the `standard` source: splitting, peeking, and what each type asks for."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from domain import changes
from domain.inbox import Kind, Reason
from domain.ports import Parsed, Request, UnparseableError
from worker.adapters.sources.standard import StandardSource

SOURCE = StandardSource()
REQUEST = Request("POST", {"webhook-id": "m1"})
AT = "2026-03-09T09:30:00+01:00"


def event(type_: object, data: object, **more: object) -> dict[str, object]:
    return {"type": type_, "timestamp": AT, "data": data, **more}


def parse(type_: object, data: object) -> Parsed:
    return SOURCE.parse(event(type_, data), 0)


ANA = {"id": "u1", "email": "ana@example.com"}
EDGE = {"group_id": "g1", "user_id": "u1"}

CASES: list[tuple[Any, ...]] = [
    ("user.upserted", ANA, Kind.USERS_CREATE, "u1", changes.ProvisionUser("u1", ANA["email"])),
    (
        "user.upserted",
        {**ANA, "active": True},
        Kind.USERS_CREATE,
        "u1",
        changes.ProvisionUser("u1", ANA["email"], {}, active=True),
    ),
    (
        "user.upserted",
        {**ANA, "active": False, "user_type": "guest"},
        Kind.USERS_SUSPEND,
        "u1",
        changes.ProvisionUser("u1", ANA["email"], {}, active=False, user_type="guest"),
    ),
    (
        "user.email_changed",
        ANA,
        Kind.USERS_CHANGE_EMAIL,
        "u1",
        changes.ChangeEmail("u1", ANA["email"]),
    ),
    ("user.suspended", {"id": "u1"}, Kind.USERS_SUSPEND, "u1", changes.SuspendUser("u1")),
    ("user.deleted", {"id": "u1"}, Kind.USERS_SUSPEND, "u1", changes.SuspendUser("u1")),
    ("user.reactivated", {"id": "u1"}, Kind.USERS_REACTIVATE, "u1", changes.ReactivateUser("u1")),
    (
        "group.upserted",
        {"id": "g1", "name": "Ops"},
        Kind.GROUPS_UPSERT,
        "g1",
        changes.PutGroup("g1", "Ops"),
    ),
    ("group.deleted", {"id": "g1"}, Kind.GROUPS_DELETE, "g1", changes.DeleteGroup("g1")),
    ("group.member_added", EDGE, Kind.GROUPS_ADD_MEMBERS, "u1", changes.AddMember("g1", "u1")),
    (
        "group.member_removed",
        EDGE,
        Kind.GROUPS_REMOVE_MEMBERS,
        "u1",
        changes.RemoveMember("g1", "u1"),
    ),
    (
        "group.members_replaced",
        {"group_id": "g1", "user_ids": ["u2", "u1", "u2"]},
        Kind.GROUPS_UPSERT,
        "g1",
        changes.ReplaceMembers("g1", ("u2", "u1")),
    ),
]


@pytest.mark.parametrize(("type_", "data", "kind", "subject", "change"), CASES)
def test_type_asks_for_its_change(
    type_: str, data: dict[str, object], kind: Kind, subject: str, change: changes.Change
) -> None:
    document = event(type_, data)
    (split,) = SOURCE.split(document, REQUEST)
    assert (split.id, split.type, split.kind, split.subject) == ("m1", type_, kind, subject)
    assert split.occurred_at == datetime(2026, 3, 9, 8, 30, tzinfo=UTC)
    assert SOURCE.parse(document, 0) == Parsed((change,))


def test_profile_keeps_told_from_untold() -> None:
    told = {
        **ANA,
        "given_name": "Ana",
        "family_name": None,
        "attributes": {
            "title": "CTO",
            "room": None,
            "floor": 3,
            "remote": True,
            "tags": {"b": [1, "x"], "a": None},
            "given_name": "not this one",
            "display_name": "nor this",
        },
    }
    (change,) = parse("user.upserted", told).changes
    assert isinstance(change, changes.ProvisionUser)
    assert change.profile == {
        "given_name": "Ana",
        "family_name": None,
        "title": "CTO",
        "room": None,
        "floor": "3",
        "remote": "true",
        "tags": '{"a":null,"b":[1,"x"]}',
    }


def test_address_is_trimmed() -> None:
    (change,) = parse("user.email_changed", {"id": "u1", "email": " a@example.com "}).changes
    assert change == changes.ChangeEmail("u1", "a@example.com")


def test_unknown_members_are_the_senders_business() -> None:
    assert parse("user.suspended", {"id": "u1", "shoe_size": 43}).changes


@pytest.mark.parametrize(
    ("type_", "data", "place"),
    [
        ("user.upserted", {"id": "u1"}, "data.email"),
        ("user.upserted", {**ANA, "email": None}, "data.email"),
        ("user.upserted", {**ANA, "email": "ana.example.com"}, "data.email"),
        ("user.upserted", {**ANA, "email": "@example.com"}, "data.email"),
        ("user.upserted", {**ANA, "email": "ana@"}, "data.email"),
        ("user.upserted", {**ANA, "email": "a@example.com\r\nBcc: b@example.com"}, "data.email"),
        ("user.upserted", {**ANA, "email": "a b@example.com"}, "data.email"),
        ("user.upserted", {**ANA, "email": "a@example.com\nb@example.com"}, "data.email"),
        ("user.upserted", {**ANA, "email": "a\u200b@example.com"}, "data.email"),
        ("user.upserted", {**ANA, "email": "a" * 309 + "@example.com"}, "data.email"),
        ("user.upserted", {**ANA, "email": ["ana@example.com"]}, "data.email"),
        ("user.upserted", {**ANA, "active": "false"}, "data.active"),
        ("user.upserted", {**ANA, "active": 0}, "data.active"),
        ("user.upserted", {**ANA, "given_name": 7}, "data.given_name"),
        ("user.upserted", {**ANA, "attributes": []}, "data.attributes"),
        ("user.upserted", {**ANA, "id": ""}, "data.id"),
        ("user.upserted", {**ANA, "id": "u" * 256}, "data.id"),
        ("user.upserted", {**ANA, "id": 1}, "data.id"),
        ("user.suspended", {}, "data.id"),
        ("user.suspended", None, "data"),
        ("user.suspended", [], "data"),
        ("group.upserted", {"id": "g1"}, "data.name"),
        ("group.upserted", {"id": "g1", "name": ""}, "data.name"),
        ("group.member_added", {"group_id": "g1"}, "data.user_id"),
        ("group.members_replaced", {"group_id": "g1", "user_ids": "u1"}, "data.user_ids"),
        ("group.members_replaced", {"group_id": "g1", "user_ids": {"u1": 1}}, "data.user_ids"),
        ("group.members_replaced", {"group_id": "g1", "user_ids": ["u1", 2]}, "data.user_ids[1]"),
        (None, {"id": "u1"}, "type"),
        (["user.suspended"], {"id": "u1"}, "type"),
    ],
)
def test_malformed_event_says_where(type_: object, data: object, place: str) -> None:
    with pytest.raises(UnparseableError) as refusal:
        parse(type_, data)
    assert refusal.value.place == place
    assert refusal.value.__cause__ is None


def test_longest_address_is_taken() -> None:
    assert parse("user.upserted", {**ANA, "email": "a" * 308 + "@example.com"}).changes


def test_unknown_type_is_ignored_and_sorted() -> None:
    (split,) = SOURCE.split(event("invoice.paid", {"id": "i1"}), REQUEST)
    assert (split.kind, split.type) == (Kind.SORT, "invoice.paid")
    assert parse("invoice.paid", None) == Parsed(ignored=Reason.UNKNOWN_TYPE)


@pytest.mark.parametrize(
    "timestamp", ["yesterday", "2026-03-09T09:30:00", "20260309", 1773045000, True, "", {}]
)
def test_bad_time_is_unparseable_but_split(timestamp: object) -> None:
    document = event("user.suspended", {"id": "u1"}, timestamp=timestamp)
    (split,) = SOURCE.split(document, REQUEST)
    assert split.occurred_at is None
    with pytest.raises(UnparseableError) as refusal:
        SOURCE.parse(document, 0)
    assert refusal.value.place == "timestamp"


@pytest.mark.parametrize("timestamp", ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00"])
def test_time_beyond_the_calendar_is_none(timestamp: str) -> None:
    document = event("user.suspended", {"id": "u1"}, timestamp=timestamp)
    assert SOURCE.split(document, REQUEST)[0].occurred_at is None


@pytest.mark.parametrize("told", [{}, {"timestamp": None}])
def test_time_may_be_missing(told: dict[str, object]) -> None:
    document = {"type": "user.suspended", "data": {"id": "u1"}, **told}
    assert SOURCE.split(document, REQUEST)[0].occurred_at is None
    assert SOURCE.parse(document, 0).changes


def test_list_gives_one_event_each_and_a_bad_one_spoils_none() -> None:
    document = {
        "events": [
            event("user.suspended", {"id": "u1"}, id="a"),
            event("user.upserted", {"id": "", "active": "false"}, id="b"),
            {"id": "c"},
            event("user.upserted", {"id": "u4", "active": False}, id="d"),
        ]
    }
    split = SOURCE.split(document, REQUEST)
    assert [(one.id, one.kind) for one in split] == [
        ("a", Kind.USERS_SUSPEND),
        ("b", Kind.USERS_CREATE),
        ("c", Kind.SORT),
        ("d", Kind.USERS_SUSPEND),
    ]
    assert SOURCE.parse(document, 0).changes == (changes.SuspendUser("u1"),)
    for bad, place in ((1, "data.id"), (2, "type"), (3, "data.email")):
        with pytest.raises(UnparseableError) as refusal:
            SOURCE.parse(document, bad)
        assert refusal.value.place == place


def test_empty_list_holds_no_event() -> None:
    assert SOURCE.split({"events": []}, REQUEST) == []


@pytest.mark.parametrize(
    ("document", "place"),
    [
        ([], ""),
        (None, ""),
        ("text", ""),
        ({"events": None}, "events"),
        ({"events": {"a": 1}}, "events"),
        ({"events": [{"id": "a"}, {"type": "x"}]}, "events[1].id"),
        ({"events": [{"id": 7}]}, "events[0].id"),
        ({"events": [{"id": ""}]}, "events[0].id"),
        ({"events": ["a"]}, "events[0].id"),
    ],
)
def test_delivery_that_cannot_be_split_says_where(document: object, place: str) -> None:
    with pytest.raises(UnparseableError) as refusal:
        SOURCE.split(document, REQUEST)
    assert refusal.value.place == place


@pytest.mark.parametrize("index", [-1, 1])
def test_event_that_is_not_there_is_unparseable(index: int) -> None:
    with pytest.raises(UnparseableError):
        SOURCE.parse(event("user.suspended", {"id": "u1"}), index)


def test_content_is_equal_for_equal_events_only() -> None:
    def content(body: bytes) -> bytes:
        return SOURCE.split(SOURCE.read(body), REQUEST)[0].content

    first = content(b'{"type": "user.suspended", "data": {"id": "u1"}}')
    assert content(b'{"data":{"id":"u1"},"type":"user.suspended"}') == first
    assert content(b'{"data":{"id":"u2"},"type":"user.suspended"}') != first

"""Ory Polis: two signature headers, no event id, arrays in batch mode."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import orjson
import pytest

from domain import changes as c
from domain.inbox import Kind, Reason
from domain.ports import NotAuthenticError, Parsed, Request, SigningSecret, UnparseableError
from tests.unit.adapters.sources.asking import NOW, Told, request_of, split_of, told_by
from worker.adapters.sources.polis import PolisSource

SOURCE = PolisSource()
SECRET = SigningSecret("k", "polis secret")
ANA: dict[str, Any] = {
    "id": "u1",
    "first_name": "Ana",
    "last_name": "Silva",
    "email": "ana@example.com",
    "active": True,
    "raw": {"userName": "asilva", "displayName": "Ana S.", "userType": "Guest"},
}
NAMES = {
    "given_name": "Ana",
    "family_name": "Silva",
    "display_name": "Ana S.",
    "userName": "asilva",
}
PLAIN = {key: value for key, value in ANA.items() if key != "raw"}
GROUP = {"id": "g1", "name": "Ops", "raw": {"members": []}}


def event(type_: str, data: object) -> dict[str, object]:
    return {"directory_id": "d1", "event": type_, "tenant": "acme", "product": "p", "data": data}


def provision(active: bool | None, names: dict[str, str] | None = None, **more: str) -> c.Change:
    return c.ProvisionUser("u1", "ana@example.com", names or NAMES, active, **more)


CASES: list[tuple[str, object, Told]] = [
    ("user.created", ANA, (Kind.USERS_CREATE, "u1", (provision(True, user_type="Guest"),))),
    (
        "user.updated",
        PLAIN | {"active": False},
        (
            Kind.USERS_SUSPEND,
            "u1",
            (provision(False, {"given_name": "Ana", "family_name": "Silva"}),),
        ),
    ),
    ("user.deleted", ANA, (Kind.USERS_SUSPEND, "u1", (c.SuspendUser("u1"),))),
    (
        "user.updated",
        {"id": "u1", "active": True},
        (Kind.USERS_UPDATE, "u1", (c.ReactivateUser("u1"),)),
    ),
    ("group.created", GROUP, (Kind.GROUPS_UPSERT, "g1", (c.PutGroup("g1", "Ops"),))),
    ("group.deleted", GROUP, (Kind.GROUPS_DELETE, "g1", (c.DeleteGroup("g1"),))),
    (
        "group.user_added",
        ANA | {"group": GROUP},
        (Kind.GROUPS_ADD_MEMBERS, "u1", (c.AddMember("g1", "u1"),)),
    ),
    (
        "group.user_removed",
        ANA | {"group": GROUP},
        (Kind.GROUPS_REMOVE_MEMBERS, "u1", (c.RemoveMember("g1", "u1"),)),
    ),
]


@pytest.mark.parametrize(("type_", "data", "told"), CASES)
def test_event_asks_for_its_change(type_: str, data: object, told: Told) -> None:
    assert told_by(SOURCE, event(type_, data)) == told
    assert told_by(SOURCE, [event(type_, data)]) == told


@pytest.mark.parametrize("type_", ["created", "activated", "deactivated", "deleted"])
def test_directory_that_goes_away_suspends_nobody(type_: str) -> None:
    parsed = SOURCE.parse(event(f"dsync.{type_}", {"id": "d1"}), 0)
    assert parsed == Parsed(ignored=Reason.NO_DIRECTORY_CHANGE)


def test_d2_of_an_array_the_later_is_newer() -> None:
    out, back = event("user.updated", ANA | {"active": False}), event("user.updated", ANA)
    first, second, third = split_of(SOURCE, [out, back, out])
    assert first.occurred_at == NOW
    assert second.occurred_at == NOW + timedelta(microseconds=1)
    assert third.occurred_at == NOW + timedelta(microseconds=2)
    assert len({first.id, second.id, third.id}) == 3
    assert (first.kind, second.kind) == (Kind.USERS_SUSPEND, Kind.USERS_UPDATE)


def test_d12_only_the_very_same_request_is_a_repetition() -> None:
    document = event("user.updated", ANA)
    (first,), (again,) = split_of(SOURCE, document), split_of(SOURCE, document)
    (later,) = split_of(SOURCE, document, at=NOW + timedelta(milliseconds=1))
    assert first.id == again.id != later.id
    assert first.content == again.content == later.content


def test_an_element_that_is_none_spoils_no_other() -> None:
    document = [event("user.deleted", ANA), 7]
    assert len(split_of(SOURCE, document)) == 2
    assert SOURCE.parse(document, 0) == Parsed((c.SuspendUser("u1"),))
    with pytest.raises(UnparseableError):
        SOURCE.parse(document, 1)


def test_either_header_proves_but_never_two_at_once() -> None:
    good = request_of(SOURCE, b"{}", SECRET.value)
    mark = good.headers["boxyhq-signature"]
    for name in ("boxyhq-signature", "ory-polis-signature"):
        assert SOURCE.verify(Request("POST", {name: mark}, b"{}"), [SECRET], NOW) is SECRET
    beside = {"boxyhq-signature": mark, "ory-polis-signature": mark.replace("t=1", "t=2")}
    with pytest.raises(NotAuthenticError, match="wrong"):
        SOURCE.verify(Request("POST", beside, b"{}"), [SECRET], NOW)


def test_unsigned_stale_and_altered_requests_are_refused() -> None:
    good = request_of(SOURCE, b"{}", SECRET.value)
    for headers, body, seconds, reason in (
        ({}, b"{}", 0, "missing"),
        ({"boxyhq-signature": ""}, b"{}", 0, "missing"),
        (good.headers, b"[]", 0, "wrong"),
        ({"boxyhq-signature": "t=,s="}, b"{}", 0, "wrong"),
        (good.headers, b"{}", 301, "stale"),
        (good.headers, b"{}", -301, "stale"),
    ):
        with pytest.raises(NotAuthenticError, match=reason):
            SOURCE.verify(
                Request("POST", headers, body), [SECRET], NOW + timedelta(seconds=seconds)
            )
    unsigned = request_of(SOURCE, b"{}", "")
    with pytest.raises(NotAuthenticError, match="wrong"):
        SOURCE.verify(unsigned, [SigningSecret("empty", "")], NOW)


@pytest.mark.parametrize(
    ("data", "place"),
    [
        (None, "data"),
        ({"email": "ana@example.com"}, "data.id"),
        ({"id": "u1", "active": True}, "data.email"),
        (ANA | {"active": "False"}, "data.active"),
        (ANA | {"raw": []}, ""),
        (ANA | {"raw": [1]}, "data.raw"),
    ],
)
def test_malformed_event_says_where(data: object, place: str) -> None:
    document = event("user.created", data)
    if not place:
        assert SOURCE.parse(document, 0).changes
        return
    with pytest.raises(UnparseableError) as refusal:
        SOURCE.parse(document, 0)
    assert refusal.value.place == place


def test_the_published_header_is_read() -> None:
    """Its secret and body are unknown: all that can be said is that it is not ours."""
    told = "t=1657016083300,s=9ece981128a8f2a96f95e3d0be68c37b825d5c15f5b8982e0b7e198a76621866"
    request = Request("POST", {"boxyhq-signature": told}, orjson.dumps(event("user.created", ANA)))
    (split,) = SOURCE.split(event("user.created", ANA), request)
    assert split.occurred_at is not None
    assert split.occurred_at.year == 2022
    with pytest.raises(NotAuthenticError, match="wrong"):
        SOURCE.verify(request, [SECRET], NOW)

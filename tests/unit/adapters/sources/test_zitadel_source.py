"""ZITADEL Actions v2: deltas in base64, the subject is the aggregate, never the editor."""

from __future__ import annotations

import base64
import json
from datetime import timedelta
from typing import Any

import pytest

from domain import changes as c
from domain.inbox import Kind, Reason
from domain.ports import NotAuthenticError, Parsed, Request, SigningSecret, UnparseableError
from tests.unit.adapters.sources.asking import NOW, Told, request_of, split_of, told_by
from worker.adapters.sources.zitadel import ZitadelSource

SOURCE = ZitadelSource()
ANA = {"userName": "ana", "email": "ana@example.com", "firstName": "Ana", "displayName": "Ana S."}
NAMES = {"given_name": "Ana", "display_name": "Ana S."}


def packed(told: object) -> str:
    return base64.b64encode(json.dumps(told).encode()).decode()


def event(type_: str, told: object = None, **more: object) -> dict[str, Any]:
    return {
        "aggregateID": "u1",
        "aggregateType": "user",
        "instanceID": "i1",
        "sequence": 7,
        "event_type": type_,
        "created_at": "2026-03-09T09:29:00.262665+01:00",
        "userID": "the editor",
        **({} if told is None else {"event_payload": packed(told)}),
        **more,
    }


OUT = (Kind.USERS_SUSPEND, "u1", (c.SuspendUser("u1"),))
BACK = (Kind.USERS_REACTIVATE, "u1", (c.ReactivateUser("u1"),))
ADDED = (Kind.USERS_CREATE, "u1", (c.ProvisionUser("u1", "ana@example.com", NAMES),))
CASES: list[tuple[dict[str, Any], Told]] = [
    (event("user.human.added", ANA), ADDED),
    (event("user.human.selfregistered", ANA), ADDED),
    (
        event("user.human.added", {"userName": "ana@example.com"}),
        (Kind.USERS_CREATE, "u1", (c.ProvisionUser("u1", "ana@example.com", {}),)),
    ),
    (
        event("user.human.profile.changed", {"lastName": "Silva"}),
        (Kind.USERS_UPDATE, "u1", (c.UpdateProfile("u1", {"family_name": "Silva"}),)),
    ),
    (event("user.human.profile.changed", {"gender": 1}), (Kind.SORT, "", ())),
    (
        event("user.human.email.changed", {"email": "as@example.com"}),
        (Kind.USERS_CHANGE_EMAIL, "u1", (c.ChangeEmail("u1", "as@example.com"),)),
    ),
    (event("user.deactivated"), OUT),
    (event("user.locked"), OUT),
    (event("user.removed", {"userName": "ana"}), OUT),
    (event("user.reactivated"), BACK),
    (event("user.unlocked"), BACK),
]


@pytest.mark.parametrize(("document", "told"), CASES)
def test_event_asks_for_its_change(document: dict[str, Any], told: Told) -> None:
    assert told_by(SOURCE, document) == told


def test_key_is_aggregate_and_sequence_the_clock_created_at() -> None:
    (split,) = split_of(SOURCE, event("user.locked"))
    assert split.id == "i1/user/u1/7"
    assert split.occurred_at is not None
    assert split.occurred_at.isoformat() == "2026-03-09T08:29:00.262665+00:00"


@pytest.mark.parametrize(
    ("type_", "reason"),
    [
        ("user.username.changed", Reason.NO_DIRECTORY_CHANGE),
        ("user.machine.added", Reason.UNKNOWN_TYPE),
        ("org.added", Reason.UNKNOWN_TYPE),
    ],
)
def test_others_are_ignored(type_: str, reason: Reason) -> None:
    assert SOURCE.parse(event(type_, {}), 0) == Parsed(ignored=reason)


@pytest.mark.parametrize(
    ("document", "place"),
    [
        (event("user.human.added", {"userName": "ana"}), "event_payload.email"),
        (event("user.human.added", ANA | {"firstName": 7}), "event_payload.firstName"),
        (event("user.human.added", [1]), "event_payload"),
        (event("user.human.added", event_payload="%%%"), "event_payload"),
        (event("user.human.added", event_payload=7), "event_payload"),
        (event("user.human.added", event_payload="e30x"), "event_payload"),
        (event("user.deactivated", aggregateID=""), "aggregateID"),
        (event("user.human.email.changed", {"email": "as@x.org"}, aggregateID=7), "aggregateID"),
    ],
)
def test_malformed_event_says_where(document: dict[str, Any], place: str) -> None:
    with pytest.raises(UnparseableError) as refusal:
        SOURCE.parse(document, 0)
    assert refusal.value.place == place


@pytest.mark.parametrize("more", [{"sequence": None}, {"sequence": True}, {"aggregateID": None}])
def test_event_without_its_place_in_the_store_cannot_be_split(more: dict[str, Any]) -> None:
    with pytest.raises(UnparseableError):
        SOURCE.split(event("user.locked", **more), Request("POST", {}, b""))


def test_hashes_and_codes_are_cut() -> None:
    told = ANA | {"encodedHash": "$2a$10$xyz", "secret": {"crypted": "abc"}, "passwordChange": True}
    kept, is_cut = SOURCE.opened(json.dumps(event("user.human.added", told)).encode())
    assert is_cut
    stored = json.loads(base64.b64decode(json.loads(kept)["event_payload"]))
    assert stored == ANA
    for plain in (b"", b"[]", b"{}", b'{"event_payload":"%"}', b'{"event_payload":"W10="}'):
        assert SOURCE.opened(plain) == (plain, False)


def test_only_a_fresh_signature_proves() -> None:
    secret, other = SigningSecret("k", "signing key"), SigningSecret("o", "other")
    good = request_of(SOURCE, b"{}", secret.value)
    assert SOURCE.verify(good, [other, secret], NOW) is secret
    mark = good.headers["zitadel-signature"]
    rotated = {"zitadel-signature": mark.replace(",v1=", ",v1=00,v1=")}
    assert SOURCE.verify(Request("POST", rotated, b"{}"), [secret], NOW) is secret
    for headers, body, seconds, reason in (
        ({}, b"{}", 0, "missing"),
        (good.headers, b"[]", 0, "wrong"),
        ({"zitadel-signature": mark.replace("v1=", "v2=")}, b"{}", 0, "wrong"),
        ({"zitadel-signature": "t=x"}, b"{}", 0, "wrong"),
        (good.headers, b"{}", 301, "stale"),
        (good.headers, b"{}", -301, "stale"),
    ):
        then = NOW + timedelta(seconds=seconds)
        with pytest.raises(NotAuthenticError) as refusal:
            SOURCE.verify(Request("POST", headers, body), [secret], then)
        assert refusal.value.reason == reason

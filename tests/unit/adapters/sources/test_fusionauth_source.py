"""FusionAuth: the body's digest in a JWT, `.complete` twins, lists of members."""

from __future__ import annotations

import base64
import hashlib
from typing import Any

import jwt
import pytest

from domain import changes as c
from domain.errors import UsageError
from domain.inbox import Kind, Reason
from domain.ports import NotAuthenticError, Parsed, Request, SigningSecret, UnparseableError
from tests.transmitter import Transmitter
from tests.unit.adapters.sources.asking import NOW, Told, split_of, told_by
from worker.adapters.sources import jws
from worker.adapters.sources.fusionauth import FusionauthSource

SOURCE = FusionauthSource()
HEADER = "x-fusionauth-signature-jwt"
SECRET = SigningSecret("k", "s" * 40)
ANA = {
    "id": "u1",
    "email": "ana@example.com",
    "firstName": "Ana",
    "active": True,
    "passwordChangeRequired": False,
}
NAMES = {"given_name": "Ana"}
GROUP = {"id": "g1", "name": "Ops"}


def event(type_: str, **more: object) -> dict[str, Any]:
    told = {"id": "e1", "type": type_, "createInstant": 1773044940000, "tenantId": "t"}
    return {"event": {**told, **more}}


def user(type_: str, **more: object) -> dict[str, Any]:
    return event(type_, user={**ANA, **more})


def member(type_: str) -> dict[str, Any]:
    return event(f"group.member.{type_}", group=GROUP, members=[{"id": "m", "userId": "u1"}])


OUT = (Kind.USERS_SUSPEND, "u1", (c.SuspendUser("u1"),))
CASES: list[tuple[dict[str, Any], Told]] = [
    (
        user("user.create.complete"),
        (Kind.USERS_CREATE, "u1", (c.ProvisionUser("u1", "ana@example.com", NAMES, True),)),
    ),
    (
        user("user.update.complete", active=False),
        (Kind.USERS_SUSPEND, "u1", (c.ProvisionUser("u1", "ana@example.com", NAMES, False),)),
    ),
    (
        user("user.update.complete", email=None, username="ana"),
        (
            Kind.USERS_UPDATE,
            "u1",
            (c.UpdateProfile("u1", {**NAMES, "username": "ana"}), c.ReactivateUser("u1")),
        ),
    ),
    (user("user.deactivate", active=False), OUT),
    (user("user.delete.complete"), OUT),
    (user("user.reactivate"), (Kind.USERS_REACTIVATE, "u1", (c.ReactivateUser("u1"),))),
    (
        user("user.email.update", email="new@example.com"),
        (Kind.USERS_CHANGE_EMAIL, "u1", (c.ChangeEmail("u1", "new@example.com"),)),
    ),
    (
        event("group.update.complete", group=GROUP, original=GROUP),
        (Kind.GROUPS_UPSERT, "g1", (c.PutGroup("g1", "Ops"),)),
    ),
    (
        event("group.delete.complete", group=GROUP),
        (Kind.GROUPS_DELETE, "g1", (c.DeleteGroup("g1"),)),
    ),
    (member("add.complete"), (Kind.GROUPS_ADD_MEMBERS, "u1", (c.AddMember("g1", "u1"),))),
    (member("update.complete"), (Kind.GROUPS_ADD_MEMBERS, "u1", (c.AddMember("g1", "u1"),))),
    (
        member("remove.complete"),
        (Kind.GROUPS_REMOVE_MEMBERS, "u1", (c.RemoveMember("g1", "u1"),)),
    ),
]


@pytest.mark.parametrize(("document", "told"), CASES)
def test_event_asks_for_its_change(document: dict[str, Any], told: Told) -> None:
    assert told_by(SOURCE, document) == told


@pytest.mark.parametrize(
    "type_",
    [
        *(f"user.{verb}" for verb in ("create", "update", "delete")),
        *(f"group.{verb}" for verb in ("create", "update", "delete")),
        *(f"group.member.{verb}" for verb in ("add", "update", "remove")),
    ],
)
def test_what_may_still_be_rolled_back_changes_nothing(type_: str) -> None:
    document = event(type_, user=ANA, group=GROUP, members=[{"userId": "u1"}])
    assert SOURCE.parse(document, 0) == Parsed(ignored=Reason.NO_DIRECTORY_CHANGE)
    assert split_of(SOURCE, document)[0].kind is Kind.SORT


def test_each_of_several_members_is_an_event_of_their_own() -> None:
    listed = [{"userId": "u1"}, {"userId": "u2"}, {"userId": 7}]
    document = event("group.member.remove.complete", group=GROUP, members=listed)
    first, second, third = split_of(SOURCE, document)
    assert [first.id, second.id, third.id] == ["e1/u1", "e1/u2", "e1/2"]
    assert SOURCE.parse(document, 1) == Parsed((c.RemoveMember("g1", "u2"),))
    with pytest.raises(UnparseableError) as refusal:
        SOURCE.parse(document, 2)
    assert refusal.value.place == "event.members.userId"


def test_bulk_create_is_one_event_a_person() -> None:
    document = event("user.bulk.create", users=[ANA, {**ANA, "id": "u2", "active": False}])
    first, second = split_of(SOURCE, document)
    assert [first.id, second.id] == ["e1/u1", "e1/u2"]
    assert (first.kind, second.kind) == (Kind.USERS_CREATE, Kind.USERS_SUSPEND)
    assert [type(one) for one in SOURCE.parse(document, 1).changes] == [c.ProvisionUser]


def test_d2_clock_is_the_events_own() -> None:
    (split,) = split_of(SOURCE, user("user.reactivate"))
    assert split.occurred_at is not None
    assert split.occurred_at.isoformat() == "2026-03-09T08:29:00+00:00"


@pytest.mark.parametrize(
    ("document", "place"),
    [
        ({}, "event"),
        (event("user.create.complete"), "event.user"),
        (user("user.create.complete", id=None), "event.user.id"),
        (user("user.create.complete", email="ana"), "event.user.email"),
        (user("user.update.complete", active="yes"), "event.user.active"),
        (event("group.member.add.complete", group=GROUP, members=[]), "event.members.userId"),
        (event("group.member.add.complete", members=[{"userId": "u"}]), "event.group"),
        (event("group.create.complete", group={"id": "g", "name": 1}), "event.group.name"),
    ],
)
def test_malformed_event_says_where(document: object, place: str) -> None:
    with pytest.raises(UnparseableError) as refusal:
        SOURCE.parse(document, 0)
    assert refusal.value.place == place


def vouched(body: bytes, secret: str = SECRET.value, **claims: object) -> Request:
    digest = base64.b64encode(hashlib.sha256(body).digest()).decode()
    token = jwt.encode({"request_body_sha256": digest, **claims}, secret, "HS256")
    return Request("POST", {HEADER: token}, body)


def test_shared_secret_or_published_key_proves_the_body() -> None:
    other = SigningSecret("o", "o" * 40)
    assert SOURCE.verify(vouched(b"{}"), [other, SECRET], NOW) is SECRET
    sender = Transmitter("RS256")
    stored = SOURCE.credential(None, {"jwks_url": "https://idp.example.com/jwks"})
    trusted = SigningSecret("t", stored, jws.read_keys(sender.jwks))
    request = Request("POST", {HEADER: sender.of_body(b"{}")}, b"{}")
    assert SOURCE.verify(request, [SECRET, trusted], NOW) is trusted


def test_other_bodies_secrets_and_times_are_refused() -> None:
    good = vouched(b"{}")
    far = int(NOW.timestamp()) - 3600
    for request, reason in (
        (Request("POST", {}, b"{}"), "missing"),
        (Request("POST", {HEADER: ""}, b"{}"), "missing"),
        (Request("POST", good.headers, b"{} "), "wrong"),
        (Request("POST", {HEADER: "a.b.c"}, b"{}"), "wrong"),
        (Request("POST", {HEADER: "\u2713"}, b"{}"), "wrong"),
        (vouched(b"{}", "t" * 40), "wrong"),
        (vouched(b"{}", exp=far), "stale"),
    ):
        with pytest.raises(NotAuthenticError) as refusal:
            SOURCE.verify(request, [SECRET], NOW)
        assert refusal.value.reason == reason
    hexed = hashlib.sha256(b"{}").hexdigest()
    token = jwt.encode({"request_body_sha256": hexed}, SECRET.value, "HS256")
    for claims in (token, jwt.encode({}, SECRET.value, "HS256")):
        with pytest.raises(NotAuthenticError, match="wrong"):
            SOURCE.verify(Request("POST", {HEADER: claims}, b"{}"), [SECRET], NOW)


def test_secret_shorter_than_its_hash_is_refused() -> None:
    with pytest.raises(UsageError, match="32 characters"):
        SOURCE.credential("short", {})
    assert SOURCE.credential("s" * 32, {}) == "s" * 32
    with pytest.raises(UsageError, match="jwks_url"):
        SOURCE.credential(None, {"issuer": "x"})
    with pytest.raises(UsageError, match="colour"):
        SOURCE.credential(None, {"jwks_url": "https://x", "colour": "red"})
    assert len(SOURCE.new_secret()) >= 64

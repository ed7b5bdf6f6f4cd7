"""Keycloak's extension: HMAC or a realm's token, parts of representations, what is cut."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import pytest

from domain import changes as c
from domain.errors import UsageError
from domain.hydration import Wanted, What
from domain.inbox import Kind, Reason
from domain.ports import (
    KeysNeededError,
    NotAuthenticError,
    Parsed,
    Request,
    SigningSecret,
    UnparseableError,
)
from tests.transmitter import AUDIENCE, ISSUER, Transmitter
from tests.unit.adapters.sources.asking import NOW, Told, request_of, split_of, told_by
from worker.adapters.sources import jws
from worker.adapters.sources.keycloak import KeycloakSource

SOURCE = KeycloakSource()
SECRET = SigningSecret("k", "keycloak secret")
ANA = {"username": "ana", "email": "ana@example.com", "firstName": "Ana", "enabled": True}
NAMES = {"given_name": "Ana", "username": "ana"}
OUT = (Kind.USERS_SUSPEND, "u1", (c.SuspendUser("u1"),))


def admin(type_: str, path: str, told: object = None, **more: object) -> dict[str, Any]:
    shown = told if isinstance(told, str) or told is None else json.dumps(told)
    event = {"uid": "e1", "time": 1773044940000, "type": f"admin.{type_}", "resourcePath": path}
    return {**event, **({} if shown is None else {"representation": shown}), **more}


def access(type_: str, **details: object) -> dict[str, Any]:
    whom = {"authDetails": {"userId": "u1"}, "details": details}
    return {"uid": "e1", "time": 1773044940000, "type": f"access.{type_}", **whom}


def provision(email: str, names: dict[str, str], active: bool | None) -> tuple[c.Change, ...]:
    return (c.ProvisionUser("u1", email, names, active),)


CASES: list[tuple[dict[str, Any], Told]] = [
    (
        admin("USER-CREATE", "users/u1", ANA),
        (Kind.USERS_CREATE, "u1", provision("ana@example.com", NAMES, True)),
    ),
    (
        admin("USER-CREATE", "users/u1", {"username": "ana@example.com"}),
        (
            Kind.USERS_CREATE,
            "u1",
            provision("ana@example.com", {"username": "ana@example.com"}, None),
        ),
    ),
    (
        admin("USER-UPDATE", "users/u1", ANA | {"enabled": False}),
        (Kind.USERS_SUSPEND, "u1", provision("ana@example.com", NAMES, False)),
    ),
    (admin("USER-UPDATE", "users/u1", {"enabled": False}), OUT),
    (
        admin("USER-UPDATE", "users/u1", {"username": "bo@example.com", "lastName": "Silva"}),
        (
            Kind.USERS_UPDATE,
            "u1",
            (c.UpdateProfile("u1", {"family_name": "Silva", "username": "bo@example.com"}),),
        ),
    ),
    (admin("USER-UPDATE", "users/u1"), (Kind.HYDRATE, "u1", ())),
    (admin("USER-DELETE", "users/u1"), OUT),
    (
        admin("GROUP-CREATE", "groups/g1", {"name": "Ops"}),
        (Kind.GROUPS_UPSERT, "g1", (c.PutGroup("g1", "Ops"),)),
    ),
    (
        admin("GROUP-CREATE", "groups/g0/children", {"id": "g1", "name": "Ops"}),
        (Kind.GROUPS_UPSERT, "g1", (c.PutGroup("g1", "Ops"),)),
    ),
    (
        admin("GROUP-UPDATE", "groups/g1", {"attributes": {}}),
        (Kind.GROUPS_UPSERT, "g1", (c.PutGroup("g1", None),)),
    ),
    (
        admin("GROUP-DELETE", "groups/g1"),
        (Kind.GROUPS_DELETE, "g1", (c.DeleteGroup("g1"),)),
    ),
    (
        admin("GROUP_MEMBERSHIP-CREATE", "users/u1/groups/g1", {"name": "Ops"}),
        (Kind.GROUPS_ADD_MEMBERS, "u1", (c.AddMember("g1", "u1"),)),
    ),
    (
        admin("GROUP_MEMBERSHIP-DELETE", "users/u1/groups/g1"),
        (Kind.GROUPS_REMOVE_MEMBERS, "u1", (c.RemoveMember("g1", "u1"),)),
    ),
    (
        access("REGISTER", email="ana@example.com", first_name="Ana"),
        (Kind.USERS_CREATE, "u1", provision("ana@example.com", {"given_name": "Ana"}, None)),
    ),
    (
        access("UPDATE_EMAIL", previous_email="ana@example.com", updated_email="as@example.com"),
        (Kind.USERS_CHANGE_EMAIL, "u1", (c.ChangeEmail("u1", "as@example.com"),)),
    ),
    (
        access("UPDATE_PROFILE", updated_first_name="Anna"),
        (Kind.USERS_UPDATE, "u1", (c.UpdateProfile("u1", {"given_name": "Anna"}),)),
    ),
    (access("DELETE_ACCOUNT", username="ana"), OUT),
]


@pytest.mark.parametrize(("document", "told"), CASES)
def test_event_asks_for_its_change(document: dict[str, Any], told: Told) -> None:
    assert told_by(SOURCE, document) == told


@pytest.mark.parametrize("told", [None, '{"username":"ana",...}', "[1]"])
def test_d10_what_says_too_little_can_be_read_and_may_be_a_suspension(told: str | None) -> None:
    event = admin("USER-UPDATE", "users/u1", told)
    (split,) = split_of(SOURCE, event)
    assert (split.kind, split.subject) == (Kind.HYDRATE, "u1")
    if told is None:
        assert SOURCE.parse(event, 0).wants == Wanted(What.PERSON, "u1")
        return
    with pytest.raises(UnparseableError) as raised:
        SOURCE.parse(event, 0)
    assert raised.value.wants == Wanted(What.PERSON, "u1")


def test_what_is_told_whole_is_not_read() -> None:
    for told in (ANA, {"enabled": False}):
        assert SOURCE.parse(admin("USER-UPDATE", "users/u1", told), 0).wants is None
    assert SOURCE.parse(admin("GROUP-UPDATE", "groups/g1", {"name": "x"}), 0).wants is None
    unnamed = SOURCE.parse(admin("GROUP-UPDATE", "groups/g1"), 0)
    assert unnamed.wants == Wanted(What.GROUP, "g1")
    assert SOURCE.parse(admin("USER-UPDATE", "users/u1", error="x"), 0).wants is None


def test_native_event_is_read_by_its_parts() -> None:
    event = admin("USER-DELETE", "users/u1", id="n1", resourceType="USER", operationType="DELETE")
    del event["uid"], event["type"]
    assert told_by(SOURCE, event) == OUT
    (split,) = split_of(SOURCE, event)
    assert (split.id, split.type) == ("n1", "admin.USER-DELETE")
    assert split.occurred_at is not None
    assert split.occurred_at.isoformat() == "2026-03-09T08:29:00+00:00"


def test_what_failed_changed_nothing() -> None:
    event = admin("USER-DELETE", "users/u1", error="not allowed")
    assert SOURCE.parse(event, 0) == Parsed(ignored=Reason.NO_DIRECTORY_CHANGE)
    assert split_of(SOURCE, event)[0].kind is Kind.SORT


@pytest.mark.parametrize("type_", ["access.LOGIN", "admin.CLIENT-CREATE", "admin.USER-ACTION"])
def test_others_are_of_an_unknown_type(type_: str) -> None:
    event = {"uid": "e1", "type": type_, "resourcePath": "users/u1"}
    assert SOURCE.parse(event, 0) == Parsed(ignored=Reason.UNKNOWN_TYPE)


@pytest.mark.parametrize(
    ("event", "place"),
    [
        (admin("USER-UPDATE", "users/u1", '{"username":"ana",...}'), "representation"),
        (admin("USER-UPDATE", "users/u1", "[1]"), "representation"),
        (
            {**admin("USER-UPDATE", "users/u1"), "representation": {"enabled": False}},
            "representation",
        ),
        (admin("USER-UPDATE", "users/u1", {"enabled": "false"}), "representation.enabled"),
        (admin("USER-CREATE", "users/u1", {"username": "ana"}), "representation.email"),
        (admin("USER-CREATE", "users/u1/groups/g", ANA), "resourcePath"),
        (admin("USER-DELETE", "users/"), "resourcePath"),
        (admin("GROUP-CREATE", "groups/g0/children", {"name": "x"}), "representation.id"),
        (admin("GROUP_MEMBERSHIP-CREATE", "users/u1"), "resourcePath"),
        ({"uid": "e", "type": "access.DELETE_ACCOUNT"}, "authDetails.userId"),
        (access("REGISTER", username="ana"), "details.email"),
    ],
)
def test_malformed_event_says_where(event: object, place: str) -> None:
    with pytest.raises(UnparseableError) as refusal:
        SOURCE.parse(event, 0)
    assert refusal.value.place == place


def test_event_without_an_id_cannot_be_told_from_its_repetition() -> None:
    with pytest.raises(UnparseableError):
        SOURCE.split({"type": "admin.USER-DELETE"}, Request("POST", {}, b""))


def test_credentials_that_an_admin_sets_are_cut() -> None:
    told = ANA | {"credentials": [{"type": "password", "value": "S3cret"}]}
    body = json.dumps(admin("USER-CREATE", "users/u1", told)).encode()
    kept, is_cut = SOURCE.opened(body)
    assert is_cut
    assert b"S3cret" not in kept
    assert SOURCE.parse(SOURCE.read(kept), 0).changes == provision("ana@example.com", NAMES, True)
    for plain in (b"", b"[]", b'{"representation":7}', b'{"representation":"[]"}', b"\xff"):
        assert SOURCE.opened(plain) == (plain, False)
    untouched = json.dumps(admin("USER-CREATE", "users/u1", ANA)).encode()
    assert SOURCE.opened(untouched) == (untouched, False)


def test_hmac_of_the_body_proves() -> None:
    other = SigningSecret("o", "other")
    good = request_of(SOURCE, b"{}", SECRET.value)
    assert SOURCE.verify(good, [other, SECRET], NOW) is SECRET
    for headers, body, secret, reason in (
        ({}, b"{}", SECRET, "missing"),
        ({"x-keycloak-signature": ""}, b"{}", SECRET, "missing"),
        (good.headers, b"[]", SECRET, "wrong"),
        (good.headers, b"{}", other, "wrong"),
        ({"x-keycloak-signature": "zz"}, b"{}", SECRET, "wrong"),
        ({"x-keycloak-signature": hashlib.sha256(b"{}").hexdigest()}, b"{}", SECRET, "wrong"),
        (request_of(SOURCE, b"{}", "").headers, b"{}", SigningSecret("e", ""), "wrong"),
    ):
        with pytest.raises(NotAuthenticError) as refusal:
            SOURCE.verify(Request("POST", headers, body), [secret], NOW)
        assert refusal.value.reason == reason


REALM = Transmitter("RS256")
TRUST = {"issuer": ISSUER, "jwks_url": "https://idp.example.com/certs"}


def trusted(**more: str) -> SigningSecret:
    stored = SOURCE.credential(None, TRUST | more)
    return SigningSecret("t", stored, jws.read_keys(REALM.jwks))


def vouched(body: bytes, scheme: str = "Bearer", **claims: object) -> Request:
    seconds = int(NOW.timestamp())
    told = {
        "iss": ISSUER,
        "aud": AUDIENCE,
        "iat": seconds,
        "exp": seconds + 300,
        "request_body_sha256": hashlib.sha256(body).hexdigest(),
        **claims,
    }
    token = REALM.signed(told, typ="JWT").decode()
    return Request("POST", {"authorization": f"{scheme} {token}"}, body)


def test_token_of_the_realm_proves_the_body_it_is_for() -> None:
    for secret in (trusted(), trusted(audience=AUDIENCE)):
        assert SOURCE.verify(vouched(b"{}"), [SECRET, secret], NOW) is secret
    far = int(NOW.timestamp()) - 61
    for request, reason in (
        (Request("POST", vouched(b"{}").headers, b"[]"), "wrong"),
        (vouched(b"{}", "Basic"), "wrong"),
        (vouched(b"{}", iss="https://else.example.com/"), "wrong"),
        (vouched(b"{}", aud="else"), "wrong"),
        (vouched(b"{}", request_body_sha256=None), "wrong"),
        (vouched(b"{}", exp=far), "stale"),
        (Request("POST", {"authorization": "Bearer x"}, b"{}"), "wrong"),
        (Request("POST", {}, b"{}"), "missing"),
    ):
        with pytest.raises(NotAuthenticError) as refusal:
            SOURCE.verify(request, [trusted(audience=AUDIENCE)], NOW)
        assert refusal.value.reason == reason
    with pytest.raises(KeysNeededError):
        SOURCE.verify(vouched(b"{}"), [SigningSecret("t", trusted().value)], NOW)


def test_shared_secret_is_no_bearer_and_trust_no_shared_secret() -> None:
    bearer = Request("POST", {"authorization": f"Bearer {SECRET.value}"}, b"{}")
    with pytest.raises(NotAuthenticError):
        SOURCE.verify(bearer, [SECRET], NOW)
    by_trust = request_of(SOURCE, b"{}", trusted().value)
    with pytest.raises(NotAuthenticError):
        SOURCE.verify(by_trust, [trusted()], NOW)
    with pytest.raises(UsageError, match="issuer"):
        SOURCE.credential(None, {"jwks_url": "https://idp.example.com/certs"})

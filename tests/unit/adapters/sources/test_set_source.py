"""Security Event Tokens: whom to believe, SCIM events, RISC, and what is only passed on."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from domain import changes as c
from domain.errors import UsageError
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
from tests.unit.adapters.sources.asking import NOW
from worker.adapters.sources import jws
from worker.adapters.sources.set import SetSource

SOURCE = SetSource()
SENDER = Transmitter()
TRUST = {"issuer": ISSUER, "audience": AUDIENCE, "jwks_url": "https://idp.example.com/jwks"}
SCIM, RISC = "urn:ietf:params:scim:event:", "https://schemas.openid.net/secevent/risc/event-type/"
CAEP = "https://schemas.openid.net/secevent/caep/event-type/"
BY_ID = {"format": "iss_sub", "iss": ISSUER, "sub": "u1"}
BY_ADDRESS = {"format": "email", "email": "ana@example.com"}
USER = {"format": "scim", "uri": "/Users/u1", "externalId": "ana"}
GROUP = {"format": "scim", "uri": "https://scim.example.com/v2/Groups/g1"}


def trusted(**more: str) -> SigningSecret:
    stored = SOURCE.credential(more.pop("secret", None), TRUST | more)
    return SigningSecret("k", stored, jws.read_keys(SENDER.jwks))


def pushed(claims: object, *, bearer: str = "", **more: Any) -> Request:
    headers = {"content-type": "application/secevent+jwt"}
    if bearer:
        headers["authorization"] = bearer
    return Request("POST", headers, SENDER.signed(claims, **more))


def claims_of(uri: str, payload: object, subject: object = None, **more: Any) -> dict[str, Any]:
    told = {} if subject is None else {"sub_id": subject}
    return SENDER.event({uri: payload}, **told, **more)


def asked(claims: Mapping[str, Any]) -> tuple[Kind, str, Parsed]:
    """The way of a proven token: opened, read, split, parsed."""
    request = pushed(claims)
    assert SOURCE.verify(request, [trusted()], NOW).id == "k"
    body, _ = SOURCE.opened(request.body)
    document = SOURCE.read(body)
    (split,) = SOURCE.split(document, replace(request, body=body))
    return split.kind, split.subject, SOURCE.parse(document, 0)


ANA = {
    "userName": "ana@example.com",
    "name": {"givenName": "Ana", "familyName": "Silva"},
    "active": True,
}
EMAILS = [{"value": "b@x.org"}, {"value": "a@x.org", "primary": True}]
NAMES = {"given_name": "Ana", "family_name": "Silva"}
PROVISION = c.ProvisionUser("u1", "ana@example.com", NAMES, active=True)


def patch(*operations: dict[str, object]) -> dict[str, object]:
    return {"data": {"Operations": list(operations)}}


CASES: list[tuple[str, object, object, Kind, str, tuple[c.Change, ...]]] = [
    (f"{SCIM}prov:create:full", {"data": ANA}, USER, Kind.USERS_CREATE, "u1", (PROVISION,)),
    (
        f"{SCIM}prov:create:full",
        {
            "data": {
                "userName": "ana",
                "emails": [{"value": "b@x.org"}, {"value": "a@x.org", "primary": True}],
            }
        },
        USER,
        Kind.USERS_CREATE,
        "u1",
        (c.ProvisionUser("u1", "a@x.org"),),
    ),
    (
        f"{SCIM}prov:put:full",
        {"data": ANA | {"active": "False", "userType": "guest"}},
        USER,
        Kind.USERS_SUSPEND,
        "u1",
        (c.ProvisionUser("u1", "ana@example.com", NAMES, False, "guest"),),
    ),
    (
        f"{SCIM}prov:create:full",
        {"data": {"displayName": "Ops", "members": [{"value": "u1"}, {"value": "u1"}]}},
        GROUP,
        Kind.GROUPS_UPSERT,
        "g1",
        (c.PutGroup("g1", "Ops"), c.AddMember("g1", "u1")),
    ),
    (
        f"{SCIM}prov:put:full",
        {"data": {"displayName": "Ops", "members": []}},
        GROUP,
        Kind.GROUPS_UPSERT,
        "g1",
        (c.PutGroup("g1", "Ops"), c.ReplaceMembers("g1", ())),
    ),
    (
        f"{SCIM}prov:put:full",
        {"data": {"displayName": "Ops"}},
        GROUP,
        Kind.GROUPS_UPSERT,
        "g1",
        (c.PutGroup("g1", "Ops"),),
    ),
    (f"{SCIM}prov:delete", {}, USER, Kind.USERS_SUSPEND, "u1", (c.SuspendUser("u1"),)),
    (f"{SCIM}prov:delete", {}, GROUP, Kind.GROUPS_DELETE, "g1", (c.DeleteGroup("g1"),)),
    (f"{SCIM}prov:deactivate", {}, USER, Kind.USERS_SUSPEND, "u1", (c.SuspendUser("u1"),)),
    (f"{SCIM}prov:activate", {}, USER, Kind.USERS_REACTIVATE, "u1", (c.ReactivateUser("u1"),)),
    (
        f"{SCIM}prov:patch:full",
        patch(
            {"op": "Replace", "path": "active", "value": "False"},
            {"op": "add", "path": 'emails[type eq "work"].value', "value": "new@example.com"},
            {"op": "remove", "path": "title"},
        ),
        USER,
        Kind.USERS_SUSPEND,
        "u1",
        (
            c.UpdateProfile("u1", {"title": None}),
            c.ChangeEmail("u1", "new@example.com"),
            c.SuspendUser("u1"),
        ),
    ),
    (
        f"{SCIM}prov:patch:full",
        patch({"op": "replace", "value": {"active": True, "name": {"givenName": "A"}}}),
        USER,
        Kind.USERS_UPDATE,
        "u1",
        (c.UpdateProfile("u1", {"given_name": "A"}), c.ReactivateUser("u1")),
    ),
    (
        f"{SCIM}prov:patch:full",
        patch(
            {"op": "replace", "path": "displayName", "value": "Ops"},
            {"op": "add", "path": "members", "value": [{"value": "u1"}]},
            {"op": "remove", "path": 'members[value eq "u2"]'},
            {"op": "Remove", "path": "members", "value": [{"value": "u3"}]},
        ),
        GROUP,
        Kind.GROUPS_REMOVE_MEMBERS,
        "g1",
        (
            c.PutGroup("g1", "Ops"),
            c.AddMember("g1", "u1"),
            c.RemoveMember("g1", "u2"),
            c.RemoveMember("g1", "u3"),
        ),
    ),
    (
        f"{SCIM}prov:patch:full",
        patch({"op": "remove", "path": "members"}),
        GROUP,
        Kind.GROUPS_ADD_MEMBERS,
        "g1",
        (c.ReplaceMembers("g1", ()),),
    ),
    (f"{RISC}account-disabled", {}, BY_ID, Kind.USERS_SUSPEND, "u1", (c.SuspendUser("u1"),)),
    (f"{RISC}account-purged", {}, BY_ID, Kind.USERS_SUSPEND, "u1", (c.SuspendUser("u1"),)),
    (f"{RISC}account-enabled", {}, BY_ID, Kind.USERS_REACTIVATE, "u1", (c.ReactivateUser("u1"),)),
    (
        f"{RISC}identifier-changed",
        {"new-value": "new@example.com"},
        BY_ID,
        Kind.USERS_CHANGE_EMAIL,
        "u1",
        (c.ChangeEmail("u1", "new@example.com"),),
    ),
]


@pytest.mark.parametrize(("uri", "payload", "subject", "kind", "whom", "told"), CASES)
def test_event_asks_for_its_changes(
    uri: str, payload: object, subject: object, kind: Kind, whom: str, told: tuple[c.Change, ...]
) -> None:
    assert asked(claims_of(uri, payload, subject)) == (kind, whom, Parsed(told))


@pytest.mark.parametrize(
    ("subject", "user", "address"),
    [
        (BY_ID, "u1", ""),
        ({"format": "opaque", "id": "u1"}, "u1", ""),
        ({"format": "scim", "uri": "/Users/u1"}, "u1", ""),
        ({"format": "complex", "user": BY_ID, "device": {"format": "opaque", "id": "d"}}, "u1", ""),
        ({"format": "aliases", "identifiers": [BY_ADDRESS, BY_ID]}, "u1", ""),
        ({"format": "complex", "user": BY_ADDRESS}, "", "ana@example.com"),
        (BY_ADDRESS, "", "ana@example.com"),
    ],
)
def test_subject_is_found_by_id_or_address(
    subject: dict[str, object], user: str, address: str
) -> None:
    kind, whom, parsed = asked(claims_of(f"{RISC}account-disabled", {}, subject))
    assert (kind, whom) == (Kind.USERS_SUSPEND, user or address)
    assert parsed == Parsed((c.SuspendUser(user),), whose=address)


def test_older_shapes_of_a_subject_are_read() -> None:
    inside = {"subject": {"subject_type": "iss-sub", "iss": ISSUER, "sub": "u1"}}
    assert asked(claims_of(f"{RISC}account-disabled", inside))[2].changes == (c.SuspendUser("u1"),)
    plain = claims_of(f"{RISC}account-disabled", {}, sub="u1")
    assert asked(plain)[2].changes == (c.SuspendUser("u1"),)


@pytest.mark.parametrize(
    "subject",
    [
        None,
        {},
        {"format": "phone_number", "phone_number": "+1 206 555 0123"},
        {"format": "email", "email": "nobody"},
        {"format": "opaque", "id": "u" * 256},
        {"format": "complex", "device": BY_ID},
        {"format": "aliases", "identifiers": [{"format": "aliases", "identifiers": [7]}]},
    ],
)
def test_suspension_of_nobody_we_can_find_is_no_silent_success(subject: object) -> None:
    document = claims_of(f"{RISC}account-disabled", {}, subject)
    with pytest.raises(UnparseableError) as refusal:
        SOURCE.parse(document, 0)
    assert refusal.value.place == "sub_id"
    assert SOURCE.split(document, Request("POST", {}, b""))[0].kind is Kind.USERS_SUSPEND


@pytest.mark.parametrize(
    "name", ["session-revoked", "credential-change", "risk-level-change", "token-claims-change"]
)
def test_security_signal_changes_nothing_and_is_passed_on(name: str) -> None:
    payload = {"event_timestamp": 1773044940, "initiating_entity": "policy"}
    subject = {"format": "complex", "user": BY_ADDRESS, "session": {"format": "opaque", "id": "s"}}
    kind, whom, parsed = asked(claims_of(f"{CAEP}{name}", payload, subject))
    assert (kind, whom) == (Kind.SORT, "")
    assert (parsed.changes, parsed.ignored) == ((), Reason.NO_DIRECTORY_CHANGE)
    assert parsed.signal is not None
    assert (parsed.signal.name, parsed.signal.address) == (name, "ana@example.com")
    assert (parsed.signal.subject, parsed.signal.details) == (subject, payload)


@pytest.mark.parametrize(
    ("uri", "reason"),
    [
        ("https://schemas.openid.net/secevent/ssf/event-type/verification", None),
        ("https://schemas.openid.net/secevent/sse/event-type/verification", None),
        ("https://schemas.openid.net/secevent/ssf/event-type/stream-updated", None),
        (f"{SCIM}prov:create:notice", None),
        (f"{SCIM}feed:remove", None),
        (f"{SCIM}misc:asyncresp", None),
        (f"{RISC}account-painted", Reason.UNKNOWN_TYPE),
        ("urn:somebody:else", Reason.UNKNOWN_TYPE),
    ],
)
def test_others_are_taken_and_ignored(uri: str, reason: Reason | None) -> None:
    told = Parsed(ignored=reason or Reason.NO_DIRECTORY_CHANGE)
    assert asked(claims_of(uri, {"state": "x"}, USER))[2] == told


def test_d12_key_is_issuer_and_jti_and_several_events_are_told_apart() -> None:
    events: dict[str, Any] = {f"{RISC}account-disabled": {}, f"{CAEP}session-revoked": {}}
    document = SENDER.event(events, jti="j1", sub_id=BY_ID)
    first, second = SOURCE.split(document, Request("POST", {}, b""))
    assert first.id == f"{ISSUER} j1"
    assert second.id == f"{ISSUER} j1 {CAEP}session-revoked"
    assert (first.kind, second.kind) == (Kind.USERS_SUSPEND, Kind.SORT)


@pytest.mark.parametrize(
    ("more", "payload", "seconds"),
    [
        ({"iat": 100, "toe": 50}, {"event_timestamp": 70}, 50),
        ({"iat": 100}, {"event_timestamp": 70}, 70),
        ({"iat": 1773044940, "toe": None}, {}, 1773044940),
        ({"iat": 100}, {"event_timestamp": 1773044940123}, 1773044940.123),
        ({"iat": "soon"}, {}, None),
        ({"iat": True}, {}, None),
        ({"iat": 1e300}, {}, None),
    ],
)
def test_d2_clock_is_the_transmitters(
    more: dict[str, Any], payload: object, seconds: float | None
) -> None:
    document = claims_of(f"{RISC}account-disabled", payload, BY_ID) | more
    (split,) = SOURCE.split(document, Request("POST", {}, b""))
    at = split.occurred_at
    assert (None if at is None else at.timestamp()) == seconds


GOOD = claims_of(f"{RISC}account-disabled", {}, BY_ID)


def err(request: Request, *secrets: SigningSecret) -> str:
    """The `err` of the answer that RFC 8935 prescribes."""
    with pytest.raises(NotAuthenticError) as refusal:
        SOURCE.verify(request, secrets or [trusted()], NOW)
    reply = SOURCE.refusal(refusal.value)
    assert (reply.status, reply.media_type) == (400, "application/json")
    told = json.loads(reply.body)
    assert told["description"]
    return str(told["err"])


def test_rfc8935_says_what_is_wrong_with_a_token() -> None:
    assert SOURCE.verify(pushed(GOOD), [trusted()], NOW).id == "k"
    assert SOURCE.verify(pushed(GOOD | {"aud": ["x", AUDIENCE]}), [trusted()], NOW).id == "k"
    assert err(pushed(GOOD | {"iss": "https://else.example.com/"})) == "invalid_issuer"
    assert err(pushed(GOOD | {"iss": None})) == "invalid_issuer"
    assert err(pushed(GOOD | {"aud": "somebody else"})) == "invalid_audience"
    assert err(pushed(GOOD | {"aud": []})) == "invalid_audience"
    assert err(pushed(GOOD, typ="JWT")) == "invalid_request"
    assert err(pushed(GOOD, typ=None)) == "invalid_request"
    assert err(pushed([1])) == "invalid_request"
    assert err(pushed(b"\xff")) == "invalid_request"
    assert err(Request("POST", {}, b"")) == "invalid_request"
    assert err(Request("POST", {}, b"no.token")) == "invalid_request"
    token = pushed(GOOD).body
    forged = token[:-6] + (b"AAAAAA" if not token.endswith(b"AAAAAA") else b"BBBBBB")
    assert err(Request("POST", {}, forged)) == "authentication_failed"


def test_bearer_token_is_demanded_where_one_was_given_out() -> None:
    secret = trusted(secret="push token")
    assert SOURCE.verify(pushed(GOOD, bearer="Bearer push token"), [secret], NOW) is secret
    for bearer in ("", "Bearer", "Bearer push tokem", "Basic push token", "Bearer \u2713"):
        assert err(pushed(GOOD, bearer=bearer), secret) == "authentication_failed"
    unread = SigningSecret("k", trusted().value)
    with pytest.raises(KeysNeededError):
        SOURCE.verify(pushed(GOOD), [unread], NOW)


def test_trust_has_to_be_told() -> None:
    with pytest.raises(UsageError, match=r"issuer.*audience.*jwks_url"):
        SOURCE.credential(None, {})
    with pytest.raises(UsageError, match="audience"):
        SOURCE.credential(None, {"issuer": ISSUER, "jwks_url": "https://x"})
    with pytest.raises(UsageError, match="empty"):
        SOURCE.credential(" ", TRUST)


@pytest.mark.parametrize(
    ("document", "place"),
    [
        ([], ""),
        ({"jti": "j", "iss": "i"}, "events"),
        ({"jti": "j", "iss": "i", "events": []}, "events"),
        ({"iss": "i", "events": {"u": {}}}, "jti"),
        ({"jti": "j", "events": {"u": {}}}, "iss"),
    ],
)
def test_authentic_token_that_is_malformed_cannot_be_split(document: object, place: str) -> None:
    with pytest.raises(UnparseableError) as refusal:
        SOURCE.split(document, Request("POST", {}, b""))
    assert refusal.value.place == place


@pytest.mark.parametrize(
    ("uri", "payload", "subject", "place"),
    [
        ("prov:create:full", {}, USER, "data"),
        ("prov:create:full", {"data": {"userName": "ana"}}, USER, "data.userName"),
        ("prov:create:full", {"data": ANA | {"active": 1}}, USER, "data.active"),
        ("prov:create:full", {"data": ANA | {"name": "Ana"}}, USER, "data.name"),
        ("prov:put:full", {"data": {"members": [{}]}}, GROUP, "data.members[0].value"),
        ("prov:delete", {}, {"format": "scim", "uri": "/Devices/1"}, "sub_id.uri"),
        ("prov:delete", {}, BY_ADDRESS, "sub_id.uri"),
        ("prov:patch:full", {"data": {}}, USER, "data.Operations"),
        ("prov:patch:full", patch({"op": "move"}), USER, "data.Operations[0].op"),
        ("prov:patch:full", patch({"op": "add", "value": 1}), USER, "data.Operations[0].value"),
        (
            "prov:patch:full",
            patch({"op": "replace", "path": "active", "value": "no"}),
            USER,
            "active",
        ),
        (
            "prov:patch:full",
            patch({"op": "add", "path": "members", "value": [{}]}),
            GROUP,
            "members[0].value",
        ),
    ],
)
def test_malformed_scim_event_says_where(
    uri: str, payload: object, subject: object, place: str
) -> None:
    with pytest.raises(UnparseableError) as refusal:
        SOURCE.parse(claims_of(f"{SCIM}{uri}", payload, subject), 0)
    assert refusal.value.place == place

"""Okta Event Hooks: proof, handshake, batches, and what each event type asks for."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from domain import changes
from domain.hydration import Wanted, What
from domain.inbox import Kind, Reason
from domain.ports import NotAuthenticError, Parsed, Request, SigningSecret, UnparseableError
from worker.adapters.sources.okta import OktaSource

SOURCE = OktaSource()
Send = Callable[..., Request]

ANA = {"type": "User", "id": "00u1", "alternateId": "ana@example.com", "displayName": "Ana Silva"}
OPS = {"type": "UserGroup", "id": "00g1", "alternateId": "unknown", "displayName": "Ops"}
APP = {"type": "AppInstance", "id": "0oa1", "alternateId": "Wiki", "displayName": "Wiki"}
APP_USER = {"type": "AppUser", "id": "0ua1", "alternateId": "ana", "displayName": "Ana"}
NAMED = {"display_name": "Ana Silva"}


def hook(*events: object) -> dict[str, object]:
    return {"eventType": "com.okta.event_hook", "eventId": "batch", "data": {"events": [*events]}}


def log(type_: str, *targets: object, **more: object) -> dict[str, object]:
    return {
        "uuid": "e1",
        "published": "2026-03-09T08:30:00.250Z",
        "eventType": type_,
        "outcome": {"result": "SUCCESS", "reason": None},
        "target": [*targets],
        **more,
    }


CASES: list[tuple[Any, ...]] = [
    (
        "user.lifecycle.create",
        [ANA],
        Kind.USERS_CREATE,
        "00u1",
        changes.ProvisionUser("00u1", "ana@example.com", NAMED),
    ),
    *(
        (
            f"user.lifecycle.{verb}",
            [ANA],
            Kind.USERS_REACTIVATE,
            "00u1",
            changes.ReactivateUser("00u1"),
        )
        for verb in ("activate", "reactivate", "unsuspend")
    ),
    *(
        (f"user.lifecycle.{verb}", [ANA], Kind.USERS_SUSPEND, "00u1", changes.SuspendUser("00u1"))
        for verb in ("deactivate", "suspend", "delete.initiated")
    ),
    (
        "application.user_membership.add",
        [APP_USER, APP, ANA],
        Kind.USERS_CREATE,
        "00u1",
        changes.AssignUser("00u1", "0oa1", "ana@example.com", NAMED),
    ),
    (
        "application.user_membership.remove",
        [APP_USER, APP, ANA],
        Kind.USERS_SUSPEND,
        "00u1",
        changes.UnassignUser("00u1", "0oa1"),
    ),
    ("group.lifecycle.create", [OPS], Kind.GROUPS_UPSERT, "00g1", changes.PutGroup("00g1", "Ops")),
    ("group.profile.update", [OPS], Kind.GROUPS_UPSERT, "00g1", changes.PutGroup("00g1", "Ops")),
    ("group.lifecycle.delete", [OPS], Kind.GROUPS_DELETE, "00g1", changes.DeleteGroup("00g1")),
    (
        "group.user_membership.add",
        [ANA, OPS],
        Kind.GROUPS_ADD_MEMBERS,
        "00u1",
        changes.AddMember("00g1", "00u1"),
    ),
    (
        "group.user_membership.remove",
        [OPS, ANA],
        Kind.GROUPS_REMOVE_MEMBERS,
        "00u1",
        changes.RemoveMember("00g1", "00u1"),
    ),
]


@pytest.mark.parametrize(("type_", "targets", "kind", "subject", "change"), CASES)
def test_type_asks_for_its_change(
    send_okta: Send,
    type_: str,
    targets: list[object],
    kind: Kind,
    subject: str,
    change: changes.Change,
) -> None:
    request = send_okta(hook(log(type_, *targets)))
    document = SOURCE.read(request.body)
    (split,) = SOURCE.split(document, request)
    assert (split.id, split.type, split.kind, split.subject) == ("e1", type_, kind, subject)
    assert split.occurred_at == datetime(2026, 3, 9, 8, 30, 0, 250_000, tzinfo=UTC)
    assert SOURCE.parse(document, 0) == Parsed((change,))


@pytest.mark.parametrize("targets", [None, [], [APP]])
@pytest.mark.parametrize("type_", [case[0] for case in CASES])
def test_event_without_its_target_changes_nothing(
    send_okta: Send, type_: str, targets: object
) -> None:
    document = hook(log(type_, target=targets))
    assert SOURCE.split(document, send_okta(document))[0].subject == ""
    assert SOURCE.parse(document, 0) == Parsed(ignored=Reason.NO_DIRECTORY_CHANGE)


@pytest.mark.parametrize(
    ("outcome", "happened"),
    [
        ({"result": "SUCCESS"}, True),
        ({"result": "Success"}, True),
        ({"result": "ALLOW"}, True),
        (None, True),
        ({"result": "FAILURE"}, False),
        ({"result": "SKIPPED"}, False),
        ({"result": "DENY"}, False),
        ({"result": "UNKNOWN"}, False),
    ],
)
def test_only_what_happened_counts(outcome: object, happened: bool) -> None:
    parsed = SOURCE.parse(hook(log("user.lifecycle.suspend", ANA, outcome=outcome)), 0)
    nothing = Parsed(ignored=Reason.NO_DIRECTORY_CHANGE)
    assert parsed == (Parsed((changes.SuspendUser("00u1"),)) if happened else nothing)


def test_login_that_is_no_address_describes_nobody() -> None:
    ana = {**ANA, "alternateId": "unknown"}
    assert SOURCE.parse(hook(log("user.lifecycle.create", ana)), 0).changes == ()
    parsed = SOURCE.parse(hook(log("application.user_membership.add", ana, APP)), 0)
    assert parsed.changes == (changes.AssignUser("00u1", "0oa1", None, NAMED),)


def test_profile_update_names_no_values() -> None:
    document = hook(log("user.account.update_profile", ANA))
    assert SOURCE.parse(document, 0) == Parsed(ignored=Reason.NO_DIRECTORY_CHANGE)
    assert SOURCE.parse(document, 0).wants == Wanted(What.PERSON, "00u1")


def test_u8_what_lets_in_is_read_and_what_locks_out_is_not() -> None:
    def wanted(type_: str, *targets: dict[str, str]) -> Wanted | None:
        return SOURCE.parse(hook(log(type_, *targets)), 0).wants

    for kind in ("create", "activate", "reactivate", "unsuspend"):
        assert wanted(f"user.lifecycle.{kind}", ANA) == Wanted(What.PERSON, "00u1")
    for kind in ("deactivate", "suspend", "delete.initiated"):
        assert wanted(f"user.lifecycle.{kind}", ANA) is None
    assert wanted("application.user_membership.add", ANA, APP) == Wanted(
        What.PERSON, "00u1", "0oa1"
    )
    assert wanted("application.user_membership.remove", ANA, APP) is None
    team = {"type": "UserGroup", "id": "00g1"}
    assert wanted("group.profile.update", team) == Wanted(What.GROUP, "00g1")


def test_unknown_type_is_ignored_and_sorted(send_okta: Send) -> None:
    document = hook(log("user.session.start", ANA))
    assert SOURCE.split(document, send_okta(document))[0].kind is Kind.SORT
    assert SOURCE.parse(document, 0) == Parsed(ignored=Reason.UNKNOWN_TYPE)


def test_batch_is_split_and_a_bad_event_spoils_none(send_okta: Send) -> None:
    document = hook(
        log("user.lifecycle.suspend", target="nobody", uuid="a"),
        log("user.lifecycle.suspend", {"type": "User", "id": ""}, uuid="b"),
        {"uuid": "c"},
        log("user.lifecycle.suspend", ANA, uuid="d"),
    )
    assert [one.id for one in SOURCE.split(document, send_okta(document))] == ["a", "b", "c", "d"]
    for index, place in ((0, "target"), (1, "target[0].id")):
        with pytest.raises(UnparseableError) as refusal:
            SOURCE.parse(document, index)
        assert refusal.value.place == place
    assert SOURCE.parse(document, 2) == Parsed(ignored=Reason.UNKNOWN_TYPE)
    assert SOURCE.parse(document, 3).changes == (changes.SuspendUser("00u1"),)


@pytest.mark.parametrize(
    ("document", "place"),
    [
        ([], "data.events"),
        ({"data": None}, "data.events"),
        ({"data": {"events": {}}}, "data.events"),
        (hook({"eventType": "x"}), "data.events[0].uuid"),
        (hook(log("x"), None), "data.events[1].uuid"),
    ],
)
def test_delivery_that_cannot_be_split_says_where(
    send_okta: Send, document: object, place: str
) -> None:
    with pytest.raises(UnparseableError) as refusal:
        SOURCE.split(document, send_okta(b""))
    assert refusal.value.place == place


def test_shared_secret_proves(send_okta: Send, now: datetime) -> None:
    secrets = [SigningSecret("old", "before"), SigningSecret("new", "a long shared secret")]
    assert SOURCE.verify(send_okta(b"{}"), secrets, now) is secrets[1]


def test_secret_beyond_ascii_proves_as_sent_on_the_wire(send_okta: Send, now: datetime) -> None:
    secret = SigningSecret("k", "s\u00e9same \u2713")
    as_servers_decode = secret.value.encode().decode("latin-1")
    assert SOURCE.verify(send_okta(b"{}", authorization=as_servers_decode), [secret], now) is secret


@pytest.mark.parametrize(
    ("told", "reason"),
    [
        (None, "missing"),
        ("", "missing"),
        ("a long shared secret ", "wrong"),
        ("A long shared secret", "wrong"),
        ("\xe9", "wrong"),
        ("\u2713", "wrong"),
        ("a long shared secret\ud800", "wrong"),
    ],
)
def test_anything_else_is_refused(now: datetime, told: str | None, reason: str) -> None:
    secrets = [SigningSecret("k", "a long shared secret"), SigningSecret("empty", "")]
    headers = {} if told is None else {"authorization": told}
    with pytest.raises(NotAuthenticError) as refusal:
        SOURCE.verify(Request("POST", headers), secrets, now)
    assert refusal.value.reason == reason


@pytest.mark.parametrize("challenge", ["abc", 'a"b\\', "\xe9", "\ud800"])
def test_handshake_hands_the_challenge_back(now: datetime, challenge: str) -> None:
    secret = SigningSecret("k", "s")
    headers = {"authorization": "s", "x-okta-verification-challenge": challenge}
    request = Request("GET", headers)
    assert SOURCE.verify(request, [secret], now) is secret
    reply = SOURCE.handshake(request)
    assert reply is not None
    assert (reply.status, reply.media_type) == (200, "application/json")
    assert json.loads(reply.body) == {"verification": challenge}


def test_delivery_is_no_handshake(send_okta: Send) -> None:
    assert SOURCE.handshake(send_okta(b"{}")) is None
    assert SOURCE.handshake(Request("GET", {})) is None
    assert SOURCE.handshake(Request("POST", {"x-okta-verification-challenge": "abc"})) is None

"""WorkOS Directory Sync: proof, peek, and what each event asks for."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from domain import changes
from domain.inbox import Kind, Reason
from domain.ports import NotAuthenticError, Parsed, Request, SigningSecret, UnparseableError
from worker.adapters.sources.workos import WorkosSource

SOURCE = WorkosSource()
SECRET = SigningSecret("k", "wos")
Send = Callable[..., Request]

ANA: dict[str, object] = {
    "id": "directory_user_1",
    "email": "ana@example.com",
    "state": "active",
    "first_name": "Ana",
    "last_name": "Silva",
    "job_title": None,
    "updated_at": "2026-03-09T08:29:00Z",
}
NAMES = {"given_name": "Ana", "family_name": "Silva", "title": None}
OPS = {"id": "directory_group_1", "name": "Ops", "updated_at": "2026-03-09T08:29:00Z"}
EDGE = {"user": ANA, "group": OPS}
SENT, UPDATED = (datetime(2026, 3, 9, 8, minute, tzinfo=UTC) for minute in (30, 29))


def event(type_: str, data: object) -> dict[str, object]:
    return {"id": "event_1", "event": type_, "data": data, "created_at": "2026-03-09T08:30:00Z"}


def without(*names: str, **more: object) -> dict[str, object]:
    return {name: value for name, value in ANA.items() if name not in names} | more


CASES: list[tuple[Any, ...]] = [
    (
        "dsync.user.created",
        ANA,
        Kind.USERS_CREATE,
        "directory_user_1",
        UPDATED,
        changes.ProvisionUser("directory_user_1", "ana@example.com", NAMES, active=True),
    ),
    (
        "dsync.user.updated",
        without("updated_at", name="Ana S."),
        Kind.USERS_UPDATE,
        "directory_user_1",
        SENT,
        changes.ProvisionUser(
            "directory_user_1", "ana@example.com", {**NAMES, "display_name": "Ana S."}, active=True
        ),
    ),
    (
        "dsync.user.updated",
        without(state="inactive"),
        Kind.USERS_SUSPEND,
        "directory_user_1",
        UPDATED,
        changes.ProvisionUser("directory_user_1", "ana@example.com", NAMES, active=False),
    ),
    (
        "dsync.user.created",
        without(state="suspended"),
        Kind.USERS_SUSPEND,
        "directory_user_1",
        UPDATED,
        changes.ProvisionUser("directory_user_1", "ana@example.com", NAMES, active=False),
    ),
    (
        "dsync.user.deleted",
        ANA,
        Kind.USERS_SUSPEND,
        "directory_user_1",
        SENT,
        changes.SuspendUser("directory_user_1"),
    ),
    *(
        (
            f"dsync.group.{verb}",
            OPS,
            Kind.GROUPS_UPSERT,
            "directory_group_1",
            UPDATED,
            changes.PutGroup("directory_group_1", "Ops"),
        )
        for verb in ("created", "updated")
    ),
    (
        "dsync.group.deleted",
        OPS,
        Kind.GROUPS_DELETE,
        "directory_group_1",
        SENT,
        changes.DeleteGroup("directory_group_1"),
    ),
    (
        "dsync.group.user_added",
        EDGE,
        Kind.GROUPS_ADD_MEMBERS,
        "directory_user_1",
        SENT,
        changes.AddMember("directory_group_1", "directory_user_1"),
    ),
    (
        "dsync.group.user_removed",
        EDGE,
        Kind.GROUPS_REMOVE_MEMBERS,
        "directory_user_1",
        SENT,
        changes.RemoveMember("directory_group_1", "directory_user_1"),
    ),
]


@pytest.mark.parametrize(("type_", "data", "kind", "subject", "at", "change"), CASES)
def test_type_asks_for_its_change(
    send_workos: Send,
    type_: str,
    data: object,
    kind: Kind,
    subject: str,
    at: datetime,
    change: changes.Change,
) -> None:
    request = send_workos(event(type_, data))
    document = SOURCE.read(request.body)
    (split,) = SOURCE.split(document, request)
    assert (split.id, split.type, split.kind, split.subject) == ("event_1", type_, kind, subject)
    assert split.occurred_at == at
    assert SOURCE.parse(document, 0) == Parsed((change,))


@pytest.mark.parametrize(
    ("data", "email"),
    [
        (ANA, "ana@example.com"),
        (
            without(
                "email",
                emails=[
                    {"primary": False, "value": "second@example.com"},
                    {"primary": "false", "value": "third@example.com"},
                    {"primary": True, "value": "first@example.com"},
                ],
            ),
            "first@example.com",
        ),
        (without("email", emails=[None, 3], username="login@example.com"), "login@example.com"),
        (without(email=None, emails="x", username="login@example.com"), "login@example.com"),
    ],
)
def test_address_is_found(data: object, email: str) -> None:
    (change,) = SOURCE.parse(event("dsync.user.created", data), 0).changes
    assert isinstance(change, changes.ProvisionUser)
    assert change.email == email


def test_active_user_without_address_cannot_be_created() -> None:
    with pytest.raises(UnparseableError) as refusal:
        SOURCE.parse(event("dsync.user.created", without("email", username="ana")), 0)
    assert refusal.value.place == "data.email"


def test_update_without_address_keeps_profile_and_state() -> None:
    profile = changes.UpdateProfile("directory_user_1", NAMES)
    for state, more in (
        (None, ()),
        ("invited", ()),
        ("active", (changes.ReactivateUser("directory_user_1"),)),
        ("inactive", (changes.SuspendUser("directory_user_1"),)),
    ):
        data = without("email", state=state)
        assert SOURCE.parse(event("dsync.user.updated", data), 0).changes == (profile, *more)


def test_suspension_goes_through_without_an_address() -> None:
    data = without("email", state="inactive")
    told = SOURCE.parse(event("dsync.user.created", data), 0).changes
    assert changes.SuspendUser("directory_user_1") in told


@pytest.mark.parametrize("type_", ["dsync.activated", "dsync.deactivated", "dsync.deleted"])
def test_directory_that_goes_away_suspends_nobody(type_: str) -> None:
    assert SOURCE.parse(event(type_, {}), 0) == Parsed(ignored=Reason.NO_DIRECTORY_CHANGE)


def test_unknown_type_is_ignored_and_sorted(send_workos: Send) -> None:
    document = event("user.created", {"id": "user_1"})
    assert SOURCE.split(document, send_workos(document))[0].kind is Kind.SORT
    assert SOURCE.parse(document, 0) == Parsed(ignored=Reason.UNKNOWN_TYPE)


@pytest.mark.parametrize(
    ("type_", "data", "place"),
    [
        ("dsync.user.created", None, "data"),
        ("dsync.user.created", without("id"), "data.id"),
        ("dsync.user.updated", without(first_name=3), "data.first_name"),
        ("dsync.user.updated", without(state=False), "data.state"),
        ("dsync.user.deleted", {"id": ""}, "data.id"),
        ("dsync.group.created", {"id": "g" * 256}, "data.id"),
        ("dsync.group.updated", {"id": "g1", "name": []}, "data.name"),
        ("dsync.group.deleted", {"id": 1}, "data.id"),
        ("dsync.group.user_added", {"user": ANA}, "data.group.id"),
        ("dsync.group.user_removed", {"group": OPS, "user": None}, "data.user.id"),
    ],
)
def test_malformed_event_says_where(
    send_workos: Send, type_: str, data: object, place: str
) -> None:
    document = event(type_, data)
    assert SOURCE.split(document, send_workos(document))[0].id == "event_1"
    with pytest.raises(UnparseableError) as refusal:
        SOURCE.parse(document, 0)
    assert refusal.value.place == place


@pytest.mark.parametrize("document", [[], None, {}, {"id": 3}, {"id": ""}])
def test_delivery_that_cannot_be_split_is_unparseable(send_workos: Send, document: object) -> None:
    with pytest.raises(UnparseableError):
        SOURCE.split(document, send_workos(b""))


@pytest.mark.parametrize("gap", ["", " ", "   "])
def test_good_signature_names_the_secret(send_workos: Send, now: datetime, gap: str) -> None:
    other = SigningSecret("other", "other")
    assert SOURCE.verify(send_workos(b"{}", gap=gap), [other, SECRET], now) is SECRET


def test_one_good_signature_of_several_is_enough(send_workos: Send, now: datetime) -> None:
    request = send_workos(b"{}")
    told = request.headers["workos-signature"]
    for text in (f"{told}, v1=00", f"v1=zz, {told}", f"{told}, v2=1, ,="):
        headers = {"workos-signature": text}
        assert SOURCE.verify(replace(request, headers=headers), [SECRET], now) is SECRET


@pytest.mark.parametrize(("seconds", "good"), [(-181, 0), (-180, 1), (180, 1), (181, 0)])
def test_only_a_fresh_signature_proves(
    send_workos: Send, now: datetime, seconds: int, good: int
) -> None:
    request = send_workos(b"{}", at=now + timedelta(seconds=seconds))
    if good:
        assert SOURCE.verify(request, [SECRET], now) is SECRET
        return
    with pytest.raises(NotAuthenticError) as refusal:
        SOURCE.verify(request, [SECRET], now)
    assert refusal.value.reason == "stale"


@pytest.mark.parametrize(
    ("told", "reason"),
    [
        (None, "missing"),
        ("", "missing"),
        ("garbage", "wrong"),
        ("t=1", "wrong"),
        ("v1=00", "wrong"),
        ("t=soon, v1=00", "wrong"),
        ("t=" + "9" * 5_000 + ", v1=00", "wrong"),
        ("t=1, v1=\xe9", "wrong"),
        ("t=\u0661, v1=00", "wrong"),
        ("t=\xb2, v1=00", "wrong"),
        ("t=1, v1=\ud800", "wrong"),
        (",,,=,=", "wrong"),
    ],
)
def test_anything_else_is_refused(now: datetime, told: str | None, reason: str) -> None:
    headers = {} if told is None else {"workos-signature": told}
    with pytest.raises(NotAuthenticError) as refusal:
        SOURCE.verify(Request("POST", headers, b"{}"), [SECRET], now)
    assert refusal.value.reason == reason


def test_other_body_or_time_is_wrong(send_workos: Send, now: datetime) -> None:
    request = send_workos(b"{}")
    later = request.headers["workos-signature"].replace("t=1", "t=2")
    for forged in (
        replace(request, body=b"[]"),
        replace(request, headers={"workos-signature": later}),
    ):
        with pytest.raises(NotAuthenticError) as refusal:
            SOURCE.verify(forged, [SECRET], now)
        assert refusal.value.reason == "wrong"


def test_empty_secret_never_matches(now: datetime) -> None:
    at = str(int(now.timestamp() * 1000))
    digest = hmac.new(b"", f"{at}.{{}}".encode(), hashlib.sha256).hexdigest()
    request = Request("POST", {"workos-signature": f"t={at}, v1={digest}"}, b"{}")
    with pytest.raises(NotAuthenticError) as refusal:
        SOURCE.verify(request, [SigningSecret("k", "")], now)
    assert refusal.value.reason == "wrong"

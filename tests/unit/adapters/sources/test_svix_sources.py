"""Clerk and Scalekit: Standard Webhooks' proof, and what each event asks for."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from domain import changes as c
from domain.errors import UsageError
from domain.inbox import Kind, Reason
from domain.ports import NotAuthenticError, Parsed, Request, SigningSecret, UnparseableError
from worker.adapters.sources.clerk import ClerkSource
from worker.adapters.sources.scalekit import ScalekitSource

CLERK, SCALEKIT = ClerkSource(), ScalekitSource()
Send = Callable[..., Request]
AT = datetime(2026, 3, 9, 8, 29, tzinfo=UTC)

ANA: dict[str, object] = {
    "id": "user_1",
    "email_addresses": [
        {"id": "idn_1", "email_address": "old@example.com"},
        {"id": "idn_2", "email_address": "ana@example.com"},
    ],
    "primary_email_address_id": "idn_2",
    "first_name": "Ana",
    "last_name": None,
    "banned": False,
    "locked": True,
}
NAMES = {"given_name": "Ana", "family_name": None}
EDGE = {"organization": {"id": "org_1"}, "public_user_data": {"user_id": "user_1"}}


def clerk(type_: str, data: object) -> dict[str, object]:
    return {"type": type_, "data": data, "timestamp": int(AT.timestamp() * 1000)}


def scalekit(type_: str, data: object) -> dict[str, object]:
    told = f"organization.directory.{type_}"
    return {"id": "evt_1", "type": told, "data": data, "occurred_at": "2026-03-09T08:29:00.5Z"}


CLERK_CASES: list[tuple[str, object, Kind, str, tuple[c.Change, ...]]] = [
    (
        "user.created",
        ANA,
        Kind.USERS_CREATE,
        "user_1",
        (c.ProvisionUser("user_1", "ana@example.com", NAMES, active=True),),
    ),
    (
        "user.updated",
        ANA | {"banned": True},
        Kind.USERS_SUSPEND,
        "user_1",
        (c.ProvisionUser("user_1", "ana@example.com", NAMES, active=False),),
    ),
    (
        "user.updated",
        {"id": "user_1", "email_addresses": [], "primary_email_address_id": None},
        Kind.SORT,
        "",
        (),
    ),
    (
        "user.created",
        {"id": "user_1", "banned": True},
        Kind.USERS_SUSPEND,
        "user_1",
        (c.SuspendUser("user_1"),),
    ),
    (
        "user.deleted",
        {"id": "user_1", "object": "user", "deleted": True},
        Kind.USERS_SUSPEND,
        "user_1",
        (c.SuspendUser("user_1"),),
    ),
    (
        "organization.created",
        {"id": "org_1", "name": "Acme"},
        Kind.GROUPS_UPSERT,
        "org_1",
        (c.PutGroup("org_1", "Acme"),),
    ),
    (
        "organization.updated",
        {"id": "org_1", "name": ""},
        Kind.GROUPS_UPSERT,
        "org_1",
        (c.PutGroup("org_1", None),),
    ),
    (
        "organization.deleted",
        {"id": "org_1", "deleted": True},
        Kind.GROUPS_DELETE,
        "org_1",
        (c.DeleteGroup("org_1"),),
    ),
    (
        "organizationMembership.created",
        EDGE,
        Kind.GROUPS_ADD_MEMBERS,
        "user_1",
        (c.AddMember("org_1", "user_1"),),
    ),
    (
        "organizationMembership.deleted",
        EDGE,
        Kind.GROUPS_REMOVE_MEMBERS,
        "user_1",
        (c.RemoveMember("org_1", "user_1"),),
    ),
]


@pytest.mark.parametrize(("type_", "data", "kind", "subject", "told"), CLERK_CASES)
def test_clerk_event_asks_for_its_change(
    send_standard: Send,
    type_: str,
    data: object,
    kind: Kind,
    subject: str,
    told: tuple[c.Change, ...],
) -> None:
    request = send_standard(clerk(type_, data), prefix="svix", message_id="msg_1")
    document = CLERK.read(request.body)
    (split,) = CLERK.split(document, request)
    assert (split.id, split.type, split.kind, split.subject) == ("msg_1", type_, kind, subject)
    assert split.occurred_at == AT
    parsed = CLERK.parse(document, 0)
    assert parsed == (Parsed(told) if told else Parsed(ignored=Reason.NO_DIRECTORY_CHANGE))


def test_clerk_lock_suspends_nobody_for_whoever_fails_to_sign_in_locks() -> None:
    (told,) = CLERK.parse(clerk("user.updated", ANA | {"locked": True}), 0).changes
    assert isinstance(told, c.ProvisionUser)
    assert told.active is True


PERSON: dict[str, object] = {
    "id": "diruser_1",
    "email": "ana@example.com",
    "active": True,
    "given_name": "Ana",
    "user_type": "guest",
    "groups": [{"id": "dirgroup_1", "name": "Ops"}, {"id": "dirgroup_2"}, {"id": "dirgroup_1"}],
}
GIVEN = {"given_name": "Ana"}
JOINED = (c.AddMember("dirgroup_1", "diruser_1"), c.AddMember("dirgroup_2", "diruser_1"))


@pytest.mark.parametrize(
    ("type_", "data", "kind", "told"),
    [
        (
            "user_created",
            PERSON,
            Kind.USERS_CREATE,
            (
                c.ProvisionUser(
                    "diruser_1", "ana@example.com", {"given_name": "Ana"}, True, "guest"
                ),
                *JOINED,
            ),
        ),
        (
            "user_updated",
            {"id": "diruser_1", "active": False, "groups": None},
            Kind.USERS_SUSPEND,
            (c.SuspendUser("diruser_1"),),
        ),
        (
            "user_updated",
            {"id": "diruser_1", "active": True},
            Kind.USERS_UPDATE,
            (c.ReactivateUser("diruser_1"),),
        ),
        ("user_deleted", {"id": "diruser_1"}, Kind.USERS_SUSPEND, (c.SuspendUser("diruser_1"),)),
        (
            "group_updated",
            {"id": "dirgroup_1", "display_name": "Ops"},
            Kind.GROUPS_UPSERT,
            (c.PutGroup("dirgroup_1", "Ops"),),
        ),
        ("group_deleted", {"id": "dirgroup_1"}, Kind.GROUPS_DELETE, (c.DeleteGroup("dirgroup_1"),)),
    ],
)
def test_scalekit_event_asks_for_its_changes(
    send_standard: Send, type_: str, data: object, kind: Kind, told: tuple[c.Change, ...]
) -> None:
    request = send_standard(scalekit(type_, data), message_id="msg_1")
    document = SCALEKIT.read(request.body)
    (split,) = SCALEKIT.split(document, request)
    assert (split.id, split.kind) == ("msg_1", kind)
    assert split.occurred_at == AT + timedelta(milliseconds=500)
    assert SCALEKIT.parse(document, 0) == Parsed(told)


@pytest.mark.parametrize(
    ("source", "event", "place"),
    [
        (CLERK, clerk("user.created", None), "data"),
        (CLERK, clerk("user.created", {"id": 7}), "data.id"),
        (CLERK, clerk("user.created", {"id": "user_1"}), "data.email_addresses"),
        (CLERK, clerk("user.updated", ANA | {"first_name": 1}), "data.first_name"),
        (CLERK, clerk("user.updated", ANA | {"banned": "no"}), "data.banned"),
        (CLERK, clerk("organization.created", {"id": "org_1", "name": []}), "data.name"),
        (CLERK, clerk("organizationMembership.created", {}), "data.organization.id"),
        (SCALEKIT, scalekit("user_created", {"id": "u", "active": True}), "data.email"),
        (SCALEKIT, scalekit("user_created", PERSON | {"groups": {"id": "x"}}), "data.groups"),
        (SCALEKIT, scalekit("user_created", PERSON | {"groups": [7]}), "data.groups[0].id"),
        (SCALEKIT, scalekit("user_updated", {"id": "u", "active": "yes"}), "data.active"),
        (SCALEKIT, scalekit("group_created", {"id": "", "display_name": "x"}), "data.id"),
    ],
)
def test_malformed_event_says_where(source: Any, event: object, place: str) -> None:
    with pytest.raises(UnparseableError) as refusal:
        source.parse(event, 0)
    assert refusal.value.place == place


@pytest.mark.parametrize("source", [CLERK, SCALEKIT], ids=["clerk", "scalekit"])
def test_only_a_fresh_whole_signature_proves(
    source: Any, send_standard: Send, now: datetime
) -> None:
    secret = SigningSecret("k", source.new_secret())
    other = SigningSecret("o", source.new_secret())
    for prefix in ("svix", "webhook"):
        good = send_standard(b"{}", secret=secret.value, prefix=prefix)
        assert source.verify(good, [other, secret], now) is secret
        for seconds in (-301, 301):
            with pytest.raises(NotAuthenticError, match="stale"):
                source.verify(good, [secret], now + timedelta(seconds=seconds))
        with pytest.raises(NotAuthenticError, match="wrong"):
            source.verify(Request("POST", good.headers, b"[]"), [secret], now)


def test_a_secret_that_proves_nothing_is_refused() -> None:
    for secret in ("", "  ", "whsec_", "whsec_short", "whpk_AAAA", "whsec_\u2713"):
        with pytest.raises(UsageError):
            CLERK.credential(secret, {})
    with pytest.raises(UsageError, match="--trust"):
        CLERK.credential(None, {"issuer": "https://idp.example.com"})
    theirs = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
    assert CLERK.credential(f" {theirs}\n", {}) == theirs


def test_d12_delivery_without_its_signed_id_is_unparseable(send_standard: Send) -> None:
    with pytest.raises(UnparseableError):
        CLERK.split(clerk("user.created", ANA), Request("POST", {}, b""))

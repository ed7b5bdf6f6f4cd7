"""Auth0 Event Streams: static token, CloudEvents with whole objects."""

from __future__ import annotations

import pytest

from domain import changes as c
from domain.inbox import Kind, Reason
from domain.ports import NotAuthenticError, Parsed, Request, SigningSecret, UnparseableError
from tests.unit.adapters.sources.asking import NOW, Told, split_of, told_by
from worker.adapters.sources.auth0 import Auth0Source

SOURCE = Auth0Source()
ANA: dict[str, object] = {
    "user_id": "auth0|1",
    "email": "ana@example.com",
    "name": "Ana Silva",
    "blocked": False,
}
NAMES = {"display_name": "Ana Silva"}
ORG = {"id": "org_1", "name": "acme", "display_name": "Acme"}


def event(type_: str, data: object, **more: object) -> dict[str, object]:
    at = "2026-03-09T08:29:00.573Z"
    return {"id": "evt_1", "type": type_, "time": at, "data": {"object": data}, **more}


def member(type_: str = "user") -> dict[str, object]:
    return {"group": {"id": "grp_1"}, "member": {"member_type": type_, "id": "auth0|1"}}


IN_ORG = {"organization": {"id": "org_1"}, "user": {"user_id": "auth0|1"}}
AUTH0 = "auth0|1"
CASES: list[tuple[str, object, Told]] = [
    (
        "user.created",
        ANA,
        (Kind.USERS_CREATE, AUTH0, (c.ProvisionUser(AUTH0, "ana@example.com", NAMES, True),)),
    ),
    (
        "user.updated",
        ANA | {"blocked": True},
        (Kind.USERS_SUSPEND, AUTH0, (c.ProvisionUser(AUTH0, "ana@example.com", NAMES, False),)),
    ),
    (
        "user.updated",
        {"user_id": AUTH0, "email": "other@example.com"},
        (Kind.USERS_UPDATE, AUTH0, (c.ProvisionUser(AUTH0, "other@example.com"),)),
    ),
    (
        "user.updated",
        {"user_id": AUTH0, "blocked": False},
        (Kind.USERS_UPDATE, AUTH0, (c.ReactivateUser(AUTH0),)),
    ),
    ("user.deleted", ANA, (Kind.USERS_SUSPEND, AUTH0, (c.SuspendUser(AUTH0),))),
    (
        "group.updated",
        {"id": "grp_1", "name": "Ops"},
        (Kind.GROUPS_UPSERT, "grp_1", (c.PutGroup("grp_1", "Ops"),)),
    ),
    ("group.deleted", {"id": "grp_1"}, (Kind.GROUPS_DELETE, "grp_1", (c.DeleteGroup("grp_1"),))),
    (
        "group.member.added",
        member(),
        (Kind.GROUPS_ADD_MEMBERS, AUTH0, (c.AddMember("grp_1", AUTH0),)),
    ),
    (
        "group.member.deleted",
        member(),
        (Kind.GROUPS_REMOVE_MEMBERS, AUTH0, (c.RemoveMember("grp_1", AUTH0),)),
    ),
    ("group.member.added", member("connection"), (Kind.SORT, "", ())),
    (
        "organization.created",
        ORG,
        (Kind.GROUPS_UPSERT, "org_1", (c.PutGroup("org_1", "Acme"),)),
    ),
    (
        "organization.updated",
        ORG | {"display_name": None},
        (Kind.GROUPS_UPSERT, "org_1", (c.PutGroup("org_1", "acme"),)),
    ),
    (
        "organization.member.added",
        IN_ORG,
        (Kind.GROUPS_ADD_MEMBERS, AUTH0, (c.AddMember("org_1", AUTH0),)),
    ),
    (
        "organization.member.deleted",
        IN_ORG,
        (Kind.GROUPS_REMOVE_MEMBERS, AUTH0, (c.RemoveMember("org_1", AUTH0),)),
    ),
]


@pytest.mark.parametrize(("type_", "data", "told"), CASES)
def test_event_asks_for_its_change(type_: str, data: object, told: Told) -> None:
    assert told_by(SOURCE, event(type_, data)) == told


def test_key_and_clock_are_the_events_own() -> None:
    (split,) = split_of(SOURCE, event("user.created", ANA))
    assert (split.id, split.type) == ("evt_1", "user.created")
    assert split.occurred_at is not None
    assert split.occurred_at.isoformat() == "2026-03-09T08:29:00.573000+00:00"


@pytest.mark.parametrize("type_", ["user.created", "user.updated", "user.deleted"])
def test_a_test_event_changes_nothing(type_: str) -> None:
    document = event(type_, ANA, a0purpose="test")
    assert SOURCE.parse(document, 0) == Parsed(ignored=Reason.NO_DIRECTORY_CHANGE)
    assert split_of(SOURCE, document)[0].kind is Kind.SORT


@pytest.mark.parametrize(
    ("document", "place"),
    [
        (event("user.created", None), "data.object"),
        (event("user.created", {"user_id": 1}), "data.object.user_id"),
        (event("user.created", {"user_id": "a"}), "data.object.email"),
        (event("user.updated", ANA | {"blocked": "true"}), "data.object.blocked"),
        (event("user.updated", ANA | {"name": 7}), "data.object.name"),
        (event("group.member.added", {"group": {"id": "g"}}), "data.object.member.id"),
        (event("organization.member.added", {}), "data.object.organization.id"),
    ],
)
def test_malformed_event_says_where(document: object, place: str) -> None:
    with pytest.raises(UnparseableError) as refusal:
        SOURCE.parse(document, 0)
    assert refusal.value.place == place


def test_delivery_without_an_id_is_unparseable() -> None:
    with pytest.raises(UnparseableError):
        SOURCE.split({"type": "user.created"}, Request("POST", {}, b""))


@pytest.mark.parametrize(
    ("told", "reason"),
    [
        (None, "missing"),
        ("", "missing"),
        ("Bearer", "wrong"),
        ("Bearer ", "wrong"),
        ("the token", "wrong"),
        ("Basic the token", "wrong"),
        ("Bearer the tokem", "wrong"),
        ("Bearer \u2713", "wrong"),
    ],
)
def test_only_the_bearer_token_proves(told: str | None, reason: str) -> None:
    secrets = [SigningSecret("empty", ""), SigningSecret("k", "the token")]
    headers = {} if told is None else {"authorization": told}
    with pytest.raises(NotAuthenticError) as refusal:
        SOURCE.verify(Request("POST", headers, b"{}"), secrets, NOW)
    assert refusal.value.reason == reason
    for good in ("Bearer the token", "bearer  the token"):
        request = Request("POST", {"authorization": good}, b"{}")
        assert SOURCE.verify(request, secrets, NOW) is secrets[1]

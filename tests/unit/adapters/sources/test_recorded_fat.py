"""Requests that vendors and others published: what comes of each, none without a verdict."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

import pytest

from domain import changes as c
from domain.inbox import Kind, Reason
from domain.ports import (
    KeysNeededError,
    NotAuthenticError,
    Parsed,
    Request,
    SigningSecret,
    UnparseableError,
)
from tests.transmitter import Transmitter
from worker.adapters.sources import jws
from worker.adapters.sources.registry import SOURCES
from worker.cli.signing import SIGN

NOW = datetime(2026, 3, 9, 8, 30, tzinfo=UTC)
#: What is asked, or why nothing is, or the place where the body cannot be understood.
Verdict = tuple[Kind, list[type]] | Reason | str
_DIRECTORY = "organization.directory"

VERDICTS: Mapping[str, Mapping[str, Verdict]] = {
    "auth0": {
        "user.created": (Kind.USERS_CREATE, [c.ProvisionUser]),
        "user.created-test-event": Reason.NO_DIRECTORY_CHANGE,
        "user.updated": (Kind.USERS_UPDATE, [c.ProvisionUser]),
        "user.deleted": (Kind.USERS_SUSPEND, [c.SuspendUser]),
        "group.created": (Kind.GROUPS_UPSERT, [c.PutGroup]),
        "group.updated": (Kind.GROUPS_UPSERT, [c.PutGroup]),
        "group.deleted": (Kind.GROUPS_DELETE, [c.DeleteGroup]),
        "group.member.added": (Kind.GROUPS_ADD_MEMBERS, [c.AddMember]),
        "group.member.deleted": (Kind.GROUPS_REMOVE_MEMBERS, [c.RemoveMember]),
        "organization.created": (Kind.GROUPS_UPSERT, [c.PutGroup]),
        "organization.updated": (Kind.GROUPS_UPSERT, [c.PutGroup]),
        "organization.deleted": (Kind.GROUPS_DELETE, [c.DeleteGroup]),
        "organization.member.added": (Kind.GROUPS_ADD_MEMBERS, [c.AddMember]),
        "organization.member.deleted": (Kind.GROUPS_REMOVE_MEMBERS, [c.RemoveMember]),
        "organization.member.role.assigned": Reason.NO_DIRECTORY_CHANGE,
        "organization.member.role.deleted": Reason.NO_DIRECTORY_CHANGE,
        "organization.connection.added": Reason.NO_DIRECTORY_CHANGE,
        "organization.connection.removed": Reason.NO_DIRECTORY_CHANGE,
        "organization.connection.updated": Reason.NO_DIRECTORY_CHANGE,
    },
    "fusionauth": {
        "user.deactivate": (Kind.USERS_SUSPEND, [c.SuspendUser]),
        "user.delete.complete": (Kind.USERS_SUSPEND, [c.SuspendUser]),
        "user.delete": Reason.NO_DIRECTORY_CHANGE,
        "group.create": Reason.NO_DIRECTORY_CHANGE,
        "group.delete": Reason.NO_DIRECTORY_CHANGE,
        "group.update.complete": (Kind.GROUPS_UPSERT, [c.PutGroup]),
        "group.member.add.complete": (Kind.GROUPS_ADD_MEMBERS, [c.AddMember]),
        "group.member.update.complete": (Kind.GROUPS_ADD_MEMBERS, [c.AddMember]),
    },
    "keycloak": {
        "native-admin-GROUP_MEMBERSHIP-CREATE": (Kind.GROUPS_ADD_MEMBERS, [c.AddMember]),
        "native-admin-USER-CREATE-truncated-representation": "representation",
        "native-admin-USER-UPDATE-full-representation": (Kind.USERS_UPDATE, [c.ProvisionUser]),
        "native-admin-USER-UPDATE-partial-representation": (
            Kind.USERS_UPDATE,
            [c.UpdateProfile, c.ReactivateUser],
        ),
        "p2-admin.CLIENT-CREATE": Reason.UNKNOWN_TYPE,
    },
    "zitadel": {"user.human.added": (Kind.USERS_CREATE, [c.ProvisionUser])},
    "polis": {
        "user.created": (Kind.USERS_CREATE, [c.ProvisionUser]),
        "user.updated": (Kind.USERS_UPDATE, [c.ProvisionUser]),
        "user.deleted": (Kind.USERS_SUSPEND, [c.SuspendUser]),
        "group.created": (Kind.GROUPS_UPSERT, [c.PutGroup]),
        "group.updated": (Kind.GROUPS_UPSERT, [c.PutGroup]),
        "group.deleted": (Kind.GROUPS_DELETE, [c.DeleteGroup]),
        "group.user_added": (Kind.GROUPS_ADD_MEMBERS, [c.AddMember]),
        "group.user_removed": (Kind.GROUPS_REMOVE_MEMBERS, [c.RemoveMember]),
        **{
            f"dsync.{verb}": Reason.NO_DIRECTORY_CHANGE
            for verb in ("created", "activated", "deactivated", "deleted")
        },
    },
    "pingone": {
        "USER.CREATED": (Kind.USERS_CREATE, []),
        "USER.UPDATED-enabled": (Kind.HYDRATE, []),
        "USER.DELETED": (Kind.USERS_SUSPEND, [c.SuspendUser]),
        "MEMBER_OF_GROUP.CREATED": (Kind.GROUPS_ADD_MEMBERS, [c.AddMember]),
        "MEMBER_OF_GROUP.DELETED": (Kind.GROUPS_REMOVE_MEMBERS, [c.RemoveMember]),
    },
    "clerk": {"user.created": (Kind.USERS_CREATE, [c.ProvisionUser])},
    "scalekit": {
        f"{_DIRECTORY}.user_created": (Kind.USERS_CREATE, [c.ProvisionUser, c.AddMember]),
        f"{_DIRECTORY}.user_updated": (Kind.USERS_UPDATE, [c.ProvisionUser, c.AddMember]),
        f"{_DIRECTORY}.user_deleted": (Kind.USERS_SUSPEND, [c.SuspendUser]),
        f"{_DIRECTORY}.group_created": (Kind.GROUPS_UPSERT, [c.PutGroup]),
        f"{_DIRECTORY}.group_updated": (Kind.GROUPS_UPSERT, [c.PutGroup]),
        f"{_DIRECTORY}.group_deleted": (Kind.GROUPS_DELETE, [c.DeleteGroup]),
        f"{_DIRECTORY}_enabled": Reason.NO_DIRECTORY_CHANGE,
        f"{_DIRECTORY}_disabled": Reason.NO_DIRECTORY_CHANGE,
    },
}
CASES = [(source, name) for source, bodies in VERDICTS.items() for name in bodies]


@pytest.mark.parametrize(("name", "file"), CASES, ids=[f"{s}-{f}" for s, f in CASES])
def test_recorded_request(payloads: Path, name: str, file: str) -> None:
    source, verdict = SOURCES[name], VERDICTS[name][file]
    body = (payloads / name / f"{file}.json").read_bytes()
    secret = SigningSecret("k", source.new_secret())
    request = Request("POST", SIGN[name](secret.value, body, NOW), body)
    assert source.verify(request, [secret], NOW) is secret
    document = source.read(body)
    (split,) = source.split(document, request)
    assert split.id
    assert split.occurred_at is not None
    if isinstance(verdict, str) and not isinstance(verdict, Reason):
        with pytest.raises(UnparseableError) as refusal:
            source.parse(document, 0)
        assert refusal.value.place == verdict
        return
    parsed = source.parse(document, 0)
    if isinstance(verdict, Reason):
        assert (split.kind, parsed) == (Kind.SORT, Parsed(ignored=verdict))
        return
    assert (split.kind, [type(one) for one in parsed.changes]) == verdict
    assert split.subject


@pytest.mark.parametrize("name", VERDICTS)
def test_no_recorded_body_is_without_a_verdict(payloads: Path, name: str) -> None:
    assert {it.stem for it in (payloads / name).glob("*.json")} == set(VERDICTS[name])


#: Their publisher cut them down to what a rule of theirs reads: no id, no time. 16 was published as
#: the activation of somebody, and is told elsewhere as the opposite.
ONELOGIN: Mapping[str, tuple[Kind, list[type], bool]] = {
    "event-11-user-activated": (Kind.HYDRATE, [], True),
    "event-16-user-deactivated": (Kind.HYDRATE, [], True),
    "event-17-user-deleted": (Kind.USERS_SUSPEND, [c.SuspendUser], False),
    "event-531-user-locked-via-api": (Kind.USERS_SUSPEND, [c.SuspendUser], True),
    "event-551-user-suspended-via-api": (Kind.USERS_SUSPEND, [c.SuspendUser], False),
    "event-553-user-locked-via-api-2": (Kind.USERS_SUSPEND, [c.SuspendUser], True),
}
#: Without a type, as the vendor's page has it.
EXCERPT = "vendor-page-login-excerpt"


@pytest.mark.parametrize("file", ONELOGIN)
def test_recorded_onelogin_event(payloads: Path, file: str) -> None:
    source = SOURCES["onelogin"]
    cut = json.loads((payloads / f"onelogin/{file}.json").read_bytes())
    with pytest.raises(UnparseableError) as refusal:
        source.split(cut, Request("POST", {}))
    assert refusal.value.place == "[0].uuid"
    whole = [{**cut, "uuid": "e1", "event_timestamp": "2026-03-09 08:30:00 UTC"}]
    (split,) = source.split(whole, Request("POST", {}))
    parsed = source.parse(whole, 0)
    told = (split.kind, [type(one) for one in parsed.changes], parsed.wants is not None)
    assert told == ONELOGIN[file]
    assert split.subject == "123456"


def test_onelogins_own_example_is_one_event_that_changes_nothing(payloads: Path) -> None:
    source = SOURCES["onelogin"]
    document = source.read((payloads / f"onelogin/{EXCERPT}.json").read_bytes())
    (split,) = source.split(document, Request("POST", {}))
    assert split.id == "d210df80-ede8-42ba-8199-00ce951bc222"
    assert split.occurred_at == datetime(2017, 12, 5, 19, 13, 6, tzinfo=UTC)
    assert source.parse(document, 0) == Parsed(ignored=Reason.UNKNOWN_TYPE)


def test_no_onelogin_body_is_without_a_verdict(payloads: Path) -> None:
    assert {it.stem for it in (payloads / "onelogin").glob("*.json")} == {*ONELOGIN, EXCERPT}


def recorded(payloads: Path, source: str, file: str) -> tuple[c.Change, ...]:
    """What a recorded body asks for."""
    document = json.loads((payloads / source / f"{file}.json").read_bytes())
    return SOURCES[source].parse(document, 0).changes


def test_clerk_takes_the_primary_address_of_several(payloads: Path) -> None:
    (told,) = recorded(payloads, "clerk", "user.created")
    profile = {"given_name": "Example", "family_name": "Example"}
    assert told == c.ProvisionUser(
        "user_29w83sxmDNGwOuEthce5gg56FcC", "example@example.org", profile
    )


def test_scalekit_tells_names_state_and_groups(payloads: Path) -> None:
    person, edge = recorded(payloads, "scalekit", f"{_DIRECTORY}.user_updated")
    assert isinstance(person, c.ProvisionUser)
    assert (person.email, person.active) == ("john.doe@example.com", True)
    assert person.profile["display_name"] == "John Doe"
    assert edge == c.AddMember("dirgroup_12312312312312", "diruser_12312312312312")


def test_fusionauth_example_token_is_read_and_proves_nothing(payloads: Path) -> None:
    """Its key and body were not published."""
    line = (payloads / "fusionauth/signature-header-example.txt").read_text().strip()
    name, _, token = line.partition(": ")
    request = Request("POST", {name.lower(): token}, b"{}")
    source = SOURCES["fusionauth"]
    trust = source.credential(None, {"jwks_url": "https://idp.example.com/jwks"})
    with pytest.raises(KeysNeededError):
        source.verify(request, [SigningSecret("k", trust)], NOW)
    keys = jws.read_keys(Transmitter("RS256").jwks)
    for secret in (SigningSecret("k", "s" * 40), SigningSecret("k", trust, keys)):
        with pytest.raises((NotAuthenticError, KeysNeededError)):
            source.verify(request, [secret], NOW)

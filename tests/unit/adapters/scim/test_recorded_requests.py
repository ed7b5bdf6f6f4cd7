"""What Entra and Okta really sent, as others published it: every body is read as it was meant."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from domain.changes import Change, ChangeEmail, PutGroup, SuspendUser, UpdateProfile
from worker.adapters.scim import asking, prepass, writing
from worker.adapters.scim.attributes import Kind
from worker.adapters.scim.dialect import spoken_by
from worker.adapters.scim.patching import patched

Document = dict[str, Any]

MEMBER = "f648f8d5ea4e4cd38e9c"
OKTA = ("23a35c27-23d3-4c03-b4c5-6443c09e7173", "89bb1940-b905-4575-9e7f-6f887cfb368e")
RENAMED = "1879db59-3bdf-4490-ad68-ab880a269474updatedDisplayName"


def read(payloads: Path, name: str) -> Any:
    return prepass.read_body((payloads / f"scim-{name}.json").read_bytes())


def agent(payloads: Path, name: str) -> str | None:
    file = payloads / f"scim-{name}.headers.txt"
    lines = file.read_text().splitlines() if file.exists() else []
    told = [line.partition(":")[2].strip() for line in lines if line.lower().startswith("user-ag")]
    return told[0] if told else None


@pytest.mark.parametrize(
    ("name", "address", "key"),
    [
        ("entra/elimity-create-user", "Test_User_fd0ea19b-", "0a21f0f2-"),
        ("entra/user-create", "Test_User_11bb11bb-", "0a21f0f2-"),
        ("entra/postman-post-enterprise-user", "testing@bob2.com", "$"),
        ("entra/postman-post-user-active-string-True", "anna33@gmail.com", "22fbc523-"),
        ("okta/elimity-create-user", "test.user@okta.local", "00ujl29u0le5T6Aj10h7"),
        ("okta/user-create", "test.user@okta.local", "00ujl29u0le5T6Aj10h7"),
        ("okta/user-create-2", "test.user@okta.local", ""),
    ],
)
def test_people_created(payloads: Path, name: str, address: str, key: str) -> None:
    body = read(payloads, name)
    assert "password" not in str(body)
    document = writing.created("User", body)
    assert str(asking.address(document)).startswith(address)
    assert document.get("externalId", "").startswith(key)
    assert document["active"] is True
    (change,) = asking.asked(None, document, "k")
    assert getattr(change, "active", None) is True


@pytest.mark.parametrize(
    "name",
    [
        "entra/elimity-create-group",
        "entra/group-create",
        "okta/elimity-create-group",
        "okta/group-create",
    ],
)
def test_groups_created(payloads: Path, name: str) -> None:
    document = writing.created("Group", read(payloads, name))
    assert asking.asked(None, document, "g") == (PutGroup("g", document["displayName"]),)


def after(payloads: Path, kind: Kind, name: str, before: Document) -> tuple[Change, ...]:
    found = patched(kind, before, read(payloads, name))
    return asking.asked(before, found.document, "k")


@pytest.mark.parametrize(
    "name",
    [
        "user-disable-string-False",
        "user-disable-boolean-flag-on",
        "user-disable-page-example",
        "postman-patch-active-boolean",
    ],
)
def test_entra_disables(payloads: Path, ana: Document, name: str) -> None:
    assert after(payloads, "User", f"entra/{name}", ana) == (SuspendUser("k"),)


@pytest.mark.parametrize("name", ["user-patch-deactivate", "elimity-update-user-patch"])
def test_okta_deactivates(payloads: Path, ana: Document, name: str) -> None:
    assert after(payloads, "User", f"okta/{name}", ana) == (SuspendUser("k"),)


@pytest.mark.parametrize("name", ["user-add-nickName", "user-add-nickName-flag-on"])
def test_entra_adds_an_attribute(payloads: Path, ana: Document, name: str) -> None:
    found = after(payloads, "User", f"entra/{name}", ana)
    assert found == (UpdateProfile("k", {"nickName": "Babs"}),)


@pytest.mark.parametrize(
    ("name", "address"),
    [
        ("user-patch-userName", "5b50642d-79fc-4410-9e90-4c077cdd1a59@testuser.com"),
        ("elimity-update-user", "5b50642d-79fc-4410-9e90-4c077cdd1a59@testuser.com"),
        # A login that is no address: the work address is the one.
        ("postman-patch-user", None),
        ("postman-patch-username", None),
    ],
)
def test_entra_changes_the_user_name(
    payloads: Path, ana: Document, name: str, address: str | None
) -> None:
    found = after(payloads, "User", f"entra/{name}", ana)
    told = [one.email for one in found if isinstance(one, ChangeEmail)]
    assert told == ([address] if address else [])


@pytest.mark.parametrize(
    ("name", "work"),
    [
        ("user-patch-email-and-name", "updatedEmail@microsoft.com"),
        ("user-replace-many", "TestBcwqnm@test.microsoft.com"),
        ("user-replace-many-flag-on", "TestMhvaes@test.microsoft.com"),
    ],
)
@pytest.mark.parametrize("has_emails", [True, False])
def test_entra_sets_the_work_address(
    payloads: Path, ana: Document, name: str, work: str, has_emails: bool
) -> None:
    if not has_emails:
        del ana["emails"]
    document = patched("User", ana, read(payloads, f"entra/{name}")).document
    assert [one["value"] for one in document["emails"] if one["type"] == "work"] == [work]


@pytest.mark.parametrize(
    ("name", "added", "removed", "replaced"),
    [
        ("entra/elimity-update-group", (), (MEMBER,), None),
        ("entra/group-add-member", (MEMBER,), (), None),
        (
            "entra/issue-group-add-member-no-ref",
            ("4143f2ee-d771-46d6-9a0a-74a9f7296ea7",),
            (),
            None,
        ),
        ("entra/postman-patch-group-add-member", ("{{id4}}",), (), None),
        ("entra/group-remove-member-ref-null", (), (MEMBER,), None),
        ("entra/group-remove-member-value-array", (), ("u1091",), None),
        ("entra/postman-patch-group-remove-member", (), ("{{id4}}",), None),
        (
            "entra/group-remove-member-filter-flag-on",
            (),
            ("7f4bc1a3-285e-48ae-8202-5accb43efb0e",),
            None,
        ),
        ("entra/postman-patch-group-remove-all", (), (), ()),
        ("entra/group-rename", (), (), None),
        ("okta/elimity-update-group-membership", (), (), OKTA),
        ("okta/elimity-update-group-name", (), (), None),
        ("okta/group-patch-members-remove-and-add", (OKTA[0],), (OKTA[1],), None),
        ("okta/group-patch-members-replace-all", (), (), OKTA),
        ("okta/group-patch-rename", (), (), None),
        (
            "okta/issue-group-add-member-no-type",
            ("2900df44-a197-4ca6-bad2-3c1b5641ac8e",),
            (),
            None,
        ),
        ("okta/issue-group-push-now-empty", (), (), ()),
    ],
)
def test_groups_changed(
    payloads: Path,
    name: str,
    added: tuple[str, ...],
    removed: tuple[str, ...],
    replaced: tuple[str, ...] | None,
) -> None:
    found = patched("Group", {"displayName": "Tools"}, read(payloads, name))
    assert found.members_added == added
    assert found.members_removed == removed
    assert found.members_replaced == replaced
    renamed = {
        "entra/group-rename": RENAMED,
        "entra/elimity-update-group": RENAMED,
    } | dict.fromkeys(("okta/elimity-update-group-name", "okta/group-patch-rename"), "Test SCIMv2")
    assert found.document == {"displayName": renamed.get(name, "Tools")}


@pytest.mark.parametrize("name", ["okta/user-put", "okta/elimity-update-user"])
def test_okta_replaces_a_person(payloads: Path, name: str) -> None:
    before = writing.created("User", read(payloads, "okta/user-create"))
    document = writing.replaced("User", before, read(payloads, name))
    assert document["externalId"] == "00ujl29u0le5T6Aj10h7"
    (change,) = asking.asked(before, document, "k")
    assert isinstance(change, UpdateProfile)
    assert change.profile["given_name"] == "Another"
    assert change.profile["locale"] is None


def test_okta_replaces_members(payloads: Path) -> None:
    assert writing.told_members(read(payloads, "okta/group-put-members")) == (OKTA[0],)


def test_a_misspelt_attribute_is_passed_over(payloads: Path, ana: Document) -> None:
    body = read(payloads, "entra/postman-put-user-misspelled-attribute")
    document = writing.replaced("User", ana, body)
    assert "addresses" not in document
    assert document["active"] is False


def test_every_recorded_request_is_read(payloads: Path) -> None:
    files = sorted(payloads.glob("scim-entra/*.json")) + sorted(payloads.glob("scim-okta/*.json"))
    assert len(files) == 47
    for file in files:
        body = prepass.read_body(file.read_bytes())
        kind: Kind = "Group" if "group" in file.name else "User"
        known = {"displayName": "G"} if kind == "Group" else {"userName": "a@b.example"}
        if "Operations" in body:
            patched(kind, known, body)
        else:
            writing.created(kind, body)
            writing.told_members(body)


def test_who_spoke(payloads: Path) -> None:
    for file in payloads.glob("scim-okta/*.headers.txt"):
        name = f"okta/{file.name.removesuffix('.headers.txt')}"
        told = agent(payloads, name)
        assert spoken_by(told, read(payloads, name)) == ("okta" if told else None)
    for name in ("group-create", "group-add-member", "user-disable-string-False", "group-rename"):
        assert spoken_by(None, read(payloads, f"entra/{name}")) == "entra"

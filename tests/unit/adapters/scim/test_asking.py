"""What a change of a document asks of the directory (D2): only what differs."""

from __future__ import annotations

from typing import Any

import pytest

from domain.changes import (
    AddMember,
    ChangeEmail,
    ProvisionUser,
    PutGroup,
    ReactivateUser,
    RemoveMember,
    ReplaceMembers,
    SuspendUser,
    UpdateProfile,
)
from worker.adapters.scim import asking
from worker.adapters.scim.schemas import ENTERPRISE

Document = dict[str, Any]


def test_first_contact_describes_the_person(ana: Document) -> None:
    ana["phoneNumbers"] = [{"type": "Mobile", "value": "+351 1"}, {"value": "2", "primary": True}]
    ana["roles"] = [{"value": "admin"}, {"display": "nothing"}]
    (change,) = asking.asked(None, ana, "u1")
    assert change == ProvisionUser(
        "u1",
        "ana@example.com",
        {
            "given_name": "Ana",
            "family_name": "Silva",
            "display_name": "Ana Silva",
            "userName": "ana@example.com",
            "title": "Engineer",
            "department": "Tools",
            "manager": "m1",
            "emails[work]": "ana@example.com",
            "emails[primary]": "ana@example.com",
            "emails[home]": "ana@home.example",
            "phoneNumbers[mobile]": "+351 1",
            "phoneNumbers[primary]": "2",
            "roles": '["admin"]',
        },
        True,
        "member",
    )


def test_nothing_that_differs_asks_nothing(ana: Document) -> None:
    assert asking.asked(ana, dict(ana), "u1") == ()


def test_cleared_attributes_are_told_as_cleared(ana: Document) -> None:
    after = {k: v for k, v in ana.items() if k not in {"title", ENTERPRISE}}
    (change,) = asking.asked(ana, after, "u1")
    assert change == UpdateProfile("u1", {"title": None, "department": None, "manager": None})


@pytest.mark.parametrize(
    ("was", "is_now", "expected"),
    [
        (True, False, (SuspendUser("u1"),)),
        (False, True, (ReactivateUser("u1"),)),
        (None, True, (ReactivateUser("u1"),)),
        (None, False, (SuspendUser("u1"),)),
        (False, False, ()),
        (True, True, ()),
        (False, None, ()),
        (True, None, ()),
    ],
)
def test_active_only_where_it_differs_from_the_last_word(
    ana: Document, was: bool | None, is_now: bool | None, expected: tuple[object, ...]
) -> None:
    # U8: what another feed said of the person is not touched by repeating our own word.
    def said(active: bool | None) -> Document:
        rest = {k: v for k, v in ana.items() if k != "active"}
        return rest if active is None else {**rest, "active": active}

    assert asking.asked(said(was), said(is_now), "u1") == expected


def test_suspension_goes_first_and_the_return_last(ana: Document) -> None:
    other = {**ana, "userName": "new@example.com", "active": False}
    assert [type(one) for one in asking.asked(ana, other, "u1")] == [
        SuspendUser,
        UpdateProfile,
        ChangeEmail,
    ]
    assert [type(one) for one in asking.asked(other, ana, "u1")] == [
        UpdateProfile,
        ChangeEmail,
        ReactivateUser,
    ]


class TestAddress:
    """E9: the first of userName, primary, work and any address that mail can be sent to."""

    @pytest.mark.parametrize(
        ("name", "emails", "expected"),
        [
            ("a@x.example", [{"value": "b@x.example", "primary": True}], "a@x.example"),
            ("ana", [{"value": "w@x", "type": "work"}, {"value": "p@x", "primary": True}], "p@x"),
            ("ana", [{"value": "h@x", "type": "home"}, {"value": "w@x", "type": "Work"}], "w@x"),
            ("ana", [{"type": "work"}, {"value": "o@x"}], "o@x"),
            ("ana", [], None),
        ],
    )
    def test_rule(self, name: str, emails: list[Document], expected: str | None) -> None:
        assert asking.address({"userName": name, "emails": emails}) == expected

    def test_another_letter_case_is_the_same_address(self, ana: Document) -> None:
        after = {**ana, "userName": "ANA@EXAMPLE.COM"}
        assert asking.asked(ana, after, "u1") == (
            UpdateProfile("u1", {"userName": "ANA@EXAMPLE.COM"}),
        )

    def test_who_has_none_is_kept_and_invited_once_one_is_told(self) -> None:
        before = {"userName": "ana", "active": False}
        assert asking.asked(None, before, "u1") == (
            SuspendUser("u1"),
            UpdateProfile("u1", {"userName": "ana"}),
        )
        after = {**before, "emails": [{"value": "ana@example.com"}]}
        assert asking.asked(before, after, "u1") == (
            ProvisionUser("u1", "ana@example.com", {"userName": "ana"}, False, "member"),
        )

    def test_the_only_address_taken_away_says_nothing_of_the_one_in_force(self) -> None:
        before = {"userName": "ana", "emails": [{"value": "ana@example.com"}]}
        assert asking.asked(before, {"userName": "ana"}, "u1") == ()


class TestGuests:
    """S2."""

    @pytest.mark.parametrize(
        "told",
        [
            {"userName": "ana@example.com", "userType": "Guest"},
            {"userName": "ana_partner.example#EXT#@corp.example"},
            {"userName": "ana_partner.example#ext#@corp.example"},
        ],
    )
    def test_are_said_to_be(self, told: Document) -> None:
        (change,) = asking.asked(None, told, "u1")
        assert isinstance(change, ProvisionUser)
        assert change.user_type == "guest"

    def test_becoming_one_and_no_longer_one(self, ana: Document) -> None:
        guest = {**ana, "userType": "Guest"}
        assert asking.asked(ana, guest, "u1") == (
            ProvisionUser("u1", "", {"userType": "Guest"}, None, "guest"),
        )
        assert asking.asked(guest, ana, "u1") == (
            ProvisionUser("u1", "", {"userType": None}, None, "member"),
        )


def test_groups() -> None:
    tools, makers = {"displayName": "Tools"}, {"displayName": "Makers", "externalId": "x"}
    assert asking.asked(None, tools, "g") == (PutGroup("g", "Tools"),)
    assert asking.asked(tools, makers, "g") == (PutGroup("g", "Makers"),)
    assert asking.asked(tools, {**tools, "externalId": "x"}, "g") == ()


def test_members() -> None:
    assert asking.asked_members("g") == ()
    assert asking.asked_members("g", added=["a"], removed=["b"]) == (
        RemoveMember("g", "b"),
        AddMember("g", "a"),
    )
    assert asking.asked_members("g", replaced=[]) == (ReplaceMembers("g", ()),)

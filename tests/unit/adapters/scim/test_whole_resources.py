"""POST and PUT: whole resources, as RFC 7644, 3.3 and 3.5.1 have them."""

from __future__ import annotations

from typing import Any

import pytest

from worker.adapters.scim import prepass, writing
from worker.adapters.scim.errors import SCIMError
from worker.adapters.scim.schemas import ENTERPRISE, GROUP, STATE, USER

Document = dict[str, Any]
TWO_PRIMARY = [{"value": f"{n}@b.example", "primary": True} for n in "ab"]


def person(**more: object) -> Document:
    return {"schemas": [USER], "userName": "ana@example.com", **more}


def refusal(body: object, *, strict: bool = False) -> tuple[str | None, str]:
    with pytest.raises(SCIMError) as refused:
        writing.created("User", body, strict=strict)
    assert refused.value.status == 400
    return refused.value.scim_type, refused.value.detail


@pytest.mark.parametrize("strict", [False, True])
class TestCreated:
    def test_as_the_rfc_has_it(self, strict: bool) -> None:
        body = person(externalId="ana", name={"formatted": "Ms. Ana Silva", "givenName": "Ana"})
        assert writing.created("User", body, strict=strict) == {
            "userName": "ana@example.com",
            "externalId": "ana",
            "name": {"formatted": "Ms. Ana Silva", "givenName": "Ana"},
            "active": True,
        }

    def test_what_the_service_answers_itself_is_passed_over(self, strict: bool) -> None:
        body = person(
            id="x",
            meta={"resourceType": "User"},
            groups=[{"value": "g"}],
            **{STATE: {"state": "a"}},
        )
        assert writing.created("User", body, strict=strict) == writing.created("User", person())

    def test_unassigned_in_every_form(self, strict: bool) -> None:
        body = person(title=None, emails=[], phoneNumbers=None, name={}, **{ENTERPRISE: {}})
        assert writing.created("User", body, strict=strict) == writing.created("User", person())

    def test_extensions(self, strict: bool) -> None:
        manager = {"value": "m1", "$ref": "../Users/m1", "displayName": "never ours to keep"}
        body = person(**{ENTERPRISE: {"department": "Tools", "manager": manager}})
        body["schemas"] = [USER, ENTERPRISE]
        document = writing.created("User", body, strict=strict)
        assert document[ENTERPRISE] == {
            "department": "Tools",
            "manager": {"value": "m1", "$ref": "../Users/m1"},
        }

    def test_inactive_from_the_start(self, strict: bool) -> None:
        assert writing.created("User", person(active=False), strict=strict)["active"] is False

    @pytest.mark.parametrize(
        ("body", "scim_type", "place"),
        [
            (None, "invalidSyntax", "object"),
            ([], "invalidSyntax", "object"),
            ({"schemas": [USER]}, "invalidValue", "userName"),
            (person(userName=""), "invalidValue", "userName"),
            (person(userName="  "), "invalidValue", "userName"),
            (person(userName=["a", "b"]), "invalidValue", "userName"),
            (person(userName="a\0b"), "invalidValue", "userName"),
            (person(active="perhaps"), "invalidValue", "active"),
            (person(name=[{"givenName": "a"}, {}]), "invalidValue", "name"),
            (person(emails=[{"value": "@none"}]), "invalidValue", "emails[0].value"),
            (person(emails=[{"value": "a@b.example"}, 7.5, True]), "invalidValue", "emails["),
            (person(emails=TWO_PRIMARY), "invalidValue", "emails"),
            (person(USERNAME="b"), "invalidSyntax", "userName"),
            (person(name={"givenName": "a", "GivenName": "b"}), "invalidSyntax", "name"),
            (person(**{ENTERPRISE: "x"}), "invalidValue", ENTERPRISE),
            (person(photos=[{"value": {"a": []}}]), "invalidValue", "photos[0].value"),
        ],
    )
    def test_refused(self, strict: bool, body: object, scim_type: str, place: str) -> None:
        found = refusal(body, strict=strict)
        assert found[0] == scim_type
        assert place in found[1]


class TestStrict:
    @pytest.mark.parametrize(
        ("body", "scim_type"),
        [
            ({"userName": "a"}, "invalidSyntax"),
            ({"schemas": [], "userName": "a"}, "invalidSyntax"),
            ({"schemas": [GROUP], "userName": "a"}, "invalidSyntax"),
            ({"schemas": [USER, "urn:x:y"], "userName": "a"}, "invalidSyntax"),
            ({"schemas": USER, "userName": "a"}, "invalidSyntax"),
            (person(salary=1), "invalidSyntax"),
            (person(**{"urn:x:y": {}}), "invalidSyntax"),
            (person(name={"salary": 1}), "invalidSyntax"),
            (person(active="True"), "invalidValue"),
            (person(emails={"value": "a@b.example"}), "invalidValue"),
            (person(emails=["a@b.example"]), "invalidValue"),
            (person(title=7), "invalidValue"),
        ],
    )
    def test_takes_no_dialect(self, body: Document, scim_type: str) -> None:
        assert refusal(body, strict=True)[0] == scim_type
        if "userName" in body and body.get("schemas") != [GROUP]:
            writing.created("User", body)

    def test_keeps_an_empty_text(self) -> None:
        assert writing.created("User", person(title=""), strict=True)["title"] == ""


class TestReplaced:
    def test_what_is_left_out_is_cleared_but_active_and_external_id(self, ana: Document) -> None:
        after = writing.replaced("User", ana, person(displayName="Ana"))
        assert after == {
            "userName": "ana@example.com",
            "displayName": "Ana",
            "active": True,
            "externalId": "u1",
        }

    def test_is_what_was_given(self, ana: Document) -> None:
        assert writing.replaced("User", {"userName": "x"}, {"schemas": [USER], **ana}) == ana

    def test_the_document_before_stays(self, ana: Document) -> None:
        before = dict(ana)
        writing.replaced("User", ana, person())
        assert ana == before


class TestMembers:
    def test_a_hundred_thousand_pass_as_ids(self) -> None:
        many = [{"value": str(n), "$ref": f"../Users/{n}"} for n in range(100_000)]
        found = writing.told_members({"displayName": "All", "members": many})
        assert found is not None
        assert (len(found), found[:2]) == (100_000, ("0", "1"))
        assert writing.created("Group", {"displayName": "All", "members": many}) == {
            "displayName": "All"
        }

    def test_doubles_count_once_and_references_stand_in(self) -> None:
        told = [{"value": "a"}, {"$ref": "https://scim.example/Users/b"}, {"Value": "a"}]
        assert writing.told_members({"members": told}) == ("a", "b")

    @pytest.mark.parametrize("member", [{}, {"value": ""}, {"value": 7}, {"value": "x" * 256}, 7])
    def test_refused_with_their_place(self, member: object) -> None:
        with pytest.raises(SCIMError) as refused:
            writing.told_members({"members": [{"value": "a"}, member]})
        assert refused.value.scim_type == "invalidValue"
        assert refused.value.detail.startswith("members[1]")


class TestPasswords:
    @pytest.mark.parametrize(
        "body",
        [
            {"userName": "a", "password": "marker"},
            {"userName": "a", "PassWord": "marker"},
            {"x": [{"y": {"password": "marker"}}]},
            {f"{USER}:password": "marker"},
            {"Operations": [{"op": "replace", "path": "password", "value": "marker"}]},
            {"Operations": [{"op": "Add", "Path": f" {USER}:PASSWORD ", "Value": "marker"}]},
            {"Operations": [{"op": "add", "value": {"password": "marker"}}]},
        ],
    )
    def test_are_cut_wherever_they_are(self, body: Document) -> None:
        assert "marker" not in str(prepass.without_passwords(body))

    def test_bodies_without_any_are_given_back_as_they_are(self) -> None:
        body = {"a": [{"b": 1}, "c"], "passwordless": True, "path": "title", "value": "x"}
        assert prepass.without_passwords(body) is body

    def test_what_cannot_be_read(self) -> None:
        for raw in (b"", b"{", b"[" * 70 + b"]" * 70, b'{"a": "\\u0000"}', b"\xff"):
            with pytest.raises(SCIMError) as refused:
                prepass.read_body(raw)
            assert refused.value.scim_type == "invalidSyntax"

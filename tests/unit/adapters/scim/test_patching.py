"""PATCH as RFC 7644, 3.5.2 has it: each operation on each sort of attribute."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import pytest

from worker.adapters.scim.errors import SCIMError
from worker.adapters.scim.patching import Patched, patched

Document = dict[str, Any]
PATCH = "urn:ietf:params:scim:api:messages:2.0:PatchOp"
ENTERPRISE = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"
STATE = "urn:ietf:params:scim:schemas:extension:rosterd:2.0:User"
ABSENT = object()


def op(kind: str, path: str | None = None, value: object = ABSENT, **more: object) -> Document:
    found: Document = {"op": kind, **more}
    if path is not None:
        found["path"] = path
    if value is not ABSENT:
        found["value"] = value
    return found


def user(document: Document, *operations: Document, strict: bool = False) -> Document:
    body = {"schemas": [PATCH], "Operations": list(operations)}
    return patched("User", document, body, strict=strict).document


def group(*operations: Document, strict: bool = False) -> Patched:
    body = {"schemas": [PATCH], "Operations": list(operations)}
    return patched("Group", {"displayName": "Tools"}, body, strict=strict)


def refusal(document: Document, *operations: Document, strict: bool = False) -> tuple[str, str]:
    before = deepcopy(document)
    with pytest.raises(SCIMError) as refused:
        user(document, *operations, strict=strict)
    assert refused.value.status == 400
    assert document == before, "a PATCH is all or nothing"
    return str(refused.value.scim_type), refused.value.detail


@pytest.mark.parametrize("strict", [False, True])
class TestSingle:
    def test_add_and_replace_set_it(self, ana: Document, strict: bool) -> None:
        for kind in ("add", "replace"):
            assert user(ana, op(kind, "title", "Head"), strict=strict)["title"] == "Head"
            assert user(ana, op(kind, "nickName", "An"), strict=strict)["nickName"] == "An"

    def test_remove_and_null_take_it_away(self, ana: Document, strict: bool) -> None:
        assert "title" not in user(ana, op("remove", "title"), strict=strict)
        assert "title" not in user(ana, op("replace", "title", None), strict=strict)
        assert user(ana, op("remove", "nickName"), strict=strict) == ana

    def test_names_in_any_case(self, ana: Document, strict: bool) -> None:
        after = user(ana, op("replace", "TITLE", "Head"), op("remove", "NAME.givenname"))
        assert after["title"] == "Head"
        assert after["name"] == {"familyName": "Silva"}

    def test_with_the_urn_of_its_schema(self, ana: Document, strict: bool) -> None:
        core = "urn:ietf:params:scim:schemas:core:2.0:User"
        after = user(
            ana,
            op("replace", f"{core}:title", "Head"),
            op("replace", f"{core}:name.givenName", "Anna"),
            op("replace", f'{core.upper()}:emails[type eq "home"].value', "a@b.example"),
            strict=strict,
        )
        assert (after["title"], after["name"]["givenName"]) == ("Head", "Anna")
        assert after["emails"][1]["value"] == "a@b.example"


@pytest.mark.parametrize("strict", [False, True])
class TestComplex:
    def test_only_what_is_given_changes(self, ana: Document, strict: bool) -> None:
        for kind in ("add", "replace"):
            after = user(ana, op(kind, "name", {"middleName": "Rosa"}), strict=strict)
            assert after["name"] == {
                "givenName": "Ana",
                "familyName": "Silva",
                "middleName": "Rosa",
            }

    def test_null_inside_takes_one_away(self, ana: Document, strict: bool) -> None:
        after = user(ana, op("replace", "name", {"givenName": None}), strict=strict)
        assert after["name"] == {"familyName": "Silva"}

    def test_the_last_one_taken_takes_all(self, ana: Document, strict: bool) -> None:
        gone = op("remove", "name.givenName"), op("remove", "name.familyName")
        assert "name" not in user(ana, *gone, strict=strict)

    def test_made_by_a_sub_attribute(self, ana: Document, strict: bool) -> None:
        del ana["name"]
        after = user(ana, op("add", "name.givenName", "Ana"), strict=strict)
        assert after["name"] == {"givenName": "Ana"}


@pytest.mark.parametrize("strict", [False, True])
class TestMultiValued:
    NEW = {"value": "new@example.com", "type": "other"}  # noqa: RUF012

    def test_add_appends_once(self, ana: Document, strict: bool) -> None:
        again = op("add", "emails", [self.NEW])
        after = user(ana, again, again, strict=strict)
        assert after["emails"] == [*ana["emails"], self.NEW]

    def test_what_is_there_already_is_not_added(self, ana: Document, strict: bool) -> None:
        known = {"value": "ana@example.com", "type": "work"}
        assert user(ana, op("add", "emails", [known]), strict=strict) == ana

    def test_replace_is_the_whole_list(self, ana: Document, strict: bool) -> None:
        after = user(ana, op("replace", "emails", [self.NEW]), strict=strict)
        assert after["emails"] == [self.NEW]

    def test_an_empty_list_and_null_remove_all(self, ana: Document, strict: bool) -> None:
        for gone in (op("replace", "emails", []), op("replace", "emails", None)):
            assert "emails" not in user(ana, gone, strict=strict)

    def test_remove_all(self, ana: Document, strict: bool) -> None:
        assert "emails" not in user(ana, op("remove", "emails"), strict=strict)

    def test_remove_what_a_filter_selects(self, ana: Document, strict: bool) -> None:
        path = 'emails[type eq "work" and value ew "example.com"]'
        after = user(ana, op("remove", path), strict=strict)
        assert after["emails"] == ana["emails"][1:]

    def test_remove_where_nothing_is_selected_changes_nothing(
        self, ana: Document, strict: bool
    ) -> None:
        assert user(ana, op("remove", 'emails[type eq "other"]'), strict=strict) == ana

    def test_sub_attribute_of_what_is_selected(self, ana: Document, strict: bool) -> None:
        path = 'addresses[type eq "WORK"].streetAddress'
        after = user(ana, op("replace", path, "Rua 2"), strict=strict)
        assert after["addresses"] == [
            {"type": "work", "locality": "Porto", "streetAddress": "Rua 2"}
        ]
        after = user(ana, op("remove", path), strict=strict)
        assert after["addresses"] == [{"type": "work", "locality": "Porto"}]

    def test_sub_attribute_of_all(self, ana: Document, strict: bool) -> None:
        after = user(ana, op("replace", "emails.display", "Ana"), strict=strict)
        assert [one["display"] for one in after["emails"]] == ["Ana", "Ana"]
        after = user(after, op("remove", "emails.display"), strict=strict)
        assert after == ana

    def test_a_new_primary_takes_it_from_the_old(self, ana: Document, strict: bool) -> None:
        told = {**self.NEW, "primary": True}
        after = user(ana, op("add", "emails", [told]), strict=strict)
        assert [one.get("primary") for one in after["emails"]] == [False, None, True]
        after = user(ana, op("replace", 'emails[type eq "home"].primary', True), strict=strict)
        assert [one.get("primary") for one in after["emails"]] == [False, True]

    def test_two_new_primaries_are_refused(self, ana: Document, strict: bool) -> None:
        both = [{"value": f"{n}@example.com", "primary": True} for n in "ab"]
        for kind in ("add", "replace"):
            found = refusal(ana, op(kind, "emails", both), strict=strict)
            assert found == (
                "invalidValue",
                "Operations[0]: emails: more than one value is primary",
            )
        assert refusal(ana, op("replace", "emails.primary", True), strict=strict)[0] == (
            "invalidValue"
        )

    def test_errata_7122_comparison_as_path(self, ana: Document, strict: bool) -> None:
        after = user(ana, op("remove", 'emails.type eq "work"'), strict=strict)
        assert after["emails"] == ana["emails"][1:]

    @pytest.mark.parametrize(
        ("chosen", "left"),
        [
            ('type eq "home" or type eq "work"', []),
            ('not (type eq "home")', [1]),
            ("primary pr", [1]),
            ("primary eq true", [1]),
            ('type ne "home"', [1]),
            ("primary ne true", [0]),
            ('value co "HOME"', [0]),
            ('value sw "ana@h"', [0]),
            ('value gt "ana@f"', [0]),
            ("display eq null", []),
        ],
    )
    def test_filters(self, ana: Document, strict: bool, chosen: str, left: list[int]) -> None:
        after = user(ana, op("remove", f"emails[{chosen}]"), strict=strict)
        assert after.get("emails", []) == [ana["emails"][n] for n in left]


@pytest.mark.parametrize("strict", [False, True])
class TestExtension:
    def test_by_urn_and_name(self, ana: Document, strict: bool) -> None:
        for kind in ("add", "replace"):
            after = user(ana, op(kind, f"{ENTERPRISE}:department", "Sales"), strict=strict)
            assert after[ENTERPRISE]["department"] == "Sales"

    def test_urn_in_any_case(self, ana: Document, strict: bool) -> None:
        path = f"{ENTERPRISE}:department".upper()
        assert "department" not in user(ana, op("remove", path), strict=strict)[ENTERPRISE]

    def test_as_a_whole(self, ana: Document, strict: bool) -> None:
        after = user(ana, op("replace", ENTERPRISE, {"division": "EMEA"}), strict=strict)
        assert after[ENTERPRISE] == {**ana[ENTERPRISE], "division": "EMEA"}
        assert ENTERPRISE not in user(ana, op("remove", ENTERPRISE), strict=strict)

    def test_made_and_gone_with_its_last_attribute(self, ana: Document, strict: bool) -> None:
        after = user(ana, op("remove", ENTERPRISE), strict=strict)
        after = user(after, op("add", f"{ENTERPRISE}:costCenter", "7"), strict=strict)
        assert after[ENTERPRISE] == {"costCenter": "7"}
        after = user(after, op("remove", f"{ENTERPRISE}:costCenter"), strict=strict)
        assert ENTERPRISE not in after

    def test_another_manager_has_another_reference(self, ana: Document, strict: bool) -> None:
        after = user(ana, op("replace", f"{ENTERPRISE}:manager.value", "m2"), strict=strict)
        assert after[ENTERPRISE]["manager"] == {"value": "m2"}


@pytest.mark.parametrize("strict", [False, True])
class TestWithoutPath:
    def test_add_adds_to_lists(self, ana: Document, strict: bool) -> None:
        new = {"value": "new@example.com", "type": "other"}
        after = user(ana, op("add", value={"emails": [new], "nickname": "An"}), strict=strict)
        assert after["emails"] == [*ana["emails"], new]
        assert after["nickName"] == "An"

    def test_replace_replaces_lists(self, ana: Document, strict: bool) -> None:
        new = {"value": "new@example.com", "type": "other"}
        told = {"emails": [new], "name": {"givenName": "Anna"}, ENTERPRISE: {"division": "EMEA"}}
        after = user(ana, op("replace", value=told), strict=strict)
        assert after["emails"] == [new]
        assert after["name"] == {"givenName": "Anna", "familyName": "Silva"}
        assert after[ENTERPRISE] == {**ana[ENTERPRISE], "division": "EMEA"}

    def test_remove_needs_one(self, ana: Document, strict: bool) -> None:
        assert refusal(ana, op("remove"), strict=strict) == (
            "noTarget",
            "Operations[0]: a remove needs a path",
        )


@pytest.mark.parametrize("strict", [False, True])
class TestMembers:
    def test_added_removed_replaced(self, strict: bool) -> None:
        told = [{"value": "a", "display": "A", "$ref": "https://scim.example/Users/a"}]
        assert group(op("add", "members", told), strict=strict).members_added == ("a",)
        gone = group(op("remove", 'members[value eq "a"]'), strict=strict)
        assert gone.members_removed == ("a",)
        assert group(op("replace", "members", told), strict=strict).members_replaced == ("a",)
        assert group(op("remove", "members"), strict=strict).members_replaced == ()
        assert group(op("replace", "members", []), strict=strict).members_replaced == ()

    def test_the_last_word_on_each_counts(self, strict: bool) -> None:
        add, remove = op("add", "members", [{"value": "a"}]), op("remove", 'members[value eq "a"]')
        after = group(add, remove, strict=strict)
        assert (after.members_added, after.members_removed) == ((), ("a",))
        after = group(remove, add, strict=strict)
        assert (after.members_added, after.members_removed) == (("a",), ())
        whole = op("replace", "members", [{"value": "b"}])
        assert group(add, whole, add, strict=strict).members_replaced == ("b", "a")
        assert group(whole, add, remove, strict=strict).members_replaced == ("b",)

    def test_several_by_one_filter(self, strict: bool) -> None:
        path = 'members[value eq "a" or value eq "b"]'
        assert group(op("remove", path), strict=strict).members_removed == ("a", "b")

    @pytest.mark.parametrize(
        ("operation", "scim_type"),
        [
            (op("remove", 'members[shoe eq "A"]'), "invalidFilter"),
            (op("remove", 'members[display eq "A"]'), "invalidFilter"),
            (op("remove", 'members[type eq "User"]'), "noTarget"),
            (op("remove", 'members[value ne "a"]'), "noTarget"),
            (op("replace", 'members[value eq "a"]', {"value": "b"}), "mutability"),
            (op("replace", 'members[value eq "a"].value', "b"), "mutability"),
            (op("replace", "members.value", "b"), "mutability"),
            (op("add", "members", [{"value": 7}]), "invalidValue"),
            (op("add", "members", [{}]), "invalidValue"),
            (op("add", "members", [{"value": "g", "type": "Group"}]), "invalidValue"),
            (op("replace", "members", None), "invalidValue"),
        ],
    )
    def test_refused(self, strict: bool, operation: Document, scim_type: str) -> None:
        with pytest.raises(SCIMError) as refused:
            group(operation, strict=strict)
        assert (refused.value.status, refused.value.scim_type) == (400, scim_type)


@pytest.mark.parametrize("strict", [False, True])
class TestRefused:
    @pytest.mark.parametrize(
        ("operation", "scim_type", "place"),
        [
            (op("move", "title", "x"), "invalidSyntax", "Operations[0].op"),
            (op("", "title", "x"), "invalidSyntax", "Operations[0].op"),
            ({"path": "title", "value": "x"}, "invalidSyntax", "Operations[0].op"),
            (op("add", "title"), "invalidValue", "Operations[0]"),
            (op("replace", "title"), "invalidValue", "Operations[0]"),
            (op("add", "title", None), "invalidValue", "Operations[0]"),
            (op("replace", "salary", 1), "invalidPath", "salary"),
            (op("replace", "name.salary", "x"), "invalidPath", "salary"),
            (op("replace", "title.x", "x"), "invalidPath", "'x'"),
            (op("replace", "urn:x:y:2.0:User:salary", "x"), "invalidPath", "urn:x:y:2.0:User"),
            (op("replace", "emails[", "x"), "invalidPath", "emails["),
            (op("replace", 'title[value eq "x"]', "x"), "invalidPath", "title"),
            (op("replace", 7, "x"), "invalidPath", "Operations[0].path"),  # type: ignore[arg-type]
            (op("replace", "x" * 3000, "x"), "invalidPath", "Operations[0]"),
            (op("replace", 'emails[salary eq "x"].value', "x"), "invalidFilter", "salary"),
            (op("replace", "emails[type gt true].value", "x"), "invalidFilter", "type"),
            (op("replace", "emails[primary gt true].value", "x"), "invalidFilter", "primary"),
            (op("replace", "emails[primary eq 7].value", "x"), "invalidFilter", "primary"),
            (op("replace", 'emails[type ne "work" and type ne "home"].value', "x"), "noTarget", ""),
            (op("remove", "userName"), "mutability", "userName"),
            (op("remove", "active"), "mutability", "active"),
            (op("replace", "userName", None), "invalidValue", "userName"),
            (op("replace", "id", "x"), "mutability", "id"),
            (op("replace", "meta.version", "x"), "mutability", "version"),
            (op("add", "groups", [{"value": "g"}]), "mutability", "groups"),
            (op("remove", "schemas"), "mutability", "schemas"),
            (op("remove", "urn:ietf:params:scim:schemas:core:2.0:User"), "mutability", ""),
            (op("replace", f"{STATE}:state", "active"), "mutability", "state"),
            (op("replace", "active", "perhaps"), "invalidValue", "active"),
            (op("replace", "title", ["a", "b"]), "invalidValue", "title"),
            (op("replace", "title", {"a": "b"}), "invalidValue", "title"),
            (op("replace", "name", "Ana"), "invalidValue", "name"),
            (op("replace", "emails", [{"value": 7.5, "primary": "x"}]), "invalidValue", "emails"),
            (op("replace", "emails", [{"value": "a@b c"}]), "invalidValue", "emails[0].value"),
            (op("replace", "x509Certificates", [{"value": "!"}]), "invalidValue", "base64"),
            (op("replace", "password", "secret"), "invalidPath", "password"),
            (op("replace", value="x"), "invalidValue", "Operations[0]"),
            (op("replace", value={"salary": "x"}), "invalidPath", "salary"),
            (op("replace", value={}), "invalidValue", "Operations[0]"),
        ],
    )
    def test_with_type_and_place(
        self, ana: Document, strict: bool, operation: Document, scim_type: str, place: str
    ) -> None:
        found = refusal(ana, op("replace", "title", "first"), operation, strict=strict)
        assert found[0] == scim_type
        assert "Operations[1]" in found[1]
        assert place.replace("[0]", "[1]", 1 if place.startswith("Op") else 0) in found[1]

    def test_a_body_of_another_shape(self, ana: Document, strict: bool) -> None:
        bodies: list[Any] = [None, [], "x", {}]
        operations: list[Any] = [[], {}, 1]
        for body in bodies + [{"Operations": one} for one in operations]:
            with pytest.raises(SCIMError) as refused:
                patched("User", ana, body, strict=strict)
            assert refused.value.scim_type == "invalidSyntax"
        with pytest.raises(SCIMError) as refused:
            patched("User", ana, {"schemas": [PATCH], "Operations": [7]}, strict=strict)
        assert refused.value.detail.startswith("Operations[0]")


class TestLimits:
    def test_ten_thousand_operations_are_taken_and_no_more(self, ana: Document) -> None:
        ten_thousand = [op("replace", "title", str(n)) for n in range(10_000)]
        assert user(ana, *ten_thousand)["title"] == "9999"
        with pytest.raises(SCIMError) as refused:
            user(ana, *ten_thousand, op("replace", "title", "x"))
        assert refused.value.status == 413

    def test_the_last_of_ten_thousand_undoes_all(self, ana: Document) -> None:
        ten_thousand = [op("replace", "title", str(n)) for n in range(9_999)]
        found = refusal(ana, *ten_thousand, op("replace", "nothing", "x"))
        assert found == ("invalidPath", "Operations[9999]: no attribute 'nothing'")

    def test_values_of_one_attribute(self, ana: Document) -> None:
        many = [{"value": str(n)} for n in range(1001)]
        assert refusal(ana, op("replace", "roles", many))[0] == "invalidValue"
        half = [op("add", "roles", many[:600]), op("add", "roles", many[600:])]
        assert refusal(ana, *half)[0] == "invalidValue"

    def test_length_of_a_text(self, ana: Document) -> None:
        assert refusal(ana, op("replace", "externalId", "x" * 256))[0] == "invalidValue"
        assert refusal(ana, op("replace", "userName", "x" * 513))[0] == "invalidValue"
        assert refusal(ana, op("replace", "profileUrl", "x" * 65_537))[0] == "invalidValue"

    def test_filters_of_a_request_together(self, ana: Document) -> None:
        long = 'emails[type eq "work" and ({})]'.format(" or ".join(['value eq "a"'] * 60))
        found = refusal(ana, *(op("remove", long) for _ in range(1_000)))
        assert found[0] == "invalidPath"
        simple = (op("remove", f'emails[value eq "{n}"]') for n in range(5_000))
        assert user(ana, *simple) == ana

    def test_nesting_of_a_filter(self, ana: Document) -> None:
        deep = "not (" * 40 + "primary pr" + ")" * 40
        assert refusal(ana, op("remove", f"emails[{deep}]"))[0] == "invalidPath"

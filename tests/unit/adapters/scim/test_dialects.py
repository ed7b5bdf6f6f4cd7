"""What identity providers send otherwise than RFC 7644 has it: requests of ours in their shapes."""

from __future__ import annotations

from typing import Any

import pytest

from domain.changes import ChangeEmail, ProvisionUser, PutGroup, SuspendUser, UpdateProfile
from worker.adapters.scim import asking, prepass, writing
from worker.adapters.scim.dialect import spoken_by
from worker.adapters.scim.errors import SCIMError
from worker.adapters.scim.patching import Patched, patched
from worker.adapters.scim.schemas import ENTERPRISE, GROUP, USER

Document = dict[str, Any]
PATCH = "urn:ietf:params:scim:api:messages:2.0:PatchOp"


def body(*operations: Document) -> Document:
    return {"schemas": [PATCH], "Operations": list(operations)}


def user(document: Document, *operations: Document) -> Document:
    return patched("User", document, body(*operations)).document


def group(*operations: Document) -> Patched:
    return patched("Group", {"displayName": "Tools"}, body(*operations))


def refused_strictly(document: Document, operation: Document) -> str:
    with pytest.raises(SCIMError) as refused:
        patched("User", document, body(operation), strict=True)
    return str(refused.value.scim_type)


class TestEntra:
    def test_operations_in_capitals(self, ana: Document) -> None:
        for word in ("Replace", "Add", "REPLACE"):
            told = {"op": word, "path": "title", "value": "Head"}
            assert user(ana, told)["title"] == "Head"
            assert refused_strictly(ana, told) == "invalidSyntax"
        assert "title" not in user(ana, {"op": "Remove", "path": "title"})

    @pytest.mark.parametrize("word", ["False", "false", "FALSE"])
    def test_active_as_a_text_suspends(self, ana: Document, word: str) -> None:
        told = {"op": "Replace", "path": "active", "value": word}
        after = user(ana, told)
        assert after["active"] is False
        assert asking.asked(ana, after, "u1") == (SuspendUser("u1"),)
        assert refused_strictly(ana, {**told, "op": "replace"}) == "invalidValue"

    def test_single_values_wrapped_in_a_list(self, ana: Document) -> None:
        for value in ([{"$ref": None, "value": "False"}], ["False"], {"value": False}):
            told = {"op": "Add", "path": "active", "value": value}
            assert user(ana, told)["active"] is False

    def test_remove_members_with_a_list_takes_only_these(self) -> None:
        told = {"op": "Remove", "path": "members", "value": [{"$ref": None, "value": "a"}]}
        after = group(told)
        assert (after.members_removed, after.members_replaced) == (("a",), None)

    def test_remove_members_with_nothing_in_the_list_never_empties_the_group(self) -> None:
        values: tuple[Any, ...] = ([], [{}], [{"value": None}], "")
        for value in values:
            with pytest.raises(SCIMError) as refused:
                group({"op": "Remove", "path": "members", "value": value})
            assert refused.value.scim_type == "invalidValue"

    def test_strict_reading_does_not_guess_what_a_remove_with_values_means(self) -> None:
        told = body({"op": "remove", "path": "members", "value": [{"value": "a"}]})
        with pytest.raises(SCIMError) as refused:
            patched("Group", {"displayName": "Tools"}, told, strict=True)
        assert refused.value.scim_type == "invalidValue"

    def test_remove_values_of_another_attribute(self, ana: Document) -> None:
        told = {"op": "Remove", "path": "emails", "value": [{"value": "ana@home.example"}]}
        assert user(ana, told)["emails"] == ana["emails"][:1]
        assert refused_strictly(ana, {**told, "op": "remove"}) == "invalidValue"

    def test_add_members_with_null_references(self) -> None:
        told = {"op": "Add", "path": "members", "value": [{"$ref": None, "value": "a"}]}
        assert group(told).members_added == ("a",)

    def test_work_address_where_none_is(self, ana: Document) -> None:
        del ana["emails"]
        told = {"op": "Add", "path": 'emails[type eq "work"].value', "value": "a@example.com"}
        assert user(ana, told)["emails"] == [{"type": "work", "value": "a@example.com"}]
        assert refused_strictly(ana, {**told, "op": "replace"}) == "noTarget"

    def test_a_type_that_nobody_knows_is_added_and_not_replaced(self, ana: Document) -> None:
        """RFC 7644, 3.5.2.3: what there is nothing of is not replaced; Entra knows types."""
        told = {
            "op": "replace",
            "path": 'emails[type eq "elsewhere"].value',
            "value": "a@b.example",
        }
        with pytest.raises(SCIMError) as refused:
            user(ana, told)
        assert refused.value.scim_type == "noTarget"
        after = user(ana, {**told, "op": "add"})["emails"]
        assert after[-1] == {"type": "elsewhere", "value": "a@b.example"}
        path = 'emails[type eq "Other"].value'
        after = user(ana, {**told, "path": path})["emails"]
        assert after[-1] == {"type": "Other", "value": "a@b.example"}

    def test_what_a_filter_describes_with_several_terms(self, ana: Document) -> None:
        path = 'phoneNumbers[type eq "mobile" and primary eq "True"].value'
        after = user(ana, {"op": "Replace", "path": path, "value": "+351 1"})
        assert after["phoneNumbers"] == [{"type": "mobile", "primary": True, "value": "+351 1"}]

    def test_role_by_primary_as_a_text(self, ana: Document) -> None:
        told = {"op": "Add", "path": 'roles[primary eq "True"].value', "value": "admin"}
        assert user(ana, told)["roles"] == [{"primary": True, "value": "admin"}]

    def test_a_value_that_contradicts_its_filter_is_refused(self, ana: Document) -> None:
        told = {"op": "Add", "path": 'ims[type eq "xmpp"].type', "value": "skype"}
        with pytest.raises(SCIMError) as refused:
            user(ana, told)
        assert refused.value.scim_type == "invalidValue"

    def test_dotted_and_qualified_keys_without_a_path(self, ana: Document) -> None:
        value = {
            "displayName": "Anna",
            "name.givenName": "Anna",
            f"{ENTERPRISE}:employeeNumber": "7",
            'emails[type eq "work"].value': "anna@example.com",
        }
        after = user(ana, {"op": "replace", "value": value})
        assert (after["displayName"], after["name"]["givenName"]) == ("Anna", "Anna")
        assert after[ENTERPRISE]["employeeNumber"] == "7"
        assert after["emails"][0]["value"] == "anna@example.com"

    def test_manager_as_a_bare_id(self, ana: Document) -> None:
        told = {"op": "Add", "path": f"{ENTERPRISE}:manager", "value": "m2"}
        assert user(ana, told)[ENTERPRISE]["manager"] == {"value": "m2"}
        created = writing.created("User", {"userName": "a@b.example", ENTERPRISE: {"manager": "m"}})
        assert created[ENTERPRISE] == {"manager": {"value": "m"}}
        assert refused_strictly(ana, {**told, "op": "add"}) == "invalidValue"

    def test_an_empty_text_clears(self, ana: Document) -> None:
        told = {"op": "Replace", "path": f"{ENTERPRISE}:manager", "value": ""}
        assert "manager" not in user(ana, told)[ENTERPRISE]
        assert "title" not in user(ana, {"op": "Replace", "path": "title", "value": ""})

    def test_a_number_as_a_text(self, ana: Document) -> None:
        told = {"op": "Add", "path": f"{ENTERPRISE}:employeeNumber", "value": 701984}
        assert user(ana, told)[ENTERPRISE]["employeeNumber"] == "701984"
        assert refused_strictly(ana, {**told, "op": "add"}) == "invalidValue"

    def test_unknown_members_of_operations(self, ana: Document) -> None:
        told = {"name": "rename", "op": "Replace", "path": "title", "value": "Head"}
        assert user(ana, told)["title"] == "Head"
        assert refused_strictly(ana, {**told, "op": "replace"}) == "invalidSyntax"

    def test_create_announces_schemas_that_it_does_not_use(self) -> None:
        person = {"schemas": [USER, ENTERPRISE], "userName": "a@b.example", "roles": []}
        assert writing.created("User", person) == {"userName": "a@b.example", "active": True}
        microsoft = "http://schemas.microsoft.com/2006/11/ResourceManagement/ADSCIM/2.0/Group"
        tools = {"schemas": [GROUP, microsoft], "displayName": "Tools", "externalId": "g1"}
        assert writing.created("Group", tools) == {"displayName": "Tools", "externalId": "g1"}
        with pytest.raises(SCIMError) as refused:
            writing.created("Group", tools, strict=True)
        assert refused.value.scim_type == "invalidSyntax"

    def test_names_and_schemas_in_other_letters(self) -> None:
        told = {
            "username": "a@b.example",
            "Emails": [{"Primary": True, "Type": "work", "Value": "a@b.example"}],
            ENTERPRISE.lower(): {"Department": "Tools", "Manager": {"Value": "m1"}},
        }
        assert writing.created("User", told) == {
            "userName": "a@b.example",
            "emails": [{"primary": True, "type": "work", "value": "a@b.example"}],
            ENTERPRISE: {"department": "Tools", "manager": {"value": "m1"}},
            "active": True,
        }

    def test_user_name_in_other_case_is_no_other_address(self, ana: Document) -> None:
        after = user(ana, {"op": "Replace", "path": "userName", "value": "Ana@Example.com"})
        found = asking.asked(ana, after, "u1")
        assert not any(isinstance(one, ChangeEmail) for one in found)
        assert found == (UpdateProfile("u1", {"userName": "Ana@Example.com"}),)

    def test_user_name_changes_the_address(self, ana: Document) -> None:
        after = user(ana, {"op": "Replace", "path": "userName", "value": "anna@example.com"})
        assert ChangeEmail("u1", "anna@example.com") in asking.asked(ana, after, "u1")


class TestOkta:
    CREATE: Document = {  # noqa: RUF012
        "schemas": [USER],
        "userName": "ana@corp.local",
        "name": {"givenName": "Ana", "familyName": "Silva"},
        "emails": [{"primary": True, "value": "ana@corp.local", "type": "work"}],
        "displayName": "Ana Silva",
        "locale": "en-US",
        "externalId": "00u1",
        "groups": [],
        "password": "throw-away",
        "active": True,
    }

    def test_create_with_a_password_that_nobody_keeps(self) -> None:
        cut = prepass.without_passwords(self.CREATE)
        assert "throw-away" not in str(cut)
        document = writing.created("User", cut)
        assert "throw-away" not in str(writing.created("User", self.CREATE))
        assert asking.asked(None, document, "00u1") == (
            ProvisionUser("00u1", "ana@corp.local", asking.profile(document), True, "member"),
        )

    def test_put_without_active_does_not_suspend_nor_bring_back(self) -> None:
        for active in (True, False):
            before = {**writing.created("User", self.CREATE), "active": active}
            told = {k: v for k, v in self.CREATE.items() if k not in {"active", "externalId"}}
            after = writing.replaced("User", before, {**told, "displayName": "Anna"})
            assert (after["active"], after["externalId"]) == (active, "00u1")
            assert asking.asked(before, after, "00u1") == (
                UpdateProfile("00u1", {"display_name": "Anna"}),
            )

    def test_put_with_active_false_suspends(self) -> None:
        before = writing.created("User", self.CREATE)
        after = writing.replaced("User", before, {**self.CREATE, "active": False})
        assert asking.asked(before, after, "00u1") == (SuspendUser("00u1"),)

    def test_deactivation_without_a_path(self, ana: Document) -> None:
        after = user(ana, {"op": "replace", "value": {"active": False}})
        assert asking.asked(ana, after, "u1") == (SuspendUser("u1"),)

    def test_rename_sent_along_with_a_membership_change(self) -> None:
        rename = {"op": "replace", "value": {"id": "abc", "displayName": "Tools"}}
        add = {"op": "add", "path": "members", "value": [{"value": "a", "display": "Ana"}]}
        after = group(rename, add)
        assert after.members_added == ("a",)
        assert asking.asked({"displayName": "Tools"}, after.document, "g") == ()
        after = group({"op": "replace", "value": {"id": "abc", "displayName": "Makers"}})
        assert asking.asked({"displayName": "Tools"}, after.document, "g") == (
            PutGroup("g", "Makers"),
        )

    def test_the_id_alone_writes_nothing_and_says_so(self) -> None:
        with pytest.raises(SCIMError) as refused:
            group({"op": "replace", "value": {"id": "abc"}})
        assert refused.value.scim_type == "invalidValue"

    def test_members_of_a_put(self) -> None:
        told = {"schemas": [GROUP], "displayName": "Tools", "members": [{"value": "a"}]}
        assert writing.told_members(told) == ("a",)
        assert writing.told_members({**told, "members": []}) == ()
        assert writing.told_members({"displayName": "Tools"}) is None
        assert writing.told_members({**told, "members": None}) is None


def test_a_misspelt_attribute_of_a_put_is_passed_over(ana: Document) -> None:
    told = {"userName": "ana@example.com", "adreses": [{"country": "PT"}]}
    assert "adreses" not in writing.replaced("User", ana, told)
    with pytest.raises(SCIMError) as refused:
        writing.replaced("User", ana, {"schemas": [USER], **told}, strict=True)
    assert (refused.value.scim_type, "adreses" in refused.value.detail) == ("invalidSyntax", True)


def test_authentik_sends_the_whole_group_without_a_path() -> None:
    value = {"schemas": [GROUP], "id": "abc", "externalId": "g1", "displayName": "Makers"}
    after = group({"op": "replace", "value": value})
    assert after.document == {"displayName": "Makers", "externalId": "g1"}
    ids = [{"op": "remove", "path": "members", "value": [{"value": one}]} for one in "ab"]
    assert group(*ids).members_removed == ("a", "b")


def test_members_as_bare_ids_and_operations_in_small_letters() -> None:
    told = {"operations": [{"op": "replace", "path": "members", "value": ["a", "b"]}]}
    assert patched("Group", {"displayName": "Tools"}, told).members_replaced == ("a", "b")


@pytest.mark.parametrize(
    ("agent", "told", "who"),
    [
        ("Okta SCIM Client 1.0.0", None, "okta"),
        ("goauthentik.io/2026.2", None, "authentik"),
        ("OneLogin", None, "onelogin"),
        (None, body({"op": "Replace", "path": "title", "value": "x"}), "entra"),
        ("", {"schemas": ["http://schemas.microsoft.com/2006/11/x/Group"]}, "entra"),
        (None, body({"op": "replace", "path": "title", "value": "x"}), None),
        ("curl/8", None, None),
        (None, [], None),
        (None, {"schemas": 1, "Operations": [1, {"op": ["Add"]}]}, None),
    ],
)
def test_who_speaks(agent: str | None, told: object, who: str | None) -> None:
    assert spoken_by(agent, told) == who

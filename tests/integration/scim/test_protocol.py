"""HTTP as RFC 9110 has it, under SCIM: methods, media types, places, preferences, pages."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote

import pytest

from tests.harness import Rosterd
from tests.scim import GROUP, MEDIA_TYPE, PATCH, USER, Provider, is_error, provider

ENTERPRISE = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"
ERROR = "urn:ietf:params:scim:api:messages:2.0:Error"


@pytest.fixture
def idp(rosterd: Rosterd) -> Provider:
    return provider(rosterd)


class TestMethods:
    @pytest.mark.parametrize(
        ("method", "path", "allow"),
        [
            ("OPTIONS", "/Users", "GET, HEAD, POST"),
            ("DELETE", "/Users", "GET, HEAD, POST"),
            ("PUT", "/Groups", "GET, HEAD, POST"),
            ("POST", "/Users/x", "GET, HEAD, PUT, PATCH, DELETE"),
            ("TRACE", "/Groups/x", "GET, HEAD, PUT, PATCH, DELETE"),
            ("POST", "/Schemas", "GET, HEAD"),
            ("PATCH", "/ServiceProviderConfig", "GET, HEAD"),
            ("DELETE", "/ResourceTypes/User", "GET, HEAD"),
            ("GET", "/Bulk", "POST"),
            ("GET", "/Users/.search", "POST"),
            ("GET", "/.search", "POST"),
            ("POST", "/", "GET, HEAD"),
        ],
    )
    def test_405_says_what_is_taken(
        self, idp: Provider, method: str, path: str, allow: str
    ) -> None:
        told = idp.ask(method, path, {} if method in ("POST", "PUT", "PATCH") else None)
        is_error(told, 405)
        assert told.headers["allow"] == allow

    def test_head_is_get_without_a_body(self, idp: Provider) -> None:
        ana = idp.hire("ana")
        idp.group("Crew", ana["id"])
        for path in ("/Users", f"/Users/{ana['id']}", "/Groups?count=1", "/Schemas", "/"):
            got, head = idp.ask("GET", path), idp.ask("HEAD", path)
            assert (head.status_code, head.content) == (200, b"")
            for name in ("content-type", "content-length", "etag", "location"):
                assert head.headers.get(name) == got.headers.get(name)
        assert idp.ask("HEAD", "/Users/nobody").status_code == 404
        assert idp.rosterd.http.head("/scim/v2/openapi.json").status_code == 200

    def test_who_may_read_may_ask_head_and_nothing_else(self, idp: Provider) -> None:
        account, (feed,) = idp.rosterd.account_id, idp.rosterd.json("feed", "list", "scim")
        with idp.rosterd.setup() as use:
            token = use.add_token(account, name="r", scopes=("scim:read",), feed=feed["id"])
        reader = Provider(idp.rosterd, token)
        assert reader.ask("HEAD", "/Users").status_code == 200
        is_error(reader.ask("DELETE", "/Users/x"), 403)

    def test_an_empty_answer_has_no_length(self, idp: Provider) -> None:
        """RFC 9110, 8.6: none with 204."""
        ana = idp.hire("ana")
        gone = idp.ask("DELETE", f"/Users/{ana['id']}")
        assert gone.status_code == 204
        assert "content-length" not in gone.headers
        assert "content-type" not in gone.headers


class TestMediaTypes:
    @pytest.mark.parametrize(
        "given",
        [
            "application/scim+json",
            "application/json",
            "application/scim+json; charset=utf-8",
            "application/scim+json;charset=UTF-8",
            "Application/SCIM+JSON",
            'application/json; charset="utf-8"',
            "application/vnd.example+json",
        ],
    )
    def test_json_by_any_name_is_taken(self, idp: Provider, given: str) -> None:
        told = idp.ask("POST", "/Users", {"userName": "ana@example.com"}, Content_Type=given)
        assert told.status_code == 201
        assert told.headers["content-type"] == MEDIA_TYPE

    @pytest.mark.parametrize("given", ["text/plain", "application/xml", "json", "multipart/a"])
    def test_anything_else_is_415(self, idp: Provider, given: str) -> None:
        told = idp.ask("POST", "/Users", {"userName": "ana@example.com"}, Content_Type=given)
        is_error(told, 415)
        assert idp.rosterd.events() == []

    @pytest.mark.parametrize("given", ["application/json", "*/*", "text/html", "application/xml"])
    def test_what_is_accepted_does_not_keep_anybody_out(self, idp: Provider, given: str) -> None:
        """RFC 9110, 12.5.1: the server may disregard it; some clients send what they browse by."""
        told = idp.ask("GET", "/Users", Accept=given)
        assert (told.status_code, told.headers["content-type"]) == (200, MEDIA_TYPE)

    def test_other_encodings_are_400_and_a_mark_is_not(self, idp: Provider) -> None:
        """RFC 8259, 8.1: UTF-8."""
        body = json.dumps({"userName": "zoë@example.com", "title": "Köchin"}, ensure_ascii=False)
        for encoding in ("latin-1", "utf-16"):
            told = raw(idp, "POST", "/Users", body.encode(encoding))
            is_error(told, 400, "invalidSyntax")
        assert idp.rosterd.events() == []

    def test_no_body_is_said_to_be_missing(self, idp: Provider) -> None:
        ana = idp.hire("ana")
        for method, path in (
            ("POST", "/Users"),
            ("PUT", f"/Users/{ana['id']}"),
            ("PATCH", f"/Users/{ana['id']}"),
            ("POST", "/Bulk"),
            ("POST", "/Users/.search"),
        ):
            is_error(raw(idp, method, path, b""), 400, "invalidSyntax")


def raw(idp: Provider, method: str, path: str, body: bytes, **headers: str) -> Any:
    sent = {"Authorization": f"Bearer {idp.token}", "Content-Type": MEDIA_TYPE, **headers}
    return idp.rosterd.http.request(method, idp.base + path, content=body, headers=sent)


class TestPlaces:
    def test_letter_case_and_final_slashes_do_not_matter(self, idp: Provider) -> None:
        ana = idp.hire("ana")
        for path in ("/users", "/USERS/", "/Users/", "//Users", f"/users/{ana['id']}/"):
            assert idp.ask("GET", path).status_code == 200, path
        assert idp.told("POST", "/groups/", {"displayName": "Crew"}, status=201)["id"]
        assert idp.told("GET", "/serviceproviderconfig/")["patch"]["supported"] is True

    def test_ids_are_found_as_they_are_written(self, idp: Provider) -> None:
        """RFC 3986: a letter and its percent-encoding are the same; ids are case-exact."""
        ana = idp.hire("ana")
        encoded = "".join(f"%{ord(letter):02x}" for letter in ana["id"])
        assert idp.get(encoded)["id"] == ana["id"]
        if ana["id"].upper() != ana["id"]:
            idp.get(ana["id"].upper(), status=404)

    @pytest.mark.parametrize(
        "id_", ["%00", "%ff%fe", "%2e%2e", "a%2Fb", "%F0%9F%90%B6", "x" * 4_000, "%", "%zz"]
    )
    def test_an_odd_id_is_404(self, idp: Provider, id_: str) -> None:
        for method in ("GET", "DELETE"):
            is_error(idp.ask(method, f"/Users/{id_}"), 404)
        body = {
            "schemas": [PATCH],
            "Operations": [{"op": "replace", "path": "title", "value": "x"}],
        }
        is_error(idp.ask("PATCH", f"/Users/{id_}", body), 404)

    def test_an_id_of_the_other_kind_is_404(self, idp: Provider) -> None:
        ana, crew = idp.hire("ana"), idp.group("Crew")
        idp.get(crew["id"], status=404)
        idp.get(ana["id"], kind="Groups", status=404)
        idp.told("DELETE", f"/Groups/{ana['id']}", status=404)
        idp.told("PUT", f"/Users/{crew['id']}", {"userName": "x@example.com"}, status=404)

    def test_where_a_resource_is_is_said_with_each_answer(self, idp: Provider) -> None:
        """RFC 7644, 3.1 and its examples."""
        made = idp.ask("POST", "/Users", {"userName": "ana@example.com"})
        place = made.json()["meta"]["location"]
        path = f"/Users/{made.json()['id']}"
        part = {"op": "replace", "path": "title", "value": "Cook"}
        for told in (
            made,
            idp.ask("GET", path),
            idp.ask("PUT", path, {"userName": "ana@example.com"}),
            idp.ask("PATCH", path, {"schemas": [PATCH], "Operations": [part]}),
        ):
            assert told.headers["location"] == told.json()["meta"]["location"] == place
            assert told.headers["etag"] == told.json()["meta"]["version"]


class TestPages:
    @pytest.fixture
    def three(self, idp: Provider) -> Provider:
        for name in ("ana", "bob", "cy"):
            idp.hire(name)
        return idp

    @pytest.mark.parametrize(
        ("asked", "shown", "start"),
        [
            ("startIndex=0", 3, 1),
            ("startIndex=-1", 3, 1),
            ("startIndex=2", 2, 2),
            ("startIndex=4", 0, 4),
            ("startIndex=1000000000000000000000", 0, None),
            ("count=0", 0, 1),
            ("count=-5", 0, 1),
            ("count=1", 1, 1),
            ("count=1000000000000000000000", 3, 1),
            ("startindex=2&COUNT=1", 1, 2),
            ("startIndex=&count=", 3, 1),
        ],
    )
    def test_numbers_beyond_the_ends(
        self, three: Provider, asked: str, shown: int, start: int | None
    ) -> None:
        """RFC 7644, 3.4.2.4: what is below the least value is taken for it."""
        told = three.told("GET", f"/Users?{asked}")
        assert (told["totalResults"], len(told["Resources"])) == (3, shown)
        assert told["itemsPerPage"] == shown
        if start is not None:
            assert told["startIndex"] == start

    @pytest.mark.parametrize("asked", ["startIndex=one", "count=1.5", "count=true"])
    def test_what_is_no_number_is_400(self, three: Provider, asked: str) -> None:
        is_error(three.ask("GET", f"/Users?{asked}"), 400, "invalidValue")

    @pytest.mark.parametrize(
        ("asked", "scim_type"),
        [
            ("sortBy=shoeSize", "invalidPath"),
            ("sortBy=name.shoeSize", "invalidPath"),
            ("sortBy=userName&sortOrder=sideways", "invalidValue"),
            ("sortBy=userName eq 1", "invalidPath"),
            ("filter=", "invalidFilter"),
            ("filter=shoeSize eq 9", "invalidFilter"),
            ("filter=userName xx 9", "invalidFilter"),
            ("filter=userName", "invalidFilter"),
            ("filter=(userName pr", "invalidFilter"),
            ("filter=active gt true", "invalidFilter"),
            ('filter=meta.created gt "yesterday"', "invalidFilter"),
        ],
    )
    def test_what_is_not_understood_is_400(
        self, three: Provider, asked: str, scim_type: str
    ) -> None:
        is_error(three.ask("GET", f"/Users?{quote(asked, safe='=&')}"), 400, scim_type)


class TestAttributes:
    @pytest.fixture
    def ana(self, idp: Provider) -> Any:
        more: dict[str, Any] = {ENTERPRISE: {"department": "Bar", "employeeNumber": "7"}}
        name = {"givenName": "Ana", "familyName": "Silva"}
        emails = [{"value": "ana@home.example", "type": "home"}]
        return idp.hire("ana", name=name, emails=emails, title="Cook", **more)

    @pytest.mark.parametrize(
        ("asked", "shown"),
        [
            ("userName", {"userName": "ana@example.com"}),
            ("USERNAME", {"userName": "ana@example.com"}),
            (f"{USER}:userName", {"userName": "ana@example.com"}),
            ("name.familyName", {"name": {"familyName": "Silva"}}),
            (f"{USER}:name.familyName", {"name": {"familyName": "Silva"}}),
            ("name", {"name": {"givenName": "Ana", "familyName": "Silva"}}),
            ("name,name.familyName", {"name": {"givenName": "Ana", "familyName": "Silva"}}),
            ("emails.value", {"emails": [{"value": "ana@home.example"}]}),
            (f"{ENTERPRISE}:department", {ENTERPRISE: {"department": "Bar"}}),
            (ENTERPRISE, {ENTERPRISE: {"department": "Bar", "employeeNumber": "7"}}),
            ("id", {}),
            ("nothing", {}),
            ("nothing, title ,", {"title": "Cook"}),
        ],
    )
    def test_only_what_is_asked_for(
        self, idp: Provider, ana: Any, asked: str, shown: dict[str, Any]
    ) -> None:
        """RFC 7644, 3.9 and 3.10; id and schemas are always there."""
        told = idp.told("GET", f"/Users/{ana['id']}?attributes={quote(asked)}")
        assert told.pop("id") == ana["id"]
        assert told.pop("schemas") == ana["schemas"]
        assert told == shown

    @pytest.mark.parametrize(
        ("asked", "gone"),
        [
            ("userName", "userName"),
            (f"{USER}:title", "title"),
            (ENTERPRISE, ENTERPRISE),
            ("meta", "meta"),
            ("name.familyName", None),
            ("id,schemas", None),
        ],
    )
    def test_all_but_what_is_not_wanted(
        self, idp: Provider, ana: Any, asked: str, gone: str | None
    ) -> None:
        told = idp.told("GET", f"/Users/{ana['id']}?excludedAttributes={quote(asked)}")
        whole = idp.get(ana["id"])
        assert set(whole) - set(told) == ({gone} if gone else set())
        if asked == "name.familyName":
            assert told["name"] == {"givenName": "Ana"}

    def test_both_at_once_are_400(self, idp: Provider, ana: Any) -> None:
        asked = "attributes=title&excludedAttributes=name"
        is_error(idp.ask("GET", f"/Users/{ana['id']}?{asked}"), 400, "invalidValue")

    def test_they_hold_for_answers_to_writes(self, idp: Provider) -> None:
        """RFC 7644, 3.9."""
        body = {"userName": "bob@example.com", "title": "Cook"}
        bob = idp.told("POST", "/Users?attributes=title", body, status=201)
        assert (bob["title"], "userName" in bob, "meta" in bob) == ("Cook", False, False)
        part = {"op": "replace", "path": "title", "value": "Chef"}
        path = f"/Users/{bob['id']}?excludedAttributes=title"
        told = idp.told("PATCH", path, {"schemas": [PATCH], "Operations": [part]})
        assert ("title" in told, told["userName"]) == (False, "bob@example.com")


class TestPreconditions:
    def test_any_version_or_weak_or_strong(self, idp: Provider) -> None:
        ana = idp.hire("ana")
        path = f"/Users/{ana['id']}"
        body = {"userName": "ana@example.com"}
        for number, form in enumerate(("*", "{}", "{strong}", '"x", {}')):
            version = idp.get(ana["id"])["meta"]["version"]
            told = form.format(version, strong=version.removeprefix("W/"))
            done = idp.ask("PUT", path, {**body, "title": f"t{number}"}, If_Match=told)
            assert done.status_code == 200, told
            assert done.headers["etag"] != version
        for stale in ('W/"0"', '"nonsense"', "nonsense", '""', ""):
            is_error(idp.ask("PUT", path, body, If_Match=stale), 412)
            is_error(idp.ask("DELETE", path, If_Match=stale), 412)
        assert idp.get(ana["id"])["active"] is True
        assert idp.ask("DELETE", path, If_Match="*").status_code == 204
        is_error(idp.ask("DELETE", path, If_Match="*"), 404)

    def test_what_is_known_is_304(self, idp: Provider) -> None:
        ana = idp.hire("ana")
        path, version = f"/Users/{ana['id']}", ana["meta"]["version"]
        for told in ("*", version, version.removeprefix("W/"), f'"x", {version}'):
            known = idp.ask("GET", path, If_None_Match=told)
            assert (known.status_code, known.content) == (304, b"")
            assert known.headers["etag"] == version
        for told in ('"x"', "x", ""):
            assert idp.ask("GET", path, If_None_Match=told).status_code == 200


class TestPrefer:
    @pytest.mark.parametrize("told", ["return=minimal", "wait=10", "handling=lenient", "", "x;y=z"])
    def test_what_is_not_known_is_passed_over(self, idp: Provider, told: str) -> None:
        """RFC 7240, 2."""
        made = idp.ask("POST", "/Users", {"userName": "ana@example.com"}, Prefer=told)
        assert made.status_code == 201
        assert "preference-applied" not in made.headers

    @pytest.mark.parametrize("told", ["respond-async", "wait=10, respond-async", "Respond-Async"])
    def test_an_answer_later(self, idp: Provider, told: str) -> None:
        asked = idp.ask("POST", "/Users", {"userName": "ana@example.com"}, Prefer=told)
        assert (asked.status_code, asked.headers["preference-applied"]) == (202, "respond-async")
        assert idp.ask("GET", "/Users", Prefer=told).status_code == 200


def patched(idp: Provider, id_: str, *operations: dict[str, Any], status: int = 200) -> Any:
    return idp.patch(id_, *operations, status=status)


class TestPatch:
    def test_add_to_a_single_value_that_is_there_replaces_it(self, idp: Provider) -> None:
        """RFC 7644, 3.5.2.1."""
        ana = idp.hire("ana", title="Cook", name={"givenName": "Ana", "familyName": "Silva"})
        after = patched(
            idp,
            ana["id"],
            {"op": "add", "path": "title", "value": "Chef"},
            {"op": "add", "path": "name", "value": {"givenName": "Anna"}},
            {"op": "add", "value": {"nickName": "A", "name": {"honorificPrefix": "Dr"}}},
        )
        assert (after["title"], after["nickName"]) == ("Chef", "A")
        assert after["name"] == {
            "givenName": "Anna",
            "familyName": "Silva",
            "honorificPrefix": "Dr",
        }

    def test_the_same_once_more_changes_nothing(self, idp: Provider, rosterd: Rosterd) -> None:
        """RFC 7644, 3.5.2.1: what is there already is no change, and no new version."""
        ana = idp.hire("ana", title="Cook", emails=[{"value": "a@home.example", "type": "home"}])
        before, events = idp.get(ana["id"]), len(rosterd.events())
        after = patched(
            idp,
            ana["id"],
            {"op": "add", "path": "title", "value": "Cook"},
            {"op": "add", "path": "emails", "value": before["emails"]},
        )
        assert after["meta"] == before["meta"]
        assert len(rosterd.events()) in (events, events + 1)

    @pytest.mark.parametrize(
        ("operation", "scim_type"),
        [
            ({"op": "remove"}, "noTarget"),
            ({"op": "remove", "path": "userName"}, "mutability"),
            ({"op": "remove", "path": "id"}, "mutability"),
            ({"op": "replace", "path": "id", "value": "x"}, "mutability"),
            ({"op": "replace", "path": "groups", "value": []}, "mutability"),
            ({"op": "replace", "path": "meta.created", "value": "x"}, "mutability"),
            ({"op": "move", "path": "title", "value": "x"}, "invalidSyntax"),
            ({"op": "add", "path": "title"}, "invalidValue"),
            ({"op": "add"}, "invalidValue"),
            ({"op": "add", "value": "x"}, "invalidValue"),
            ({"op": "add", "value": []}, "invalidValue"),
            ({"op": "add", "path": 7, "value": "x"}, "invalidPath"),
            ({"op": "add", "path": "shoeSize", "value": 9}, "invalidPath"),
            ({"op": "add", "path": "name.shoeSize", "value": 9}, "invalidPath"),
            ({"op": "add", "path": "title[", "value": "x"}, "invalidPath"),
            ({"op": "add", "path": "emails[shoe eq 1].value", "value": "x"}, "invalidFilter"),
            ({"op": "add", "path": "urn:x:title", "value": "x"}, "invalidPath"),
            ({"op": "replace", "path": "active", "value": "perhaps"}, "invalidValue"),
            ({"op": "replace", "path": "emails[type eq 7].value", "value": "a"}, "noTarget"),
        ],
    )
    def test_what_cannot_be_done_is_400_with_the_place(
        self, idp: Provider, operation: dict[str, Any], scim_type: str
    ) -> None:
        ana = idp.hire("ana", title="Cook")
        good = {"op": "replace", "path": "title", "value": "Chef"}
        body = {"schemas": [PATCH], "Operations": [good, operation]}
        told = is_error(idp.ask("PATCH", f"/Users/{ana['id']}", body), 400, scim_type)
        assert told["detail"].startswith("Operations[1]")
        assert idp.get(ana["id"])["title"] == "Cook"

    def test_a_filter_that_matches_nothing_is_no_target_by_the_letter(
        self, rosterd: Rosterd
    ) -> None:
        """RFC 7644, 3.5.2.3; a remove of nothing leaves it so (3.5.2.2)."""
        idp = provider(rosterd, scim_strict="on")
        body = {"schemas": [USER], "userName": "ana@example.com"}
        ana = idp.told("POST", "/Users", body, status=201)
        path = 'emails[type eq "work"].value'
        told = patched(idp, ana["id"], {"op": "replace", "path": path, "value": "x"}, status=400)
        assert told["scimType"] == "noTarget"
        assert patched(idp, ana["id"], {"op": "remove", "path": path})["id"] == ana["id"]
        idp.told("DELETE", f"/Users/{ana['id']}", status=204)


class TestNesting:
    @pytest.mark.parametrize("depth", [65, 1_000, 100_000])
    def test_deep_bodies_are_400(self, idp: Provider, depth: int) -> None:
        ana = idp.hire("ana")
        before = len(idp.rosterd.events())
        for opening, closing in (("[", "]"), ('{"a":', "}")):
            inner = opening * depth + "1" + closing * depth
            for method, path, body in (
                ("POST", "/Users", f'{{"userName": "b@example.com", "emails": {inner}}}'),
                ("PUT", f"/Users/{ana['id']}", inner),
                ("PATCH", f"/Users/{ana['id']}", f'{{"Operations": {inner}}}'),
                ("POST", "/Bulk", f'{{"Operations": {inner}}}'),
                ("POST", "/.search", inner),
            ):
                is_error(raw(idp, method, path, body.encode()), 400, "invalidSyntax")
        assert len(idp.rosterd.events()) == before

    def test_a_filter_of_ten_thousand_terms_is_400(self, idp: Provider) -> None:
        idp.hire("ana")
        terms = " or ".join(f'userName eq "u{number}"' for number in range(10_000))
        search = {"schemas": ["urn:ietf:params:scim:api:messages:2.0:SearchRequest"]}
        told = idp.ask("POST", "/Users/.search", {**search, "filter": terms})
        is_error(told, 400, "invalidFilter")
        deep = "(" * 3_000 + "active eq true" + ")" * 3_000
        assert idp.ask("POST", "/Users/.search", {**search, "filter": deep}).status_code < 500
        path = {"op": "remove", "path": f"emails[{terms}]"}
        body = {"schemas": [PATCH], "Operations": [path]}
        (ana,) = idp.told("GET", "/Users")["Resources"]
        is_error(idp.ask("PATCH", f"/Users/{ana['id']}", body), 400, "invalidPath")

    def test_ten_thousand_operations_are_all_or_nothing(self, idp: Provider) -> None:
        ana = idp.hire("ana", title="Cook")
        many = [{"op": "replace", "path": "title", "value": f"t{n}"} for n in range(10_000)]
        assert idp.patch(ana["id"], *many)["title"] == "t9999"
        idp.patch(ana["id"], *many[:-1], {"op": "remove", "path": "userName"}, status=400)
        assert idp.get(ana["id"])["title"] == "t9999"
        assert idp.patch(ana["id"], *many, many[0], status=413)


class TestBulk:
    def told(self, idp: Provider, *operations: dict[str, Any], **more: Any) -> Any:
        body = {"schemas": ["urn:ietf:params:scim:api:messages:2.0:BulkRequest"], **more}
        return idp.told("POST", "/Bulk", {**body, "Operations": list(operations)})["Operations"]

    def test_a_circle_is_409_and_nothing_of_it_is_done(self, idp: Provider) -> None:
        """RFC 7644, 3.7.1: a circle that cannot be resolved."""
        first, second = (
            {
                "method": "POST",
                "path": "/Groups",
                "bulkId": mine,
                "data": {"displayName": mine, "members": [{"value": f"bulkId:{theirs}"}]},
            }
            for mine, theirs in (("a", "b"), ("b", "a"))
        )
        done = self.told(idp, first, second)
        assert {one["status"] for one in done} <= {"409", "400"}
        assert idp.told("GET", "/Groups")["totalResults"] == 0

    def test_after_so_many_errors_nothing_is_begun(self, idp: Provider) -> None:
        wrong = {"method": "POST", "path": "/Users", "bulkId": "w", "data": {}}
        right = {
            "method": "POST",
            "path": "/Users",
            "bulkId": "r",
            "data": {"schemas": [USER], "userName": "ana@example.com"},
        }
        done = self.told(idp, wrong, right, failOnErrors=1)
        assert [one["status"] for one in done] == ["400"]
        assert done[0]["response"]["schemas"] == [ERROR]
        assert idp.told("GET", "/Users")["totalResults"] == 0
        done = self.told(idp, wrong, right, failOnErrors=2)
        assert [one["status"] for one in done] == ["400", "201"]

    def test_an_unknown_reference_is_refused(self, idp: Provider) -> None:
        group = {"schemas": [GROUP], "displayName": "Crew", "members": [{"value": "bulkId:no"}]}
        (done,) = self.told(
            idp, {"method": "POST", "path": "/Groups", "bulkId": "g", "data": group}
        )
        assert done["status"] in ("400", "409")
        assert idp.told("GET", "/Groups")["totalResults"] == 0

    @pytest.mark.parametrize("told", [0, -1, "1", 1.5, True])
    def test_a_number_of_errors_that_is_none(self, idp: Provider, told: Any) -> None:
        right = {"method": "DELETE", "path": "/Users/x"}
        body = {"failOnErrors": told, "Operations": [right]}
        is_error(idp.ask("POST", "/Bulk", body), 400, "invalidValue")

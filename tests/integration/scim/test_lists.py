"""Lists, searches and pages over HTTP (RFC 7644 3.4.2, 3.4.3, 3.9; RFC 9865)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import quote

import pytest

from domain.ports import InfrastructureError
from tests.harness import Rosterd
from tests.scim import STATE, Provider, heard, is_error, provider, speaking
from worker.adapters.db import scim_reading
from worker.web.scim import listing, streaming

SEARCH = "urn:ietf:params:scim:api:messages:2.0:SearchRequest"
ENTERPRISE = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"


def names(answer: Any) -> list[str]:
    return [one.get("userName") or one["displayName"] for one in answer["Resources"]]


def find(idp: Provider, filter_: str, kind: str = "Users", more: str = "") -> list[str]:
    return sorted(names(idp.told("GET", f"/{kind}?filter={quote(filter_)}{more}")))


@contextmanager
def reading(rosterd: Rosterd) -> Iterator[list[str]]:
    """The statements said meanwhile."""
    said: list[str] = []
    with heard(rosterd) as asked:
        yield said
    said += [one.statement for one in asked]


@pytest.fixture
def idp(rosterd: Rosterd) -> Provider:
    """Three people, one of them suspended, and two groups."""
    found = provider(rosterd)
    sales: Any = {ENTERPRISE: {"department": "Sales"}, "emails": [{"value": "Ana@home.example"}]}
    ana = found.hire("Ana", externalId="e1", title="Boss", **sales)
    bob = found.hire("bob", externalId="E1")
    found.hire("eve")
    found.set_(bob["id"], active=False)
    found.group("Crew", ana["id"], bob["id"])
    found.group("Éclair")
    return found


@pytest.mark.parametrize(
    ("filter_", "wanted"),
    [
        ('userName eq "ana@EXAMPLE.com"', ["Ana@example.com"]),
        ('externalId eq "e1"', ["Ana@example.com"]),
        ('emails.value eq "ana@HOME.example"', ["Ana@example.com"]),
        ('emails[value sw "ana" and type ne "work"]', ["Ana@example.com"]),
        (f'{ENTERPRISE}:department eq "sales"', ["Ana@example.com"]),
        ("active eq false", ["bob@example.com"]),
        ('active eq "True" and not (title pr)', ["eve@example.com"]),
        (f'{STATE}:state eq "suspended"', []),
        (f'{STATE}:state eq "invited_suspended"', ["bob@example.com"]),
        (f"{STATE}:isManaged eq true and title pr", ["Ana@example.com"]),
        (f'{STATE}:emailInForce sw "EVE"', ["eve@example.com"]),
        ('groups.display eq "crew"', ["Ana@example.com", "bob@example.com"]),
        ('meta.resourceType eq "User" and userName co "e@"', ["eve@example.com"]),
        (f'schemas eq "{ENTERPRISE}"', ["Ana@example.com"]),
        ('userName eq "nobody@example.com"', []),
        ('userName sw "x" or id eq "x" or externalId eq "E1"', ["bob@example.com"]),
    ],
)
def test_people_are_found(idp: Provider, filter_: str, wanted: list[str]) -> None:
    """U10 as well: what is asked for is what is shown, the truth over what was told."""
    assert find(idp, filter_) == wanted


def test_groups_are_found_by_name_and_by_member(idp: Provider) -> None:
    ana = idp.told("GET", '/Users?filter=userName eq "ana@example.com"')["Resources"][0]
    assert find(idp, 'displayName eq "éCLAIR"', "Groups") == ["Éclair"]
    assert find(idp, f'members.value eq "{ana["id"]}"', "Groups") == ["Crew"]
    assert find(idp, f'members[value eq "{ana["id"]}"]', "Groups") == ["Crew"]
    assert find(idp, "not (members pr)", "Groups") == ["Éclair"]
    crew = idp.told("GET", '/Groups?filter=displayName eq "crew"')["Resources"][0]
    idp.leave(crew["id"], ana["id"])
    assert find(idp, f'members.value eq "{ana["id"]}"', "Groups") == []
    idp.told("DELETE", f"/Groups/{crew['id']}", status=204)
    assert find(idp, 'groups.display eq "crew"') == []


def test_g7_who_was_never_told_of_is_found_as_a_member(idp: Provider) -> None:
    crew = idp.told("GET", '/Groups?filter=displayName eq "crew"')["Resources"][0]
    idp.join(crew["id"], "ghost")
    assert "ghost" in {one["value"] for one in idp.get(crew["id"], kind="Groups")["members"]}
    for text in ('members.value eq "ghost"', 'members.value sw "gho"', 'members[value co "host"]'):
        assert find(idp, text, "Groups") == ["Crew"]
    eve = idp.hire("eva", externalId="ghost")
    assert find(idp, f'members.value eq "{eve["id"]}"', "Groups") == ["Crew"]
    assert find(idp, 'members.value eq "ghost"', "Groups") == []
    idp.told("DELETE", f"/Users/{eve['id']}", status=204)
    assert find(idp, 'members.value eq "ghost"', "Groups") == []
    assert find(idp, f'members.value eq "{eve["id"]}"', "Groups") == []


def test_what_is_shown_can_be_asked_for(idp: Provider) -> None:
    for one in idp.told("GET", "/Users")["Resources"]:
        at = one["meta"]["lastModified"]
        asked = f'meta.lastModified eq "{at}" and meta.location eq "{one["meta"]["location"]}"'
        assert find(idp, asked) == [one["userName"]]
        assert one["userName"] not in find(idp, f'meta.lastModified gt "{at}"')


def test_who_was_deleted_is_in_no_list(idp: Provider) -> None:
    eve = idp.told("GET", '/Users?filter=userName eq "eve@example.com"')["Resources"][0]
    idp.told("DELETE", f"/Users/{eve['id']}", status=204)
    assert find(idp, 'userName eq "eve@example.com"') == []
    assert find(idp, f'id eq "{eve["id"]}"') == []
    assert idp.told("GET", "/Users")["totalResults"] == 2


@pytest.mark.parametrize(
    ("path", "scim_type"),
    [
        ("/Users?filter=userName", "invalidFilter"),
        ("/Users?filter=shoeSize eq 4", "invalidFilter"),
        ("/Groups?filter=userName pr", "invalidFilter"),
        ('/Users?filter=meta.version eq "x"', "invalidFilter"),
        (f'/Users?filter={STATE}:override eq "x"', "invalidFilter"),
        ("/Users?sortBy=shoeSize", "invalidPath"),
        ("/Users?startIndex=one", "invalidValue"),
        ("/Users?sortBy=userName&sortOrder=up", "invalidValue"),
        ("/Users?cursor=abc", "invalidCursor"),
        ("/Users?cursor=&count=0", "invalidCount"),
        ("/Users?attributes=userName&excludedAttributes=name", "invalidValue"),
    ],
)
def test_what_is_no_question_is_refused(idp: Provider, path: str, scim_type: str) -> None:
    is_error(idp.ask("GET", path), 400, scim_type)


def test_ten_thousand_terms_are_refused_and_the_service_lives(idp: Provider) -> None:
    many = " or ".join(f'userName eq "u{n}"' for n in range(10_000))
    body = {"schemas": [SEARCH], "filter": many}
    is_error(idp.ask("POST", "/Users/.search", body), 400, "invalidFilter")
    deep = "not (" * 10_000 + "title pr" + ")" * 10_000
    is_error(idp.ask("POST", "/Users/.search", {**body, "filter": deep}), 400, "invalidFilter")
    assert idp.told("GET", "/Users?count=0")["totalResults"] == 3


@pytest.mark.every_database
def test_a_filter_that_takes_too_long_is_too_many(
    idp: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    """RFC 7644 3.12: the same question would take as long again, so 503 would be no help."""

    def slow(*_: Any) -> Any:
        raise InfrastructureError("database is slow", is_slow=True)

    monkeypatch.setattr(listing, "page", slow)
    is_error(idp.ask("GET", "/Users?filter=title pr"), 400, "tooMany")
    assert int(idp.ask("GET", "/Users").headers["retry-after"]) > 0


@pytest.mark.every_database
def test_pages_by_number(idp: Provider) -> None:
    first = idp.told("GET", "/Users?sortBy=userName&count=2")
    assert (first["totalResults"], first["itemsPerPage"], first["startIndex"]) == (3, 2, 1)
    assert names(first) == ["Ana@example.com", "bob@example.com"]
    last = idp.told("GET", "/Users?sortBy=userName&count=2&startIndex=3")
    assert (last["totalResults"], last["itemsPerPage"], last["startIndex"]) == (3, 1, 3)
    assert names(last) == ["eve@example.com"]
    none = idp.told("GET", "/Users?count=0")
    assert (none["totalResults"], none["Resources"]) == (3, [])
    down = idp.told("GET", "/Users?sortBy=userName&sortOrder=descending&count=1")
    assert names(down) == ["eve@example.com"]


@pytest.mark.every_database
@pytest.mark.parametrize("sort", ["", "&sortBy=title", "&sortBy=emails&sortOrder=descending"])
def test_pages_by_cursor(idp: Provider, sort: str) -> None:
    found: list[str] = []
    cursor = ""
    while True:
        page = idp.told("GET", f"/Users?count=1&cursor={cursor}{sort}")
        assert page["totalResults"] == 3
        assert "startIndex" not in page
        found += names(page)
        if "nextCursor" not in page:
            break
        cursor = page["nextCursor"]
    assert sorted(found) == ["Ana@example.com", "bob@example.com", "eve@example.com"]
    is_error(idp.ask("GET", f"/Users?cursor={cursor}&filter=title pr"), 400, "invalidCursor")


def test_a_cursor_of_another_connection_leads_nowhere(idp: Provider, rosterd: Rosterd) -> None:
    page = idp.told("GET", "/Users?count=1&cursor=")
    other = speaking(rosterd, rosterd.account(source="scim", name="other"))
    assert other.told("GET", "/Users")["totalResults"] == 0
    is_error(other.ask("GET", f"/Users?cursor={page['nextCursor']}"), 400, "invalidCursor")


def test_a_search_answers_as_a_list_does(idp: Provider) -> None:
    body = {
        "schemas": [SEARCH],
        "filter": "title pr or active eq false",
        "sortBy": "userName",
        "attributes": ["userName"],
        "count": 1,
        "startIndex": 2,
    }
    found = idp.told("POST", "/Users/.search", body)
    assert (found["totalResults"], names(found)) == (2, ["bob@example.com"])
    assert set(found["Resources"][0]) == {"schemas", "id", "userName"}
    cut = {"schemas": [SEARCH], "excludedAttributes": ["members"]}
    assert all(
        "members" not in one for one in idp.told("POST", "/Groups/.search", cut)["Resources"]
    )


def test_the_root_is_searched_for_both_kinds(idp: Provider) -> None:
    body = {"schemas": [SEARCH], "filter": 'userName sw "a" or displayName eq "crew"'}
    found = idp.told("POST", "/.search", body)
    assert sorted(names(found)) == ["Ana@example.com", "Crew"]
    assert {one["meta"]["resourceType"] for one in found["Resources"]} == {"User", "Group"}
    assert idp.told("GET", "/?count=2")["totalResults"] == 5
    is_error(idp.ask("POST", "/.search", {**body, "filter": "shoeSize pr"}), 400, "invalidFilter")


def test_a_token_that_only_reads_may_search(idp: Provider, rosterd: Rosterd) -> None:
    feed = rosterd.account(source="scim", name="second")
    reader = speaking(rosterd, feed, "scim:read")
    assert reader.told("POST", "/Users/.search", {"schemas": [SEARCH]})["totalResults"] == 0
    reader.hire("x", status=403)


def test_members_that_nobody_asks_for_are_not_read(idp: Provider, rosterd: Rosterd) -> None:
    with reading(rosterd) as said:
        found = idp.told("GET", "/Groups?excludedAttributes=members")
        idp.told("GET", f"/Groups/{found['Resources'][0]['id']}?attributes=displayName")
    assert len(said) >= 4
    assert not [statement for statement in said if "memberships" in statement]


def test_groups_that_nobody_asks_for_are_not_read(idp: Provider, rosterd: Rosterd) -> None:
    with reading(rosterd) as said:
        idp.told("GET", '/Users?attributes=userName&filter=userName eq "bob@example.com"')
    assert not [statement for statement in said if "memberships" in statement]


def test_one_statement_finds_somebody_by_name(idp: Provider, rosterd: Rosterd) -> None:
    with reading(rosterd) as said:
        found = idp.told("GET", '/Users?filter=userName eq "bob@example.com"')
    assert found["totalResults"] == 1
    assert sum("FROM scim_resources" in one and "JOIN" not in one for one in said) == 1


@pytest.mark.parametrize("asked", ["", "?attributes=members.value", "?excludedAttributes=meta"])
def test_a_large_group_is_read_page_by_page(
    idp: Provider, monkeypatch: pytest.MonkeyPatch, asked: str
) -> None:
    people = [idp.hire(f"p{n}")["id"] for n in range(7)]
    large, small = idp.group("Large", *people), idp.group("Small", *people[:1])
    whole = {
        path: idp.told("GET", path + asked)
        for path in (f"/Groups/{large['id']}", f"/Groups/{small['id']}", "/Groups")
    }
    monkeypatch.setattr(scim_reading, "PAGE", 2)
    monkeypatch.setattr(streaming, "AT_ONCE", 3)
    for path, answer in whole.items():
        assert unversioned(idp.told("GET", path + asked)) == unversioned(answer)
    told = idp.ask("GET", f"/Groups/{large['id']}{asked}")
    assert "content-length" not in told.headers
    assert {one["value"] for one in told.json()["members"]} == set(people)


def unversioned(answer: Any) -> Any:
    """Without versions: those of a large group tell nothing of its members."""
    for one in (answer, *answer.get("Resources", ())):
        one.get("meta", {}).pop("version", None)
    return answer


@pytest.mark.parametrize(
    "path", ["/Users/%00", "/Async/%00", "/%00", "/Users/%ff", "/Users/%ed%a0%80"]
)
def test_no_place_breaks_the_service(idp: Provider, path: str) -> None:
    is_error(idp.ask("GET", path), 404)


def test_a_version_that_is_known_is_not_sent_again(idp: Provider) -> None:
    """RFC 7644 3.14."""
    ana = idp.told("GET", '/Users?filter=userName eq "ana@example.com"')["Resources"][0]
    path = f"/Users/{ana['id']}"
    etag = idp.ask("GET", path).headers["etag"]
    assert etag == ana["meta"]["version"]
    for known in (etag, etag.removeprefix("W/"), f'"x", {etag}', "*"):
        told = idp.ask("GET", path, If_None_Match=known)
        assert (told.status_code, told.content, told.headers["etag"]) == (304, b"", etag)
    idp.set_(ana["id"], title="Chief")
    assert idp.ask("GET", path, If_None_Match=etag).status_code == 200
    assert idp.ask("GET", path, If_None_Match="nonsense").status_code == 200

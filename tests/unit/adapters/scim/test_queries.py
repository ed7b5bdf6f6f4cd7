"""RFC 7644 3.4.2, RFC 9865: what a list is asked for."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.exploring import patient
from worker.adapters.scim.attributes import table
from worker.adapters.scim.errors import SCIMError
from worker.adapters.scim.queries import (
    Query,
    cursor_after,
    query_of_parameters,
    query_of_search,
    read_sort,
    resource_before,
)


def test_parameters_in_any_case_say_the_same() -> None:
    query = query_of_parameters(
        {
            "FILTER": "title pr",
            "SortBy": "userName",
            "sortorder": "Descending",
            "STARTINDEX": "3",
            "count": "7",
            "attributes": "userName, emails.value,",
            "excludedAttributes": "members",
        }
    )
    assert query == Query(
        "title pr", "userName", True, 3, 7, None, ("userName", "emails.value"), ("members",)
    )


def test_a_search_says_the_same_as_parameters() -> None:
    search = {
        "schemas": ["urn:ietf:params:scim:api:messages:2.0:SearchRequest"],
        "attributes": ["displayName"],
        "filter": "title pr",
        "startIndex": 2,
        "count": 5,
    }
    asked = {"attributes": "displayName", "filter": "title pr", "startIndex": "2", "count": "5"}
    assert query_of_search(search) == query_of_parameters(asked)


@pytest.mark.parametrize(
    ("asked", "start", "count"),
    [
        ({}, 1, 100),
        ({"startIndex": "0", "count": "0"}, 1, 0),
        ({"startIndex": "-5", "count": "-5"}, 1, 0),
        ({"count": "1000000"}, 1, 200),
        ({"startIndex": "9" * 30}, 1_000_000_000, 100),
    ],
)
def test_pages_are_bounded_as_the_rfc_says(asked: dict[str, str], start: int, count: int) -> None:
    query = query_of_parameters(asked)
    assert (query.start, query.count) == (start, count)


@pytest.mark.parametrize(
    ("body", "scim_type"),
    [
        ([], "invalidSyntax"),
        ({"filter": 3}, "invalidValue"),
        ({"count": "many"}, "invalidValue"),
        ({"count": True}, "invalidValue"),
        ({"count": 1.5}, "invalidValue"),
        ({"startIndex": "9" * 5_000}, "invalidValue"),
        ({"attributes": [1]}, "invalidValue"),
        ({"attributes": {"a": 1}}, "invalidValue"),
        ({"sortOrder": "sideways"}, "invalidValue"),
        ({"cursor": "", "count": 0}, "invalidCount"),
    ],
)
def test_what_is_no_question_is_refused(body: Any, scim_type: str) -> None:
    with pytest.raises(SCIMError) as refused:
        query_of_search(body)
    assert (refused.value.status, refused.value.scim_type) == (400, scim_type)


def test_a_cursor_belongs_to_its_question() -> None:
    query = Query(filter="title pr", sort_by="userName", cursor="")
    assert resource_before(query) is None
    cursor = cursor_after(query, "0b5b2a")
    assert resource_before(Query("title pr", "userName", cursor=cursor, count=3)) == "0b5b2a"
    with pytest.raises(SCIMError) as refused:
        resource_before(Query("title pr", "title", cursor=cursor))
    assert refused.value.scim_type == "invalidCursor"


@patient(300)
@given(cursor=st.text(min_size=1))
def test_no_other_text_is_a_cursor(cursor: str) -> None:
    with pytest.raises(SCIMError) as refused:
        resource_before(Query(cursor=cursor))
    assert refused.value.scim_type == "invalidCursor"


@pytest.mark.parametrize(
    "text", ["", "nothing", "name", "name.nothing", "members", "emails[type eq]", "a b", "x" * 600]
)
def test_nothing_is_sorted_by_what_is_not_there(text: str) -> None:
    with pytest.raises(SCIMError) as refused:
        read_sort(text, table("User"))
    assert refused.value.scim_type == "invalidPath"


def test_several_values_are_sorted_by_their_value() -> None:
    assert read_sort("emails", table("User")) == read_sort("EMAILS.Value", table("User"))
    assert read_sort("members", table("User"), beside=[table("Group")]) is None

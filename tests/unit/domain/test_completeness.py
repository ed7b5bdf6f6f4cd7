"""A list that is not complete proves nothing of who is missing in it, and says why (S3)."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.completeness import ListRead, doubt, page_digest

WHOLE = ListRead(count=3, first="a", again="a", total=3, total_again=3)


def test_a_list_that_was_seen_whole_and_unchanged_proves() -> None:
    assert doubt(WHOLE, known=5) == ""
    assert doubt(replace(WHOLE, total=None, total_again=None), known=5) == ""
    assert doubt(ListRead(0, "", "", 0, 0), known=0) == ""


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"count": 0, "total": 0, "total_again": 0}, "it named nobody, and we know of 5"),
        ({"count": 2}, "it says that there are 3, and named 2"),
        ({"total_again": 4}, "there were 3 as it began and 4 at its end"),
        ({"total_again": None}, "there were 3 as it began and an unknown number at its end"),
        ({"again": "b"}, "its first page had changed when all others had been read"),
    ],
)
def test_whatever_is_not_whole_is_said(changes: dict[str, object], why: str) -> None:
    assert doubt(replace(WHOLE, **changes), known=5) == why  # type: ignore[arg-type]


@given(st.lists(st.text(), unique=True), st.lists(st.text(), unique=True))
def test_pages_are_the_same_if_they_name_the_same(one: list[str], other: list[str]) -> None:
    assert page_digest(one) == page_digest(one[::-1])
    assert (page_digest(one) == page_digest(other)) is (set(one) == set(other))

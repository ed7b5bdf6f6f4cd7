"""What is taken out of documents that tell of others, too, and what may be a name in a text."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from domain.erasure import ERASED, Ledger, names_in, pattern_of, without

MARK = pattern_of({"u1", "ana@example.com"})


def test_the_innermost_member_of_a_list_that_bears_a_name_loses_its_texts() -> None:
    document = {
        "events": [
            {"id": "e1", "data": {"id": "u1", "given_name": "Ana", "active": True}},
            {"id": "e2", "data": {"id": "u2", "given_name": "Bo"}},
        ]
    }
    mine, other = without(document, MARK)["events"]  # type: ignore[index]
    blank = {"id": ERASED, "data": {"id": ERASED, "given_name": ERASED, "active": True}}
    assert mine == blank
    assert other == document["events"][1]


def test_members_by_id_keep_their_places() -> None:
    assert without({"user_ids": ["u1", "u10", "u2"]}, MARK) == {"user_ids": [ERASED, "u10", "u2"]}
    told = {"members": [{"value": "u1", "display": "Ana"}, {"value": "u2"}]}
    kept = {"members": [{"value": ERASED, "display": ERASED}, {"value": "u2"}]}
    assert without(told, MARK) == kept


def test_outside_of_lists_only_the_name_goes() -> None:
    told = {"note": "of ANA@example.com, and of banana@example.com", "n": 1, "none": None}
    assert without(told, MARK) == {**told, "note": f"of {ERASED}, and of banana@example.com"}


_TEXT = st.sampled_from(["u1", "u2", "ana@example.com", "x u1 y", "", "Bo"])
_DOCUMENTS: st.SearchStrategy[Any] = st.recursive(
    _TEXT | st.integers() | st.none(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from("abc"), inner),
    max_leaves=12,
)


@given(document=_DOCUMENTS)
def test_no_name_is_left_and_the_shape_stays(document: Any) -> None:
    after = without(document, MARK)
    assert MARK.search(repr(after)) is None
    assert _shape(after) == _shape(document)


def _shape(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _shape(one) for name, one in value.items()}
    if isinstance(value, list):
        return [_shape(one) for one in value]
    return type(value)


@given(name=st.from_regex(r"[a-z]{2}[a-z0-9.+_-]{2,8}[a-z0-9]", fullmatch=True))
def test_a_name_is_found_wherever_it_may_stand(name: str) -> None:
    texts = (
        name,
        f"con_1:{name}",
        f'{{"id":"{name}"}}',
        f"to <{name}@example.com>, {name}.",
        f"['{name}']",
    )
    for text in texts:
        assert name in set(names_in(text)), text
    assert f"{name}@example.com" in set(names_in(texts[3]))
    assert "CN=Ana Silva,OU=x" in set(names_in('{"id":"CN=Ana Silva,OU=x"}'))


def test_a_ledger_counts_by_table_and_says_nothing_of_nothing() -> None:
    ledger = Ledger()
    for count in (1, 2, 0):
        ledger.add("links", "deleted", count)
    ledger.add("notices", "deleted", 0)
    assert ledger.done == {"links": {"deleted": 3}}
